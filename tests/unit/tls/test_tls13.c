/* Our own handshake beside libssl's, behind the same server: a client, a watcher and a prober see the same.
 */
#include "unit.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "base/wr.h"
#include "crypto/mlkem768.h"
#include "crypto/x25519.h"
#include "stream/pair.h"
#include "tls/layer.h"
#include "tls/self_signed.h"
#include "tls/server_impl.h"
#include "tls/tls13_offer.h"

#define SENT_MAX 60000

enum {
	KEY_P256,
	KEY_P384,
	KEY_ED25519,
	KEY_RSA,
	KEYS,
};

static struct cert_store *stores[KEYS];
static uint8_t ticket_key[TLS_TICKET_KEY_LEN];

/* ---- certificates ------------------------------------------------------------------------ */

static EVP_PKEY *make_key(int kind)
{
	switch (kind) {
	case KEY_P256:
		return EVP_EC_gen("P-256");
	case KEY_P384:
		return EVP_EC_gen("P-384");
	case KEY_ED25519:
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	default:
		return EVP_RSA_gen(2048);
	}
}

static char *text_of(BIO *b)
{
	char *p = NULL, *copy;
	long n = BIO_get_mem_data(b, &p);

	copy = strndup(p, (size_t)n);
	BIO_free(b);
	return copy;
}

