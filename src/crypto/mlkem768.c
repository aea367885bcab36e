#include "crypto/mlkem768.h"

#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/keccak.h"
#include "crypto/random.h"

/* Numbers modulo q are signed 16-bit words, reduced when they could overflow; products are
 * Montgomery's, with R = 2^16.  Everything public is checked before it is used, everything secret
 * is treated alike whatever it is.
 */
#define Q	3329
#define Q_INV	(-3327) /* q^-1 mod R */
#define R_2	1353	/* R^2 mod q */
#define R_2_128 1441	/* R^2 / 128 mod q: ends an inverse transform */
#define N	256
#define K	3
#define DU	10
#define DV	4
#define POLY	384 /* bytes of a polynomial whole: 12 bits a coefficient */

/* 17^BitRev7(i) * R mod q (FIPS 203 §4.3). */
static const int16_t zetas[128] = {
	-1044, -758,  -359,  -1517, 1493,  1422,  287,	 202,	-171,  622,   1577,  182,   962,
	-1202, -1474, 1468,  573,   -1325, 264,	  383,	 -829,	1458,  -1602, -130,  -681,  1017,
	732,   608,   -1542, 411,   -205,  -1571, 1223,	 652,	-552,  1015,  -1293, 1491,  -282,
	-1544, 516,   -8,    -320,  -666,  -1618, -1162, 126,	1469,  -853,  -90,   -271,  830,
	107,   -1421, -247,  -951,  -398,  961,	  -1508, -725,	448,   -1065, 677,   -1275, -1103,
	430,   555,   843,   -1251, 871,   1550,  105,	 422,	587,   177,   -235,  -291,  -460,
	1574,  1653,  -246,  778,   1159,  -147,  -777,	 1483,	-602,  1119,  -1590, 644,   -872,
	349,   418,   329,   -156,  -75,   817,	  1097,	 603,	610,   1322,  -1285, -1465, 384,
	-1215, -136,  1218,  -1335, -874,  220,	  -1187, -1659, -1185, -1530, -1278, 794,   -1510,
	-854,  -870,  478,   -108,  -308,  996,	  991,	 958,	-1460, 1522,  1628,
};

typedef int16_t poly[N];

/* What the compiler must not reason about: it would turn a mask into a branch. */
static inline uint32_t opaque(uint32_t v)
{
	__asm__("" : "+r"(v));
	return v;
}

/* a * b / R, between -q and q; |a * b| < q * R / 2. */
static inline int16_t mul(int16_t a, int16_t b)
{
	int32_t wide = (int32_t)a * b;
	int16_t m = (int16_t)((int16_t)wide * Q_INV);

	return (int16_t)((wide - (int32_t)m * Q) >> 16);
}

/* The nearest of the class: between -q/2 and q/2.  20159 = 2^26 / q. */
static inline int16_t reduce(int16_t a)
{
	int16_t t = (int16_t)((20159 * a + (1 << 25)) >> 26);

	return (int16_t)(a - t * Q);
}

/* From reduced to 0..q-1. */
static inline uint16_t positive(int16_t a)
{
	return (uint16_t)(a + (a >> 15 & Q));
}

static void poly_reduce(poly p)
{
	for (int i = 0; i < N; i++)
		p[i] = reduce(p[i]);
}

static void ntt(poly p)
{
	int k = 1;

	for (int len = 128; len >= 2; len /= 2) {
		for (int start = 0; start < N; start += 2 * len) {
			int16_t zeta = zetas[k++];

			for (int j = start; j < start + len; j++) {
				int16_t t = mul(zeta, p[j + len]);

				p[j + len] = (int16_t)(p[j] - t);
				p[j] = (int16_t)(p[j] + t);
			}
		}
	}
	poly_reduce(p);
}

/* Of products, whose 1/R goes with it. */
static void ntt_back(poly p)
{
	int k = 127;

	for (int len = 2; len <= 128; len *= 2) {
		for (int start = 0; start < N; start += 2 * len) {
			int16_t zeta = zetas[k--];

			for (int j = start; j < start + len; j++) {
				int16_t t = p[j];

				p[j] = reduce((int16_t)(t + p[j + len]));
				p[j + len] = mul(zeta, (int16_t)(p[j + len] - t));
			}
		}
	}
	for (int i = 0; i < N; i++)
		p[i] = mul(p[i], R_2_128);
}

