#include "crypto/aead_find.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "base/err.h"
#include "crypto/chacha_rounds.h"

#define FIRST AEAD_FIND_FIRST

static const uint8_t zero_nonce[AEAD_NONCE_MAX];

/* ---- AES: the counter block of the first text, encrypted while the key is expanded ------- */

#if defined(__x86_64__)
#include <immintrin.h>

#define AES_TARGET __attribute__((target("aes,sse4.1,ssse3")))
#define SIDE	   4 /* keys side by side: one waits while another is worked on */

static const uint8_t rcon[10] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36};

/* x ^ x<<32 ^ x<<64 ^ x<<96: how words of one round key run on into the next. */
AES_TARGET static inline __m128i run_on(__m128i x)
{
	x = _mm_xor_si128(x, _mm_slli_si128(x, 4));
	return _mm_xor_si128(x, _mm_slli_si128(x, 8));
}

/* The S-box over the last word, in all four places; with `mask` turned or not.  All columns being
 * equal, the instruction's shift of rows does nothing.
 */
AES_TARGET static inline __m128i sub_word(__m128i x, __m128i mask, int c)
{
	return _mm_aesenclast_si128(_mm_shuffle_epi8(x, mask), _mm_set1_epi32(c));
}

AES_TARGET static void first_aes128(const uint8_t (*keys)[AEAD_KEY_MAX], uint8_t (*out)[FIRST])
{
	const __m128i turned = _mm_set1_epi32(0x0c0f0e0d);
	const __m128i block = _mm_set_epi32(0x02000000, 0, 0, 0);
	__m128i k[SIDE], s[SIDE];

	for (int j = 0; j < SIDE; j++) {
		k[j] = _mm_loadu_si128((const __m128i *)keys[j]);
		s[j] = _mm_xor_si128(block, k[j]);
	}
	for (int r = 0; r < 10; r++) {
		for (int j = 0; j < SIDE; j++) {
			k[j] = _mm_xor_si128(run_on(k[j]), sub_word(k[j], turned, rcon[r]));
			s[j] = r < 9 ? _mm_aesenc_si128(s[j], k[j])
				     : _mm_aesenclast_si128(s[j], k[j]);
		}
	}
	for (int j = 0; j < SIDE; j++)
		_mm_storeu_si128((__m128i *)out[j], s[j]);
}

AES_TARGET static void first_aes256(const uint8_t (*keys)[AEAD_KEY_MAX], uint8_t (*out)[FIRST])
{
	const __m128i turned = _mm_set1_epi32(0x0c0f0e0d), straight = _mm_set1_epi32(0x0f0e0d0c);
	const __m128i block = _mm_set_epi32(0x02000000, 0, 0, 0);
	__m128i a[SIDE], b[SIDE], s[SIDE];

	for (int j = 0; j < SIDE; j++) {
		a[j] = _mm_loadu_si128((const __m128i *)keys[j]);
		b[j] = _mm_loadu_si128((const __m128i *)(keys[j] + 16));
		s[j] = _mm_aesenc_si128(_mm_xor_si128(block, a[j]), b[j]);
	}
	for (int r = 0; r < 7; r++) {
		for (int j = 0; j < SIDE; j++) {
			a[j] = _mm_xor_si128(run_on(a[j]), sub_word(b[j], turned, rcon[r]));
			if (r == 6) {
				s[j] = _mm_aesenclast_si128(s[j], a[j]);
				continue;
			}
			b[j] = _mm_xor_si128(run_on(b[j]), sub_word(a[j], straight, 0));
			s[j] = _mm_aesenc_si128(_mm_aesenc_si128(s[j], a[j]), b[j]);
		}
	}
	for (int j = 0; j < SIDE; j++)
		_mm_storeu_si128((__m128i *)out[j], s[j]);
}

static bool first_aes(enum aead_alg alg, const uint8_t (*keys)[AEAD_KEY_MAX], uint8_t (*out)[FIRST])
{
	if (alg == AEAD_AES_192_GCM || !aead_has_hw_aes() || !__builtin_cpu_supports("ssse3"))
		return false;
	for (int i = 0; i < AEAD_FIND_MANY; i += SIDE) {
		if (alg == AEAD_AES_128_GCM)
			first_aes128(keys + i, out + i);
		else
			first_aes256(keys + i, out + i);
	}
	return true;
}
#else
static bool first_aes(enum aead_alg alg, const uint8_t (*keys)[AEAD_KEY_MAX], uint8_t (*out)[FIRST])
{
	return false;
}
#endif

/* ---- ChaCha20 (RFC 8439 §2.3): a key per lane -------------------------------------------- */

