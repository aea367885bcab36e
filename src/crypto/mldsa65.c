#include "crypto/mldsa65.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/keccak.h"

/* Numbers modulo q are signed 32-bit words; products are Montgomery's, with R = 2^32.  Names are
 * those of FIPS 204: rows of the matrix are K, columns L; w = A y splits into w1, which is hashed,
 * and a small rest.
 */
#define Q	8380417
#define Q_INV	58728449 /* q^-1 mod R */
#define R_2_256 41978	 /* R^2 / 256 mod q: ends an inverse transform */
#define N	256
#define K	6
#define L	5
#define D	13 /* bits of t that the public key leaves out */
#define ETA	4
#define TAU	49
#define BETA	(TAU * ETA)
#define GAMMA1	(1 << 19)
#define GAMMA2	((Q - 1) / 32)
#define OMEGA	55
#define C_LEN	48
#define Z_LEN	640 /* bytes of a polynomial of z: 20 bits a coefficient */
#define T1_LEN	320 /* likewise, 10 bits */
#define W1_LEN	128 /* 4 bits */

/* 1753^BitRev8(i) * R mod q (FIPS 204 §7.5). */
static const int32_t zetas[N] = {
	-4186625, 25847,    -2608894, -518909,	237124,	  -777960,  -876248,  466468,	1826347,
	2353451,  -359251,  -2091905, 3119733,	-2884855, 3111497,  2680103,  2725464,	1024112,
	-1079900, 3585928,  -549488,  -1119584, 2619752,  -2108549, -2118186, -3859737, -1399561,
	-3277672, 1757237,  -19422,   4010497,	280005,	  2706023,  95776,    3077325,	3530437,
	-1661693, -3592148, -2537516, 3915439,	-3861115, -3043716, 3574422,  -2867647, 3539968,
	-300467,  2348700,  -539299,  -1699267, -1643818, 3505694,  -3821735, 3507263,	-2140649,
	-1600420, 3699596,  811944,   531354,	954230,	  3881043,  3900724,  -2556880, 2071892,
	-2797779, -3930395, -1528703, -3677745, -3041255, -1452451, 3475950,  2176455,	-1585221,
	-1257611, 1939314,  -4083598, -1000202, -3190144, -3157330, -3632928, 126922,	3412210,
	-983419,  2147896,  2715295,  -2967645, -3693493, -411027,  -2477047, -671102,	-1228525,
	-22981,	  -1308169, -381987,  1349076,	1852771,  -1430430, -3343383, 264944,	508951,
	3097992,  44288,    -1100098, 904516,	3958618,  -3724342, -8578,    1653064,	-3249728,
	2389356,  -210977,  759969,   -1316856, 189548,	  -3553272, 3159746,  -1851402, -2409325,
	-177440,  1315589,  1341330,  1285669,	-1584928, -812732,  -1439742, -3019102, -3881060,
	-3628969, 3839961,  2091667,  3407706,	2316500,  3817976,  -3342478, 2244091,	-2446433,
	-3562462, 266997,   2434439,  -1235728, 3513181,  -3520352, -3759364, -1197226, -3193378,
	900702,	  1859098,  909542,   819034,	495491,	  -1613174, -43260,   -522500,	-655327,
	-3122442, 2031748,  3207046,  -3556995, -525098,  -768622,  -3595838, 342297,	286988,
	-2437823, 4108315,  3437287,  -3342277, 1735879,  203044,   2842341,  2691481,	-2590150,
	1265009,  4055324,  1247620,  2486353,	1595974,  -3767016, 1250494,  2635921,	-3548272,
	-2994039, 1869119,  1903435,  -1050970, -1333058, 1237275,  -3318210, -1430225, -451100,
	1312455,  3306115,  -1962642, -1279661, 1917081,  -2546312, -1374803, 1500165,	777191,
	2235880,  3406031,  -542412,  -2831860, -1671176, -1846953, -2584293, -3724270, 594136,
	-3776993, -2013608, 2432395,  2454455,	-164721,  1957272,  3369112,  185531,	-1207385,
	-3183426, 162844,   1616392,  3014001,	810149,	  1652634,  -3694233, -1799107, -3038916,
	3523897,  3866901,  269760,   2213111,	-975884,  1717735,  472078,   -426683,	1723600,
	-1803090, 1910376,  -1667432, -1104333, -260646,  -3833893, -2939036, -2235985, -420899,
	-2286327, 183443,   -976891,  1612842,	-3545687, -554416,  3919660,  -48306,	-1362209,
	3937738,  1400424,  -846154,  1976782,
};

