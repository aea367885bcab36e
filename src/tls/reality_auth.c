#include "tls/reality_auth.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/err.h"
#include "base/wr.h"
#include "crypto/aead.h"
#include "crypto/ct.h"
#include "crypto/kdf.h"
#include "crypto/x25519.h"

const uint8_t *reality_client_share(const struct tls_hello *h)
{
	struct tls_bytes plain = tls_hello_share(h, GROUP_X25519);
	struct tls_bytes hybrid = tls_hello_share(h, GROUP_X25519MLKEM768);

	if (plain.p && plain.len == X25519_LEN)
		return plain.p;
	return hybrid.p && hybrid.len == MLKEM768_PUB + X25519_LEN ? hybrid.p + MLKEM768_PUB : NULL;
}

int reality_auth_key(const uint8_t shared[32], const uint8_t random[32],
		     uint8_t out[REALITY_AUTH_KEY])
{
	const struct hkdf_input in = {random, 20, shared, X25519_LEN, "REALITY", 7};

	return hkdf(HASH_SHA256, &in, out, REALITY_AUTH_KEY);
}

/* The hello with zeros in place of its session id, which is what the id authenticates. */
static void blank(uint8_t *out, const uint8_t *hello, size_t len)
{
	memcpy(out, hello, len);
	memset(out + REALITY_ID_AT, 0, REALITY_ID_LEN);
}

int reality_claim_parse(const uint8_t *hello, size_t len, const uint8_t key[REALITY_AUTH_KEY],
			struct reality_claim *out)
{
	uint8_t aad[TLS_HELLO_MAX] UNINIT, plain[16];
	struct aead_key k = {0};
	struct reality_claim c;
	struct rd r;
	int err;

	if (len < REALITY_ID_AT + REALITY_ID_LEN || len > sizeof(aad))
		return -ERR_AUTH;
	blank(aad, hello, len);
	aead_key_set(&k, AEAD_AES_256_GCM, key);
	err = aead_open(&k, hello + 6 + 20, aad, len, hello + REALITY_ID_AT, REALITY_ID_LEN, plain);
	aead_key_clear(&k);
	if (err)
		return err;
	r = rd_of(plain, sizeof(plain));
	c.version = rd_be24(&r);
	rd_skip(&r, 1); /* reserved */
	c.time = rd_be32(&r);
	rd_copy(&r, c.short_id, sizeof(c.short_id));
	*out = c;
	return 0;
}

int reality_claim_emit(const struct reality_claim *c, const uint8_t key[REALITY_AUTH_KEY],
		       uint8_t *hello, size_t len)
{
	uint8_t plain[16] = {(uint8_t)(c->version >> 16), (uint8_t)(c->version >> 8),
			     (uint8_t)c->version};
	struct aead_key k = {0};
	uint8_t id[REALITY_ID_LEN];
	int err;

	for (int i = 0; i < 4; i++)
		plain[4 + i] = (uint8_t)(c->time >> (24 - 8 * i));
	memcpy(plain + 8, c->short_id, sizeof(c->short_id));
	memset(hello + REALITY_ID_AT, 0, REALITY_ID_LEN);
	aead_key_set(&k, AEAD_AES_256_GCM, key);
	err = aead_seal(&k, hello + 6 + 20, hello, len, plain, sizeof(plain), id);
	aead_key_clear(&k);
	if (!err)
		memcpy(hello + REALITY_ID_AT, id, sizeof(id));
	return err;
}

size_t reality_name_index(const struct reality_options *o, struct tls_bytes sni)
{
	size_t i = 0;

	for (; i < o->nnames; i++) {
		const char *name = o->names[i];

		if (strlen(name) == sni.len && (sni.len == 0 || !memcmp(name, sni.p, sni.len)))
			break;
	}
	return i;
}

/* No early end: how long this takes says nothing about which id was nearly right. */
static bool is_id_of(const struct reality_options *o, const uint8_t id[REALITY_SHORT_ID])
{
	bool found = false;

	for (size_t i = 0; i < o->nshort_ids; i++)
		found |= ct_equal(o->short_ids[i], id, REALITY_SHORT_ID);
	return found;
}

static bool is_welcome(const struct reality_options *o, const struct reality_claim *c,
		       int64_t now_ms)
{
	int64_t off = now_ms - (int64_t)c->time * 1000;

	if (c->version < o->min_version || (o->max_version && c->version > o->max_version))
		return false;
	if (o->max_time_diff_ms && (off > o->max_time_diff_ms || -off > o->max_time_diff_ms))
		return false;
	return is_id_of(o, c->short_id);
}

int reality_authenticate(const struct reality_options *o, const struct x25519 *server,
			 const struct tls_hello *h, int64_t now_ms, uint8_t key[REALITY_AUTH_KEY])
{
	const uint8_t *share = reality_client_share(h);
	uint8_t shared[X25519_LEN], found[REALITY_AUTH_KEY];
	struct reality_claim c;
	int err;

	if (!tls_hello_is_13(h) || h->session_id.len != REALITY_ID_LEN || !share ||
	    reality_name_index(o, h->sni) == o->nnames)
		return -ERR_AUTH;
	err = x25519_key_shared(server, share, shared);
	if (!err)
		err = reality_auth_key(shared, h->random, found);
	cleanse(shared, sizeof(shared));
	if (!err)
		err = reality_claim_parse(h->raw.p, h->raw.len, found, &c);
	if (!err && is_welcome(o, &c, now_ms))
		memcpy(key, found, sizeof(found));
	else
		err = -ERR_AUTH;
	cleanse(found, sizeof(found));
	return err;
}

