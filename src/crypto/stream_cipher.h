/* stream_cipher.h - ciphers without authentication, as old protocols use them: nothing here tells a
 * changed byte from a right one.
 *
 * Threads: one at a time.
 */
#ifndef WEIR_CRYPTO_STREAM_CIPHER_H
#define WEIR_CRYPTO_STREAM_CIPHER_H

#include "base/base.h"

enum stream_cipher_alg {
	STREAM_AES_CFB, /* 128-bit feedback */
	STREAM_AES_CTR,
	STREAM_RC4,
	STREAM_CHACHA20, /* nonce of 8 bytes */
	STREAM_CHACHA20_IETF,
	STREAM_XCHACHA20,
};

struct stream_cipher;

/* `keylen`: 16, 24, 32 for AES; any for RC4, which has no `iv`; 32 for the others.  NULL: no memory, or
 * libcrypto does not offer it.
 */
struct stream_cipher *stream_cipher_new(enum stream_cipher_alg alg, const uint8_t *key,
					size_t keylen, const uint8_t *iv, bool encrypt);
void stream_cipher_free(struct stream_cipher *c); /* NULL is fine */

/* The next `len` bytes; `out` may be `in`.  0 or -ERR_CRYPTO. */
MUST_CHECK int stream_cipher_run(struct stream_cipher *c, const void *in, size_t len, void *out);

#endif