/* out += a * b / R in the NTT domain; b is reduced. */
static void multiply_add(poly out, const poly a, const poly b)
{
	for (int i = 0; i < N; i += 2) {
		int16_t zeta = zetas[64 + i / 4];
		int16_t high = mul(a[i + 1], b[i + 1]);

		if (i % 4)
			zeta = (int16_t)-zeta;
		out[i] = (int16_t)(out[i] + mul(high, zeta) + mul(a[i], b[i]));
		out[i + 1] = (int16_t)(out[i + 1] + mul(a[i], b[i + 1]) + mul(a[i + 1], b[i]));
	}
}

/* Uniform, from public bytes (SampleNTT, FIPS 203 §4.2.2). */
static void draw_uniform(poly p, const uint8_t rho[32], uint8_t a, uint8_t b)
{
	uint8_t block[SHAKE128_RATE];
	struct keccak k;
	int n = 0;

	shake128_of(&k, rho, 32, a, b);
	while (n < N) {
		keccak_squeeze(&k, block, sizeof(block));
		for (size_t i = 0; i < sizeof(block) && n < N; i += 3) {
			int x = block[i] | (block[i + 1] & 15) << 8;
			int y = block[i + 1] >> 4 | block[i + 2] << 4;

			if (x < Q)
				p[n++] = (int16_t)x;
			if (y < Q && n < N)
				p[n++] = (int16_t)y;
		}
	}
}

static void draw_matrix(struct mlkem768_matrix *m, const uint8_t rho[32])
{
	for (uint8_t i = 0; i < K; i++) {
		for (uint8_t j = 0; j < K; j++)
			draw_uniform(m->a[i][j], rho, j, i);
	}
}

/* Small and secret: each the difference of two sums of two bits (SamplePolyCBD, eta = 2). */
static void draw_small(poly p, const uint8_t seed[32], uint8_t nonce)
{
	uint8_t bytes[N / 2];
	struct keccak k;

	shake256_init(&k);
	keccak_absorb(&k, seed, 32);
	keccak_absorb(&k, &nonce, 1);
	keccak_squeeze(&k, bytes, sizeof(bytes));
	for (int i = 0; i < N / 2; i++) {
		int d = (bytes[i] & 0x55) + (bytes[i] >> 1 & 0x55);

		p[2 * i] = (int16_t)((d & 3) - (d >> 2 & 3));
		p[2 * i + 1] = (int16_t)((d >> 4 & 3) - (d >> 6 & 3));
	}
	keccak_clear(&k);
	cleanse(bytes, sizeof(bytes));
}

/* `bits` of each, the first lowest. */
static void pack(uint8_t *out, const uint16_t *v, int bits)
{
	uint32_t acc = 0;
	int have = 0;

	for (int i = 0; i < N; i++) {
		acc |= (uint32_t)v[i] << have;
		for (have += bits; have >= 8; have -= 8) {
			*out++ = (uint8_t)acc;
			acc >>= 8;
		}
	}
}

static void unpack(uint16_t *v, const uint8_t *in, int bits)
{
	uint32_t acc = 0;
	int have = 0;

	for (int i = 0; i < N; i++) {
		for (; have < bits; have += 8)
			acc |= (uint32_t)*in++ << have;
		v[i] = (uint16_t)(acc & ((1u << bits) - 1));
		acc >>= bits;
		have -= bits;
	}
}

static void poly_pack(uint8_t out[POLY], const poly p)
{
	uint16_t v[N];

	for (int i = 0; i < N; i++)
		v[i] = positive(p[i]);
	pack(out, v, 12);
	cleanse(v, sizeof(v));
}

static int poly_unpack(poly p, const uint8_t in[POLY])
{
	uint16_t v[N];
	int err = 0;

	unpack(v, in, 12);
	for (int i = 0; i < N; i++) {
		if (v[i] >= Q)
			err = -ERR_MALFORMED;
		p[i] = (int16_t)v[i];
	}
	return err;
}

