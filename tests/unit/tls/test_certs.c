#include "unit.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tls/alpn.h"
#include "tls/cert_store.h"
#include "tls/self_signed.h"
#include "tls/server.h"

static char why[200];

static int add(struct cert_store *cs, const char *cert, const char *key)
{
	return cert_store_add_pem(cs, cert, strlen(cert), key, strlen(key), why, sizeof(why));
}

static void add_domain(struct cert_store *cs, const char *domain)
{
	char *cert, *key;

	assert_int_equal(self_signed_pem(domain, &cert, &key), 0);
	assert_int_equal(add(cs, cert, key), 0);
	free(cert);
	free(key);
}

static void certificates_are_found_by_name_and_by_wildcard(void **state)
{
	struct cert_store *cs = cert_store_new();

	add_domain(cs, "first.example");
	add_domain(cs, "*.wild.example");
	add_domain(cs, "a.wild.example");
	add_domain(cs, "192.0.2.7");
	assert_int_equal(cert_store_count(cs), 4);
	assert_int_equal(cert_store_find(cs, "first.example"), 0);
	assert_int_equal(cert_store_find(cs, "x.wild.example"), 1);
	assert_int_equal(cert_store_find(cs, "a.wild.example"), 1);
	assert_int_equal(cert_store_find(cs, "x.y.wild.example"), -1);
	assert_int_equal(cert_store_find(cs, "wild.example"), -1);
	assert_int_equal(cert_store_find(cs, ".wild.example"), -1);
	assert_int_equal(cert_store_find(cs, "192.0.2.7"), 3);
	cert_store_put(cs);
}

static void a_self_signed_one_lasts_ten_years(void **state)
{
	struct cert_store *cs = cert_store_new();
	int64_t left;

	add_domain(cs, "node.example");
	left = cert_store_expiry(cs, 0) - time(NULL);
	assert_true(left > (int64_t)3649 * 86400 && left <= (int64_t)3650 * 86400);
	cert_store_put(cs);
}

/* The same EC key as PKCS#8, as SEC1, and each under the label of the other. */
static void a_key_is_read_whatever_its_label_says(void **state)
{
	struct cert_store *cs = cert_store_new();
	char *cert, *key, *sec1, *data;
	char swapped[4000], *p;
	EVP_PKEY *pkey;
	BIO *b;
	long n;

	assert_int_equal(self_signed_pem("a.example", &cert, &key), 0);
	b = BIO_new_mem_buf(key, -1);
	pkey = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	BIO_free(b);
	b = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_PrivateKey_traditional(b, pkey, NULL, NULL, 0, NULL, NULL),
			 1);
	n = BIO_get_mem_data(b, &data);
	sec1 = strndup(data, (size_t)n);
	BIO_free(b);
	EVP_PKEY_free(pkey);
	assert_non_null(strstr(sec1, "BEGIN EC PRIVATE KEY"));
	assert_int_equal(add(cs, cert, key), 0);
	assert_int_equal(add(cs, cert, sec1), 0);
	/* SEC1 within "PRIVATE KEY" */
	snprintf(swapped, sizeof(swapped), "-----BEGIN PRIVATE KEY%s", strstr(sec1, "-----\n"));
	p = strstr(swapped, "-----END EC PRIVATE KEY");
	strcpy(p, "-----END PRIVATE KEY-----\n");
	assert_int_equal(add(cs, cert, swapped), 0);
	/* PKCS#8 within "RSA PRIVATE KEY" */
	snprintf(swapped, sizeof(swapped), "-----BEGIN RSA PRIVATE KEY%s", strstr(key, "-----\n"));
	p = strstr(swapped, "-----END PRIVATE KEY");
	strcpy(p, "-----END RSA PRIVATE KEY-----\n");
	assert_int_equal(add(cs, cert, swapped), 0);
	assert_int_equal(cert_store_count(cs), 4);
	free(sec1);
	free(cert);
	free(key);
	cert_store_put(cs);
}

