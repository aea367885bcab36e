/* aes_many.h - one block, decrypted under each of very many AES-128 keys.
 *
 * For finding out whose key it was.  What is kept of a key is 16 bytes: where the machine has AES
 * instructions that is its last round key, from which the schedule is walked backwards while the
 * block is decrypted.  An expanded schedule would be eleven times as long, and fetching it from
 * memory dearer than making it.
 *
 *     aes_many_key(raw, keys[i]);                 once, when the key becomes known
 *     aes_many_decrypt(keys, n, block, out);      AES_MANY of them cost hardly more than one
 *
 * Threads: any.
 */
#ifndef WEIR_CRYPTO_AES_MANY_H
#define WEIR_CRYPTO_AES_MANY_H

#include "base/base.h"

#define AES_MANY     16 /* keys at once */
#define AES_MANY_KEY 16

/* Are there such instructions?  Without them a key costs what any other way of trying it does. */
bool aes_many_fast(void);

/* What this process keeps of a key; not for other machines.  0 or -ERR_CRYPTO. */
MUST_CHECK int aes_many_key(const uint8_t raw[16], uint8_t out[AES_MANY_KEY]);

/* `in` under keys[0..n), n <= AES_MANY; `keys` are one behind the other.  0 or -ERR_CRYPTO. */
MUST_CHECK int aes_many_decrypt(const uint8_t *keys, int n, const uint8_t in[16],
				uint8_t (*out)[16]);

#endif