/* x * 2^d / q, rounded, modulo 2^d.  No division: its time would depend on x.  1290168 is 2^32 / q;
 * right for every x of 0..q-1 and d of 1, 4, 10.
 */
static inline uint16_t shrink(uint16_t x, int d)
{
	uint64_t wide = ((uint64_t)x << d) + Q / 2;

	return (uint16_t)((wide * 1290168 >> 32) & ((1u << d) - 1));
}

static inline int16_t grow(uint16_t x, int d)
{
	return (int16_t)(((uint32_t)x * Q + (1u << (d - 1))) >> d);
}

static void poly_shrink(uint8_t *out, poly p, int d)
{
	uint16_t v[N];

	for (int i = 0; i < N; i++)
		v[i] = shrink(positive(reduce(p[i])), d);
	pack(out, v, d);
	cleanse(v, sizeof(v));
}

static void poly_grow(poly p, const uint8_t *in, int d)
{
	uint16_t v[N];

	unpack(v, in, d);
	for (int i = 0; i < N; i++)
		p[i] = grow(v[i], d);
}

/* K-PKE.KeyGen (FIPS 203 §5.1). */
void mlkem768_key_set(struct mlkem768_key *k, const uint8_t seed[MLKEM768_SEED])
{
	uint8_t in[33], out[64]; /* out: rho, sigma */
	poly e, t;

	memcpy(in, seed, 32);
	in[32] = K;
	sha3_512(in, sizeof(in), out);
	draw_matrix(&k->m, out);
	for (uint8_t i = 0; i < K; i++) {
		draw_small(k->s[i], out + 32, i);
		ntt(k->s[i]);
	}
	for (uint8_t i = 0; i < K; i++) {
		memset(t, 0, sizeof(t));
		draw_small(e, out + 32, (uint8_t)(K + i));
		ntt(e);
		for (int j = 0; j < K; j++)
			multiply_add(t, k->m.a[i][j], k->s[j]);
		for (int j = 0; j < N; j++)
			k->m.t[i][j] = reduce((int16_t)(mul(t[j], R_2) + e[j]));
		poly_pack(k->pub + POLY * i, k->m.t[i]);
	}
	memcpy(k->pub + POLY * K, out, 32);
	sha3_256(k->pub, sizeof(k->pub), k->hash);
	memcpy(k->z, seed + 32, 32);
	cleanse(in, sizeof(in));
	cleanse(out, sizeof(out));
	cleanse(e, sizeof(e));
	cleanse(t, sizeof(t));
}

void mlkem768_key_clear(struct mlkem768_key *k)
{
	cleanse(k, sizeof(*k));
}

static int matrix_set(struct mlkem768_matrix *m, const uint8_t pub[MLKEM768_PUB])
{
	for (int i = 0; i < K; i++) {
		if (poly_unpack(m->t[i], pub + POLY * i))
			return -ERR_MALFORMED;
	}
	draw_matrix(m, pub + POLY * K);
	return 0;
}

int mlkem768_check(const uint8_t pub[MLKEM768_PUB])
{
	poly p;

	for (int i = 0; i < K; i++) {
		if (poly_unpack(p, pub + POLY * i))
			return -ERR_MALFORMED;
	}
	return 0;
}

/* v += the message: each bit is nothing or half of q. */
static void add_message(poly v, const uint8_t m[32])
{
	for (int i = 0; i < N; i++) {
		uint32_t mask = opaque(0u - (m[i / 8] >> i % 8 & 1u));

		v[i] = (int16_t)(v[i] + (int16_t)(mask & ((Q + 1) / 2)));
	}
}