typedef int32_t poly[N];

struct mldsa65_key {
	uint8_t pub[MLDSA65_PUB];
	uint8_t tr[64], key[32];
	poly a[K][L], s1[L], s2[K], t0[K]; /* all in the NTT domain */
};

/* a / R, between -q and q; |a| < q * R / 2. */
static inline int32_t over_r(int64_t a)
{
	int32_t m = (int32_t)((uint32_t)a * (uint32_t)Q_INV);

	return (int32_t)((a - (int64_t)m * Q) >> 32);
}

static inline int32_t mul(int32_t a, int32_t b)
{
	return over_r((int64_t)a * b);
}

/* Near zero: |result| < 0.75 q, for |a| < 2^31 - 2^22. */
static inline int32_t reduce(int32_t a)
{
	return a - ((a + (1 << 22)) >> 23) * Q;
}

/* From -q..q-1 to 0..q-1. */
static inline int32_t positive(int32_t a)
{
	return a + (a >> 31 & Q);
}

static void poly_reduce(poly p)
{
	for (int i = 0; i < N; i++)
		p[i] = reduce(p[i]);
}

static void poly_positive(poly p)
{
	for (int i = 0; i < N; i++)
		p[i] = positive(reduce(p[i]));
}

static void ntt(poly p)
{
	int k = 1;

	for (int len = 128; len >= 1; len /= 2) {
		for (int start = 0; start < N; start += 2 * len) {
			int32_t zeta = zetas[k++];

			for (int j = start; j < start + len; j++) {
				int32_t t = mul(zeta, p[j + len]);

				p[j + len] = p[j] - t;
				p[j] += t;
			}
		}
	}
}

/* Of products, whose 1/R goes with it.  |p[i]| < 2^23 before, < q after. */
static void ntt_back(poly p)
{
	int k = 255;

	for (int len = 1; len < N; len *= 2) {
		for (int start = 0; start < N; start += 2 * len) {
			int32_t zeta = -zetas[k--];

			for (int j = start; j < start + len; j++) {
				int32_t t = p[j];

				p[j] = t + p[j + len];
				p[j + len] = mul(zeta, t - p[j + len]);
			}
		}
	}
	for (int i = 0; i < N; i++)
		p[i] = mul(p[i], R_2_256);
}

static void multiply(poly out, const poly a, const poly b)
{
	for (int i = 0; i < N; i++)
		out[i] = mul(a[i], b[i]);
}

/* out = row * v / R. */
static void multiply_row(poly out, poly row[L], poly v[L])
{
	for (int i = 0; i < N; i++) {
		int64_t sum = 0;

		for (int j = 0; j < L; j++)
			sum += (int64_t)row[j][i] * v[j][i];
		out[i] = over_r(sum);
	}
}

/* a = a1 * 2^13 + a0, a0 in -2^12+1..2^12; a in 0..q-1. */
static inline int32_t power2_round(int32_t a, int32_t *a0)
{
	int32_t a1 = (a + (1 << (D - 1)) - 1) >> D;

	*a0 = a - (a1 << D);
	return a1;
}

/* a = a1 * 2 GAMMA2 + a0, a1 in 0..15, |a0| <= GAMMA2 (FIPS 204 §7.4).  1025 / 2^22 is
 * 128 / (2 GAMMA2), near enough for every a of 0..q-1.
 */
