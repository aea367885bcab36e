#include "tls/cert_store.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "tls/cert_store_impl.h"

/* Larger than any chain; smaller than what a mistaken path could lead to. */
#define PEM_FILE_MAX (1024 * 1024)

struct cert_store *cert_store_new(void)
{
	struct cert_store *cs = calloc(1, sizeof(*cs));

	if (cs)
		atomic_init(&cs->refs, 1);
	return cs;
}

struct cert_store *cert_store_get(struct cert_store *cs)
{
	atomic_fetch_add_explicit(&cs->refs, 1, memory_order_relaxed);
	return cs;
}

static void cert_done(struct cert *c)
{
	X509_free(c->leaf);
	sk_X509_pop_free(c->chain, X509_free);
	EVP_PKEY_free(c->key);
	for (char **p = c->names; p && *p; p++)
		free(*p);
	free(c->names);
}

void cert_store_put(struct cert_store *cs)
{
	if (!cs || atomic_fetch_sub_explicit(&cs->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < cs->n; i++)
		cert_done(&cs->certs[i]);
	free(cs->certs);
	free(cs);
}

/* ---- reading PEM ------------------------------------------------------------------------- */

static int explain(char *why, size_t len, const char *text)
{
	snprintf(why, len, "%s", text);
	ERR_clear_error();
	return -ERR_CONFIG;
}

/* Every CERTIFICATE block: the first is the leaf. */
static int read_chain(struct cert *c, BIO *in)
{
	X509 *x;

	c->chain = sk_X509_new_null();
	if (!c->chain)
		return -ENOMEM;
	while ((x = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
		if (!c->leaf)
			c->leaf = x;
		else if (!sk_X509_push(c->chain, x)) {
			X509_free(x);
			return -ENOMEM;
		}
	}
	ERR_clear_error(); /* "no start line" is how it ends */
	return c->leaf ? 0 : -ERR_CONFIG;
}

/* The first block that calls itself some PRIVATE KEY.  What is inside tells its own kind: panels
 * hand out PKCS#8 keys under the label of PKCS#1 and the reverse. */
static EVP_PKEY *read_key(BIO *in, bool *encrypted)
{
	EVP_PKEY *key = NULL;
	unsigned char *der;
	char *name, *header;
	long len;

	while (!key && PEM_read_bio(in, &name, &header, &der, &len)) {
		size_t n = strlen(name);
		const unsigned char *p = der;

		if (strstr(name, "ENCRYPTED") || strstr(header, "ENCRYPTED"))
			*encrypted = true;
		else if (n >= 11 && !strcmp(name + n - 11, "PRIVATE KEY"))
			key = d2i_AutoPrivateKey(NULL, &p, len);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(der, (size_t)len);
	}
	ERR_clear_error();
	return key;
}

static int add_name(struct cert *c, size_t n, const char *text, size_t len)
{
	char **names = realloc(c->names, (n + 2) * sizeof(*names));

	if (!names)
		return -ENOMEM;
	c->names = names;
	names[n] = names[n + 1] = NULL;
	names[n] = strndup(text, len);
	if (!names[n])
		return -ENOMEM;
	for (char *p = names[n]; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return 0;
}

/* The DNS names; the common name too, which old self-signed certificates have alone. */
static int read_names(struct cert *c)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);
	X509_NAME *subject = X509_get_subject_name(c->leaf);
	char common[256];
	size_t n = 0;
	int err = 0, len;

	for (int i = 0; !err && i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);

		if (g->type == GEN_DNS)
			err = add_name(c, n++, (const char *)ASN1_STRING_get0_data(g->d.dNSName),
				       (size_t)ASN1_STRING_length(g->d.dNSName));
	}
	GENERAL_NAMES_free(all);
	len = X509_NAME_get_text_by_NID(subject, NID_commonName, common, sizeof(common));
	if (!err && len > 0)
		err = add_name(c, n, common, (size_t)len);
	ERR_clear_error();
	return err;
}

static int read_cert(struct cert *c, BIO *cert, BIO *key, char *why, size_t whylen)
{
	bool encrypted = false;
	int err;

	err = read_chain(c, cert);
	if (err == -ERR_CONFIG)
		return explain(why, whylen, "no certificate in PEM form");
	if (err)
		return err;
	c->key = read_key(key, &encrypted);
	if (!c->key)
		return explain(why, whylen,
			       encrypted ? "the private key is encrypted"
					 : "no private key in PEM form");
	if (X509_check_private_key(c->leaf, c->key) != 1)
		return explain(why, whylen, "certificate and private key do not belong together");
	return read_names(c);
}

int cert_store_add_pem(struct cert_store *cs, const char *cert, size_t certlen, const char *key,
		       size_t keylen, char *why, size_t whylen)
{
	struct cert *certs = realloc(cs->certs, (cs->n + 1) * sizeof(*certs));
	BIO *cb, *kb;
	int err = -ENOMEM;

	if (!certs)
		return -ENOMEM;
	cs->certs = certs;
	certs[cs->n] = (struct cert){0};
	cb = BIO_new_mem_buf(cert, (int)certlen);
	kb = BIO_new_mem_buf(key, (int)keylen);
	if (cb && kb)
		err = read_cert(&certs[cs->n], cb, kb, why, whylen);
	BIO_free(cb);
	BIO_free(kb);
	if (err)
		cert_done(&certs[cs->n]);
	else
		cs->n++;
	return err;
}

static int read_file(const char *path, struct file *out, char *why, size_t whylen)
{
	int err = file_read(path, PEM_FILE_MAX, 0, out);

	if (err)
		snprintf(why, whylen, "%s: %s", path, err_text(err));
	return err ? -ERR_CONFIG : 0;
}

int cert_store_add_files(struct cert_store *cs, const char *certfile, const char *keyfile,
			 char *why, size_t whylen)
{
	struct file cert = {0}, key = {0};
	int err;

	err = read_file(certfile, &cert, why, whylen);
	if (!err)
		err = read_file(keyfile, &key, why, whylen);
	if (!err)
		err = cert_store_add_pem(cs, cert.text, cert.len, key.text, key.len, why, whylen);
	file_done(&key);
	file_done(&cert);
	return err;
}

size_t cert_store_count(const struct cert_store *cs)
{
	return cs->n;
}

int64_t cert_store_expiry(const struct cert_store *cs, size_t i)
{
	struct tm tm = {0};

	if (!ASN1_TIME_to_tm(X509_get0_notAfter(cs->certs[i].leaf), &tm))
		return 0;
	return timegm(&tm);
}

void cert_store_fingerprint(const struct cert_store *cs, size_t i, uint8_t out[32])
{
	unsigned len = 0;

	memset(out, 0, 32);
	X509_digest(cs->certs[i].leaf, EVP_sha256(), out, &len);
}

static bool name_matches(const char *pattern, const char *name)
{
	const char *dot;

	if (!strcmp(pattern, name))
		return true;
	if (strncmp(pattern, "*.", 2))
		return false;
	dot = strchr(name, '.');
	return dot && dot != name && !strcmp(pattern + 1, dot);
}

int cert_store_find(const struct cert_store *cs, const char *name)
{
	for (size_t i = 0; i < cs->n; i++) {
		for (char **p = cs->certs[i].names; p && *p; p++) {
			if (name_matches(*p, name))
				return (int)i;
		}
	}
	return -1;
}