#define LANES  8
#define INLINE static inline __attribute__((always_inline))

typedef uint32_t lanes __attribute__((vector_size(LANES * sizeof(uint32_t))));

static const uint32_t sigma[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

INLINE void start(lanes *x, const lanes *key, uint32_t counter)
{
	for (int i = 0; i < 4; i++)
		x[i] = (lanes){0} + sigma[i];
	for (int i = 0; i < 8; i++)
		x[4 + i] = key[i];
	x[12] = (lanes){0} + counter;
	x[13] = x[14] = x[15] = (lanes){0};
}

/* Block 1; block 0 makes the tag.  XChaCha20 first makes a sub-key of a nonce that is zero, too. */
INLINE void first_chacha(bool x24, const uint8_t (*keys)[AEAD_KEY_MAX], uint8_t (*out)[FIRST])
{
	lanes key[8], x[16];

	for (int k = 0; k < LANES; k++) {
		for (int i = 0; i < 8; i++) {
			uint32_t v;

			memcpy(&v, keys[k] + 4 * i, 4);
			key[i][k] = le32toh(v);
		}
	}
	if (x24) {
		start(x, key, 0);
		CHACHA_ROUNDS(x);
		for (int i = 0; i < 4; i++) {
			key[i] = x[i];
			key[4 + i] = x[12 + i];
		}
	}
	start(x, key, 1);
	CHACHA_ROUNDS(x);
	for (int k = 0; k < LANES; k++) {
		for (int i = 0; i < 4; i++) {
			uint32_t v = htole32(x[i][k] + sigma[i]);

			memcpy(out[k] + 4 * i, &v, 4);
		}
	}
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void first_chacha_avx2(bool x24,
							      const uint8_t (*keys)[AEAD_KEY_MAX],
							      uint8_t (*out)[FIRST])
{
	first_chacha(x24, keys, out);
}
#endif

static void first_chacha_plain(bool x24, const uint8_t (*keys)[AEAD_KEY_MAX], uint8_t (*out)[FIRST])
{
	first_chacha(x24, keys, out);
}

static void chacha(bool x24, const uint8_t (*keys)[AEAD_KEY_MAX], uint8_t (*out)[FIRST])
{
	void (*f)(bool, const uint8_t(*)[AEAD_KEY_MAX], uint8_t(*)[FIRST]) = first_chacha_plain;

#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		f = first_chacha_avx2;
#endif
	for (int i = 0; i < AEAD_FIND_MANY; i += LANES)
		f(x24, keys + i, out + i);
}

/* ---- together ---------------------------------------------------------------------------- */

/* The first bytes of the keystream under each key.  False: there is no fast way here. */
static bool first_stream(enum aead_alg alg, const uint8_t (*keys)[AEAD_KEY_MAX],
			 uint8_t (*out)[FIRST])
{
	switch (alg) {
	case AEAD_CHACHA20_POLY1305:
	case AEAD_XCHACHA20_POLY1305:
		chacha(alg == AEAD_XCHACHA20_POLY1305, keys, out);
		return true;
	default:
		return first_aes(alg, keys, out);
	}
}

static bool passes(const struct aead_find *q, const uint8_t *stream)
{
	size_t textlen = q->len - AEAD_TAG, n = MIN(textlen, (size_t)FIRST);
	uint8_t text[FIRST];

	for (size_t i = 0; i < n; i++)
		text[i] = q->in[i] ^ stream[i];
	return q->plausible(text, n, textlen);
}

int aead_find(const struct aead_find *q, const uint8_t (*keys)[AEAD_KEY_MAX], int n)
{
	_Alignas(32) uint8_t stream[AEAD_FIND_MANY][FIRST];
	uint8_t all[AEAD_FIND_MANY][AEAD_KEY_MAX];
	bool fast;

	assert(n > 0 && n <= AEAD_FIND_MANY);
	if (q->len < AEAD_TAG)
		return -ERR_AUTH;
	if (n < AEAD_FIND_MANY) { /* the rest of the lanes work on zeros */
		memset(all, 0, sizeof(all));
		memcpy(all, keys, (size_t)n * sizeof(all[0]));
		keys = (const uint8_t(*)[AEAD_KEY_MAX])all;
	}
	fast = first_stream(q->alg, keys, stream);
	for (int i = 0; i < n; i++) {
		int err;

		if (fast && !passes(q, stream[i]))
			continue;
		err = aead_open_once(q->alg, keys[i], zero_nonce, q->in, q->len, q->scratch);
		if (err != -ERR_AUTH)
			return err ? err : i;
	}
	return -ERR_AUTH;
}