static inline int32_t decompose(int32_t a, int32_t *a0)
{
	int32_t a1 = ((((a + 127) >> 7) * 1025 + (1 << 21)) >> 22) & 15;

	*a0 = a - a1 * 2 * GAMMA2;
	*a0 -= ((Q - 1) / 2 - *a0) >> 31 & Q;
	return a1;
}

/* The hint says that a1 is one off, in the direction of a0. */
static inline int32_t use_hint(int32_t a, bool hint)
{
	int32_t a0, a1 = decompose(a, &a0);

	if (!hint)
		return a1;
	return (a0 > 0 ? a1 + 1 : a1 - 1) & 15;
}

/* Whether every |p[i]| < bound.  It looks at all of them. */
static bool within(const poly p, int32_t bound)
{
	int32_t beyond = 0;

	for (int i = 0; i < N; i++) {
		int32_t abs = p[i] - ((p[i] >> 31) & 2 * p[i]);

		beyond |= bound - 1 - abs;
	}
	return beyond >= 0;
}

/* Uniform, from public bytes (RejNTTPoly). */
static void draw_uniform(poly p, const uint8_t rho[32], uint8_t a, uint8_t b)
{
	uint8_t block[SHAKE128_RATE];
	struct keccak k;
	int n = 0;

	shake128_of(&k, rho, 32, a, b);
	while (n < N) {
		keccak_squeeze(&k, block, sizeof(block));
		for (size_t i = 0; i < sizeof(block) && n < N; i += 3) {
			int32_t v = block[i] | block[i + 1] << 8 | (block[i + 2] & 0x7f) << 16;

			if (v < Q)
				p[n++] = v;
		}
	}
}

static void draw_matrix(poly a[K][L], const uint8_t rho[32])
{
	for (uint8_t i = 0; i < K; i++) {
		for (uint8_t j = 0; j < L; j++)
			draw_uniform(a[i][j], rho, j, i);
	}
}

/* Small and secret (RejBoundedPoly).  Which candidates are passed over shows; it tells nothing of
 * those that are taken.
 */
static void draw_small(poly p, const uint8_t seed[64], uint8_t nonce)
{
	uint8_t block[SHAKE256_RATE];
	struct keccak k;
	int n = 0;

	shake256_of(&k, seed, 64, nonce, 0);
	while (n < N) {
		keccak_squeeze(&k, block, sizeof(block));
		for (size_t i = 0; i < 2 * sizeof(block) && n < N; i++) {
			int32_t v = block[i / 2] >> i % 2 * 4 & 15;

			if (v <= 2 * ETA)
				p[n++] = ETA - v;
		}
	}
	keccak_clear(&k);
	cleanse(block, sizeof(block));
}

static void unpack_z(poly p, const uint8_t in[Z_LEN])
{
	for (int i = 0; i < N; i += 2, in += 5) {
		p[i] = GAMMA1 - (in[0] | in[1] << 8 | (in[2] & 15) << 16);
		p[i + 1] = GAMMA1 - (in[2] >> 4 | in[3] << 4 | in[4] << 12);
	}
}

static void pack_z(uint8_t out[Z_LEN], const poly p)
{
	for (int i = 0; i < N; i += 2, out += 5) {
		int32_t a = GAMMA1 - p[i], b = GAMMA1 - p[i + 1];

		out[0] = (uint8_t)a;
		out[1] = (uint8_t)(a >> 8);
		out[2] = (uint8_t)(a >> 16 | b << 4);
		out[3] = (uint8_t)(b >> 4);
		out[4] = (uint8_t)(b >> 12);
	}
}

static void pack_t1(uint8_t out[T1_LEN], const poly p)
{
	for (int i = 0; i < N; i += 4, out += 5) {
		out[0] = (uint8_t)p[i];
		out[1] = (uint8_t)(p[i] >> 8 | p[i + 1] << 2);
		out[2] = (uint8_t)(p[i + 1] >> 6 | p[i + 2] << 4);
		out[3] = (uint8_t)(p[i + 2] >> 4 | p[i + 3] << 6);
		out[4] = (uint8_t)(p[i + 3] >> 2);
	}
}

