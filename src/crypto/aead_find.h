/* aead_find.h - which of many keys opens a message whose nonce is all zero.
 *
 * Made for trying: first only the keystream of the message's beginning is computed, for many keys
 * at once, and the caller says whether text could begin like that; what passes is opened in full.
 *
 * Threads: any.
 */
#ifndef WEIR_CRYPTO_AEAD_FIND_H
#define WEIR_CRYPTO_AEAD_FIND_H

#include "crypto/aead.h"

#define AEAD_FIND_MANY	16 /* keys at once */
#define AEAD_FIND_FIRST 16 /* bytes that plausible() sees at most */

struct aead_find {
	enum aead_alg alg;
	const uint8_t *in; /* ciphertext and tag */
	size_t len;
	/* Could these be the first `n` bytes of the text? */
	bool (*plausible)(const uint8_t *first, size_t n, size_t textlen);
	uint8_t *scratch; /* room for the text */
};

/* The index of the key among keys[0..n), n <= AEAD_FIND_MANY, that opens it, the text then being in
 * `scratch`; -ERR_AUTH: none; -ERR_CRYPTO.
 */
MUST_CHECK int aead_find(const struct aead_find *q, const uint8_t (*keys)[AEAD_KEY_MAX], int n);

#endif
