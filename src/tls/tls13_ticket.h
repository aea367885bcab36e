/* tls13_ticket.h - session tickets that libssl takes up (RFC 8446 §4.6.1, RFC 5077 §4).
 *
 * Resumption stays with libssl.  So what our own handshake hands out is what libssl would have: its
 * session in its own encoding, sealed with the same key.  Should another version of it not
 * understand that, the client gets a full handshake.
 */
#ifndef WEIR_TLS_TLS13_TICKET_H
#define WEIR_TLS_TLS13_TICKET_H

#include "base/wr.h"
#include "tls/tls13.h"

/* As SSL_CTX_set_tlsext_ticket_keys() takes its 80 bytes apart. */
struct tls13_ticket_key {
	uint8_t name[16], hmac[32], aes[32];
};

/* The longest NewSessionTicket: a host name of 255 bytes, a protocol of as many. */
#define TLS13_TICKET_MAX 1024

/* What libssl is told as its session id context: tickets of another are void. */
#define TLS_SESSION_CONTEXT "weir"

struct tls13_session {
	const char *sni, *alpn; /* "": none */
	uint16_t group;
	int64_t now; /* seconds since 1970 */
};

/* The message of ticket `index`, counted from 0, for the session of `k`; `resumption` is tls13_resumption()'s.
 */
MUST_CHECK int tls13_ticket_emit(const struct tls13_ticket_key *key, const struct tls13 *k,
				 const uint8_t *resumption, const struct tls13_session *s,
				 unsigned index, struct wr *out);

#endif