static void unpack_t1(poly p, const uint8_t in[T1_LEN])
{
	for (int i = 0; i < N; i += 4, in += 5) {
		p[i] = in[0] | (in[1] & 3) << 8;
		p[i + 1] = in[1] >> 2 | (in[2] & 15) << 6;
		p[i + 2] = in[2] >> 4 | (in[3] & 63) << 4;
		p[i + 3] = in[3] >> 6 | in[4] << 2;
	}
}

/* TAU of the coefficients are 1 or -1, as c says (SampleInBall).  c is about to be public, or has
 * nothing to do with what will be.
 */
static void draw_challenge(poly p, const uint8_t c[C_LEN])
{
	struct keccak k;
	uint8_t bytes[8], at;
	uint64_t signs = 0;

	memset(p, 0, sizeof(poly));
	shake256_init(&k);
	keccak_absorb(&k, c, C_LEN);
	keccak_squeeze(&k, bytes, sizeof(bytes));
	for (int i = 0; i < 8; i++)
		signs |= (uint64_t)bytes[i] << 8 * i;
	for (int i = N - TAU; i < N; i++) {
		do
			keccak_squeeze(&k, &at, 1);
		while (at > i);
		p[i] = p[at];
		p[at] = 1 - 2 * (int32_t)(signs & 1);
		signs >>= 1;
	}
}

/* The challenge: mu and the high parts of w. */
static void hash_w1(const uint8_t mu[64], poly w1[K], uint8_t c[C_LEN])
{
	uint8_t bytes[W1_LEN];
	struct keccak k;

	shake256_init(&k);
	keccak_absorb(&k, mu, 64);
	for (int i = 0; i < K; i++) {
		for (int j = 0; j < W1_LEN; j++)
			bytes[j] = (uint8_t)(w1[i][2 * j] | w1[i][2 * j + 1] << 4);
		keccak_absorb(&k, bytes, sizeof(bytes));
	}
	keccak_squeeze(&k, c, C_LEN);
}

/* Key and message, "pure", the context empty (FIPS 204 §5.2). */
static void hash_message(const uint8_t tr[64], const void *msg, size_t len, uint8_t mu[64])
{
	static const uint8_t pure[2] = {0, 0};
	struct keccak k;

	shake256_init(&k);
	keccak_absorb(&k, tr, 64);
	keccak_absorb(&k, pure, sizeof(pure));
	keccak_absorb(&k, msg, len);
	keccak_squeeze(&k, mu, 64);
}

/* t = A s1 + s2: its high bits are the public key, the rest is kept. */
static void split_t(struct mldsa65_key *k, int i, poly s1[L], poly t)
{
	poly t1;

	multiply_row(t, k->a[i], s1);
	poly_reduce(t);
	ntt_back(t);
	for (int j = 0; j < N; j++)
		t[j] += k->s2[i][j];
	poly_positive(t);
	for (int j = 0; j < N; j++)
		t1[j] = power2_round(t[j], &k->t0[i][j]);
	pack_t1(k->pub + 32 + T1_LEN * i, t1);
}

struct mldsa65_key *mldsa65_key_new(const uint8_t seed[MLDSA65_SEED])
{
	struct mldsa65_key *k = calloc(1, sizeof(*k));
	uint8_t out[128]; /* rho, rho', key */
	struct keccak h;
	poly t;

	if (!k)
		return NULL;
	shake256_of(&h, seed, MLDSA65_SEED, K, L);
	keccak_squeeze(&h, out, sizeof(out));
	memcpy(k->pub, out, 32);
	memcpy(k->key, out + 96, 32);
	draw_matrix(k->a, out);
	for (uint8_t i = 0; i < L; i++) {
		draw_small(k->s1[i], out + 32, i);
		ntt(k->s1[i]);
	}
	for (uint8_t i = 0; i < K; i++) {
		draw_small(k->s2[i], out + 32, (uint8_t)(L + i));
		split_t(k, i, k->s1, t);
		ntt(k->s2[i]);
		ntt(k->t0[i]);
	}
	shake256_init(&h);
	keccak_absorb(&h, k->pub, sizeof(k->pub));
	keccak_squeeze(&h, k->tr, sizeof(k->tr));
	keccak_clear(&h);
	cleanse(out, sizeof(out));
	cleanse(t, sizeof(t));
	return k;
}

