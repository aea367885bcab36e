/* aead_evp.c - the AEAD engine on libcrypto. */
#include <openssl/evp.h>
#include <pthread.h>

#include "base/err.h"
#include "crypto/aead_engine.h"

static const char *const names[AEAD_XCHACHA20_POLY1305] = {
	[AEAD_AES_128_GCM] = "AES-128-GCM",
	[AEAD_AES_192_GCM] = "AES-192-GCM",
	[AEAD_AES_256_GCM] = "AES-256-GCM",
	[AEAD_CHACHA20_POLY1305] = "ChaCha20-Poly1305",
};

/* Fetched once per process, never freed: see hash.c. */
static EVP_CIPHER *ciphers[AEAD_XCHACHA20_POLY1305];
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;

static void fetch_all(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ciphers); i++)
		ciphers[i] = EVP_CIPHER_fetch(NULL, names[i], NULL);
}

static void *evp_thread_new(void)
{
	pthread_once(&fetch_once, fetch_all);
	return ciphers;
}

static void evp_thread_free(void *t)
{
}

static void *evp_slot_new(void)
{
	return EVP_CIPHER_CTX_new();
}

static void evp_slot_free(void *slot)
{
	EVP_CIPHER_CTX_free(slot);
}

static int evp_set_key(void *t, void *slot, enum aead_alg alg, const uint8_t *raw)
{
	/* The direction comes with each message. */
	return ciphers[alg] && EVP_CipherInit_ex(slot, ciphers[alg], NULL, raw, NULL, 1)
		       ? 0
		       : -ERR_CRYPTO;
}

static int evp_run(void *t, void *slot, enum aead_alg alg, const struct aead_message *m,
		   uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = slot;
	uint8_t *out = m->out;
	int n;

	if (!EVP_CipherInit_ex(ctx, NULL, NULL, NULL, m->nonce, m->seal))
		return -ERR_CRYPTO;
	if (m->aadlen > 0 && !EVP_CipherUpdate(ctx, NULL, &n, m->aad, (int)m->aadlen))
		return -ERR_CRYPTO;
	for (int i = 0; i < m->n; i++) {
		if (m->in[i].iov_len == 0)
			continue;
		out = m->outs ? m->outs[i] : out;
		if (!EVP_CipherUpdate(ctx, out, &n, m->in[i].iov_base, (int)m->in[i].iov_len))
			return -ERR_CRYPTO;
		out += n;
	}
	if (!m->seal && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, tag) <= 0)
		return -ERR_CRYPTO;
	if (!EVP_CipherFinal_ex(ctx, out, &n))
		return m->seal ? -ERR_CRYPTO : -ERR_AUTH;
	if (m->seal && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, tag) <= 0)
		return -ERR_CRYPTO;
	return 0;
}

const struct aead_engine aead_evp = {
	.name = "evp",
	.thread_new = evp_thread_new,
	.thread_free = evp_thread_free,
	.slot_new = evp_slot_new,
	.slot_free = evp_slot_free,
	.set_key = evp_set_key,
	.run = evp_run,
};
