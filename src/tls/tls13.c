#include "tls/tls13.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/kdf.h"

int tls13_start(struct tls13 *k, uint16_t suite)
{
	size_t size = tls_secret_len(suite);
	struct hash *h;

	if (size == 0)
		return -ERR_UNSUPPORTED;
	h = hash_new(size == 48 ? HASH_SHA384 : HASH_SHA256);
	if (!h)
		return -ENOMEM;
	*k = (struct tls13){.transcript = h, .suite = suite, .size = (uint8_t)size};
	k->alg = size == 48 ? HASH_SHA384 : HASH_SHA256;
	return 0;
}

void tls13_clear(struct tls13 *k)
{
	hash_free(k->transcript);
	cleanse(k, sizeof(*k));
}

int tls13_add(struct tls13 *k, const void *message, size_t len)
{
	return hash_update(k->transcript, message, len);
}

/* Derive-Secret without messages, then Extract: from one stage of the schedule to the next. */
static int next_stage(struct tls13 *k, const void *ikm, size_t len)
{
	uint8_t empty[HASH_MAX], salt[HASH_MAX];
	int err;

	err = hash(k->alg, "", 0, empty);
	if (!err)
		err = hkdf_label(k->alg, k->secret, "derived", empty, k->size, salt, k->size);
	if (!err)
		err = hkdf_extract(k->alg, salt, k->size, ikm, len, k->secret);
	cleanse(salt, sizeof(salt));
	return err;
}

static int derive_pair(struct tls13 *k, const char *c, uint8_t *c_out, const char *s,
		       uint8_t *s_out)
{
	uint8_t sum[HASH_MAX];
	int err;

	err = hash_peek(k->transcript, sum);
	if (!err)
		err = hkdf_label(k->alg, k->secret, c, sum, k->size, c_out, k->size);
	if (!err)
		err = hkdf_label(k->alg, k->secret, s, sum, k->size, s_out, k->size);
	return err;
}

int tls13_handshake(struct tls13 *k, const void *ecdhe, size_t len)
{
	static const uint8_t zeros[TLS_SECRET_MAX];
	int err;

	err = hkdf_extract(k->alg, NULL, 0, zeros, k->size, k->secret);
	if (!err)
		err = next_stage(k, ecdhe, len);
	if (!err)
		err = derive_pair(k, "c hs traffic", k->c_hs, "s hs traffic", k->s_hs);
	return err;
}

int tls13_application(struct tls13 *k)
{
	static const uint8_t zeros[TLS_SECRET_MAX];
	int err;

	err = next_stage(k, zeros, k->size);
	if (!err)
		err = derive_pair(k, "c ap traffic", k->c_ap, "s ap traffic", k->s_ap);
	return err;
}

int tls13_resumption(const struct tls13 *k, uint8_t *out)
{
	uint8_t sum[HASH_MAX];
	int err = hash_peek(k->transcript, sum);

	return err ? err : hkdf_label(k->alg, k->secret, "res master", sum, k->size, out, k->size);
}

int tls13_finished(const struct tls13 *k, const uint8_t *base, uint8_t *out)
{
	uint8_t key[HASH_MAX], sum[HASH_MAX];
	int err;

	err = hkdf_label(k->alg, base, "finished", NULL, 0, key, k->size);
	if (!err)
		err = hash_peek(k->transcript, sum);
	if (!err)
		err = hmac(k->alg, key, k->size, sum, k->size, out);
	cleanse(key, sizeof(key));
	return err;
}

int tls13_signed(const struct tls13 *k, uint8_t *out, size_t *len)
{
	static const char what[] = "TLS 1.3, server CertificateVerify"; /* and its NUL */
	int err;

	memset(out, ' ', 64);
	memcpy(out + 64, what, sizeof(what));
	err = hash_peek(k->transcript, out + 64 + sizeof(what));
	if (!err)
		*len = 64 + sizeof(what) + k->size;
	return err;
}