static void add_cert(struct cert_store *cs, int kind, const char *name)
{
	EVP_PKEY *key = make_key(kind);
	BIO *cb = BIO_new(BIO_s_mem()), *kb = BIO_new(BIO_s_mem());
	X509 *x = X509_new();
	char *cert, *pem, why[200];

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
				   (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	assert_true(X509_sign(x, key, kind == KEY_ED25519 ? NULL : EVP_sha256()) > 0);
	PEM_write_bio_X509(cb, x);
	PEM_write_bio_PrivateKey(kb, key, NULL, NULL, 0, NULL, NULL);
	cert = text_of(cb);
	pem = text_of(kb);
	assert_int_equal(
		cert_store_add_pem(cs, cert, strlen(cert), pem, strlen(pem), why, sizeof(why)), 0);
	free(cert);
	free(pem);
	X509_free(x);
	EVP_PKEY_free(key);
}

static int make_stores(void **state)
{
	for (int i = 0; i < KEYS; i++) {
		stores[i] = cert_store_new();
		add_cert(stores[i], i, "one.example");
		add_cert(stores[i], i, "another-name.example");
	}
	for (size_t i = 0; i < sizeof(ticket_key); i++)
		ticket_key[i] = (uint8_t)(i * 7 + 1);
	return 0;
}

static int drop_stores(void **state)
{
	for (int i = 0; i < KEYS; i++)
		cert_store_put(stores[i]);
	return 0;
}

/* ---- the server, and what it sends ------------------------------------------------------- */

struct host {
	struct loop *l;
	struct stream *far, *s;
	struct tls_server_conf *conf;
	struct waiter w;
	struct bufq echo;
	uint8_t sent[SENT_MAX];
	size_t len;
	int err;
	bool open;
	char sni[64], alpn[16];
};

struct options {
	int key;
	unsigned tickets;
	bool strict; /* reject_unknown_sni */
	const char *const *alpn;
};

static void host_step(struct waiter *w)
{
	struct host *h = container_of(w, struct host, w);
	union stream_value v;
	ssize_t n = 0;

	h->err = stream_open(h->s);
	if (h->err == -EAGAIN) {
		stream_want(h->s, STREAM_RD | STREAM_WR, w);
		return;
	}
	if (h->err)
		return;
	if (!h->open && !stream_query(h->s, STREAM_SNI, &v))
		snprintf(h->sni, sizeof(h->sni), "%s", v.text);
	if (!h->open && !stream_query(h->s, STREAM_ALPN, &v))
		snprintf(h->alpn, sizeof(h->alpn), "%s", v.text);
	h->open = true;
	while ((n = stream_pull(h->s, &h->echo, 10000)) > 0)
		assert_true(stream_push(h->s, &h->echo) > 0);
	if (n == -EAGAIN)
		stream_want(h->s, STREAM_RD, w);
}

static void host_settle(struct host *h)
{
	struct bufq q;

	bufq_init(&q, loop_pool(h->l), SIZE_MAX);
	do {
		while (loop_turn(h->l, 0) > 0)
			;
		h->len += bufq_take(&q, h->sent + h->len, SENT_MAX - h->len);
	} while (stream_pull(h->far, &q, SENT_MAX) > 0);
}

static void host_open(struct host *h, const struct options *o, bool own)
{
	struct tls_server_options so = {.certs = stores[o->key],
					.tickets = o->tickets,
					.reject_unknown_sni = o->strict,
					.alpn = o->alpn,
					.ticket_key = ticket_key,
					.own_handshake = own};
	struct stream *near;
	char why[200];

	/* not a virtual one: libssl has the real time, by which tickets end */
	*h = (struct host){.l = loop_new(LOOP_EPOLL, 0)};
	h->conf = tls_server_conf_new(&so, why, sizeof(why));
	assert_non_null(h->conf);
	assert_int_equal(pair_new(h->l, 100000, &h->far, &near), 0);
	h->s = tls_server_new(near, h->conf);
	bufq_init(&h->echo, loop_pool(h->l), SIZE_MAX);
	waiter_init(&h->w, host_step);
	loop_queue(h->l, &h->w);
	host_settle(h);
}

static void host_feed(struct host *h, const void *p, size_t len)
{
	struct bufq q;

	bufq_init(&q, loop_pool(h->l), SIZE_MAX);
	assert_int_equal(bufq_append(&q, p, len), 0);
	while (!bufq_empty(&q) && stream_push(h->far, &q) > 0)
		host_settle(h);
	bufq_done(&q);
	host_settle(h);
}

/* Whether libssl has seen any hello of this host's. */
static bool by_libssl(const struct host *h)
{
	long n = 0;

	for (size_t i = 0; i < h->conf->certs->n; i++)
		n += SSL_CTX_sess_accept(h->conf->ctx[i]);
	return n > 0;
}

static void host_close(struct host *h)
{
	waiter_cancel(&h->w);
	stream_free(h->s);
	stream_free(h->far);
	bufq_done(&h->echo);
	while (loop_turn(h->l, 0) > 0)
		;
	assert_int_equal(loop_pool(h->l)->nused, 0);
	tls_server_conf_put(h->conf);
	loop_free(h->l);
}

/* ---- a client ---------------------------------------------------------------------------- */

struct client {
	const char *suites, *groups, *sni, *sigalgs;
	bool alpn, old; /* old: TLS 1.2 */
};

static SSL_SESSION *session; /* the last that came, and what the next client brings */

static int on_session(SSL *ssl, SSL_SESSION *s)
{
	SSL_SESSION_free(session);
	session = s;
	return 1;
}

static SSL *client_new(const struct client *c, SSL_CTX **ctx)
{
	SSL *ssl;

	*ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_session_cache_mode(*ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(*ctx, on_session);
	if (c->suites)
		assert_int_equal(SSL_CTX_set_ciphersuites(*ctx, c->suites), 1);
	/* by itself a newer libssl lists the hybrid, whose hellos are libssl's */
	assert_int_equal(
		SSL_CTX_set1_groups_list(*ctx, c->groups ? c->groups : "X25519:P-256:P-384"), 1);
	if (c->sigalgs)
		assert_int_equal(SSL_CTX_set1_sigalgs_list(*ctx, c->sigalgs), 1);
	if (c->alpn)
		assert_int_equal(
			SSL_CTX_set_alpn_protos(*ctx, (const unsigned char *)"\2h2\x8http/1.1", 12),
			0);
	if (c->old)
		SSL_CTX_set_max_proto_version(*ctx, TLS1_2_VERSION);
	ssl = SSL_new(*ctx);
	if (c->sni)
		SSL_set_tlsext_host_name(ssl, c->sni);
	SSL_set_connect_state(ssl);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	return ssl;
}

static void client_free(SSL *ssl, SSL_CTX *ctx)
{
	SSL_set_quiet_shutdown(ssl, 1);
	SSL_shutdown(ssl);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

/* What the client has to say goes there, and what comes back to it. */
static void exchange(struct host *h, SSL *ssl, size_t *seen)
{
	uint8_t buf[20000];
	int n;

	while ((n = BIO_read(SSL_get_wbio(ssl), buf, sizeof(buf))) > 0)
		host_feed(h, buf, (size_t)n);
	if (h->len > *seen)
		BIO_write(SSL_get_rbio(ssl), h->sent + *seen, (int)(h->len - *seen));
	*seen = h->len;
}

/* A handshake, five bytes there and back.  Was it resumed?  -1: it failed. */
static int talk(struct host *h, const struct client *c)
{
	SSL_CTX *ctx;
	SSL *ssl = client_new(c, &ctx);
	size_t seen = 0;
	char got[10];
	int done = 0, reused = -1;

	if (session)
		SSL_set_session(ssl, session);
	for (int i = 0; i < 6 && done != 1; i++) {
		done = SSL_do_handshake(ssl);
		exchange(h, ssl, &seen);
	}
	if (done == 1) {
		assert_int_equal(SSL_write(ssl, "hello", 5), 5);
		exchange(h, ssl, &seen);
		assert_int_equal(SSL_read(ssl, got, sizeof(got)), 5);
		assert_memory_equal(got, "hello", 5);
		reused = SSL_session_reused(ssl);
	}
	ERR_clear_error();
	client_free(ssl, ctx);
	return reused;
}

static void forget_session(void)
{
	SSL_SESSION_free(session);
	session = NULL;
}

/* ---- the same shape ---------------------------------------------------------------------- */

/* Types and lengths of records; of what is in clear the rest too, but for the bytes of a ServerHello. */
static void shape(const struct host *h, char *out, size_t cap)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t at = 0; at + 5 <= h->len && n < cap;) {
		const uint8_t *r = h->sent + at;
		size_t len = (size_t)(r[3] << 8 | r[4]);

		n += (size_t)snprintf(out + n, cap - n, " %u/%02x%02x/%zu", r[0], r[1], r[2], len);
		if (r[0] == 21 && n < cap)
			n += (size_t)snprintf(out + n, cap - n, "=%u,%u", r[5], r[6]);
		at += 5 + len;
	}
}

/* An ECDSA signature is 70 to 72 bytes long, or a little less, as chance will have it. */
static void same_shape(const struct host *a, const struct host *b, bool by_chance)
{
	char x[4000], y[4000];

	shape(a, x, sizeof(x));
	shape(b, y, sizeof(y));
	if (!by_chance)
		assert_string_equal(x, y);
	for (size_t at = 0, to = 0; by_chance && at + 5 <= a->len;) {
		const uint8_t *p = a->sent + at, *q = b->sent + to;
		size_t m = (size_t)(p[3] << 8 | p[4]), n = (size_t)(q[3] << 8 | q[4]);

		assert_true(to + 5 <= b->len);
		assert_int_equal(p[0], q[0]);
		assert_true((m > n ? m - n : n - m) <= (m > 90 && m < 140 ? 6 : 0));
		at += 5 + m;
		to += 5 + n;
	}
}

static const char *const both[] = {"h2", "http/1.1", NULL};

static void a_watcher_sees_the_records_that_libssl_sends(void **state)
{
	static const struct client clients[] = {
		{.sni = "one.example", .alpn = true},
		{.sni = "another-name.example", .alpn = true},
		{.alpn = true},
		{.sni = "nobody.example"},
		{.suites = "TLS_AES_256_GCM_SHA384", .sni = "One.Example"},
		{.suites = "TLS_CHACHA20_POLY1305_SHA256", .alpn = true},
		{.suites = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"},
		{.groups = "X25519:P-256", .alpn = true},
	};

	for (size_t i = 0; i < ARRAY_LEN(clients) * KEYS * 3; i++) {
		const struct client *c = &clients[i % ARRAY_LEN(clients)];
		struct options o = {.key = (int)(i / ARRAY_LEN(clients) % KEYS),
				    .tickets = (unsigned)(i / ARRAY_LEN(clients) / KEYS),
				    .alpn = both};
		static struct host a, b;

		host_open(&a, &o, false);
		host_open(&b, &o, true);
		assert_int_equal(talk(&a, c), 0);
		forget_session();
		assert_int_equal(talk(&b, c), 0);
		forget_session();
		assert_true(by_libssl(&a));
		assert_false(by_libssl(&b));
		same_shape(&a, &b, o.key == KEY_P256 || o.key == KEY_P384);
		assert_string_equal(a.sni, b.sni);
		assert_string_equal(a.alpn, b.alpn);
		host_close(&a);
		host_close(&b);
	}
}

static void what_is_not_for_us_is_served_by_libssl(void **state)
{
	static const struct client clients[] = {
		{.old = true},
		{.groups = "P-256:X25519"},
		{.groups = "P-384"},
		{.sigalgs = "RSA-PSS+SHA256:RSA+SHA256"}, /* no common one: an alert */
	};

	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		struct options o = {.key = KEY_ED25519, .tickets = 2, .alpn = both};
		static struct host a, b;
		int a_result;

		host_open(&a, &o, false);
		host_open(&b, &o, true);
		a_result = talk(&a, &clients[i]);
		forget_session();
		assert_int_equal(talk(&b, &clients[i]), a_result);
		assert_true(by_libssl(&b));
		same_shape(&a, &b, false);
		host_close(&a);
		host_close(&b);
		forget_session();
	}
}

static void a_name_that_nobody_has_is_refused_where_asked(void **state)
{
	static const struct client stranger = {.sni = "nobody.example"},
				   friend = {.sni = "One.example"};
	struct options o = {.key = KEY_ED25519, .strict = true};
	static struct host h;

	host_open(&h, &o, true);
	assert_int_equal(talk(&h, &stranger), -1);
	assert_int_equal(h.sent[6], TLS_UNRECOGNIZED_NAME);
	host_close(&h);
	host_open(&h, &o, true);
	assert_int_equal(talk(&h, &friend), 0);
	assert_false(by_libssl(&h));
	host_close(&h);
}

static void libssl_takes_up_what_our_tickets_hold(void **state)
{
	static const struct client clients[] = {
		{.sni = "one.example", .alpn = true},
		{.suites = "TLS_AES_256_GCM_SHA384"},
		{.suites = "TLS_CHACHA20_POLY1305_SHA256", .sni = "another-name.example"},
	};

	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		struct options o = {.key = KEY_P256, .tickets = 2, .alpn = both};
		static struct host h;

		host_open(&h, &o, true);
		assert_int_equal(talk(&h, &clients[i]), 0);
		assert_false(by_libssl(&h));
		host_close(&h);
		assert_non_null(session);
		host_open(&h, &o, true);
		assert_int_equal(talk(&h, &clients[i]), 1);
		assert_true(by_libssl(&h));
		host_close(&h);
		forget_session();
	}
}

