#include "crypto/kdf.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/wr.h"
#include "crypto/ct.h"

int hkdf_extract(enum hash_alg alg, const void *salt, size_t saltlen, const void *ikm,
		 size_t ikmlen, uint8_t *prk)
{
	/* HMAC pads a short key with zeros, so an empty salt is the string of zeros already. */
	return hmac(alg, salt, saltlen, ikm, ikmlen, prk);
}

int hkdf_expand(enum hash_alg alg, const void *prk, size_t prklen, const void *info, size_t infolen,
		uint8_t *out, size_t len)
{
	size_t size = hash_size(alg), done = 0;
	uint8_t t[HASH_MAX], count = 0;
	int err = 0;

	assert(len <= 255 * size);
	while (done < len && !err) {
		size_t n = MIN(len - done, size);
		struct iovec iov[3] = {{t, count ? size : 0}, {(void *)info, infolen}, {&count, 1}};

		count++;
		err = hmac_iov(alg, prk, prklen, iov, 3, t);
		if (!err)
			memcpy(out + done, t, n);
		done += n;
	}
	cleanse(t, sizeof(t));
	return err;
}

int hkdf(enum hash_alg alg, const struct hkdf_input *in, uint8_t *out, size_t len)
{
	uint8_t prk[HASH_MAX];
	int err;

	err = hkdf_extract(alg, in->salt, in->saltlen, in->ikm, in->ikmlen, prk);
	if (!err)
		err = hkdf_expand(alg, prk, hash_size(alg), in->info, in->infolen, out, len);
	cleanse(prk, sizeof(prk));
	return err;
}

int hkdf_label(enum hash_alg alg, const uint8_t *secret, const char *label, const void *context,
	       size_t ctxlen, uint8_t *out, size_t len)
{
	uint8_t info[2 + 1 + 6 + 32 + 1 + HASH_MAX];
	struct wr w = wr_of(info, sizeof(info));

	wr_be16(&w, (uint16_t)len);
	wr_u8(&w, (uint8_t)(6 + strlen(label)));
	wr_str(&w, "tls13 ");
	wr_str(&w, label);
	wr_u8(&w, (uint8_t)ctxlen);
	if (ctxlen > 0)
		wr_bytes(&w, context, ctxlen);
	assert(!w.err);
	return hkdf_expand(alg, secret, hash_size(alg), info, w.len, out, len);
}
