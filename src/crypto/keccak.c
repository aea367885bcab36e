#include "crypto/keccak.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "crypto/ct.h"

#define ROL(x, n) ((x) << (n) | (x) >> (64 - (n)))

/* FIPS 202 §3.2.5: the round constants, by its shift register. */
static const uint64_t constants[24] = {
	0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
	0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
	0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
	0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
	0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
	0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

/* One lane of theta, rho and pi: lane `from` lands in `to`. */
#define MOVE(to, from, by) b[to] = ROL(s[from] ^ d[(from) % 5], by)

/* chi on one row. */
#define ROW(y)                                                        \
	do {                                                          \
		s[(y) + 0] = b[(y) + 0] ^ (~b[(y) + 1] & b[(y) + 2]); \
		s[(y) + 1] = b[(y) + 1] ^ (~b[(y) + 2] & b[(y) + 3]); \
		s[(y) + 2] = b[(y) + 2] ^ (~b[(y) + 3] & b[(y) + 4]); \
		s[(y) + 3] = b[(y) + 3] ^ (~b[(y) + 4] & b[(y) + 0]); \
		s[(y) + 4] = b[(y) + 4] ^ (~b[(y) + 0] & b[(y) + 1]); \
	} while (0)

/* s[x + 5y] is the lane at (x, y) of FIPS 202. */
static void permute(uint64_t state[25])
{
	uint64_t s[25], b[25], c[5], d[5];

	memcpy(s, state, sizeof(s));
	for (int round = 0; round < 24; round++) {
#pragma GCC unroll 5
		for (int x = 0; x < 5; x++)
			c[x] = s[x] ^ s[x + 5] ^ s[x + 10] ^ s[x + 15] ^ s[x + 20];
#pragma GCC unroll 5
		for (int x = 0; x < 5; x++)
			d[x] = c[(x + 4) % 5] ^ ROL(c[(x + 1) % 5], 1);
		b[0] = s[0] ^ d[0];
		MOVE(1, 6, 44);
		MOVE(2, 12, 43);
		MOVE(3, 18, 21);
		MOVE(4, 24, 14);
		MOVE(5, 3, 28);
		MOVE(6, 9, 20);
		MOVE(7, 10, 3);
		MOVE(8, 16, 45);
		MOVE(9, 22, 61);
		MOVE(10, 1, 1);
		MOVE(11, 7, 6);
		MOVE(12, 13, 25);
		MOVE(13, 19, 8);
		MOVE(14, 20, 18);
		MOVE(15, 4, 27);
		MOVE(16, 5, 36);
		MOVE(17, 11, 10);
		MOVE(18, 17, 15);
		MOVE(19, 23, 56);
		MOVE(20, 2, 62);
		MOVE(21, 8, 55);
		MOVE(22, 14, 39);
		MOVE(23, 15, 41);
		MOVE(24, 21, 2);
		ROW(0);
		ROW(5);
		ROW(10);
		ROW(15);
		ROW(20);
		s[0] ^= constants[round];
	}
	memcpy(state, s, sizeof(s));
}

static void init(struct keccak *k, uint8_t rate, uint8_t suffix)
{
	memset(k, 0, sizeof(*k));
	k->rate = rate;
	k->suffix = suffix;
}

void shake128_init(struct keccak *k)
{
	init(k, SHAKE128_RATE, 0x1f);
}

void shake256_init(struct keccak *k)
{
	init(k, SHAKE256_RATE, 0x1f);
}

static void xor_byte(struct keccak *k, size_t at, uint8_t v)
{
	k->s[at / 8] ^= (uint64_t)v << (at % 8 * 8);
}

/* A whole block at the beginning of one. */
static void xor_block(struct keccak *k, const uint8_t *in)
{
	for (size_t i = 0; i < k->rate / 8u; i++) {
		uint64_t w;

		memcpy(&w, in + 8 * i, 8);
		k->s[i] ^= le64toh(w);
	}
	permute(k->s);
}

void keccak_absorb(struct keccak *k, const void *in, size_t len)
{
	const uint8_t *p = in;

	assert(k->suffix);
	while (len > 0) {
		if (k->pos == 0 && len >= k->rate) {
			xor_block(k, p);
			p += k->rate;
			len -= k->rate;
			continue;
		}
		xor_byte(k, k->pos++, *p++);
		len--;
		if (k->pos == k->rate) {
			permute(k->s);
			k->pos = 0;
		}
	}
}

static void begin_squeeze(struct keccak *k)
{
	xor_byte(k, k->pos, k->suffix);
	xor_byte(k, k->rate - 1u, 0x80);
	k->suffix = 0;
	permute(k->s);
	k->pos = 0;
}

void keccak_squeeze(struct keccak *k, void *out, size_t len)
{
	uint8_t *p = out;

	if (k->suffix)
		begin_squeeze(k);
	while (len > 0) {
		if (k->pos == k->rate) {
			permute(k->s);
			k->pos = 0;
		}
		if (k->pos % 8 == 0 && len >= 8) {
			uint64_t w = htole64(k->s[k->pos / 8]);

			memcpy(p, &w, 8);
			p += 8;
			len -= 8;
			k->pos += 8;
			continue;
		}
		*p++ = (uint8_t)(k->s[k->pos / 8] >> (k->pos % 8 * 8));
		k->pos++;
		len--;
	}
}

void keccak_clear(struct keccak *k)
{
	cleanse(k, sizeof(*k));
}

static void sha3(uint8_t size, const void *in, size_t len, uint8_t *out)
{
	struct keccak k;

	init(&k, (uint8_t)(200 - 2 * size), 0x06);
	keccak_absorb(&k, in, len);
	keccak_squeeze(&k, out, size);
	keccak_clear(&k);
}

void sha3_256(const void *in, size_t len, uint8_t out[32])
{
	sha3(32, in, len, out);
}

void sha3_512(const void *in, size_t len, uint8_t out[64])
{
	sha3(64, in, len, out);
}

static void of(struct keccak *k, const void *seed, size_t len, uint8_t a, uint8_t b)
{
	uint8_t more[2] = {a, b};

	keccak_absorb(k, seed, len);
	keccak_absorb(k, more, 2);
}

void shake128_of(struct keccak *k, const void *seed, size_t len, uint8_t a, uint8_t b)
{
	shake128_init(k);
	of(k, seed, len, a, b);
}

void shake256_of(struct keccak *k, const void *seed, size_t len, uint8_t a, uint8_t b)
{
	shake256_init(k);
	of(k, seed, len, a, b);
}