/* ---- bent hellos ------------------------------------------------------------------------- */

static size_t make_hello(uint8_t *out, size_t cap, const struct client *c)
{
	SSL_CTX *ctx;
	SSL *ssl = client_new(c, &ctx);
	int n;

	(void)SSL_do_handshake(ssl);
	n = BIO_read(SSL_get_wbio(ssl), out, (int)cap);
	ERR_clear_error();
	client_free(ssl, ctx);
	return (size_t)n;
}

static void same_answer(const uint8_t *hello, size_t len, size_t piece)
{
	struct options o = {.key = KEY_ED25519, .tickets = 2, .alpn = both};
	static struct host a, b;

	host_open(&a, &o, false);
	host_open(&b, &o, true);
	host_feed(&a, hello, len);
	for (size_t at = 0; at < len; at += piece)
		host_feed(&b, hello + at, MIN(piece, len - at));
	same_shape(&a, &b, false);
	assert_int_equal(a.err, b.err);
	host_close(&a);
	host_close(&b);
}

static void a_prober_gets_the_answer_of_libssl_whatever_byte_is_wrong(void **state)
{
	static const struct client c = {.sni = "one.example", .alpn = true, .groups = "X25519"};
	static const uint8_t bends[] = {0x01, 0x80, 0xff};
	uint8_t hello[2000];
	size_t len = make_hello(hello, sizeof(hello), &c);

	for (size_t i = 0; i < len; i++) {
		for (size_t k = 0; k < ARRAY_LEN(bends); k++) {
			hello[i] ^= bends[k];
			same_answer(hello, len, len);
			hello[i] ^= bends[k];
		}
	}
}

