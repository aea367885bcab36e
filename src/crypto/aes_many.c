/* The inverse cipher of FIPS 197 with a key schedule that runs from its end.  With n0..n3 the words of
 * one round key and w0..w3 those of the one before:
 *
 *     w3 = n3 ^ n2, w2 = n2 ^ n1, w1 = n1 ^ n0, w0 = n0 ^ SubWord(RotWord(w3)) ^ rcon
 *
 * SubWord is AESENCLAST on a block whose four columns are the same: its ShiftRows then moves nothing.
 */
#include "crypto/aes_many.h"

#include <assert.h>
#include <string.h>

#include "crypto/aes_block.h"
#include "crypto/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>

static const uint8_t rcons[10] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36};

#define AESNI __attribute__((target("aes,ssse3")))
#define VAES  __attribute__((target("vaes,avx512f,avx512bw")))

/* RotWord of the last word, in every column. */
#define ROT3 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15, 12

AESNI static void last_round_key(const uint8_t raw[16], uint8_t out[16])
{
	const __m128i rot = _mm_setr_epi8(ROT3);
	__m128i k = _mm_loadu_si128((const __m128i *)raw);

	for (int r = 0; r < 10; r++) {
		__m128i f =
			_mm_aesenclast_si128(_mm_shuffle_epi8(k, rot), _mm_set1_epi32(rcons[r]));

		k = _mm_xor_si128(k, _mm_slli_si128(k, 4));
		k = _mm_xor_si128(k, _mm_slli_si128(k, 8));
		k = _mm_xor_si128(k, f);
	}
	_mm_storeu_si128((__m128i *)out, k);
}

/* Four keys: two registers each, and as many again for what is on the way. */
AESNI static void decrypt_aesni(const uint8_t *keys, const uint8_t in[16], uint8_t (*out)[16])
{
	const __m128i rot = _mm_setr_epi8(ROT3), first = _mm_setr_epi32(-1, 0, 0, 0);
	const __m128i block = _mm_loadu_si128((const __m128i *)in);
	__m128i k[4], s[4];

	for (int i = 0; i < 4; i++) {
		k[i] = _mm_loadu_si128((const __m128i *)(keys + 16 * i));
		s[i] = _mm_xor_si128(block, k[i]);
	}
	for (int r = 9; r >= 0; r--) {
		const __m128i rcon = _mm_setr_epi32(rcons[r], 0, 0, 0);

#pragma GCC unroll 4
		for (int i = 0; i < 4; i++) {
			__m128i f;

			k[i] = _mm_xor_si128(k[i], _mm_slli_si128(k[i], 4));
			f = _mm_aesenclast_si128(_mm_shuffle_epi8(k[i], rot), rcon);
			k[i] = _mm_xor_si128(k[i], _mm_and_si128(f, first));
			s[i] = _mm_aesdeclast_si128(s[i], k[i]);
			if (r > 0)
				s[i] = _mm_aesimc_si128(s[i]);
		}
	}
	for (int i = 0; i < 4; i++)
		_mm_storeu_si128((__m128i *)out[i], s[i]);
}

/* Sixteen keys, four to a register.  There is no wide AESIMC: AESDEC of AESENCLAST, both without a key,
 * is InvMixColumns alone.
 */
VAES static void decrypt_vaes(const uint8_t *keys, const uint8_t in[16], uint8_t (*out)[16])
{
	const __m512i rot = _mm512_broadcast_i32x4(_mm_setr_epi8(ROT3));
	const __m512i first = _mm512_broadcast_i32x4(_mm_setr_epi32(-1, 0, 0, 0));
	const __m512i block = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)in));
	const __m512i zero = _mm512_setzero_si512();
	__m512i k[4], s[4];

	for (int i = 0; i < 4; i++) {
		k[i] = _mm512_loadu_si512(keys + 64 * i);
		s[i] = _mm512_xor_si512(block, k[i]);
	}
	for (int r = 9; r >= 0; r--) {
		const __m512i rcon = _mm512_broadcast_i32x4(_mm_setr_epi32(rcons[r], 0, 0, 0));

#pragma GCC unroll 4
		for (int i = 0; i < 4; i++) {
			__m512i f, m;

			k[i] = _mm512_xor_si512(k[i], _mm512_bslli_epi128(k[i], 4));
			f = _mm512_aesenclast_epi128(_mm512_shuffle_epi8(k[i], rot), rcon);
			k[i] = _mm512_ternarylogic_epi32(k[i], f, first, 0x78); /* k ^ (f & m) */
			if (r > 0) {
				m = _mm512_aesdec_epi128(_mm512_aesenclast_epi128(k[i], zero),
							 zero);
				s[i] = _mm512_aesdec_epi128(s[i], m);
			} else {
				s[i] = _mm512_aesdeclast_epi128(s[i], k[i]);
			}
		}
	}
	for (int i = 0; i < 4; i++)
		_mm512_storeu_si512(out[4 * i], s[i]);
}

static bool has_aesni(void)
{
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("ssse3");
}

static bool has_vaes(void)
{
	return cpu_has_vaes() && __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw");
}

/* The first `n` of AES_MANY keys; more may be decrypted. */
static void decrypt_wide(const uint8_t *keys, int n, const uint8_t in[16], uint8_t (*out)[16])
{
	if (n > 8 && has_vaes()) {
		decrypt_vaes(keys, in, out);
		return;
	}
	for (int i = 0; i < n; i += 4)
		decrypt_aesni(keys + (size_t)i * AES_MANY_KEY, in, out + i);
}
#else
static bool has_aesni(void)
{
	return false;
}

static void last_round_key(const uint8_t raw[16], uint8_t out[16])
{
	memcpy(out, raw, 16);
}

static void decrypt_wide(const uint8_t *keys, int n, const uint8_t in[16], uint8_t (*out)[16])
{
}
#endif

bool aes_many_fast(void)
{
	return has_aesni();
}

int aes_many_key(const uint8_t raw[16], uint8_t out[AES_MANY_KEY])
{
	if (has_aesni())
		last_round_key(raw, out);
	else
		memcpy(out, raw, AES_MANY_KEY);
	return 0;
}

int aes_many_decrypt(const uint8_t *keys, int n, const uint8_t in[16], uint8_t (*out)[16])
{
	uint8_t padded[AES_MANY * AES_MANY_KEY] = {0}, wide[AES_MANY][16];
	int err = 0;

	assert(n >= 0 && n <= AES_MANY);
	if (has_aesni()) {
		if (n == AES_MANY) {
			decrypt_wide(keys, n, in, out);
			return 0;
		}
		memcpy(padded, keys, (size_t)n * AES_MANY_KEY);
		decrypt_wide(padded, n, in, wide);
		memcpy(out, wide, (size_t)n * 16);
		return 0;
	}
	for (int i = 0; i < n && !err; i++)
		err = aes_block_decrypt(keys + (size_t)i * AES_MANY_KEY, AES_MANY_KEY, in, out[i]);
	return err;
}