static void what_cannot_work_is_refused_with_a_sentence(void **state)
{
	struct cert_store *cs = cert_store_new();
	char *cert, *key, *cert2, *key2;

	assert_int_equal(self_signed_pem("a.example", &cert, &key), 0);
	assert_int_equal(self_signed_pem("b.example", &cert2, &key2), 0);
	assert_int_equal(add(cs, "nothing", key), -ERR_CONFIG);
	assert_non_null(strstr(why, "no certificate"));
	assert_int_equal(add(cs, cert, cert), -ERR_CONFIG);
	assert_non_null(strstr(why, "no private key"));
	assert_int_equal(add(cs, cert, key2), -ERR_CONFIG);
	assert_non_null(strstr(why, "do not belong together"));
	assert_int_equal(cert_store_add_files(cs, "/nonexistent/c.pem", "/nonexistent/k.pem", why,
					      sizeof(why)),
			 -ERR_CONFIG);
	assert_non_null(strstr(why, "/nonexistent/c.pem"));
	assert_int_equal(cert_store_count(cs), 0);
	assert_int_not_equal(self_signed_pem("a.example,DNS:b.example", &cert2, &key2), 0);
	free(cert);
	free(key);
	free(cert2);
	free(key2);
	cert_store_put(cs);
}

static void files_are_written_with_a_private_key_that_is_private(void **state)
{
	char dir[] = "/tmp/weir-cert-XXXXXX", cert[100], key[100];
	struct cert_store *cs = cert_store_new();
	struct stat st;

	assert_non_null(mkdtemp(dir));
	snprintf(cert, sizeof(cert), "%s/c.pem", dir);
	snprintf(key, sizeof(key), "%s/k.pem", dir);
	assert_int_equal(self_signed_files("node.example", cert, key), 0);
	assert_int_equal(stat(key, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(cert_store_add_files(cs, cert, key, why, sizeof(why)), 0);
	assert_int_equal(cert_store_find(cs, "node.example"), 0);
	assert_int_equal(self_signed_files("node.example", "/nonexistent/c", "/nonexistent/k"),
			 -ENOENT);
	unlink(cert);
	unlink(key);
	rmdir(dir);
	cert_store_put(cs);
}

static void a_server_without_certificates_is_refused(void **state)
{
	struct tls_server_options o = {0};

	assert_null(tls_server_conf_new(&o, why, sizeof(why)));
	assert_non_null(strstr(why, "certificate"));
}

static enum alpn_choice choose(const char *const *ours, const char *offer, unsigned len)
{
	struct alpn_list l;
	const uint8_t *out;
	uint8_t outlen;
	enum alpn_choice got;

	assert_true(alpn_list_set(&l, ours));
	got = alpn_choose(&l, (const uint8_t *)offer, len, &out, &outlen);
	if (got == ALPN_CHOSEN)
		assert_int_equal(outlen, strlen(ours[0]));
	alpn_list_done(&l);
	return got;
}

static void alpn_is_chosen_as_go_does(void **state)
{
	static const char *const both[] = {"h2", "http/1.1", NULL}, *const h2[] = {"h2", NULL},
				 *const odd[] = {"x", NULL};

	assert_int_equal(choose(both, "\x08http/1.1\x02h2", 12), ALPN_CHOSEN); /* ours decide: h2 */
	assert_int_equal(choose(h2, "\x08http/1.1", 9), ALPN_SILENT);
	assert_int_equal(choose(odd, "\x08http/1.1", 9), ALPN_NONE);
	assert_int_equal(choose(both, "\x01x", 2), ALPN_NONE);
	assert_int_equal(choose(both, "", 0), ALPN_SILENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(certificates_are_found_by_name_and_by_wildcard),
		cmocka_unit_test(a_self_signed_one_lasts_ten_years),
		cmocka_unit_test(a_key_is_read_whatever_its_label_says),
		cmocka_unit_test(what_cannot_work_is_refused_with_a_sentence),
		cmocka_unit_test(files_are_written_with_a_private_key_that_is_private),
		cmocka_unit_test(a_server_without_certificates_is_refused),
		cmocka_unit_test(alpn_is_chosen_as_go_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
