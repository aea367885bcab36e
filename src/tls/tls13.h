/* tls13.h - key schedule, transcript and Finished of a TLS 1.3 handshake (RFC 8446 §4.4, §7).
 *
 * Knows no messages beyond their bytes and no streams, so that every handshake of our own, either
 * role, stands on it.  No pre-shared keys: the early secret is that of zeros.
 *
 *     tls13_start(&k, suite);
 *     tls13_add(&k, client_hello...);  tls13_add(&k, server_hello...);
 *     tls13_handshake(&k, ecdhe, len);         c_hs and s_hs are there
 *     tls13_add(...)                           the server's flight
 *     tls13_finished(&k, k.s_hs, verify);      over what was added so far
 *     tls13_add(&k, finished...);
 *     tls13_application(&k);                   c_ap and s_ap are there
 */
#ifndef WEIR_TLS_TLS13_H
#define WEIR_TLS_TLS13_H

#include "crypto/hash.h"
#include "tls/record.h"

struct tls13 {
	struct hash *transcript;
	uint16_t suite;
	uint8_t alg;			/* enum hash_alg */
	uint8_t size;			/* of its digest, and of every secret */
	uint8_t secret[TLS_SECRET_MAX]; /* the handshake secret, then the master secret */
	uint8_t c_hs[TLS_SECRET_MAX], s_hs[TLS_SECRET_MAX];
	uint8_t c_ap[TLS_SECRET_MAX], s_ap[TLS_SECRET_MAX];
};

/* -ERR_UNSUPPORTED for a suite that is none of the three. */
MUST_CHECK int tls13_start(struct tls13 *k, uint16_t suite);
void tls13_clear(struct tls13 *k); /* wipes; harmless on zeroes */

MUST_CHECK int tls13_add(struct tls13 *k, const void *message, size_t len);

/* `ecdhe`: what the key exchange gave, of one group or two. */
MUST_CHECK int tls13_handshake(struct tls13 *k, const void *ecdhe, size_t len);
MUST_CHECK int tls13_application(struct tls13 *k);

/* Behind the client's Finished: what a ticket's key is made of, k->size bytes. */
MUST_CHECK int tls13_resumption(const struct tls13 *k, uint8_t *out);

/* verify_data under c_hs or s_hs; k->size bytes. */
MUST_CHECK int tls13_finished(const struct tls13 *k, const uint8_t *base, uint8_t *out);

/* What a CertificateVerify of the server signs (RFC 8446 §4.4.3); *len of TLS13_SIGNED_MAX bytes.
 */
#define TLS13_SIGNED_MAX (64 + 33 + 1 + TLS_SECRET_MAX)
MUST_CHECK int tls13_signed(const struct tls13 *k, uint8_t *out, size_t *len);

#endif
