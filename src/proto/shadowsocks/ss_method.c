#include "proto/shadowsocks/ss_method.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/err.h"
#include "crypto/blake3.h"
#include "crypto/ct.h"
#include "crypto/hash.h"
#include "crypto/hkdf_sha1.h"

#define CHUNK_AEAD 0x3fff
#define CHUNK_2022 0xffff

#define AEAD(word, a, len)                                                                 \
	{                                                                                  \
		.name = word, .class = SS_AEAD, .alg = a, .key_len = len, .salt_len = len, \
		.chunk = CHUNK_AEAD                                                        \
	}
#define EDITION(word, a, len, id)                                                          \
	{                                                                                  \
		.name = word, .class = SS_2022, .alg = a, .key_len = len, .salt_len = len, \
		.identity = id, .chunk = CHUNK_2022                                        \
	}
#define STREAM(word, a, len, iv)                                                           \
	{                                                                                  \
		.name = word, .class = SS_STREAM, .alg = a, .key_len = len, .salt_len = iv \
	}

static const struct ss_method methods[] = {
	AEAD("aes-128-gcm", AEAD_AES_128_GCM, 16),
	AEAD("aes-192-gcm", AEAD_AES_192_GCM, 24),
	AEAD("aes-256-gcm", AEAD_AES_256_GCM, 32),
	AEAD("chacha20-ietf-poly1305", AEAD_CHACHA20_POLY1305, 32),
	AEAD("xchacha20-ietf-poly1305", AEAD_XCHACHA20_POLY1305, 32),
	EDITION("2022-blake3-aes-128-gcm", AEAD_AES_128_GCM, 16, true),
	EDITION("2022-blake3-aes-256-gcm", AEAD_AES_256_GCM, 32, true),
	EDITION("2022-blake3-chacha20-poly1305", AEAD_CHACHA20_POLY1305, 32, false),
	{.name = "none", .class = SS_PLAIN},
	STREAM("aes-128-cfb", STREAM_AES_CFB, 16, 16),
	STREAM("aes-192-cfb", STREAM_AES_CFB, 24, 16),
	STREAM("aes-256-cfb", STREAM_AES_CFB, 32, 16),
	STREAM("aes-128-ctr", STREAM_AES_CTR, 16, 16),
	STREAM("aes-192-ctr", STREAM_AES_CTR, 24, 16),
	STREAM("aes-256-ctr", STREAM_AES_CTR, 32, 16),
	STREAM("rc4-md5", STREAM_RC4, 16, 16),
	STREAM("chacha20", STREAM_CHACHA20, 32, 8),
	STREAM("chacha20-ietf", STREAM_CHACHA20_IETF, 32, 12),
	STREAM("xchacha20", STREAM_XCHACHA20, 32, 24),
};

static const struct {
	const char *alias, *name;
} aliases[] = {
	{"plain", "none"},
	{"dummy", "none"},
	{"chacha20-poly1305", "chacha20-ietf-poly1305"},
	{"xchacha20-poly1305", "xchacha20-ietf-poly1305"},
	{"aead_aes_128_gcm", "aes-128-gcm"},
	{"aead_aes_192_gcm", "aes-192-gcm"},
	{"aead_aes_256_gcm", "aes-256-gcm"},
	{"aead_chacha20_poly1305", "chacha20-ietf-poly1305"},
	{"aead_xchacha20_poly1305", "xchacha20-ietf-poly1305"},
};

const struct ss_method *ss_method_at(size_t i)
{
	return i < ARRAY_LEN(methods) ? &methods[i] : NULL;
}

const struct ss_method *ss_method_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
		if (!strcasecmp(aliases[i].alias, name))
			name = aliases[i].name;
	}
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (!strcasecmp(methods[i].name, name))
			return &methods[i];
	}
	return NULL;
}

bool ss_method_insecure(const struct ss_method *m)
{
	return m->class == SS_PLAIN || m->class == SS_STREAM;
}