static void a_prober_gets_the_answer_of_libssl_to_every_prefix(void **state)
{
	static const struct client c = {.sni = "one.example", .alpn = true};
	uint8_t hello[2000];
	size_t len = make_hello(hello, sizeof(hello), &c);

	for (size_t i = 1; i <= len; i++)
		same_answer(hello, i, i);
	same_answer(hello, len, 1);
	same_answer(hello, len, 7);
}

/* ---- a browser's ------------------------------------------------------------------------- */

static void put_ext(struct wr *w, uint16_t type, const void *p, size_t len)
{
	wr_be16(w, type);
	wr_be16(w, (uint16_t)len);
	wr_bytes(w, p, len);
}

/* GREASE, both shares, an extension that nobody knows: as Chrome sends it, in a record. */
static size_t browser_hello(uint8_t *out, size_t cap)
{
	static const uint8_t groups[] = {0, 8, 0x2a, 0x2a, 0x11, 0xec, 0, 29, 0, 23};
	static const uint8_t sigalgs[] = {0, 6, 4, 3, 8, 4, 8, 7},
			     versions[] = {4, 0x1a, 0x1a, 3, 4};
	uint8_t shares[1400] = {0}, pub[32], priv[32], seed[MLKEM768_SEED] = {7};
	struct wr s = wr_of(shares, sizeof(shares)), w = wr_of(out, cap);
	static struct mlkem768_key k;
	uint8_t *room;

	assert_int_equal(x25519_keygen(priv, pub), 0);
	wr_be16(&s, 5 + 4 + MLKEM768_PUB + 32 + 4 + 32);
	wr_bytes(&s, "\x2a\x2a\0\1\0", 5);
	wr_be16(&s, 0x11ec);
	wr_be16(&s, MLKEM768_PUB + 32);
	room = wr_room(&s, MLKEM768_PUB);
	mlkem768_key_set(&k, seed);
	memcpy(room, k.pub, MLKEM768_PUB);
	wr_bytes(&s, pub, 32);
	wr_be16(&s, 29);
	wr_be16(&s, 32);
	wr_bytes(&s, pub, 32);

	wr_bytes(&w, "\x16\3\1\0\0\1\0\0\0\3\3", 11);
	wr_bytes(&w, seed, 32);
	wr_u8(&w, 32);
	wr_bytes(&w, pub, 32);
	wr_bytes(&w, "\0\6\x5a\x5a\x13\1\xc0\x2b\1\0", 10);
	room = wr_room(&w, 2);
	put_ext(&w, 0x3a3a, "", 0);
	put_ext(&w, 10, groups, sizeof(groups));
	put_ext(&w, 13, sigalgs, sizeof(sigalgs));
	put_ext(&w, 16, "\0\x0c\2h2\x8http/1.1", 14);
	put_ext(&w, 5, "\1\0\0\0", 5);
	put_ext(&w, 18, "", 0);
	put_ext(&w, 51, shares, s.len);
	put_ext(&w, 45, "\1\1", 2);
	put_ext(&w, 43, versions, sizeof(versions));
	put_ext(&w, 27, "\2\0\2", 3);
	put_ext(&w, 0x1a1a, "", 1);
	assert_int_equal(w.err, 0);
	out[3] = (uint8_t)((w.len - 5) >> 8);
	out[4] = (uint8_t)(w.len - 5);
	out[7] = (uint8_t)((w.len - 9) >> 8);
	out[8] = (uint8_t)(w.len - 9);
	room[0] = (uint8_t)((w.len - (size_t)(room + 2 - out)) >> 8);
	room[1] = (uint8_t)(w.len - (size_t)(room + 2 - out));
	return w.len;
}

