#include "crypto/aes_block.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/thread.h"

/* By length and direction. */
struct aes_thread {
	struct {
		EVP_CIPHER_CTX *ctx;
		uint8_t key[32];
		bool set;
	} slot[2][2];
};

static EVP_CIPHER *fetched[2];
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;

static void fetch_both(void)
{
	fetched[0] = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL);
	fetched[1] = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
}

void aes_thread_free(struct aes_thread *t)
{
	if (!t)
		return;
	for (int i = 0; i < 4; i++)
		EVP_CIPHER_CTX_free(t->slot[i / 2][i % 2].ctx);
	cleanse(t, sizeof(*t));
	free(t);
}

static struct aes_thread *mine(void)
{
	struct crypto_thread *t = crypto_thread();

	if (!t->aes)
		t->aes = calloc(1, sizeof(*t->aes));
	return t->aes;
}

/* The context with this key in it; NULL: libcrypto fails, or no key here has that length. */
static EVP_CIPHER_CTX *keyed(const uint8_t *key, size_t keylen, bool encrypt)
{
	struct aes_thread *t;
	int n = keylen == 32;

	if (keylen != 16 && keylen != 32)
		return NULL;
	t = mine();
	pthread_once(&fetch_once, fetch_both);
	if (!t || !fetched[n])
		return NULL;
	if (t->slot[n][encrypt].set && ct_equal(t->slot[n][encrypt].key, key, keylen))
		return t->slot[n][encrypt].ctx;
	t->slot[n][encrypt].set = false;
	if (!t->slot[n][encrypt].ctx)
		t->slot[n][encrypt].ctx = EVP_CIPHER_CTX_new();
	if (!t->slot[n][encrypt].ctx ||
	    !EVP_CipherInit_ex2(t->slot[n][encrypt].ctx, fetched[n], key, NULL, encrypt, NULL))
		return NULL;
	EVP_CIPHER_CTX_set_padding(t->slot[n][encrypt].ctx, 0);
	memcpy(t->slot[n][encrypt].key, key, keylen);
	t->slot[n][encrypt].set = true;
	return t->slot[n][encrypt].ctx;
}

static int run(const uint8_t *key, size_t keylen, bool encrypt, const uint8_t *in, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = keyed(key, keylen, encrypt);
	int n;

	if (!ctx || !EVP_CipherUpdate(ctx, out, &n, in, AES_BLOCK) || n != AES_BLOCK)
		return -ERR_CRYPTO;
	return 0;
}

int aes_block_encrypt(const uint8_t *key, size_t keylen, const uint8_t in[AES_BLOCK],
		      uint8_t out[AES_BLOCK])
{
	return run(key, keylen, true, in, out);
}

int aes_block_decrypt(const uint8_t *key, size_t keylen, const uint8_t in[AES_BLOCK],
		      uint8_t out[AES_BLOCK])
{
	return run(key, keylen, false, in, out);
}
