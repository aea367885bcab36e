/* x25519.h - Diffie-Hellman on Curve25519 (RFC 7748). */
#ifndef WEIR_CRYPTO_X25519_H
#define WEIR_CRYPTO_X25519_H

#include "base/base.h"

#define X25519_LEN 32

/* A fresh key pair.  The private key comes clamped, as other tools print it. */
MUST_CHECK int x25519_keygen(uint8_t priv[X25519_LEN], uint8_t pub[X25519_LEN]);

void x25519_clamp(uint8_t priv[X25519_LEN]);

/* The public key of `priv`, clamped or not. */
MUST_CHECK int x25519_public(const uint8_t priv[X25519_LEN], uint8_t pub[X25519_LEN]);

/* The same for a key that is used more than once, or for both: what libcrypto makes of the bytes, which
 * costs as much as a secret, is kept.  Once made it may be shared by threads.
 */
struct x25519;

struct x25519 *x25519_new(const uint8_t *priv); /* NULL: a fresh one.  NULL: libcrypto failed */
void x25519_free(struct x25519 *k);		/* NULL is fine */
const uint8_t *x25519_key_public(const struct x25519 *k);
MUST_CHECK int x25519_key_shared(const struct x25519 *k, const uint8_t peer[X25519_LEN],
				 uint8_t out[X25519_LEN]);

/* The shared secret.  -ERR_MALFORMED for a peer key of small order, whose secret would be zero. */
MUST_CHECK int x25519_shared(const uint8_t priv[X25519_LEN], const uint8_t peer[X25519_LEN],
			     uint8_t out[X25519_LEN]);

#endif
