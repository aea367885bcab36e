#include "crypto/ed25519.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/random.h"

struct ed25519 {
	EVP_PKEY *key;
	uint8_t pub[ED25519_LEN];
};

struct ed25519 *ed25519_new(const uint8_t *seed)
{
	struct ed25519 *k = calloc(1, sizeof(*k));
	uint8_t own[ED25519_LEN];
	size_t n = sizeof(k->pub);

	if (!k)
		return NULL;
	random_bytes(own, sizeof(own));
	k->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed ? seed : own,
					      ED25519_LEN);
	cleanse(own, sizeof(own));
	if (!k->key || !EVP_PKEY_get_raw_public_key(k->key, k->pub, &n)) {
		ERR_clear_error();
		ed25519_free(k);
		return NULL;
	}
	return k;
}

void ed25519_free(struct ed25519 *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->key);
	free(k);
}

const uint8_t *ed25519_public(const struct ed25519 *k)
{
	return k->pub;
}

int ed25519_sign(const struct ed25519 *k, const void *msg, size_t len, uint8_t sig[ED25519_SIG])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = ED25519_SIG;
	bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->key) > 0 &&
		  EVP_DigestSign(ctx, sig, &n, msg, len) > 0;

	EVP_MD_CTX_free(ctx);
	if (!ok)
		ERR_clear_error();
	return ok ? 0 : -ERR_CRYPTO;
}

int ed25519_verify(const uint8_t pub[ED25519_LEN], const void *msg, size_t len,
		   const uint8_t sig[ED25519_SIG])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, pub, ED25519_LEN);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = key && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) > 0 &&
		  EVP_DigestVerify(ctx, sig, ED25519_SIG, msg, len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	if (!ok)
		ERR_clear_error();
	return ok ? 0 : -ERR_AUTH;
}
