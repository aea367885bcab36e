/* Certificates as our own handshake sends them, and their signatures. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/wr.h"
#include "crypto/ct.h"
#include "tls/server_impl.h"
#include "tls/tls13_server.h"

enum {
	MSG_CERTIFICATE = 11,
	RSA_PSS_SHA256 = 0x0804,
};

static uint16_t scheme_of(const EVP_PKEY *key)
{
	char group[32];
	size_t n;

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_ED25519:
		return 0x0807;
	case EVP_PKEY_RSA:
		return EVP_PKEY_get_bits(key) >= 2048 && EVP_PKEY_get_bits(key) <= 8192
			       ? RSA_PSS_SHA256
			       : 0;
	case EVP_PKEY_EC:
		if (!EVP_PKEY_get_group_name(key, group, sizeof(group), &n))
			return 0;
		return !strcmp(group, "prime256v1")  ? 0x0403
		       : !strcmp(group, "secp384r1") ? 0x0503
						     : 0;
	default:
		return 0;
	}
}

/* What the certificate itself was signed with, by the names of TLS. */
static uint16_t signed_with(const X509 *x)
{
	static const struct {
		int nid;
		uint16_t scheme;
	} all[] = {
		{NID_ecdsa_with_SHA256, 0x0403},
		{NID_ecdsa_with_SHA384, 0x0503},
		{NID_ecdsa_with_SHA512, 0x0603},
		{NID_sha256WithRSAEncryption, 0x0401},
		{NID_sha384WithRSAEncryption, 0x0501},
		{NID_sha512WithRSAEncryption, 0x0601},
		{NID_ED25519, 0x0807},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i].nid == X509_get_signature_nid(x))
			return all[i].scheme;
	}
	return 0;
}

static void put_entry(struct wr *w, X509 *x)
{
	int len = i2d_X509(x, NULL);
	unsigned char *p;

	if (len <= 0) {
		w->err = -ERR_CRYPTO;
		return;
	}
	wr_be24(w, (uint32_t)len);
	p = wr_room(w, (size_t)len);
	if (p)
		i2d_X509(x, &p);
	wr_be16(w, 0); /* extensions */
}

/* -ENOBUFS for a chain that is too long to be ours. */
static int make_message(const struct cert *c, struct tls13_leaf *leaf)
{
	uint8_t bytes[TLS13_CERT_MAX] UNINIT;
	struct wr w = wr_of(bytes, sizeof(bytes));
	uint8_t *head = wr_room(&w, 8);
	struct wr lengths = wr_of(head, 8);

	put_entry(&w, c->leaf);
	for (int i = 0; i < sk_X509_num(c->chain); i++)
		put_entry(&w, sk_X509_value(c->chain, i));
	if (w.err)
		return w.err;
	wr_u8(&lengths, MSG_CERTIFICATE);
	wr_be24(&lengths, (uint32_t)(w.len - 4));
	wr_u8(&lengths, 0); /* context */
	wr_be24(&lengths, (uint32_t)(w.len - 8));
	leaf->message = malloc(w.len);
	if (!leaf->message)
		return -ENOMEM;
	memcpy(leaf->message, bytes, w.len);
	leaf->len = w.len;
	return 0;
}

int tls13_server_prepare(struct tls_server_conf *c, const uint8_t ticket_key[TLS_TICKET_KEY_LEN])
{
	int err = 0;

	memcpy(&c->ticket_key, ticket_key, sizeof(c->ticket_key));
	c->leaves = calloc(c->certs->n, sizeof(*c->leaves));
	if (!c->leaves)
		return -ENOMEM;
	for (size_t i = 0; i < c->certs->n && err != -ENOMEM; i++) {
		const struct cert *cert = &c->certs->certs[i];
		struct tls13_leaf *leaf = &c->leaves[i];

		err = make_message(cert, leaf);
		if (err)
			continue; /* scheme 0: libssl's */
		leaf->scheme = scheme_of(cert->key);
		leaf->signed_with = signed_with(cert->leaf);
	}
	return err == -ENOMEM ? err : 0;
}

void tls13_server_forget(struct tls_server_conf *c)
{
	for (size_t i = 0; c->leaves && i < c->certs->n; i++)
		free(c->leaves[i].message);
	free(c->leaves);
	cleanse(&c->ticket_key, sizeof(c->ticket_key));
}

static bool is_pss_ready(EVP_PKEY_CTX *ctx)
{
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
}

int tls13_sign(EVP_PKEY *key, uint16_t scheme, const uint8_t *text, size_t len, uint8_t *sig,
	       size_t *siglen)
{
	const char *digest = scheme == 0x0807 ? NULL : scheme == 0x0503 ? "SHA384" : "SHA256";
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx; /* the other's */
	size_t n = TLS13_SIGNATURE_MAX;
	bool ok;

	ok = ctx && EVP_DigestSignInit_ex(ctx, &pctx, digest, NULL, NULL, key, NULL) > 0 &&
	     (scheme != RSA_PSS_SHA256 || is_pss_ready(pctx)) &&
	     EVP_DigestSign(ctx, sig, &n, text, len) > 0;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	if (!ok)
		return -ERR_CRYPTO;
	*siglen = n;
	return 0;
}
