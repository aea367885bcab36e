/* hkdf_many.h - HKDF-SHA1 of many keys under one salt, sixteen at a time.
 *
 * For finding out whose key it was: one salt, thousands of candidates.  The lanes of a vector
 * register each run a digest of their own, which brings a key down from about 500 ns to about 50.
 *
 *     hkdf_many_start(&m, salt, saltlen, "ss-subkey");
 *     hkdf_many(&m, keys, n, keylen, out);
 *
 * Threads: any.
 */
#ifndef WEIR_CRYPTO_HKDF_MANY_H
#define WEIR_CRYPTO_HKDF_MANY_H

#include "base/base.h"

#define HKDF_MANY	  16 /* keys at once */
#define HKDF_MANY_KEY_MAX 32

struct hkdf_many {
	uint32_t inner[5], outer[5]; /* HMAC's two states behind the salt */
	uint8_t info[32];
	uint8_t infolen;
};

/* `salt` of at most 64 bytes, `info` of at most 32. */
void hkdf_many_start(struct hkdf_many *m, const void *salt, size_t saltlen, const char *info);

/* HKDF of keys[0..n), n <= HKDF_MANY, each `len` bytes (16..32) of its place; as many come out. */
void hkdf_many(const struct hkdf_many *m, const uint8_t (*keys)[HKDF_MANY_KEY_MAX], int n,
	       size_t len, uint8_t (*out)[HKDF_MANY_KEY_MAX]);

#endif
