#include "proto/vlessenc/vlessenc_wire.h"

#include <string.h>

#include "base/err.h"
#include "crypto/aes_block.h"
#include "crypto/blake3.h"
#include "crypto/ct.h"
#include "crypto/random.h"

void vlessenc_aead_set(struct vlessenc_aead *a, enum aead_alg alg, const void *ctx, size_t ctxlen,
		       const void *key, size_t keylen)
{
	struct blake3_context c;
	uint8_t raw[BLAKE3_LEN];

	blake3_context_set_bytes(&c, ctx, ctxlen);
	blake3_derive(&c, key, keylen, raw, sizeof(raw));
	aead_key_clear(&a->key);
	aead_key_set(&a->key, alg, raw);
	a->count = 0;
	cleanse(raw, sizeof(raw));
}

void vlessenc_aead_clear(struct vlessenc_aead *a)
{
	aead_key_clear(&a->key);
}

/* The first one is 1. */
static const uint8_t *nonce_of(const struct vlessenc_aead *a, uint8_t nonce[12])
{
	uint64_t n = a->count + 1;

	memset(nonce, 0, 4);
	for (int i = 11; i >= 4; i--, n >>= 8)
		nonce[i] = (uint8_t)n;
	return nonce;
}

int vlessenc_seal(struct vlessenc_aead *a, const void *in, size_t len, uint8_t *out)
{
	uint8_t nonce[12];
	int err = aead_seal(&a->key, nonce_of(a, nonce), NULL, 0, in, len, out);

	if (!err)
		a->count++;
	return err;
}

int vlessenc_open(struct vlessenc_aead *a, const void *in, size_t len, uint8_t *out)
{
	uint8_t nonce[12];
	int err;

	if (len < AEAD_TAG)
		return -ERR_AUTH;
	err = aead_open(&a->key, nonce_of(a, nonce), NULL, 0, in, len, out);
	if (!err)
		a->count++;
	return err;
}

static const uint8_t last[12] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

int vlessenc_seal_last(struct vlessenc_aead *a, const void *in, size_t len, uint8_t *out)
{
	return aead_seal(&a->key, last, NULL, 0, in, len, out);
}

int vlessenc_open_last(struct vlessenc_aead *a, const void *in, size_t len, uint8_t *out)
{
	return aead_open(&a->key, last, NULL, 0, in, len, out);
}

/* ---- masks ------------------------------------------------------------------------------- */

void vlessenc_mask_key(const void *material, size_t len, uint8_t key[32])
{
	struct blake3_context c;

	blake3_context_set(&c, "VLESS");
	blake3_derive(&c, material, len, key, 32);
}

void vlessenc_mask_set(struct vlessenc_mask *m, const uint8_t key[32], const uint8_t iv[16])
{
	memcpy(m->key, key, sizeof(m->key));
	memcpy(m->counter, iv, sizeof(m->counter));
	m->left = 0;
}

static int next_block(struct vlessenc_mask *m)
{
	int err = aes_block_encrypt(m->key, sizeof(m->key), m->counter, m->block);

	if (err)
		return err;
	for (int i = 15; i >= 0 && ++m->counter[i] == 0; i--)
		;
	m->left = sizeof(m->block);
	return 0;
}

int vlessenc_mask_run(struct vlessenc_mask *m, void *bytes, size_t len)
{
	uint8_t *p = bytes;

	for (; len > 0; len--) {
		int err = m->left ? 0 : next_block(m);

		if (err)
			return err;
		*p++ ^= m->block[sizeof(m->block) - m->left--];
	}
	return 0;
}

/* ---- relays ------------------------------------------------------------------------------ */

static size_t relay_len(const struct vlessenc_key *k)
{
	return k->mlkem ? MLKEM768_CT : X25519_LEN;
}

/* All modes but native: the server's public key masks what would be known for a key. */
static int mask_relay(const struct vlessenc_conf *c, const struct vlessenc_key *k,
		      const uint8_t iv[VLESSENC_IV], uint8_t *relay)
{
	struct vlessenc_mask m;
	int err;

	if (c->mode == VLESSENC_NATIVE)
		return 0;
	vlessenc_mask_set(&m, k->mask, iv);
	err = vlessenc_mask_run(&m, relay, relay_len(k));
	cleanse(&m, sizeof(m));
	return err;
}

