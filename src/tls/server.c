#include "tls/server.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/aead.h"
#include "crypto/ct.h"
#include "crypto/random.h"
#include "tls/server_impl.h"
#include "tls/ssl_handshake.h"
#include "tls/tls13_server.h"

int tls_server_find(const struct tls_server_conf *c, const char *name, size_t len)
{
	char lower[256];

	if (!name || len >= sizeof(lower))
		return -1;
	for (size_t i = 0; i < len; i++)
		lower[i] = (char)tolower((unsigned char)name[i]);
	lower[len] = '\0';
	return cert_store_find(c->certs, lower);
}

/* ---- what libssl asks -------------------------------------------------------------------- */

/* RFC 6066 §3.  Called without a name as well. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
	struct tls_server_conf *c = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	int i = tls_server_find(c, name, name ? strlen(name) : 0);

	if (i < 0 && c->reject_unknown_sni) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	if (i > 0 && SSL_get_SSL_CTX(ssl) != c->ctx[i])
		SSL_set_SSL_CTX(ssl, c->ctx[i]);
	return name ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
		   const unsigned char *in, unsigned inlen, void *arg)
{
	struct tls_server_conf *c = arg;

	switch (alpn_choose(&c->alpn, in, inlen, out, outlen)) {
	case ALPN_CHOSEN:
		return SSL_TLSEXT_ERR_OK;
	case ALPN_SILENT:
		return SSL_TLSEXT_ERR_NOACK;
	default:
		return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
	}
}

/* ---- building ---------------------------------------------------------------------------- */

/* The hybrid where the libssl that we run with has it: 3.0 does not, 3.5 does. */
static bool set_groups(SSL_CTX *ctx, bool *hybrid)
{
	*hybrid = SSL_CTX_set1_groups_list(ctx, "X25519MLKEM768:X25519:P-256:P-384:P-521") == 1;
	if (*hybrid)
		return true;
	ERR_clear_error();
	return SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384:P-521");
}

static bool set_suites(SSL_CTX *ctx, const struct tls_server_options *o)
{
	/* The fastest that both have.  A client that puts ChaCha20 first has no AES in hardware. */
	const char *suites = aead_has_hw_aes()
				     ? "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
				       "TLS_CHACHA20_POLY1305_SHA256"
				     : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:"
				       "TLS_AES_256_GCM_SHA384";

	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	return SSL_CTX_set_ciphersuites(ctx, suites) &&
	       (!o->ciphers || SSL_CTX_set_cipher_list(ctx, o->ciphers));
}

static bool set_versions(SSL_CTX *ctx, const struct tls_server_options *o)
{
	int min = o->min_version ? o->min_version : TLS1_2_VERSION;
	int max = o->max_version ? o->max_version : TLS1_3_VERSION;

	return SSL_CTX_set_min_proto_version(ctx, min) && SSL_CTX_set_max_proto_version(ctx, max);
}

static bool set_tickets(SSL_CTX *ctx, const struct tls_server_options *o, const uint8_t *key)
{
	static const unsigned char id[] = TLS_SESSION_CONTEXT;

	/* SSL_OP_NO_TICKET alone would make TLS 1.3 send stateful ones. */
	if (o->tickets == 0)
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	return SSL_CTX_set_num_tickets(ctx, o->tickets) &&
	       SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1) &&
	       SSL_CTX_set_tlsext_ticket_keys(ctx, (void *)key, TLS_TICKET_KEY_LEN);
}

static SSL_CTX *make_ctx(struct tls_server_conf *c, const struct tls_server_options *o,
			 const struct cert *cert, const uint8_t *ticket_key)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx)
		return NULL;
	ssl_handshake_ctx(ctx);
	if (!set_versions(ctx, o) || !set_suites(ctx, o) || !set_groups(ctx, &c->hybrid) ||
	    !set_tickets(ctx, o, ticket_key) ||
	    SSL_CTX_use_cert_and_key(ctx, cert->leaf, cert->key, cert->chain, 1) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
	SSL_CTX_set_tlsext_servername_arg(ctx, c);
	if (c->alpn.len > 0)
		SSL_CTX_set_alpn_select_cb(ctx, on_alpn, c);
	return ctx;
}

static int build(struct tls_server_conf *c, const struct tls_server_options *o, char *why,
		 size_t whylen)
{
	uint8_t key[TLS_TICKET_KEY_LEN];
	int err = 0;

	c->reject_unknown_sni = o->reject_unknown_sni;
	c->own = o->own_handshake && o->max_version != TLS1_2_VERSION;
	c->tickets = o->tickets;
	if (!o->certs || cert_store_count(o->certs) == 0) {
		snprintf(why, whylen, "TLS needs a certificate");
		return -ERR_CONFIG;
	}
	c->certs = cert_store_get(o->certs);
	c->ctx = calloc(c->certs->n, sizeof(SSL_CTX *));
	if (!c->ctx || !alpn_list_set(&c->alpn, o->alpn)) {
		snprintf(why, whylen, "no memory, or a wrong ALPN name");
		return -ERR_CONFIG;
	}
	if (o->ticket_key)
		memcpy(key, o->ticket_key, sizeof(key));
	else
		random_bytes(key, sizeof(key));
	ERR_clear_error();
	for (size_t i = 0; i < c->certs->n && !err; i++) {
		c->ctx[i] = make_ctx(c, o, &c->certs->certs[i], key);
		if (!c->ctx[i]) {
			ssl_error_text(why, whylen);
			err = -ERR_CONFIG;
		}
	}
	if (!err && c->own && tls13_server_prepare(c, key)) {
		snprintf(why, whylen, "no memory");
		err = -ERR_CONFIG;
	}
	ERR_clear_error();
	cleanse(key, sizeof(key));
	return err;
}

struct tls_server_conf *tls_server_conf_new(const struct tls_server_options *o, char *why,
					    size_t whylen)
{
	struct tls_server_conf *c = calloc(1, sizeof(*c));

	if (!c) {
		snprintf(why, whylen, "no memory");
		return NULL;
	}
	atomic_init(&c->refs, 1);
	if (build(c, o, why, whylen)) {
		tls_server_conf_put(c);
		return NULL;
	}
	return c;
}

struct tls_server_conf *tls_server_conf_get(struct tls_server_conf *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void tls_server_conf_put(struct tls_server_conf *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; c->ctx && i < c->certs->n; i++)
		SSL_CTX_free(c->ctx[i]);
	free(c->ctx);
	tls13_server_forget(c);
	alpn_list_done(&c->alpn);
	cert_store_put(c->certs);
	free(c);
}

/* ---- the stream -------------------------------------------------------------------------- */

static SSL *make_ssl(void *conf)
{
	struct tls_server_conf *c = conf;
	SSL *ssl = SSL_new(c->ctx[0]);

	if (ssl)
		SSL_set_accept_state(ssl);
	return ssl;
}

static void put_conf(void *conf)
{
	tls_server_conf_put(conf);
}

static const struct ssl_role server_role = {
	.make = make_ssl,
	.put = put_conf,
};

struct tls_handshake *tls_server_libssl(struct tls_server_conf *c)
{
	struct tls_handshake *h = ssl_handshake_new(&server_role, c);

	if (h)
		tls_server_conf_get(c);
	return h;
}

struct stream *tls_server_new(struct stream *lower, const struct tls_server_conf *conf)
{
	struct tls_server_conf *c = (struct tls_server_conf *)conf;
	struct tls_handshake *h = c->own ? tls13_server_new(c) : tls_server_libssl(c);

	if (!h) {
		stream_free(lower);
		return NULL;
	}
	return tls_layer_new(lower, h, false);
}
