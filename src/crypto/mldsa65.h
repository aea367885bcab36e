/* mldsa65.h - ML-DSA-65 (FIPS 204), signatures that quantum computers do not forge.
 *
 * The base system's libcrypto has none; this is ours.  A signer keeps an expanded key (50 KB, one a
 * process); a verifier needs the 1952 public bytes.  Messages are signed "pure", with an empty
 * context, as REALITY does.
 *
 * What depends on a secret takes no branches and no table look-ups, with the exceptions that the
 * standard has itself: how often drawing is repeated, which tells nothing of the key (FIPS 204
 * §3.6.4, §6.2).
 *
 * Threads: any; a key may be used by several at once.
 */
#ifndef WEIR_CRYPTO_MLDSA65_H
#define WEIR_CRYPTO_MLDSA65_H

#include "base/base.h"

#define MLDSA65_SEED 32
#define MLDSA65_PUB  1952
#define MLDSA65_SIG  3309

struct mldsa65_key;

struct mldsa65_key *mldsa65_key_new(const uint8_t seed[MLDSA65_SEED]); /* NULL: no memory */
void mldsa65_key_free(struct mldsa65_key *k);			       /* wipes; NULL is fine */
const uint8_t *mldsa65_public(const struct mldsa65_key *k);	       /* MLDSA65_PUB bytes */

/* Sign with 32 bytes from random_bytes() ("hedged": against fault attacks), or with NULL the same
 * way every time. */
void mldsa65_sign(const struct mldsa65_key *k, const uint8_t *rnd, const void *msg, size_t len,
		  uint8_t sig[MLDSA65_SIG]);

/* 0, or -ERR_AUTH. */
MUST_CHECK int mldsa65_verify(const uint8_t pub[MLDSA65_PUB], const void *msg, size_t len,
			      const uint8_t *sig, size_t siglen);

#endif
