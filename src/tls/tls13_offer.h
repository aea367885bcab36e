/* tls13_offer.h - is a ClientHello one that our own handshake answers, and with what?
 *
 * Only what is well-formed to the last extension, asks for nothing beyond a plain TLS 1.3 handshake
 * and can be answered at once.  All else is libssl's: older versions, resumption, early data,
 * HelloRetryRequest, and whatever earns an alert, which is then libssl's own.  Pure.
 */
#ifndef WEIR_TLS_TLS13_OFFER_H
#define WEIR_TLS_TLS13_OFFER_H

#include "tls/hello.h"

struct tls13_offer {
	uint16_t suite;
	struct tls_bytes share; /* the client's for X25519 */
};

/* `aes`: our AES is fast.  `hybrid`: libssl has X25519MLKEM768, so who lists that is libssl's; where it
 * has not, it is a group like any that nobody knows.  0 or -ERR_UNSUPPORTED. */
MUST_CHECK int tls13_offer_read(const struct tls_hello *h, bool aes, bool hybrid,
				struct tls13_offer *out);

/* Would libssl let `scheme` sign, and send a certificate that was signed with `signed_with`? */
bool tls13_offer_accepts(const struct tls_hello *h, uint16_t scheme, uint16_t signed_with);

#endif