/* ---- the certificate --------------------------------------------------------------------- */

/* Version 3, serial 0, no names, from the year 0 to the year 0: all that a client looks at is the
 * key and what stands in place of a signature. */
static const uint8_t cert_head[] = {
	0x30, 0x81, 0xaf, 0x30, 0x63, 0xa0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x01, 0x00, 0x30, 0x05,
	0x06, 0x03, 0x2b, 0x65, 0x70, 0x30, 0x00, 0x30, 0x22, 0x18, 0x0f, '0',	'0',  '0',  '1',
	'0',  '1',  '0',  '1',	'0',  '0',  '0',  '0',	'0',  '0',  'Z',  0x18, 0x0f, '0',  '0',
	'0',  '1',  '0',  '1',	'0',  '1',  '0',  '0',	'0',  '0',  '0',  '0',	'Z',  0x30, 0x00,
	0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
};
static const uint8_t cert_middle[] = {
	0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x41, 0x00,
};

int reality_cert_emit(const uint8_t pub[32], const uint8_t key[REALITY_AUTH_KEY],
		      uint8_t out[REALITY_CERT_LEN])
{
	uint8_t *p = out;

	memcpy(p, cert_head, sizeof(cert_head));
	p += sizeof(cert_head);
	memcpy(p, pub, 32);
	p += 32;
	memcpy(p, cert_middle, sizeof(cert_middle));
	p += sizeof(cert_middle);
	return hmac(HASH_SHA512, key, REALITY_AUTH_KEY, pub, 32, p);
}

int reality_pq_cert_emit(const uint8_t pub[32], const uint8_t key[REALITY_AUTH_KEY],
			 const uint8_t sig[MLDSA65_SIG], uint8_t out[REALITY_PQ_CERT_LEN])
{
	/* The longer lengths of certificate and body; an extension without a number. */
	static const uint8_t outer[] = {0x30, 0x82, 0x0d, 0xb1, 0x30, 0x82, 0x0d, 0x63};
	static const uint8_t extension[] = {0xa3, 0x82, 0x0c, 0xfc, 0x30, 0x82, 0x0c,
					    0xf8, 0x30, 0x82, 0x0c, 0xf4, 0x06, 0x01,
					    0x00, 0x04, 0x82, 0x0c, 0xed};
	struct wr w = wr_of(out, REALITY_PQ_CERT_LEN);

	wr_bytes(&w, outer, sizeof(outer));
	wr_bytes(&w, cert_head + 5, sizeof(cert_head) - 5);
	wr_bytes(&w, pub, 32);
	wr_bytes(&w, extension, sizeof(extension));
	wr_bytes(&w, sig, MLDSA65_SIG);
	wr_bytes(&w, cert_middle, sizeof(cert_middle));
	return hmac(HASH_SHA512, key, REALITY_AUTH_KEY, pub, 32, wr_room(&w, 64));
}

int reality_pq_signed(const uint8_t pub[32], const uint8_t key[REALITY_AUTH_KEY],
		      struct tls_bytes client_hello, struct tls_bytes server_hello, uint8_t out[64])
{
	const struct iovec iov[] = {{(void *)(uintptr_t)pub, 32},
				    {(void *)(uintptr_t)client_hello.p, client_hello.len},
				    {(void *)(uintptr_t)server_hello.p, server_hello.len}};

	return hmac_iov(HASH_SHA512, key, REALITY_AUTH_KEY, iov, 3, out);
}

int reality_cert_check(const uint8_t *der, size_t len, const uint8_t key[REALITY_AUTH_KEY],
		       uint8_t pub[32])
{
	X509 *x = d2i_X509(NULL, &der, (long)len);
	EVP_PKEY *pkey = x ? X509_get0_pubkey(x) : NULL;
	const ASN1_BIT_STRING *sig = NULL;
	uint8_t raw[32], want[64];
	size_t n = sizeof(raw);
	int err = -ERR_AUTH;

	if (x)
		X509_get0_signature(&sig, NULL, x);
	if (pkey && EVP_PKEY_get_id(pkey) == EVP_PKEY_ED25519 &&
	    EVP_PKEY_get_raw_public_key(pkey, raw, &n) && sig && sig->length == sizeof(want) &&
	    !hmac(HASH_SHA512, key, REALITY_AUTH_KEY, raw, sizeof(raw), want) &&
	    ct_equal(want, sig->data, sizeof(want))) {
		memcpy(pub, raw, sizeof(raw));
		err = 0;
	}
	X509_free(x);
	return err;
}

_Static_assert(REALITY_VERIFY_KEY == MLDSA65_PUB, "reality.h does without crypto/");

int reality_pq_cert_check(const uint8_t *der, size_t len, const uint8_t pub[32],
			  const uint8_t key[REALITY_AUTH_KEY], const uint8_t *verify,
			  struct tls_bytes client_hello, struct tls_bytes server_hello)
{
	uint8_t text[64];
	int err;

	if (len != REALITY_PQ_CERT_LEN)
		return -ERR_AUTH;
	err = reality_pq_signed(pub, key, client_hello, server_hello, text);
	return err ? err
		   : mldsa65_verify(verify, text, sizeof(text), der + REALITY_PQ_AT, MLDSA65_SIG);
}
