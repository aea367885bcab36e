#include "crypto/hash.h"

#include <assert.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/thread.h"

static const struct {
	const char *name;
	uint8_t size, block;
} algs[HASH_ALGS] = {
	[HASH_MD5] = {"MD5", 16, 64},	     [HASH_SHA1] = {"SHA1", 20, 64},
	[HASH_SHA224] = {"SHA224", 28, 64},  [HASH_SHA256] = {"SHA256", 32, 64},
	[HASH_SHA384] = {"SHA384", 48, 128}, [HASH_SHA512] = {"SHA512", 64, 128},
};

/* Fetching walks libcrypto's provider store under locks: once per process, never freed. */
static EVP_MD *fetched[HASH_ALGS];
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;

struct hash_thread {
	EVP_MD_CTX *ctx[HASH_ALGS]; /* one each: switching the digest of a context allocates */
};

struct hash {
	EVP_MD_CTX *ctx;
	enum hash_alg alg;
};

static void fetch_all(void)
{
	for (int i = 0; i < HASH_ALGS; i++)
		fetched[i] = EVP_MD_fetch(NULL, algs[i].name, NULL);
}

static const EVP_MD *md_of(enum hash_alg alg)
{
	pthread_once(&fetch_once, fetch_all);
	return fetched[alg];
}

void hash_thread_free(struct hash_thread *h)
{
	if (!h)
		return;
	for (int i = 0; i < HASH_ALGS; i++)
		EVP_MD_CTX_free(h->ctx[i]);
	free(h);
}

size_t hash_size(enum hash_alg alg)
{
	return algs[alg].size;
}

size_t hash_block(enum hash_alg alg)
{
	return algs[alg].block;
}

/* This thread's context, at the start of a digest; NULL when libcrypto fails. */
static EVP_MD_CTX *thread_begin(enum hash_alg alg)
{
	struct crypto_thread *t = crypto_thread();

	if (!t->hash) {
		t->hash = calloc(1, sizeof(*t->hash));
		if (!t->hash)
			return NULL;
	}
	if (!t->hash->ctx[alg])
		t->hash->ctx[alg] = EVP_MD_CTX_new();
	if (!t->hash->ctx[alg] || !md_of(alg) ||
	    !EVP_DigestInit_ex(t->hash->ctx[alg], md_of(alg), NULL))
		return NULL;
	return t->hash->ctx[alg];
}

int hash_iov(enum hash_alg alg, const struct iovec *iov, int n, uint8_t *out)
{
	EVP_MD_CTX *ctx = thread_begin(alg);

	if (!ctx)
		return -ERR_CRYPTO;
	for (int i = 0; i < n; i++) {
		if (!EVP_DigestUpdate(ctx, iov[i].iov_base, iov[i].iov_len))
			return -ERR_CRYPTO;
	}
	return EVP_DigestFinal_ex(ctx, out, NULL) ? 0 : -ERR_CRYPTO;
}

int hash(enum hash_alg alg, const void *data, size_t len, uint8_t *out)
{
	struct iovec iov = {(void *)data, len};

	return hash_iov(alg, &iov, 1, out);
}

int hmac_iov(enum hash_alg alg, const void *key, size_t keylen, const struct iovec *iov, int n,
	     uint8_t *out)
{
	size_t block = algs[alg].block, size = algs[alg].size;
	uint8_t pad[HASH_BLOCK_MAX] = {0}, inner[HASH_MAX];
	EVP_MD_CTX *ctx;
	int err = -ERR_CRYPTO;

	if (keylen > block) {
		if (hash(alg, key, keylen, pad))
			return -ERR_CRYPTO;
	} else if (keylen > 0) {
		memcpy(pad, key, keylen);
	}
	for (size_t i = 0; i < block; i++)
		pad[i] ^= 0x36;
	ctx = thread_begin(alg);
	if (!ctx || !EVP_DigestUpdate(ctx, pad, block))
		goto out;
	for (int i = 0; i < n; i++) {
		if (!EVP_DigestUpdate(ctx, iov[i].iov_base, iov[i].iov_len))
			goto out;
	}
	if (!EVP_DigestFinal_ex(ctx, inner, NULL))
		goto out;
	for (size_t i = 0; i < block; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	ctx = thread_begin(alg);
	if (ctx && EVP_DigestUpdate(ctx, pad, block) && EVP_DigestUpdate(ctx, inner, size) &&
	    EVP_DigestFinal_ex(ctx, out, NULL))
		err = 0;
out:
	cleanse(pad, sizeof(pad));
	cleanse(inner, sizeof(inner));
	return err;
}

int hmac(enum hash_alg alg, const void *key, size_t keylen, const void *data, size_t len,
	 uint8_t *out)
{
	struct iovec iov = {(void *)data, len};

	return hmac_iov(alg, key, keylen, &iov, 1, out);
}

struct hash *hash_new(enum hash_alg alg)
{
	struct hash *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->alg = alg;
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx || !md_of(alg) || !EVP_DigestInit_ex(h->ctx, md_of(alg), NULL)) {
		hash_free(h);
		return NULL;
	}
	return h;
}

void hash_free(struct hash *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

int hash_update(struct hash *h, const void *data, size_t len)
{
	return EVP_DigestUpdate(h->ctx, data, len) ? 0 : -ERR_CRYPTO;
}

int hash_peek(const struct hash *h, uint8_t *out)
{
	EVP_MD_CTX *ctx = thread_begin(h->alg);

	if (!ctx || !EVP_MD_CTX_copy_ex(ctx, h->ctx) || !EVP_DigestFinal_ex(ctx, out, NULL))
		return -ERR_CRYPTO;
	return 0;
}