void mldsa65_key_free(struct mldsa65_key *k)
{
	if (k)
		cleanse(k, sizeof(*k));
	free(k);
}

const uint8_t *mldsa65_public(const struct mldsa65_key *k)
{
	return k->pub;
}

/* One attempt at a signature. */
struct attempt {
	poly y[L], z[L], w[K], w1[K], c;
	uint8_t challenge[C_LEN];
};

/* A fresh mask y, w = A y (0..q-1), and the challenge that follows. */
static void attempt_begin(struct attempt *t, const struct mldsa65_key *k, const uint8_t mask[64],
			  const uint8_t mu[64], uint16_t nonce)
{
	uint8_t bytes[Z_LEN];
	struct keccak h;

	for (int i = 0; i < L; i++, nonce++) {
		shake256_of(&h, mask, 64, (uint8_t)nonce, (uint8_t)(nonce >> 8));
		keccak_squeeze(&h, bytes, sizeof(bytes));
		unpack_z(t->y[i], bytes);
		memcpy(t->z[i], t->y[i], sizeof(poly));
		ntt(t->z[i]);
	}
	for (int i = 0; i < K; i++) {
		multiply_row(t->w[i], (poly *)k->a[i], t->z);
		poly_reduce(t->w[i]);
		ntt_back(t->w[i]);
		poly_positive(t->w[i]);
		for (int j = 0; j < N; j++) {
			int32_t rest;

			t->w1[i][j] = decompose(t->w[i][j], &rest);
		}
	}
	hash_w1(mu, t->w1, t->challenge);
	draw_challenge(t->c, t->challenge);
	ntt(t->c);
	keccak_clear(&h);
	cleanse(bytes, sizeof(bytes));
}

/* z = y + c s1.  False: it would tell something of s1. */
static bool attempt_z(struct attempt *t, const struct mldsa65_key *k)
{
	for (int i = 0; i < L; i++) {
		multiply(t->z[i], t->c, k->s1[i]);
		ntt_back(t->z[i]);
		for (int j = 0; j < N; j++)
			t->z[i][j] = reduce(t->z[i][j] + t->y[i][j]);
		if (!within(t->z[i], GAMMA1 - BETA))
			return false;
	}
	return true;
}

/* The hint, at the end of the signature: where the verifier, who lacks t0, would be one off in w1.
 * False: w - c s2 would tell something of s2, or there are too many such places.
 */
static bool attempt_hint(struct attempt *t, const struct mldsa65_key *k, uint8_t hint[OMEGA + K])
{
	poly low, ct0;
	int n = 0;

	memset(hint, 0, OMEGA + K);
	for (int i = 0; i < K; i++) {
		multiply(ct0, t->c, k->s2[i]);
		ntt_back(ct0);
		for (int j = 0; j < N; j++) {
			t->w[i][j] = positive(reduce(t->w[i][j] - ct0[j]));
			(void)decompose(t->w[i][j], &low[j]);
		}
		if (!within(low, GAMMA2 - BETA))
			return false;
		multiply(ct0, t->c, k->t0[i]);
		ntt_back(ct0);
		poly_reduce(ct0);
		if (!within(ct0, GAMMA2))
			return false;
		for (int j = 0; j < N; j++) {
			int32_t v = positive(reduce(t->w[i][j] + ct0[j]));

			if (decompose(v, &low[j]) == decompose(t->w[i][j], &low[j]))
				continue;
			if (n == OMEGA)
				return false;
			hint[n++] = (uint8_t)j;
		}
		hint[OMEGA + i] = (uint8_t)n;
	}
	return true;
}