/* The same hello in two records. */
static size_t split_hello(const uint8_t *hello, size_t len, uint8_t *out)
{
	const size_t first = 100, rest = len - 5 - first;

	memcpy(out, hello, 5 + first);
	out[3] = 0;
	out[4] = (uint8_t)first;
	memcpy(out + 5 + first, hello, 3);
	out[8 + first] = (uint8_t)(rest >> 8);
	out[9 + first] = (uint8_t)rest;
	memcpy(out + 10 + first, hello + 5 + first, rest);
	return len + 5;
}

static uint16_t group_of(const struct host *h)
{
	const uint8_t *p = h->sent + 5 + 4 + 2 + 32;

	assert_int_equal(h->sent[0], 22);
	p += 1 + p[0] + 2 + 1 + 2 + 6; /* session id, suite, compression; the version comes first */
	assert_int_equal(p[0] << 8 | p[1], 51);
	return (uint16_t)(p[4] << 8 | p[5]);
}

/* Whole or in two records, who answers must not show by the group. */
static void a_browser_gets_the_group_that_libssl_gives_him(void **state)
{
	struct options o = {.key = KEY_ED25519, .tickets = 2, .alpn = both};
	uint8_t whole[3000], split[3000];
	const size_t len = browser_hello(whole, sizeof(whole));
	const size_t splitlen = split_hello(whole, len, split);
	static struct host a, b, c;

	host_open(&a, &o, false);
	host_open(&b, &o, true);
	host_open(&c, &o, true);
	host_feed(&a, whole, len);
	host_feed(&b, whole, len);
	host_feed(&c, split, splitlen);
	assert_int_equal(by_libssl(&b), b.conf->hybrid);
	assert_true(by_libssl(&c));
	assert_int_equal(group_of(&a), a.conf->hybrid ? 0x11ec : 29);
	assert_int_equal(group_of(&b), group_of(&a));
	assert_int_equal(group_of(&c), group_of(&a));
	same_shape(&a, &b, false);
	same_shape(&a, &c, false);
	host_close(&a);
	host_close(&b);
	host_close(&c);
}