/* EVP_BytesToKey with MD5, one round, no salt: what everybody has used since the beginning. */
static int key_of_password(const char *password, size_t len, uint8_t *key, size_t keylen)
{
	uint8_t digest[16], out[SS_KEY_MAX];
	int err = 0;

	for (size_t done = 0; done < keylen && !err; done += sizeof(digest)) {
		struct iovec iov[2] = {{digest, done ? sizeof(digest) : 0},
				       {(void *)password, len}};

		err = hash_iov(HASH_MD5, iov, 2, digest);
		memcpy(out + done, digest, MIN(keylen - done, sizeof(digest)));
	}
	if (!err)
		memcpy(key, out, keylen);
	cleanse(digest, sizeof(digest));
	cleanse(out, sizeof(out));
	return err;
}

int ss_key(const struct ss_method *m, const char *password, size_t len, uint8_t *key)
{
	uint8_t out[SS_KEY_MAX + 3];
	ssize_t n;

	if (m->class != SS_2022)
		return key_of_password(password, len, key, m->key_len);
	n = base64_decode(password, len, out, sizeof(out));
	if (n == m->key_len)
		memcpy(key, out, m->key_len);
	cleanse(out, sizeof(out));
	return n == m->key_len ? 0 : -ERR_MALFORMED;
}

static void derive(const struct ss_method *m, const char *context, const uint8_t *key,
		   const uint8_t *salt, size_t saltlen, uint8_t *subkey)
{
	uint8_t material[SS_KEY_MAX + SS_SALT_MAX];
	struct blake3_context c;

	assert(saltlen <= SS_SALT_MAX);
	memcpy(material, key, m->key_len);
	memcpy(material + m->key_len, salt, saltlen);
	blake3_context_set(&c, context);
	blake3_derive(&c, material, m->key_len + saltlen, subkey, m->key_len);
	cleanse(material, sizeof(material));
}

int ss_subkey(const struct ss_method *m, const uint8_t *key, const uint8_t *salt, size_t saltlen,
	      uint8_t *subkey)
{
	const struct hkdf_input in = {salt,	  saltlen,	  key,
				      m->key_len, SS_SUBKEY_INFO, strlen(SS_SUBKEY_INFO)};

	if (m->class == SS_AEAD)
		return hkdf_sha1(&in, subkey, m->key_len);
	derive(m, "shadowsocks 2022 session subkey", key, salt, saltlen, subkey);
	return 0;
}

void ss_identity_subkey(const struct ss_method *m, const uint8_t *ipsk, const uint8_t *salt,
			uint8_t *subkey)
{
	derive(m, "shadowsocks 2022 identity subkey", ipsk, salt, m->salt_len, subkey);
}

void ss_identity_hash(const struct ss_method *m, const uint8_t *upsk, uint8_t id[SS_IDENTITY_LEN])
{
	blake3(upsk, m->key_len, id, SS_IDENTITY_LEN);
}

/* ---- users ------------------------------------------------------------------------------- */

/* Panels hand out a text and expect as many bytes of it as the cipher wants. */
static int user_psk(const struct ss_method *m, enum ss_credential form, const char *credential,
		    size_t len, uint8_t *psk)
{
	if (form == SS_CREDENTIAL_KEY)
		return ss_key(m, credential, len, psk);
	if (len < m->key_len)
		return -ERR_MALFORMED;
	memcpy(psk, credential, m->key_len);
	return 0;
}

int ss_user_derive(const struct ss_method *m, enum ss_credential form, const char *credential,
		   size_t len, uint8_t key[SS_KEY_MAX], uint8_t secret[SS_KEY_MAX])
{
	int err;

	if (len == 0)
		return -ERR_MALFORMED;
	memset(key, 0, SS_KEY_MAX);
	memset(secret, 0, SS_KEY_MAX);
	if (m->class == SS_PLAIN)
		return hash(HASH_MD5, credential, len, key);
	if (m->class != SS_2022)
		return key_of_password(credential, len, key, m->key_len);
	err = user_psk(m, form, credential, len, secret);
	if (!err)
		ss_identity_hash(m, secret, key);
	return err;
}

int ss_user_of_psk(const struct ss_method *m, const uint8_t *psk, uint8_t key[SS_KEY_MAX],
		   uint8_t secret[SS_KEY_MAX])
{
	memset(key, 0, SS_KEY_MAX);
	memset(secret, 0, SS_KEY_MAX);
	memcpy(secret, psk, m->key_len);
	ss_identity_hash(m, psk, key);
	return 0;
}