void mldsa65_sign(const struct mldsa65_key *k, const uint8_t *rnd, const void *msg, size_t len,
		  uint8_t sig[MLDSA65_SIG])
{
	static const uint8_t zeros[32];
	uint8_t mu[64], mask[64], hint[OMEGA + K];
	struct attempt t;
	struct keccak h;

	hash_message(k->tr, msg, len, mu);
	shake256_init(&h);
	keccak_absorb(&h, k->key, sizeof(k->key));
	keccak_absorb(&h, rnd ? rnd : zeros, 32);
	keccak_absorb(&h, mu, sizeof(mu));
	keccak_squeeze(&h, mask, sizeof(mask));
	for (uint16_t nonce = 0;; nonce = (uint16_t)(nonce + L)) {
		attempt_begin(&t, k, mask, mu, nonce);
		if (attempt_z(&t, k) && attempt_hint(&t, k, hint))
			break;
	}
	memcpy(sig, t.challenge, C_LEN);
	for (int i = 0; i < L; i++)
		pack_z(sig + C_LEN + Z_LEN * i, t.z[i]);
	memcpy(sig + C_LEN + Z_LEN * L, hint, sizeof(hint));
	keccak_clear(&h);
	cleanse(mask, sizeof(mask));
	cleanse(&t, sizeof(t));
}

/* Which coefficients the hint names: per row the places, ascending; the counts at the end, ascending;
 * nothing between (HintBitUnpack).
 */
static bool unpack_hint(bool hint[K][N], const uint8_t in[OMEGA + K])
{
	int n = 0;

	memset(hint, 0, K * N * sizeof(bool));
	for (int i = 0; i < K; i++) {
		int first = n;

		if (in[OMEGA + i] < n || in[OMEGA + i] > OMEGA)
			return false;
		for (; n < in[OMEGA + i]; n++) {
			if (n > first && in[n] <= in[n - 1])
				return false;
			hint[i][in[n]] = true;
		}
	}
	for (; n < OMEGA; n++) {
		if (in[n] != 0)
			return false;
	}
	return true;
}

/* Row i of A z - c t1 2^d, corrected by the hint: the signer's w1. */
static void recover_w1(poly w1, int i, const uint8_t pub[MLDSA65_PUB], poly z[L], poly c,
		       const bool hint[N])
{
	poly row[L], t1;

	for (uint8_t j = 0; j < L; j++)
		draw_uniform(row[j], pub, j, (uint8_t)i);
	multiply_row(w1, row, z);
	unpack_t1(t1, pub + 32 + T1_LEN * i);
	for (int j = 0; j < N; j++)
		t1[j] <<= D;
	ntt(t1);
	for (int j = 0; j < N; j++)
		w1[j] = reduce(w1[j] - mul(c[j], t1[j]));
	ntt_back(w1);
	poly_positive(w1);
	for (int j = 0; j < N; j++)
		w1[j] = use_hint(w1[j], hint[j]);
}

int mldsa65_verify(const uint8_t pub[MLDSA65_PUB], const void *msg, size_t len, const uint8_t *sig,
		   size_t siglen)
{
	uint8_t mu[64], tr[64], again[C_LEN];
	bool hint[K][N];
	poly z[L], w1[K], c;
	struct keccak h;

	if (siglen != MLDSA65_SIG || !unpack_hint(hint, sig + C_LEN + Z_LEN * L))
		return -ERR_AUTH;
	for (int i = 0; i < L; i++) {
		unpack_z(z[i], sig + C_LEN + Z_LEN * i);
		if (!within(z[i], GAMMA1 - BETA))
			return -ERR_AUTH;
		ntt(z[i]);
	}
	shake256_init(&h);
	keccak_absorb(&h, pub, MLDSA65_PUB);
	keccak_squeeze(&h, tr, sizeof(tr));
	hash_message(tr, msg, len, mu);
	draw_challenge(c, sig);
	ntt(c);
	for (int i = 0; i < K; i++)
		recover_w1(w1[i], i, pub, z, c, hint[i]);
	hash_w1(mu, w1, again);
	return ct_equal(again, sig, C_LEN) ? 0 : -ERR_AUTH;
}