static void where_libssl_has_the_hybrid_who_lists_it_is_libssl_s(void **state)
{
	static const struct client plain = {.groups = "X25519:P-256"};
	static uint8_t scratch[LOOP_SCRATCH];
	uint8_t hello[3000];
	struct tls13_offer offer;
	struct tls_hello h;
	struct rd in;

	in = rd_of(hello, browser_hello(hello, sizeof(hello)));
	assert_int_equal(tls_hello_read(&in, scratch, &h), 0);
	assert_int_equal(tls13_offer_read(&h, true, true, &offer), -ERR_UNSUPPORTED);
	assert_int_equal(tls13_offer_read(&h, true, false, &offer), 0);
	in = rd_of(hello, make_hello(hello, sizeof(hello), &plain));
	assert_int_equal(tls_hello_read(&in, scratch, &h), 0);
	assert_int_equal(tls13_offer_read(&h, true, true, &offer), 0);
}

static uint16_t suite_of(const struct host *h)
{
	const uint8_t *p = h->sent + 5 + 4 + 2 + 32;

	assert_int_equal(h->sent[0], 22);
	p += 1 + p[0];
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* Whether ChaCha20 comes first hangs on the first number that libssl knows. */
static void whatever_comes_first_the_suite_is_libssl_s(void **state)
{
	static const struct client c = {.groups = "X25519",
					.suites = "TLS_CHACHA20_POLY1305_SHA256:"
						  "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"};
	/* GREASE, nobody's, IANA's that libssl lacks, AES, an SCSV, ChaCha20 */
	static const uint16_t firsts[] = {0x2a2a, 0xfefe, 0x1306, 0x1304, 0xc0b0, 0xc02f, 0x00ff,
					  0x009c, 0xcca9, 0x0001, 0xc0ac, 0x1301, 0xccae, 0x5600};
	struct options o = {.key = KEY_ED25519, .tickets = 2, .alpn = both};
	uint8_t hello[2000];
	size_t len = make_hello(hello, sizeof(hello), &c);
	uint8_t *ciphers = hello + 5 + 4 + 2 + 32 + 1 + hello[43] + 2;

	assert_int_equal(ciphers[0] << 8 | ciphers[1], 0x1303);
	for (size_t i = 0; i < ARRAY_LEN(firsts) * 2; i++) {
		static struct host a, b;

		/* that number, ChaCha20, AES; AES-256 makes room */
		memcpy(ciphers, "\x13\3\x13\1\x13\2", 6);
		memmove(ciphers + 2, ciphers, 4);
		ciphers[0] = (uint8_t)(firsts[i / 2] >> 8);
		ciphers[1] = (uint8_t)firsts[i / 2];
		if (i % 2) /* AES before ChaCha20 */
			memcpy(ciphers + 2, "\x13\1\x13\3", 4);
		host_open(&a, &o, false);
		host_open(&b, &o, true);
		host_feed(&a, hello, len);
		host_feed(&b, hello, len);
		same_shape(&a, &b, false);
		if (a.sent[0] == 22)
			assert_int_equal(suite_of(&b), suite_of(&a));
		host_close(&a);
		host_close(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_watcher_sees_the_records_that_libssl_sends),
		cmocka_unit_test(what_is_not_for_us_is_served_by_libssl),
		cmocka_unit_test(a_name_that_nobody_has_is_refused_where_asked),
		cmocka_unit_test(libssl_takes_up_what_our_tickets_hold),
		cmocka_unit_test(a_prober_gets_the_answer_of_libssl_whatever_byte_is_wrong),
		cmocka_unit_test(a_prober_gets_the_answer_of_libssl_to_every_prefix),
		cmocka_unit_test(a_browser_gets_the_group_that_libssl_gives_him),
		cmocka_unit_test(whatever_comes_first_the_suite_is_libssl_s),
		cmocka_unit_test(where_libssl_has_the_hybrid_who_lists_it_is_libssl_s),
	};

	return cmocka_run_group_tests(tests, make_stores, drop_stores);
}
