#include "crypto/stream_cipher.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/hchacha.h"

/* libcrypto keeps RC4 in a provider that is not loaded by default: it is ours. */
struct stream_cipher {
	EVP_CIPHER_CTX *ctx; /* NULL: RC4 */
	uint8_t s[256], i, j;
};

static void rc4_init(struct stream_cipher *c, const uint8_t *key, size_t len)
{
	uint8_t j = 0;

	for (int i = 0; i < 256; i++)
		c->s[i] = (uint8_t)i;
	for (size_t i = 0; i < 256; i++) {
		uint8_t t = c->s[i];

		j = (uint8_t)(j + t + key[i % len]);
		c->s[i] = c->s[j];
		c->s[j] = t;
	}
}

static void rc4_run(struct stream_cipher *c, const uint8_t *in, size_t len, uint8_t *out)
{
	while (len-- > 0) {
		uint8_t t = c->s[++c->i];

		c->j = (uint8_t)(c->j + t);
		c->s[c->i] = c->s[c->j];
		c->s[c->j] = t;
		*out++ = *in++ ^ c->s[(uint8_t)(c->s[c->i] + t)];
	}
}

static const EVP_CIPHER *evp_of(enum stream_cipher_alg alg, size_t keylen)
{
	if (alg == STREAM_AES_CFB)
		return keylen == 16   ? EVP_aes_128_cfb128()
		       : keylen == 24 ? EVP_aes_192_cfb128()
				      : EVP_aes_256_cfb128();
	if (alg == STREAM_AES_CTR)
		return keylen == 16   ? EVP_aes_128_ctr()
		       : keylen == 24 ? EVP_aes_192_ctr()
				      : EVP_aes_256_ctr();
	return EVP_chacha20();
}

/* libcrypto's ChaCha20 takes the last four words of the state: counter and nonce. */
static int evp_init(struct stream_cipher *c, enum stream_cipher_alg alg, const uint8_t *key,
		    size_t keylen, const uint8_t *iv, bool encrypt)
{
	uint8_t words[16] = {0}, sub[32];
	int ok;

	if (alg == STREAM_XCHACHA20) {
		hchacha20(key, iv, sub);
		memcpy(words + 8, iv + 16, 8);
	} else if (alg == STREAM_CHACHA20) {
		memcpy(words + 8, iv, 8);
	} else if (alg == STREAM_CHACHA20_IETF) {
		memcpy(words + 4, iv, 12);
	} else {
		memcpy(words, iv, 16);
	}
	c->ctx = EVP_CIPHER_CTX_new();
	ok = c->ctx &&
	     EVP_CipherInit_ex2(c->ctx, evp_of(alg, keylen), alg == STREAM_XCHACHA20 ? sub : key,
				words, encrypt, NULL);
	cleanse(sub, sizeof(sub));
	return ok ? 0 : -ERR_CRYPTO;
}

struct stream_cipher *stream_cipher_new(enum stream_cipher_alg alg, const uint8_t *key,
					size_t keylen, const uint8_t *iv, bool encrypt)
{
	struct stream_cipher *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	if (alg == STREAM_RC4) {
		rc4_init(c, key, keylen);
	} else if (evp_init(c, alg, key, keylen, iv, encrypt)) {
		stream_cipher_free(c);
		return NULL;
	}
	return c;
}

void stream_cipher_free(struct stream_cipher *c)
{
	if (!c)
		return;
	EVP_CIPHER_CTX_free(c->ctx);
	cleanse(c, sizeof(*c));
	free(c);
}

int stream_cipher_run(struct stream_cipher *c, const void *in, size_t len, void *out)
{
	int n;

	if (!c->ctx) {
		rc4_run(c, in, len, out);
		return 0;
	}
	return EVP_CipherUpdate(c->ctx, out, &n, in, (int)len) && n == (int)len ? 0 : -ERR_CRYPTO;
}
