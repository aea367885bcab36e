/* blake3.h - BLAKE3 (the paper of 2020-01-09): hash and key derivation.
 *
 * libcrypto has none.  What protocols ask for is short: a key, a salt, an identity; these are one
 * compression each, on four-lane vectors.  Longer input is hashed correctly, chunk by chunk,
 * without the parallelism that bulk hashing would want.
 *
 * Threads: any.
 */
#ifndef WEIR_CRYPTO_BLAKE3_H
#define WEIR_CRYPTO_BLAKE3_H

#include "base/base.h"

#define BLAKE3_LEN 32

/* `out` receives `outlen` bytes: any number, the first 32 are the usual digest. */
void blake3(const void *in, size_t len, uint8_t *out, size_t outlen);
void blake3_keyed(const uint8_t key[BLAKE3_LEN], const void *in, size_t len, uint8_t *out,
		  size_t outlen);

/* A context string, hashed once: what derive_key() of the paper begins with. */
struct blake3_context {
	uint32_t key[8];
};

void blake3_context_set(struct blake3_context *c, const char *text);
/* The same for protocols whose context is no text. */
void blake3_context_set_bytes(struct blake3_context *c, const void *bytes, size_t len);
void blake3_derive(const struct blake3_context *c, const void *material, size_t len, uint8_t *out,
		   size_t outlen);

#endif
