/* hkdf_many_lanes.h - the body of hkdf_many.c, included once per width of a vector register.
 *
 * Wants LANES, TARGET (what the compiler may use) and F(name) (the name of a function at this
 * width).
 */
#include "crypto/hkdf_many.h"

#ifdef LANES
#define lanes F(lanes)

typedef uint32_t lanes __attribute__((vector_size(LANES * sizeof(uint32_t))));

/* h += F(compress)(h, w); w is used up. */
TARGET static void F(compress)(lanes *h, lanes *w)
{
	lanes a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
	int i;

#pragma GCC unroll 16
	for (i = 0; i < 16; i++)
		ROUND(d ^ (b & (c ^ d)), 0x5a827999u);
#pragma GCC unroll 4
	for (i = 16; i < 20; i++) {
		SCHEDULE();
		ROUND(d ^ (b & (c ^ d)), 0x5a827999u);
	}
#pragma GCC unroll 20
	for (i = 20; i < 40; i++) {
		SCHEDULE();
		ROUND(b ^ c ^ d, 0x6ed9eba1u);
	}
#pragma GCC unroll 20
	for (i = 40; i < 60; i++) {
		SCHEDULE();
		ROUND((b & c) | (d & (b | c)), 0x8f1bbcdcu);
	}
#pragma GCC unroll 20
	for (i = 60; i < 80; i++) {
		SCHEDULE();
		ROUND(b ^ c ^ d, 0xca62c1d6u);
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

TARGET static void F(set_all)(lanes *to, const uint32_t *from)
{
	for (int i = 0; i < SHA1_WORDS; i++)
		to[i] = (lanes){0} + from[i];
}

/* The digest in w[0..5) ends its message: padding for `total` bytes, the block before it included.
 */
TARGET static void F(pad_digest)(lanes *w)
{
	w[5] = (lanes){0} + 0x80000000u;
	for (int i = 6; i < 15; i++)
		w[i] = (lanes){0};
	w[15] = (lanes){0} + (BLOCK + SHA1_LEN) * 8;
}

/* One block whose first `skip` words differ by lane and are there already; `tail` follows them. */
TARGET static void F(set_tail)(lanes *w, int skip, const uint8_t *tail)
{
	for (int i = skip; i < 16; i++) {
		uint32_t v;

		memcpy(&v, tail + 4 * (i - skip), 4);
		w[i] = (lanes){0} + __builtin_bswap32(v);
	}
}

/* HMAC's second half: the digest of `inner`, hashed behind the state `outer`, which it replaces. */
TARGET static void F(finish)(const lanes *inner, lanes *outer)
{
	lanes w[16];

	for (int i = 0; i < SHA1_WORDS; i++)
		w[i] = inner[i];
	F(pad_digest)(w);
	F(compress)(outer, w);
}

/* The state behind the block of `prk` xor `pad`. */
TARGET static void F(start_hmac)(lanes *state, const lanes *prk, uint32_t pad)
{
	lanes w[16];

	for (int i = 0; i < SHA1_WORDS; i++)
		w[i] = prk[i] ^ pad;
	for (int i = SHA1_WORDS; i < 16; i++)
		w[i] = (lanes){0} + pad;
	F(set_all)(state, initial);
	F(compress)(state, w);
}

/* `w` holds the keys' words; `t` receives T(1) and, if it is asked for, T(2). */
TARGET static void F(derive)(const struct hkdf_many *m, lanes *w, size_t len,
			     lanes (*t)[SHA1_WORDS])
{
	lanes prk[SHA1_WORDS], in[SHA1_WORDS], ipad[SHA1_WORDS], opad[SHA1_WORDS], block[16];
	uint8_t tail[BLOCK];

	F(set_all)(in, m->inner);
	F(set_all)(prk, m->outer);
	F(compress)(in, w);
	F(finish)(in, prk);

	F(start_hmac)(ipad, prk, 0x36363636u);
	F(start_hmac)(opad, prk, 0x5c5c5c5cu);
	for (int round = 0; round < (len > SHA1_LEN ? 2 : 1); round++) {
		int skip = round ? SHA1_WORDS : 0;

		make_tail(tail, m, (uint8_t)(round + 1), (size_t)skip * 4);
		for (int i = 0; i < skip; i++)
			block[i] = t[0][i];
		F(set_tail)(block, skip, tail);
		memcpy(in, ipad, sizeof(in));
		F(compress)(in, block);
		memcpy(t[round], opad, sizeof(opad));
		F(finish)(in, t[round]);
	}
}

/* Keys into lanes of big-endian words, and back. */
TARGET static void F(many)(const struct hkdf_many *m, const uint8_t (*keys)[HKDF_MANY_KEY_MAX],
			   int n, size_t len, uint8_t (*out)[HKDF_MANY_KEY_MAX])
{
	union {
		lanes v[16];
		uint32_t u[16][LANES];
	} w;
	union {
		lanes v[2][SHA1_WORDS];
		uint32_t u[2 * SHA1_WORDS][LANES];
	} t;
	int words = (int)len / 4;

	memset(&w, 0, sizeof(w));
	for (int k = 0; k < n; k++) {
		for (int i = 0; i < words; i++) {
			uint32_t v;

			memcpy(&v, keys[k] + 4 * i, 4);
			w.u[i][k] = __builtin_bswap32(v);
		}
	}
	w.v[words] = (lanes){0} + 0x80000000u;
	w.v[15] = (lanes){0} + (uint32_t)(BLOCK + len) * 8;
	F(derive)(m, w.v, len, t.v);
	for (int k = 0; k < n; k++) {
		for (int i = 0; i < words; i++) {
			uint32_t v = __builtin_bswap32(t.u[i][k]);

			memcpy(out[k] + 4 * i, &v, 4);
		}
	}
}

/* Both states behind the salt, in one lane each. */
TARGET static void F(start)(struct hkdf_many *m, const uint8_t *salt)
{
	lanes w[16], h[SHA1_WORDS];

	F(set_tail)(w, 0, salt);
	for (int i = 0; i < 16; i++) {
		w[i] ^= 0x36363636u;
		w[i][1] ^= 0x36363636u ^ 0x5c5c5c5cu;
	}
	F(set_all)(h, initial);
	F(compress)(h, w);
	for (int i = 0; i < SHA1_WORDS; i++) {
		m->inner[i] = h[i][0];
		m->outer[i] = h[i][1];
	}
}

#undef lanes
#undef F
#undef TARGET
#undef LANES
#endif
