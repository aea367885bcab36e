/* keccak.h - SHA-3 and SHAKE (FIPS 202), for the lattice schemes.
 *
 * ML-KEM and ML-DSA draw numbers until enough of them fit; the libcrypto of the base system yields
 * an output of a length fixed beforehand, once, and is no faster at that (33 bytes to 128: 430 ns
 * against 460).  One state serves one message: absorb any number of times, then squeeze any number
 * of times.
 *
 * Threads: any.
 */
#ifndef WEIR_CRYPTO_KECCAK_H
#define WEIR_CRYPTO_KECCAK_H

#include "base/base.h"

struct keccak {
	uint64_t s[25];
	uint8_t rate, pos; /* bytes of a block, and how far into it we are */
	uint8_t suffix;	   /* domain bits and the first bit of the padding; 0 once squeezing */
};

enum {
	SHAKE128_RATE = 168,
	SHAKE256_RATE = 136,
};

void shake128_init(struct keccak *k);
void shake256_init(struct keccak *k);
void keccak_absorb(struct keccak *k, const void *in, size_t len);
void keccak_squeeze(struct keccak *k, void *out, size_t len);
void keccak_clear(struct keccak *k); /* wipes */

void sha3_256(const void *in, size_t len, uint8_t out[32]);
void sha3_512(const void *in, size_t len, uint8_t out[64]);

/* What matrices and secrets are drawn from: `seed` and two bytes more. */
void shake128_of(struct keccak *k, const void *seed, size_t len, uint8_t a, uint8_t b);
void shake256_of(struct keccak *k, const void *seed, size_t len, uint8_t a, uint8_t b);

#endif
