#include "tls/self_signed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define DAY ((long)24 * 60 * 60)

static bool add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;
	bool ok;

	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = e && X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	return ok;
}

/* The text form of extensions is a small language: a name with a comma would say more than a name.
 */
static bool add_alt_name(X509 *x, const char *domain)
{
	uint8_t ip[16];
	char text[300];
	bool is_ip = inet_pton(AF_INET, domain, ip) == 1 || inet_pton(AF_INET6, domain, ip) == 1;

	if (domain[strcspn(domain, ",;\\ \t\r\n")] != '\0')
		return false;
	if ((size_t)snprintf(text, sizeof(text), "%s:%s", is_ip ? "IP" : "DNS", domain) >=
	    sizeof(text))
		return false;
	return add_extension(x, NID_subject_alt_name, text);
}

static bool set_serial(X509 *x)
{
	uint64_t serial;

	if (RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1)
		return false;
	return ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1 | 1);
}

static bool set_subject(X509 *x, const char *domain)
{
	X509_NAME *name = X509_get_subject_name(x);
	const unsigned char *text = (const unsigned char *)domain;

	/* A common name holds 64 bytes; a longer domain is in the alternative name alone. */
	if (strlen(domain) <= 64 &&
	    !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, -1, -1, 0))
		return false;
	return X509_set_issuer_name(x, name);
}

static X509 *make_cert(EVP_PKEY *key, const char *domain)
{
	X509 *x = X509_new();

	if (x && X509_set_version(x, 2) && set_serial(x) &&
	    X509_gmtime_adj(X509_getm_notBefore(x), -DAY) &&
	    X509_gmtime_adj(X509_getm_notAfter(x), 3650 * DAY) && X509_set_pubkey(x, key) &&
	    set_subject(x, domain) && add_alt_name(x, domain) &&
	    add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(x, NID_key_usage, "critical,digitalSignature") &&
	    add_extension(x, NID_ext_key_usage, "serverAuth") && X509_sign(x, key, EVP_sha256()))
		return x;
	X509_free(x);
	return NULL;
}

/* What was written to `b`, as a string; `b` is freed. */
static char *text_of(BIO *b)
{
	char *data = NULL;
	long len = b ? BIO_get_mem_data(b, &data) : 0;
	char *text = len > 0 ? malloc((size_t)len + 1) : NULL;

	if (text) { /* not strndup(): a sanitizer wants to see the end of what it is given */
		memcpy(text, data, (size_t)len);
		text[len] = '\0';
	}
	BIO_free(b);
	return text;
}

int self_signed_pem(const char *domain, char **cert, char **key)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	X509 *x = pkey ? make_cert(pkey, domain) : NULL;
	BIO *cb = BIO_new(BIO_s_mem()), *kb = BIO_new(BIO_s_secmem());
	char *ctext, *ktext;
	bool ok;

	ok = x && cb && kb && PEM_write_bio_X509(cb, x) &&
	     PEM_write_bio_PrivateKey(kb, pkey, NULL, NULL, 0, NULL, NULL);
	ctext = text_of(cb);
	ktext = text_of(kb);
	X509_free(x);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	if (!ok || !ctext || !ktext) {
		free(ctext);
		free(ktext);
		return -ERR_CRYPTO;
	}
	*cert = ctext;
	*key = ktext;
	return 0;
}

/* Beside its place, then moved there: a reader finds the old file or the new one, never half. */
static int write_file(const char *path, const char *text, mode_t mode)
{
	size_t len = strlen(text);
	char tmp[4096];
	int fd, err = 0;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.new", path) >= sizeof(tmp))
		return -ENAMETOOLONG;
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, mode) < 0 || write(fd, text, len) != (ssize_t)len || fsync(fd) < 0)
		err = errno ? -errno : -EIO;
	close(fd);
	if (!err && rename(tmp, path) < 0)
		err = -errno;
	if (err)
		unlink(tmp);
	return err;
}

int self_signed_files(const char *domain, const char *certfile, const char *keyfile)
{
	char *cert, *key;
	int err;

	err = self_signed_pem(domain, &cert, &key);
	if (err)
		return err;
	err = write_file(keyfile, key, 0600);
	if (!err)
		err = write_file(certfile, cert, 0644);
	explicit_bzero(key, strlen(key));
	free(key);
	free(cert);
	return err;
}