/* What hides the next relay's identity and its first bytes. */
static void begin_link(struct vlessenc_mask *link, const uint8_t secret[VLESSENC_SECRET],
		       const uint8_t iv[VLESSENC_IV])
{
	uint8_t key[32];

	vlessenc_mask_key(secret, VLESSENC_SECRET, key);
	vlessenc_mask_set(link, key, iv);
	cleanse(key, sizeof(key));
}

/* The highest bit of an X25519 key means nothing, so nobody may set it: no bit of a hello can be
 * changed without the server's noticing.
 */
static int open_relay(const struct vlessenc_key *k, const uint8_t *relay,
		      uint8_t secret[VLESSENC_SECRET])
{
	if (k->mlkem) {
		mlkem768_decaps(k->decaps, relay, secret);
		return 0;
	}
	if (relay[X25519_LEN - 1] & 0x80)
		return -ERR_AUTH;
	return x25519_shared(k->priv, relay, secret) == 0 ? 0 : -ERR_AUTH;
}

int vlessenc_relays_open(const struct vlessenc_conf *c, const uint8_t iv[VLESSENC_IV],
			 uint8_t *relays, uint8_t secret[VLESSENC_SECRET])
{
	struct vlessenc_mask link;
	int err = 0;

	for (unsigned i = 0; i < c->nkeys && !err; i++) {
		const struct vlessenc_key *k = &c->keys[i];

		if (i > 0) {
			begin_link(&link, secret, iv);
			err = vlessenc_mask_run(&link, relays, 32);
			if (!err && !ct_equal(relays, k->hash, 32))
				err = -ERR_AUTH;
			relays += 32;
			if (!err)
				err = vlessenc_mask_run(&link, relays, 32);
		}
		if (!err)
			err = mask_relay(c, k, iv, relays);
		if (!err)
			err = open_relay(k, relays, secret);
		relays += relay_len(k);
	}
	cleanse(&link, sizeof(link));
	return err;
}

static int make_relay(const struct vlessenc_key *k, uint8_t *relay, uint8_t secret[VLESSENC_SECRET])
{
	uint8_t priv[X25519_LEN];
	int err;

	if (k->mlkem)
		return mlkem768_encaps(k->pub, relay, secret);
	err = x25519_keygen(priv, relay);
	if (!err)
		err = x25519_shared(priv, k->pub, secret);
	cleanse(priv, sizeof(priv));
	return err;
}

int vlessenc_relays_make(const struct vlessenc_conf *c, const uint8_t iv[VLESSENC_IV],
			 uint8_t *relays, uint8_t secret[VLESSENC_SECRET])
{
	struct vlessenc_mask link;
	int err = 0;

	for (unsigned i = 0; i < c->nkeys && !err; i++) {
		const struct vlessenc_key *k = &c->keys[i];

		if (i > 0) {
			begin_link(&link, secret, iv);
			memcpy(relays, k->hash, 32);
			err = vlessenc_mask_run(&link, relays, 32);
			relays += 32;
		}
		if (!err)
			err = make_relay(k, relays, secret);
		if (!err)
			err = mask_relay(c, k, iv, relays);
		if (!err && i > 0)
			err = vlessenc_mask_run(&link, relays, 32);
		relays += relay_len(k);
	}
	cleanse(&link, sizeof(link));
	return err;
}

/* ---- forward secrecy --------------------------------------------------------------------- */

int vlessenc_answer_make(const uint8_t client[VLESSENC_HALF_C], uint8_t answer[VLESSENC_HALF_S],
			 uint8_t pfs[VLESSENC_PFS])
{
	uint8_t priv[X25519_LEN];
	int err = mlkem768_encaps(client, answer, pfs);

	if (err)
		return -ERR_AUTH;
	err = x25519_keygen(priv, answer + MLKEM768_CT);
	if (!err && x25519_shared(priv, client + MLKEM768_PUB, pfs + MLKEM768_SECRET))
		err = -ERR_AUTH;
	cleanse(priv, sizeof(priv));
	return err;
}

int vlessenc_answer_open(const struct mlkem768_key *kem, const uint8_t priv[X25519_LEN],
			 const uint8_t answer[VLESSENC_HALF_S], uint8_t pfs[VLESSENC_PFS])
{
	mlkem768_decaps(kem, answer, pfs);
	return x25519_shared(priv, answer + MLKEM768_CT, pfs + MLKEM768_SECRET) ? -ERR_AUTH : 0;
}
