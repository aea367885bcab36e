/* SHA-1 (FIPS 180-4), one digest per lane of a vector register.  Every message here is one block
 * behind a known state: a key, the info, or a digest with the info.
 */
#include "crypto/hkdf_many.h"

#include <assert.h>
#include <string.h>

#define SHA1_WORDS 5
#define SHA1_LEN   20
#define BLOCK	   64

static const uint32_t initial[SHA1_WORDS] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
					     0xc3d2e1f0};

#define ROL(x, n) ((x) << (n) | (x) >> (32 - (n)))

/* One round's sum; the caller renames the registers. */
#define ROUND(f, k)                                               \
	do {                                                      \
		lanes t_ = ROL(a, 5) + (f) + e + (k) + w[i & 15]; \
		e = d;                                            \
		d = c;                                            \
		c = ROL(b, 30);                                   \
		b = a;                                            \
		a = t_;                                           \
	} while (0)

#define SCHEDULE()                                                                           \
	do {                                                                                 \
		lanes x_ = w[(i + 13) & 15] ^ w[(i + 8) & 15] ^ w[(i + 2) & 15] ^ w[i & 15]; \
		w[i & 15] = ROL(x_, 1);                                                      \
	} while (0)

/* What every lane has behind its own words: info, counter, padding. */
static void make_tail(uint8_t tail[BLOCK], const struct hkdf_many *m, uint8_t count, size_t before)
{
	uint32_t bits = __builtin_bswap32((uint32_t)(BLOCK + before + m->infolen + 1) * 8);

	memset(tail, 0, BLOCK);
	memcpy(tail, m->info, m->infolen);
	tail[m->infolen] = count;
	tail[m->infolen + 1] = 0x80;
	memcpy(tail + BLOCK - before - 4, &bits, 4);
}

#if defined(__x86_64__)
#define LANES	16
#define TARGET	__attribute__((target("avx512f,avx512vl,avx512bw")))
#define F(name) name##_avx512
#include "crypto/hkdf_many_lanes.h"

#define LANES	8
#define TARGET	__attribute__((target("avx2")))
#define F(name) name##_avx2
#include "crypto/hkdf_many_lanes.h"
#endif

#define LANES 4
#define TARGET
#define F(name) name##_plain
#include "crypto/hkdf_many_lanes.h"

static const struct width {
	int lanes;
	void (*start)(struct hkdf_many *m, const uint8_t *block);
	void (*many)(const struct hkdf_many *m, const uint8_t (*keys)[HKDF_MANY_KEY_MAX], int n,
		     size_t len, uint8_t (*out)[HKDF_MANY_KEY_MAX]);
} widths[] = {
	{4, start_plain, many_plain},
#if defined(__x86_64__)
	{8, start_avx2, many_avx2},
	{16, start_avx512, many_avx512},
#endif
};

static const struct width *width(void)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
		return &widths[2];
	if (__builtin_cpu_supports("avx2"))
		return &widths[1];
#endif
	return &widths[0];
}

void hkdf_many_start(struct hkdf_many *m, const void *salt, size_t saltlen, const char *info)
{
	uint8_t block[BLOCK] = {0};

	assert(saltlen <= BLOCK && strlen(info) <= sizeof(m->info));
	memcpy(block, salt, saltlen);
	width()->start(m, block);
	m->infolen = (uint8_t)strlen(info);
	memcpy(m->info, info, m->infolen);
}

void hkdf_many(const struct hkdf_many *m, const uint8_t (*keys)[HKDF_MANY_KEY_MAX], int n,
	       size_t len, uint8_t (*out)[HKDF_MANY_KEY_MAX])
{
	const struct width *w = width();

	assert(n > 0 && n <= HKDF_MANY && len >= 16 && len <= HKDF_MANY_KEY_MAX && len % 4 == 0);
	for (int i = 0; i < n; i += w->lanes)
		w->many(m, keys + i, n - i < w->lanes ? n - i : w->lanes, len, out + i);
}
