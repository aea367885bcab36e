/* hash.h - digests and HMAC.
 *
 * The one-shot calls run on a context of the calling thread: no allocation after a thread's first
 * use of an algorithm.  `struct hash` is for what grows over time, such as a handshake transcript.
 *
 * Failures are -ERR_CRYPTO: libcrypto had no memory or does not offer the algorithm (MD5 under
 * FIPS). `out` then stays as it was.
 */
#ifndef WEIR_CRYPTO_HASH_H
#define WEIR_CRYPTO_HASH_H

#include <sys/uio.h>

#include "base/base.h"

enum hash_alg {
	HASH_MD5, /* for protocols that are stuck with it; nothing rests on it */
	HASH_SHA1,
	HASH_SHA224,
	HASH_SHA256,
	HASH_SHA384,
	HASH_SHA512,
	HASH_ALGS,
};

#define HASH_MAX       64 /* bytes of the longest digest */
#define HASH_BLOCK_MAX 128

size_t hash_size(enum hash_alg alg);
size_t hash_block(enum hash_alg alg);

/* Digest into `out`, hash_size() bytes. */
MUST_CHECK int hash(enum hash_alg alg, const void *data, size_t len, uint8_t *out);
MUST_CHECK int hash_iov(enum hash_alg alg, const struct iovec *iov, int n, uint8_t *out);

MUST_CHECK int hmac(enum hash_alg alg, const void *key, size_t keylen, const void *data, size_t len,
		    uint8_t *out);
MUST_CHECK int hmac_iov(enum hash_alg alg, const void *key, size_t keylen, const struct iovec *iov,
			int n, uint8_t *out);

struct hash;

struct hash *hash_new(enum hash_alg alg); /* NULL: no memory */
void hash_free(struct hash *h);
MUST_CHECK int hash_update(struct hash *h, const void *data, size_t len);

/* The digest of what was put in so far; more may follow. */
MUST_CHECK int hash_peek(const struct hash *h, uint8_t *out);

#endif
