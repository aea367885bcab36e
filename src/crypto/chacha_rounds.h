/* chacha_rounds.h - the twenty rounds of ChaCha (RFC 8439 §2.3), in place, over sixteen words or
 * over sixteen vectors of them.
 */
#ifndef WEIR_CRYPTO_CHACHA_ROUNDS_H
#define WEIR_CRYPTO_CHACHA_ROUNDS_H

#define CHACHA_MIX(x, a, b, d, n)                              \
	do {                                                   \
		(x)[a] += (x)[b];                              \
		(x)[d] ^= (x)[a];                              \
		(x)[d] = (x)[d] << (n) | (x)[d] >> (32 - (n)); \
	} while (0)

#define CHACHA_QUARTER(x, a, b, c, d)       \
	do {                                \
		CHACHA_MIX(x, a, b, d, 16); \
		CHACHA_MIX(x, c, d, b, 12); \
		CHACHA_MIX(x, a, b, d, 8);  \
		CHACHA_MIX(x, c, d, b, 7);  \
	} while (0)

#define CHACHA_ROUNDS(x)                                            \
	do {                                                        \
		for (int chacha_i = 0; chacha_i < 10; chacha_i++) { \
			CHACHA_QUARTER(x, 0, 4, 8, 12);             \
			CHACHA_QUARTER(x, 1, 5, 9, 13);             \
			CHACHA_QUARTER(x, 2, 6, 10, 14);            \
			CHACHA_QUARTER(x, 3, 7, 11, 15);            \
			CHACHA_QUARTER(x, 0, 5, 10, 15);            \
			CHACHA_QUARTER(x, 1, 6, 11, 12);            \
			CHACHA_QUARTER(x, 2, 7, 8, 13);             \
			CHACHA_QUARTER(x, 3, 4, 9, 14);             \
		}                                                   \
	} while (0)

#endif
