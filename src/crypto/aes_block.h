/* aes_block.h - one block of AES, for protocols that encrypt an identity or a header of 16 bytes.
 *
 * The key used last is kept expanded, one for each direction and length and thread: a server whose
 * packets all begin under the same key pays for the block alone.
 *
 * Threads: any.
 */
#ifndef WEIR_CRYPTO_AES_BLOCK_H
#define WEIR_CRYPTO_AES_BLOCK_H

#include "base/base.h"

#define AES_BLOCK 16

/* `keylen` is 16 or 32, else -ERR_CRYPTO; `out` may be `in`.  0 or -ERR_CRYPTO. */
MUST_CHECK int aes_block_encrypt(const uint8_t *key, size_t keylen, const uint8_t in[AES_BLOCK],
				 uint8_t out[AES_BLOCK]);
MUST_CHECK int aes_block_decrypt(const uint8_t *key, size_t keylen, const uint8_t in[AES_BLOCK],
				 uint8_t out[AES_BLOCK]);

#endif