/* K-PKE.Encrypt (§5.2). */
static void encrypt(const struct mlkem768_matrix *key, const uint8_t m[32], const uint8_t r[32],
		    uint8_t ct[MLKEM768_CT])
{
	poly y[K], sum, e;

	for (uint8_t i = 0; i < K; i++) {
		draw_small(y[i], r, i);
		ntt(y[i]);
	}
	for (uint8_t i = 0; i <= K; i++) {
		memset(sum, 0, sizeof(sum));
		for (int j = 0; j < K; j++)
			multiply_add(sum, i < K ? key->a[j][i] : key->t[j], y[j]);
		poly_reduce(sum);
		ntt_back(sum);
		draw_small(e, r, (uint8_t)(K + i));
		for (int j = 0; j < N; j++)
			sum[j] = (int16_t)(sum[j] + e[j]);
		if (i == K)
			add_message(sum, m);
		poly_shrink(ct + 32 * DU * i, sum, i < K ? DU : DV);
	}
	cleanse(y, sizeof(y));
	cleanse(sum, sizeof(sum));
	cleanse(e, sizeof(e));
}

/* K-PKE.Decrypt (§5.3). */
static void decrypt(const struct mlkem768_key *k, const uint8_t ct[MLKEM768_CT], uint8_t m[32])
{
	poly u, v, w = {0};

	for (int i = 0; i < K; i++) {
		poly_grow(u, ct + 32 * DU * i, DU);
		ntt(u);
		multiply_add(w, u, k->s[i]);
	}
	poly_reduce(w);
	ntt_back(w);
	poly_grow(v, ct + 32 * DU * K, DV);
	for (int i = 0; i < N; i++)
		w[i] = (int16_t)(v[i] - w[i]);
	poly_shrink(m, w, 1);
	cleanse(w, sizeof(w));
}

int mlkem768_encaps_with(const uint8_t pub[MLKEM768_PUB], const uint8_t m[32],
			 uint8_t ct[MLKEM768_CT], uint8_t secret[MLKEM768_SECRET])
{
	struct mlkem768_matrix key;
	uint8_t in[64], out[64]; /* out: the secret, the randomness */

	if (matrix_set(&key, pub))
		return -ERR_MALFORMED;
	memcpy(in, m, 32);
	sha3_256(pub, MLKEM768_PUB, in + 32);
	sha3_512(in, sizeof(in), out);
	encrypt(&key, m, out + 32, ct);
	memcpy(secret, out, MLKEM768_SECRET);
	cleanse(in, sizeof(in));
	cleanse(out, sizeof(out));
	return 0;
}

int mlkem768_encaps(const uint8_t pub[MLKEM768_PUB], uint8_t ct[MLKEM768_CT],
		    uint8_t secret[MLKEM768_SECRET])
{
	uint8_t m[32];
	int err;

	random_bytes(m, sizeof(m));
	err = mlkem768_encaps_with(pub, m, ct, secret);
	cleanse(m, sizeof(m));
	return err;
}

/* What a forged ciphertext yields: as good as random, and always the same (§6.3). */
static void reject(const struct mlkem768_key *k, const uint8_t ct[MLKEM768_CT], uint8_t out[32])
{
	struct keccak sponge;

	shake256_init(&sponge);
	keccak_absorb(&sponge, k->z, sizeof(k->z));
	keccak_absorb(&sponge, ct, MLKEM768_CT);
	keccak_squeeze(&sponge, out, 32);
	keccak_clear(&sponge);
}

void mlkem768_decaps(const struct mlkem768_key *k, const uint8_t ct[MLKEM768_CT],
		     uint8_t secret[MLKEM768_SECRET])
{
	uint8_t in[64], out[64], again[MLKEM768_CT], no[32];
	uint32_t differ = 0, mask;

	decrypt(k, ct, in);
	memcpy(in + 32, k->hash, 32);
	sha3_512(in, sizeof(in), out);
	encrypt(&k->m, in, out + 32, again);
	reject(k, ct, no);
	for (int i = 0; i < MLKEM768_CT; i++)
		differ |= ct[i] ^ again[i];
	mask = opaque((differ - 1) >> 31) - 1; /* all ones where they differ */
	for (int i = 0; i < MLKEM768_SECRET; i++)
		secret[i] = (uint8_t)(out[i] ^ (mask & (out[i] ^ no[i])));
	cleanse(in, sizeof(in));
	cleanse(out, sizeof(out));
	cleanse(again, sizeof(again));
	cleanse(no, sizeof(no));
}
