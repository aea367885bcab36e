#include "crypto/x25519.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/random.h"

void x25519_clamp(uint8_t priv[X25519_LEN])
{
	priv[0] &= 248;
	priv[31] &= 127;
	priv[31] |= 64;
}

int x25519_public(const uint8_t priv[X25519_LEN], uint8_t pub[X25519_LEN])
{
	EVP_PKEY *k = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, priv, X25519_LEN);
	size_t n = X25519_LEN;
	int ok;

	ok = k && EVP_PKEY_get_raw_public_key(k, pub, &n);
	EVP_PKEY_free(k);
	return ok ? 0 : -ERR_CRYPTO;
}

int x25519_keygen(uint8_t priv[X25519_LEN], uint8_t pub[X25519_LEN])
{
	random_bytes(priv, X25519_LEN);
	x25519_clamp(priv);
	return x25519_public(priv, pub);
}

struct x25519 {
	EVP_PKEY *key;
	uint8_t pub[X25519_LEN];
};

struct x25519 *x25519_new(const uint8_t *priv)
{
	struct x25519 *k = calloc(1, sizeof(*k));
	uint8_t own[X25519_LEN];
	size_t n = sizeof(k->pub);

	if (!k)
		return NULL;
	if (!priv) {
		random_bytes(own, sizeof(own));
		x25519_clamp(own);
	}
	k->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, priv ? priv : own, X25519_LEN);
	cleanse(own, sizeof(own));
	if (!k->key || !EVP_PKEY_get_raw_public_key(k->key, k->pub, &n)) {
		ERR_clear_error();
		x25519_free(k);
		return NULL;
	}
	return k;
}

void x25519_free(struct x25519 *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->key);
	free(k);
}

const uint8_t *x25519_key_public(const struct x25519 *k)
{
	return k->pub;
}

int x25519_key_shared(const struct x25519 *k, const uint8_t peer[X25519_LEN],
		      uint8_t out[X25519_LEN])
{
	EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, X25519_LEN);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(k->key, NULL);
	size_t n = X25519_LEN;
	int err = -ERR_CRYPTO;

	if (ctx && theirs && EVP_PKEY_derive_init(ctx) > 0 &&
	    EVP_PKEY_derive_set_peer_ex(ctx, theirs, 0) > 0)
		err = EVP_PKEY_derive(ctx, out, &n) > 0 ? 0 : -ERR_MALFORMED;
	if (err)
		ERR_clear_error();
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(theirs);
	return err;
}

int x25519_shared(const uint8_t priv[X25519_LEN], const uint8_t peer[X25519_LEN],
		  uint8_t out[X25519_LEN])
{
	struct x25519 *k = x25519_new(priv);
	int err = k ? x25519_key_shared(k, peer, out) : -ERR_CRYPTO;

	x25519_free(k);
	return err;
}
