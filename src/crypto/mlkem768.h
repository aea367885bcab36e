/* mlkem768.h - ML-KEM-768 (FIPS 203), a key encapsulation that quantum computers do not open.
 *
 * The base system's libcrypto has none; this is ours, without branches or table look-ups that
 * depend on a secret.  Whoever is to receive a secret keeps a key made of a seed; whoever sends one
 * needs the 1184 public bytes:
 *
 *     mlkem768_key_set(&k, seed);                        // receiver; k.pub goes to the peer
 *     err = mlkem768_encaps(pub, ciphertext, secret);    // sender; -ERR_MALFORMED: not a key
 *     mlkem768_decaps(&k, ciphertext, secret);           // receiver
 *
 * decaps() cannot fail: a forged ciphertext yields a secret that nobody else knows ("implicit
 * rejection"), and what is protected with it fails instead.
 *
 * Threads: any; a key may be used by several at once.
 */
#ifndef WEIR_CRYPTO_MLKEM768_H
#define WEIR_CRYPTO_MLKEM768_H

#include "base/base.h"

#define MLKEM768_SEED	64 /* d, z: what a private key is kept as */
#define MLKEM768_PUB	1184
#define MLKEM768_CT	1088
#define MLKEM768_SECRET 32

/* The public part, expanded; all in the NTT domain. */
struct mlkem768_matrix {
	int16_t a[3][3][256], t[3][256];
};

/* A receiver's key, expanded: 9 KB, so make it for the moment or for the whole process. */
struct mlkem768_key {
	uint8_t pub[MLKEM768_PUB];
	uint8_t hash[32]; /* of pub */
	uint8_t z[32];	  /* what rejection draws from */
	struct mlkem768_matrix m;
	int16_t s[3][256];
};

void mlkem768_key_set(struct mlkem768_key *k, const uint8_t seed[MLKEM768_SEED]);
void mlkem768_key_clear(struct mlkem768_key *k);

/* Draw a secret for the owner of `pub`.  -ERR_MALFORMED: a coefficient of `pub` is not below the
 * modulus (FIPS 203 §7.2); nothing is written then. */
MUST_CHECK int mlkem768_encaps(const uint8_t pub[MLKEM768_PUB], uint8_t ct[MLKEM768_CT],
			       uint8_t secret[MLKEM768_SECRET]);

/* The same from given randomness: for known answers. */
MUST_CHECK int mlkem768_encaps_with(const uint8_t pub[MLKEM768_PUB], const uint8_t m[32],
				    uint8_t ct[MLKEM768_CT], uint8_t secret[MLKEM768_SECRET]);

/* 0, or -ERR_MALFORMED as above. */
MUST_CHECK int mlkem768_check(const uint8_t pub[MLKEM768_PUB]);

void mlkem768_decaps(const struct mlkem768_key *k, const uint8_t ct[MLKEM768_CT],
		     uint8_t secret[MLKEM768_SECRET]);

#endif
