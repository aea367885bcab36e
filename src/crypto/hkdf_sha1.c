/* SHA-1 (FIPS 180-4) on the instructions that compute four of its rounds.  Every message here is one
 * block behind HMAC's block of the key.
 */
#include "crypto/hkdf_sha1.h"

#include <string.h>

#include "crypto/kdf.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "crypto/cpu.h"
#include "crypto/ct.h"

#define SHA1_LEN 20
#define BLOCK	 64
#define ROOM	 (BLOCK - 9) /* of a last block: 0x80 and the length come behind */
#define TARGET	 __attribute__((target("sha,sse4.1")))

struct state {
	uint32_t h[SHA1_LEN / 4];
};

/* HMAC's two states behind the key. */
struct hmac_key {
	struct state inner, outer;
};

static const struct state initial = {{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};

/* Rounds 4g to 4g + 3, all with function `f`. */
#define FOUR_ROUNDS(g, f)                                                                     \
	do {                                                                                  \
		if ((g) >= 4)                                                                 \
			w[(g)&3] = _mm_sha1msg2_epu32(                                        \
				_mm_xor_si128(_mm_sha1msg1_epu32(w[(g)&3], w[((g) + 1) & 3]), \
					      w[((g) + 2) & 3]),                              \
				w[((g) + 3) & 3]);                                            \
		ew = (g) ? _mm_sha1nexte_epu32(e, w[(g)&3]) : _mm_add_epi32(e, w[(g)&3]);     \
		e = abcd;                                                                     \
		abcd = _mm_sha1rnds4_epu32(abcd, ew, f);                                      \
	} while (0)

TARGET static void compress(struct state *s, const uint8_t *block)
{
	const __m128i swap = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
	__m128i w[4], ew, before, abcd, e = _mm_set_epi32((int)s->h[4], 0, 0, 0), e_before = e;

	abcd = before = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)s->h), 0x1b);
	for (int i = 0; i < 4; i++)
		w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)block + i), swap);
#pragma GCC unroll 5
	for (int g = 0; g < 5; g++)
		FOUR_ROUNDS(g, 0);
#pragma GCC unroll 5
	for (int g = 5; g < 10; g++)
		FOUR_ROUNDS(g, 1);
#pragma GCC unroll 5
	for (int g = 10; g < 15; g++)
		FOUR_ROUNDS(g, 2);
#pragma GCC unroll 5
	for (int g = 15; g < 20; g++)
		FOUR_ROUNDS(g, 3);
	abcd = _mm_shuffle_epi32(_mm_add_epi32(abcd, before), 0x1b);
	_mm_storeu_si128((__m128i *)s->h, abcd);
	s->h[4] = (uint32_t)_mm_extract_epi32(_mm_sha1nexte_epu32(e, e_before), 3);
}

/* The last block of a message that has had one before it. */
static void finish(struct state *s, uint8_t block[BLOCK], size_t len)
{
	uint16_t bits = (uint16_t)((BLOCK + len) * 8);

	block[len] = 0x80;
	memset(block + len + 1, 0, BLOCK - len - 1);
	block[BLOCK - 2] = (uint8_t)(bits >> 8);
	block[BLOCK - 1] = (uint8_t)bits;
	compress(s, block);
}

static void digest_bytes(const struct state *s, uint8_t out[SHA1_LEN])
{
	for (size_t i = 0; i < ARRAY_LEN(s->h); i++) {
		uint32_t v = __builtin_bswap32(s->h[i]);

		memcpy(out + 4 * i, &v, sizeof(v));
	}
}

/* What is empty may be NULL, which memcpy() does not allow. */
static void put(uint8_t *to, const void *from, size_t len)
{
	if (len > 0)
		memcpy(to, from, len);
}

static void hmac_start(struct hmac_key *k, const void *key, size_t len)
{
	uint8_t block[BLOCK] = {0};

	put(block, key, len);
	for (size_t i = 0; i < BLOCK; i++)
		block[i] ^= 0x36;
	k->inner = k->outer = initial;
	compress(&k->inner, block);
	for (size_t i = 0; i < BLOCK; i++)
		block[i] ^= 0x36 ^ 0x5c;
	compress(&k->outer, block);
	cleanse(block, sizeof(block));
}

/* The code of the `len` bytes of `block`, which is used up. */
static void hmac_finish(const struct hmac_key *k, uint8_t block[BLOCK], size_t len,
			uint8_t out[SHA1_LEN])
{
	struct state inner = k->inner, outer = k->outer;

	finish(&inner, block, len);
	digest_bytes(&inner, block);
	finish(&outer, block, SHA1_LEN);
	digest_bytes(&outer, out);
}

static void derive(const struct hkdf_input *in, uint8_t *out, size_t len)
{
	uint8_t block[BLOCK], digest[SHA1_LEN];
	struct hmac_key k;
	size_t done = 0, n;

	hmac_start(&k, in->salt, in->saltlen);
	put(block, in->ikm, in->ikmlen);
	hmac_finish(&k, block, in->ikmlen, digest);
	hmac_start(&k, digest, SHA1_LEN);
	for (uint8_t count = 1; done < len; count++, done += n) {
		size_t before = count > 1 ? SHA1_LEN : 0;

		memcpy(block, digest, before);
		put(block + before, in->info, in->infolen);
		block[before + in->infolen] = count;
		hmac_finish(&k, block, before + in->infolen + 1, digest);
		n = MIN(len - done, (size_t)SHA1_LEN);
		memcpy(out + done, digest, n);
	}
	cleanse(&k, sizeof(k));
	cleanse(block, sizeof(block));
	cleanse(digest, sizeof(digest));
}

int hkdf_sha1(const struct hkdf_input *in, uint8_t *out, size_t len)
{
	if (!cpu_has_sha() || !__builtin_cpu_supports("sse4.1") || in->saltlen > BLOCK ||
	    in->ikmlen > ROOM || SHA1_LEN + in->infolen + 1 > ROOM || len > 255 * SHA1_LEN)
		return hkdf(HASH_SHA1, in, out, len);
	derive(in, out, len);
	return 0;
}

#else

int hkdf_sha1(const struct hkdf_input *in, uint8_t *out, size_t len)
{
	return hkdf(HASH_SHA1, in, out, len);
}

#endif
