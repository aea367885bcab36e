#include "tls/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "tls/alpn.h"
#include "tls/ssl_handshake.h"

struct tls_client_conf {
	atomic_uint refs;
	SSL_CTX *ctx;
	char *server_name;
	bool name_is_ip;
	enum tls_verify verify;
	uint8_t (*pins)[32];
	size_t npins;
};

static bool is_ip(const char *name)
{
	uint8_t ip[16];

	return inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
}

/* In place of libssl's own verification. */
static int verify_pin(X509_STORE_CTX *store, void *arg)
{
	const struct tls_client_conf *c = arg;
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	uint8_t got[32];
	unsigned len = 0;

	if (c->verify == TLS_VERIFY_NONE)
		return 1;
	if (leaf && X509_digest(leaf, EVP_sha256(), got, &len) && len == sizeof(got)) {
		for (size_t i = 0; i < c->npins; i++) {
			if (ct_equal(got, c->pins[i], sizeof(got)))
				return 1;
		}
	}
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}

static bool set_verification(struct tls_client_conf *c, const struct tls_client_options *o)
{
	c->verify = o->verify;
	if (o->npins > 0) {
		c->pins = malloc(o->npins * sizeof(*c->pins));
		if (!c->pins)
			return false;
		memcpy(c->pins, o->pins, o->npins * sizeof(*c->pins));
		c->npins = o->npins;
	}
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
	if (o->verify != TLS_VERIFY_CA) {
		SSL_CTX_set_cert_verify_callback(c->ctx, verify_pin, c);
		return true;
	}
	return o->ca_file ? SSL_CTX_load_verify_file(c->ctx, o->ca_file)
			  : SSL_CTX_set_default_verify_paths(c->ctx);
}

static bool build(struct tls_client_conf *c, const struct tls_client_options *o)
{
	struct alpn_list alpn;
	bool ok;

	if (o->server_name) {
		c->server_name = strdup(o->server_name);
		if (!c->server_name)
			return false;
		c->name_is_ip = is_ip(o->server_name);
	}
	c->ctx = SSL_CTX_new(TLS_client_method());
	if (!c->ctx)
		return false;
	ssl_handshake_ctx(c->ctx);
	if (!alpn_list_set(&alpn, o->alpn))
		return false;
	ok = !alpn.len || SSL_CTX_set_alpn_protos(c->ctx, alpn.wire, alpn.len) == 0;
	alpn_list_done(&alpn);
	ok = ok && (!o->suites || SSL_CTX_set_ciphersuites(c->ctx, o->suites));
	return ok &&
	       SSL_CTX_set_min_proto_version(c->ctx,
					     o->min_version ? o->min_version : TLS1_2_VERSION) &&
	       SSL_CTX_set_max_proto_version(c->ctx,
					     o->max_version ? o->max_version : TLS1_3_VERSION) &&
	       set_verification(c, o);
}

struct tls_client_conf *tls_client_conf_new(const struct tls_client_options *o, char *why,
					    size_t whylen)
{
	struct tls_client_conf *c = calloc(1, sizeof(*c));

	if (!c) {
		snprintf(why, whylen, "no memory");
		return NULL;
	}
	atomic_init(&c->refs, 1);
	ERR_clear_error();
	if (!build(c, o)) {
		ssl_error_text(why, whylen);
		ERR_clear_error();
		tls_client_conf_put(c);
		return NULL;
	}
	return c;
}

struct tls_client_conf *tls_client_conf_get(struct tls_client_conf *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void tls_client_conf_put(struct tls_client_conf *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(c->ctx);
	free(c->server_name);
	free(c->pins);
	free(c);
}

/* The name that must be in the certificate. */
static bool expect_name(const struct tls_client_conf *c, SSL *ssl)
{
	if (c->verify != TLS_VERIFY_CA || !c->server_name)
		return true;
	if (c->name_is_ip)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), c->server_name);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, c->server_name);
}

static SSL *make_ssl(void *conf)
{
	struct tls_client_conf *c = conf;
	SSL *ssl = SSL_new(c->ctx);

	if (!ssl)
		return NULL;
	SSL_set_connect_state(ssl);
	if (!expect_name(c, ssl) ||
	    (c->server_name && !c->name_is_ip && !SSL_set_tlsext_host_name(ssl, c->server_name))) {
		SSL_free(ssl);
		return NULL;
	}
	return ssl;
}

static void put_conf(void *conf)
{
	tls_client_conf_put(conf);
}

static const struct ssl_role client_role = {
	.make = make_ssl,
	.put = put_conf,
	.client = true,
};

struct stream *tls_client_new(struct stream *lower, const struct tls_client_conf *conf)
{
	struct tls_client_conf *c = (struct tls_client_conf *)conf;
	struct tls_handshake *h = ssl_handshake_new(&client_role, c);

	if (!h) {
		stream_free(lower);
		return NULL;
	}
	tls_client_conf_get(c);
	return tls_layer_new(lower, h, true);
}
