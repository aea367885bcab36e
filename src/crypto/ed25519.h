/* ed25519.h - signatures (RFC 8032). */
#ifndef WEIR_CRYPTO_ED25519_H
#define WEIR_CRYPTO_ED25519_H

#include "base/base.h"

#define ED25519_LEN 32 /* of a seed, and of a public key */
#define ED25519_SIG 64

/* A private key, to be shared by threads once made. */
struct ed25519;

struct ed25519 *ed25519_new(
	const uint8_t *seed); /* NULL seed: a random one.  NULL: libcrypto failed */
void ed25519_free(struct ed25519 *k);
const uint8_t *ed25519_public(const struct ed25519 *k);

MUST_CHECK int ed25519_sign(const struct ed25519 *k, const void *msg, size_t len,
			    uint8_t sig[ED25519_SIG]);

/* 0 or -ERR_AUTH. */
MUST_CHECK int ed25519_verify(const uint8_t pub[ED25519_LEN], const void *msg, size_t len,
			      const uint8_t sig[ED25519_SIG]);

#endif
