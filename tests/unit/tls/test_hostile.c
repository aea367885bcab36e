/* What a peer may send after the handshake, good and bad, given to our server and to libssl's: both
 * must answer alike, alert by alert.
 */
#include "unit.h"

#include <openssl/ssl.h>
#include <stdio.h>

#include "crypto/aead.h"
#include "stream/pair.h"
#include "tls/layer.h"
#include "tls/self_signed.h"
#include "tls/server_impl.h"

static char *cert_pem, *key_pem;

/* ---- the two servers, each an echo ------------------------------------------------------- */

struct victim {
	void (*feed)(struct victim *v, const uint8_t *p, size_t len);
	size_t (*drain)(struct victim *v, uint8_t *out, size_t cap);
	void (*free)(struct victim *v);
	bool handed_over; /* ours: in our records */
	bool by_libssl;	  /* ours: libssl has seen the hello */
	unsigned fragment;
};

struct libssl_victim {
	struct victim v;
	SSL_CTX *ctx;
	SSL *ssl;
	bool dead;
};

static void libssl_feed(struct victim *base, const uint8_t *p, size_t len)
{
	struct libssl_victim *v = container_of(base, struct libssl_victim, v);
	uint8_t buf[16384];
	int n;

	BIO_write(SSL_get_rbio(v->ssl), p, (int)len);
	while (!v->dead && (n = SSL_read(v->ssl, buf, sizeof(buf))) != 0) {
		if (n > 0) {
			SSL_write(v->ssl, buf, n);
		} else {
			v->dead = SSL_get_error(v->ssl, n) != SSL_ERROR_WANT_READ;
			break;
		}
	}
	if (SSL_get_shutdown(v->ssl) & SSL_RECEIVED_SHUTDOWN && !v->dead)
		SSL_shutdown(v->ssl);
}

static size_t libssl_drain(struct victim *base, uint8_t *out, size_t cap)
{
	struct libssl_victim *v = container_of(base, struct libssl_victim, v);
	int n = BIO_read(SSL_get_wbio(v->ssl), out, (int)cap);

	return n > 0 ? (size_t)n : 0;
}

static void libssl_free(struct victim *base)
{
	struct libssl_victim *v = container_of(base, struct libssl_victim, v);

	SSL_free(v->ssl);
	SSL_CTX_free(v->ctx);
	free(v);
}

static struct victim *libssl_victim(void)
{
	struct libssl_victim *v = calloc(1, sizeof(*v));
	BIO *cb = BIO_new_mem_buf(cert_pem, -1), *kb = BIO_new_mem_buf(key_pem, -1);
	X509 *x = PEM_read_bio_X509(cb, NULL, NULL, NULL);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(kb, NULL, NULL, NULL);

	v->v = (struct victim){libssl_feed, libssl_drain, libssl_free};
	v->ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(v->ctx, x);
	SSL_CTX_use_PrivateKey(v->ctx, k);
	SSL_CTX_set1_groups_list(v->ctx, "X25519:P-256");
	X509_free(x);
	EVP_PKEY_free(k);
	BIO_free(cb);
	BIO_free(kb);
	v->ssl = SSL_new(v->ctx);
	SSL_set_accept_state(v->ssl);
	SSL_set_bio(v->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	return &v->v;
}

/* Ours shakes hands with libssl or by itself. */
static bool own;

struct our_victim {
	struct victim v;
	struct tls_server_conf *conf;
	struct loop *l;
	struct stream *far, *s;
	struct bufq echo;
	struct waiter w;
	bool dead;
};

static void our_step(struct waiter *w)
{
	struct our_victim *v = container_of(w, struct our_victim, w);
	int err = stream_open(v->s);
	ssize_t n = 0;

	if (err == -EAGAIN) {
		stream_want(v->s, STREAM_RD | STREAM_WR, w);
		return;
	}
	if (!err) {
		while ((n = stream_pull(v->s, &v->echo, 100000)) > 0) {
			while (!bufq_empty(&v->echo) && stream_push(v->s, &v->echo) > 0)
				;
		}
	}
	if (!err && n == -EAGAIN) {
		stream_want(v->s, STREAM_RD, w);
		return;
	}
	if (!err && n == 0)
		(void)stream_shut(v->s);
	v->dead = true;
}

static void our_settle(struct our_victim *v)
{
	while (loop_turn(v->l, 0) > 0)
		;
	v->v.handed_over = container_of(v->s, struct tls, base)->state == TLS_STATE_RECORDS;
	v->v.by_libssl = SSL_CTX_sess_accept(v->conf->ctx[0]) > 0;
	v->v.fragment = container_of(v->s, struct tls, base)->rec.fragment;
}

static void our_feed(struct victim *base, const uint8_t *p, size_t len)
{
	struct our_victim *v = container_of(base, struct our_victim, v);
	struct bufq q;

	bufq_init(&q, loop_pool(v->l), SIZE_MAX);
	assert_int_equal(bufq_append(&q, p, len), 0);
	while (!bufq_empty(&q)) {
		if (stream_push(v->far, &q) < 0)
			bufq_done(&q);
		our_settle(v);
	}
	our_settle(v);
}

static size_t our_drain(struct victim *base, uint8_t *out, size_t cap)
{
	struct our_victim *v = container_of(base, struct our_victim, v);
	struct bufq q;
	size_t n = 0;

	bufq_init(&q, loop_pool(v->l), SIZE_MAX);
	while (n < cap && stream_pull(v->far, &q, cap - n) > 0) {
		n += bufq_take(&q, out + n, cap - n);
		our_settle(v);
	}
	return n;
}

static void our_free(struct victim *base)
{
	struct our_victim *v = container_of(base, struct our_victim, v);

	waiter_cancel(&v->w);
	stream_free(v->s);
	tls_server_conf_put(v->conf);
	stream_free(v->far);
	bufq_done(&v->echo);
	while (loop_turn(v->l, 0) > 0)
		;
	assert_int_equal(loop_pool(v->l)->nused, 0);
	loop_free(v->l);
	free(v);
}

static struct victim *our_victim(void)
{
	struct our_victim *v = calloc(1, sizeof(*v));
	struct cert_store *cs = cert_store_new();
	struct tls_server_options o = {.certs = cs, .tickets = 2, .own_handshake = own};
	struct stream *near;
	char why[200];

	assert_int_equal(cert_store_add_pem(cs, cert_pem, strlen(cert_pem), key_pem,
					    strlen(key_pem), why, sizeof(why)),
			 0);
	v->conf = tls_server_conf_new(&o, why, sizeof(why));
	assert_non_null(v->conf);
	cert_store_put(cs);
	v->v = (struct victim){our_feed, our_drain, our_free};
	v->l = loop_new(LOOP_VIRTUAL, 1);
	assert_int_equal(pair_new(v->l, 100000, &v->far, &near), 0);
	v->s = tls_server_new(near, v->conf);
	bufq_init(&v->echo, loop_pool(v->l), SIZE_MAX);
	waiter_init(&v->w, our_step);
	loop_queue(v->l, &v->w);
	our_settle(v);
	return &v->v;
}

/* ---- the client: libssl shakes hands, then every byte is ours ---------------------------- */

struct forger {
	struct victim *v;
	SSL_CTX *ctx;
	SSL *ssl;
	struct tls_dir in, out;
	uint8_t secret[3][48]; /* client's, server's, client's of the handshake */
	uint8_t wire[200000], got[200000];
	size_t len, gotlen;
};

static void on_keylog(const SSL *ssl, const char *line)
{
	struct forger *f = SSL_get_app_data(ssl);
	int which = !strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24)	     ? 0
		    : !strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24)	     ? 1
		    : !strncmp(line, "CLIENT_HANDSHAKE_TRAFFIC_SECRET ", 32) ? 2
									     : -1;
	const char *hex = which >= 0 ? strchr(strchr(line, ' ') + 1, ' ') + 1 : "";

	for (int i = 0; *hex; i++, hex += 2) {
		unsigned v;

		sscanf(hex, "%2x", &v);
		f->secret[which][i] = (uint8_t)v;
	}
}

static void forge(struct forger *f, uint8_t type, const void *p, size_t len, size_t pad)
{
	uint8_t *rec = f->wire + f->len, nonce[12];
	size_t inner = len + 1 + pad, n = inner + 16;

	memcpy(rec, (uint8_t[]){23, 3, 3, (uint8_t)(n >> 8), (uint8_t)n}, 5);
	if (len)
		memcpy(rec + 5, p, len);
	rec[5 + len] = type;
	memset(rec + 6 + len, 0, pad);
	memcpy(nonce, f->out.iv, 12);
	for (int i = 0; i < 8; i++)
		nonce[4 + i] ^= (uint8_t)(f->out.seq >> (56 - 8 * i));
	f->out.seq++;
	assert_int_equal(aead_seal(&f->out.key, nonce, rec, 5, rec + 5, inner, rec + 5), 0);
	f->len += 5 + n;
}

static void forge_plain(struct forger *f, const void *bytes, size_t len)
{
	memcpy(f->wire + f->len, bytes, len);
	f->len += len;
}

static void rekey(struct forger *f)
{
	assert_int_equal(tls_dir_update(&f->out), 0);
}

static void collect(struct forger *f)
{
	size_t n;

	while ((n = f->v->drain(f->v, f->got + f->gotlen, sizeof(f->got) - f->gotlen)) > 0)
		f->gotlen += n;
}

/* `piece` bytes at a time; 0: all at once. */
static void go(struct forger *f, size_t piece)
{
	if (piece == 0)
		piece = f->len;
	for (size_t i = 0; i < f->len; i += piece) {
		f->v->feed(f->v, f->wire + i, MIN(piece, f->len - i));
		collect(f);
	}
	f->len = 0;
}

struct setup {
	const char *suite, *groups;
	uint8_t fragment;
	bool hold_finished; /* the last flight waits for what is forged next */
	bool libssl_alone;  /* our own handshake leaves it to libssl */
};

static void forger_open(struct forger *f, struct victim *v, const struct setup *s)
{
	uint8_t buf[20000];
	int done, n;
	uint16_t id;

	*f = (struct forger){.v = v};
	f->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_keylog_callback(f->ctx, on_keylog);
	if (s->suite)
		assert_int_equal(SSL_CTX_set_ciphersuites(f->ctx, s->suite), 1);
	/* by itself a newer libssl lists the hybrid, whose hellos are libssl's */
	assert_int_equal(SSL_CTX_set1_groups_list(f->ctx, s->groups ? s->groups : "X25519:P-256"),
			 1);
	if (s->fragment)
		assert_int_equal(SSL_CTX_set_tlsext_max_fragment_length(f->ctx, s->fragment), 1);
	f->ssl = SSL_new(f->ctx);
	SSL_set_app_data(f->ssl, f);
	SSL_set_connect_state(f->ssl);
	SSL_set_bio(f->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	do {
		done = SSL_do_handshake(f->ssl);
		while ((n = BIO_read(SSL_get_wbio(f->ssl), buf, sizeof(buf))) > 0)
			forge_plain(f, buf, (size_t)n);
		if (done == 1)
			break;
		go(f, 0);
		BIO_write(SSL_get_rbio(f->ssl), f->got, (int)f->gotlen);
		assert_true(f->gotlen > 0);
		f->gotlen = 0;
	} while (1);
	id = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(f->ssl));
	assert_int_equal(tls_dir_set(&f->out, id, f->secret[0], 0), 0);
	assert_int_equal(tls_dir_set(&f->in, id, f->secret[1], 0), 0);
	n = BIO_read(SSL_get_rbio(f->ssl), f->got, sizeof(f->got)); /* early tickets */
	f->gotlen = n > 0 ? (size_t)n : 0;
	if (!s->hold_finished)
		go(f, 0);
}

static void forger_close(struct forger *f)
{
	SSL_set_quiet_shutdown(f->ssl, 1);
	SSL_free(f->ssl);
	SSL_CTX_free(f->ctx);
	tls_dir_clear(&f->in);
	tls_dir_clear(&f->out);
	f->v->free(f->v);
}

/* What came back: the echoed bytes, and everything else in order. */
struct answer {
	char data[70000], rest[4000];
	size_t len;
	unsigned largest; /* payload of a record */
};

static void say(struct answer *a, const char *what, int x, int y)
{
	size_t n = strlen(a->rest);

	snprintf(a->rest + n, sizeof(a->rest) - n, " %s(%d,%d)", what, x, y);
}

/* One encrypted record: its type and payload length, or false. */
static bool open_raw(struct forger *f, uint8_t *rec, size_t len, uint8_t *type, size_t *n)
{
	uint8_t nonce[12];

	memcpy(nonce, f->in.iv, 12);
	for (int i = 0; i < 8; i++)
		nonce[4 + i] ^= (uint8_t)(f->in.seq >> (56 - 8 * i));
	f->in.seq++;
	if (aead_open(&f->in.key, nonce, rec, 5, rec + 5, len, rec + 5))
		return false;
	*n = len - 16;
	while (*n > 0 && rec[5 + *n - 1] == 0)
		--*n;
	*type = rec[5 + --*n];
	return true;
}

static void read_answer(struct forger *f, struct answer *a)
{
	size_t at = 0, n;
	uint8_t type;

	*a = (struct answer){0};
	collect(f);
	while (at + 5 <= f->gotlen) {
		uint8_t *r = f->got + at;
		size_t len = (size_t)(r[3] << 8 | r[4]);

		at += 5 + len;
		if (r[0] != 23) {
			say(a, "plain", r[0], r[6]);
			continue;
		}
		if (!open_raw(f, r, len, &type, &n)) {
			say(a, "unreadable", 0, 0);
			break;
		}
		if (type == 23) {
			assert_true(a->len + n <= sizeof(a->data));
			memcpy(a->data + a->len, r + 5, n);
			a->len += n;
			a->largest = (unsigned)MAX(n, (size_t)a->largest);
		} else if (type == 22 && r[5] == 24) {
			say(a, "update", r[9], 0);
			assert_int_equal(tls_dir_update(&f->in), 0);
		} else if (type == 22) {
			say(a, "message", r[5], 0);
		} else {
			say(a, "alert", r[5], r[6]);
		}
	}
	assert_true(at == f->gotlen);
}

/* ---- the cases --------------------------------------------------------------------------- */

static const uint8_t update0[] = {24, 0, 0, 1, 0}, update1[] = {24, 0, 0, 1, 1};
static uint8_t big[17000];

static void empty_and_padded(struct forger *f)
{
	forge(f, 23, "", 0, 0);
	forge(f, 23, "", 0, 300);
	forge(f, 23, "padded", 6, 500);
	forge(f, 23, "", 0, 0);
	go(f, 0);
}

static void byte_by_byte(struct forger *f)
{
	forge(f, 23, "dribble", 7, 0);
	forge(f, 23, "s on", 4, 3);
	go(f, 1);
}

static void split_update(struct forger *f)
{
	forge(f, 23, "old", 3, 0);
	for (int i = 0; i < 5; i++)
		forge(f, 22, update1 + i, 1, 0);
	rekey(f);
	forge(f, 23, "new", 3, 0);
	go(f, 0);
}

static void two_updates_in_two_records(struct forger *f)
{
	forge(f, 22, update0, 5, 0);
	rekey(f);
	forge(f, 22, update1, 5, 0);
	rekey(f);
	forge(f, 23, "two", 3, 0);
	go(f, 0);
}

static void two_updates_in_one_record(struct forger *f)
{
	uint8_t two[10];

	memcpy(two, update0, 5);
	memcpy(two + 5, update0, 5);
	forge(f, 22, two, 10, 0);
	go(f, 0);
}

static void data_within_an_update(struct forger *f)
{
	forge(f, 22, update0, 2, 0);
	forge(f, 23, "x", 1, 0);
	go(f, 0);
}

static void alert_within_an_update(struct forger *f)
{
	forge(f, 22, update0, 2, 0);
	forge(f, 21, "\1\0", 2, 0);
	go(f, 0);
}

static void update_of_a_wrong_kind(struct forger *f)
{
	forge(f, 22, "\x18\0\0\1\2", 5, 0);
	go(f, 0);
}

static void update_too_short(struct forger *f)
{
	forge(f, 22, "\x18\0\0\0", 4, 0);
	go(f, 0);
}

static void update_too_long(struct forger *f)
{
	forge(f, 22, "\x18\0\0\2\0\0", 6, 0);
	go(f, 0);
}

static void client_hello_again(struct forger *f)
{
	forge(f, 22, "\1\0\0\0", 4, 0);
	go(f, 0);
}

static void ticket_to_a_server(struct forger *f)
{
	forge(f, 22, "\4\0\0\1\0", 5, 0);
	go(f, 0);
}

static void empty_message(struct forger *f)
{
	forge(f, 22, "", 0, 5);
	go(f, 0);
}

static void bad_mac(struct forger *f)
{
	forge(f, 23, "good", 4, 0);
	forge(f, 23, "bad", 3, 0);
	f->wire[f->len - 1] ^= 1;
	go(f, 0);
}

static void change_cipher_spec(struct forger *f)
{
	forge_plain(f, "\x14\3\3\0\1\1", 6);
	go(f, 0);
}

static void plain_alert(struct forger *f)
{
	forge_plain(f, "\x15\3\3\0\2\2\x28", 7);
	go(f, 0);
}

static void plain_http(struct forger *f)
{
	forge_plain(f, "GET / HTTP/1.1\r\n\r\n", 18);
	go(f, 0);
}

static void wrong_minor_version(struct forger *f)
{
	forge(f, 23, "x", 1, 0);
	f->wire[2] = 2;
	go(f, 0);
}

static void wrong_major_version(struct forger *f)
{
	forge(f, 23, "x", 1, 0);
	f->wire[1] = 2;
	go(f, 0);
}

static void oversized_record(struct forger *f)
{
	forge_plain(f, "\x17\3\3\x41\1", 5);
	go(f, 0);
}

static void record_without_room_for_a_tag(struct forger *f)
{
	forge_plain(f,
		    "\x17\3\3\0\x10"
		    "0123456789abcdef",
		    21);
	go(f, 0);
}

static void record_of_nothing(struct forger *f)
{
	forge_plain(f, "\x17\3\3\0\0", 5);
	go(f, 0);
}

static void full_record(struct forger *f)
{
	forge(f, 23, big, 16384, 0);
	forge(f, 23, big, 16384 - 300, 300 + 255);
	go(f, 0);
}

static void one_byte_too_much(struct forger *f)
{
	forge(f, 23, big, 16385, 0);
	go(f, 0);
}

static void unknown_type(struct forger *f)
{
	forge(f, 99, "x", 1, 0);
	go(f, 0);
}

static void all_padding(struct forger *f)
{
	forge(f, 0, "", 0, 40);
	go(f, 0);
}

static void inner_change_cipher_spec(struct forger *f)
{
	forge(f, 20, "\1", 1, 0);
	go(f, 0);
}

static void data_then_close(struct forger *f)
{
	forge(f, 23, "bye", 3, 0);
	forge(f, 21, "\1\0", 2, 0);
	forge(f, 23, "never", 5, 0);
	go(f, 0);
}

static void close_as_fatal(struct forger *f)
{
	forge(f, 21, "\2\0", 2, 0);
	go(f, 0);
}

static void fatal_alert(struct forger *f)
{
	forge(f, 23, "x", 1, 0);
	forge(f, 21, "\2\50", 2, 0);
	go(f, 0);
}

static void warning_is_fatal(struct forger *f)
{
	forge(f, 21, "\1\50", 2, 0);
	forge(f, 23, "x", 1, 0);
	go(f, 0);
}

static void alert_of_one_byte(struct forger *f)
{
	forge(f, 21, "\1", 1, 0);
	go(f, 0);
}

static void alert_of_three_bytes(struct forger *f)
{
	forge(f, 21, "\1\0\0", 3, 0);
	go(f, 0);
}

static void canceled_four_times(struct forger *f)
{
	for (int i = 0; i < 4; i++)
		forge(f, 21, "\1\x5a", 2, 0);
	forge(f, 23, "on", 2, 0);
	go(f, 0);
}

static void canceled_too_often(struct forger *f)
{
	for (int i = 0; i < 6; i++)
		forge(f, 21, "\1\x5a", 2, 0);
	forge(f, 23, "on", 2, 0);
	go(f, 0);
}

static void thirty_two_empty_records(struct forger *f)
{
	for (int i = 0; i < 32; i++)
		forge(f, 23, "", 0, 0);
	forge(f, 23, "on", 2, 0);
	for (int i = 0; i < 32; i++)
		forge(f, 23, "", 0, 0);
	go(f, 0);
}

static void thirty_three_empty_records(struct forger *f)
{
	for (int i = 0; i < 33; i++)
		forge(f, 23, "", 0, 0);
	forge(f, 23, "on", 2, 0);
	go(f, 0);
}

static void many_records(struct forger *f)
{
	for (int i = 0; i < 300; i++)
		forge(f, 23, big + i, 100, (size_t)i % 3);
	go(f, 777);
}

static void thirty_updates(struct forger *f)
{
	for (int i = 0; i < 30; i++) {
		forge(f, 22, update0, 5, 0);
		rekey(f);
	}
	forge(f, 23, "x", 1, 0);
	go(f, 0);
}

#define CASE(f)       \
	{             \
#f, f \
	}
static const struct {
	const char *name;
	void (*run)(struct forger *f);
} cases[] = {
	CASE(empty_and_padded),
	CASE(byte_by_byte),
	CASE(split_update),
	CASE(two_updates_in_two_records),
	CASE(two_updates_in_one_record),
	CASE(data_within_an_update),
	CASE(alert_within_an_update),
	CASE(update_of_a_wrong_kind),
	CASE(update_too_short),
	CASE(update_too_long),
	CASE(client_hello_again),
	CASE(ticket_to_a_server),
	CASE(empty_message),
	CASE(bad_mac),
	CASE(change_cipher_spec),
	CASE(plain_alert),
	CASE(plain_http),
	CASE(wrong_minor_version),
	CASE(wrong_major_version),
	CASE(oversized_record),
	CASE(record_without_room_for_a_tag),
	CASE(record_of_nothing),
	CASE(full_record),
	CASE(one_byte_too_much),
	CASE(unknown_type),
	CASE(all_padding),
	CASE(inner_change_cipher_spec),
	CASE(data_then_close),
	CASE(close_as_fatal),
	CASE(fatal_alert),
	CASE(warning_is_fatal),
	CASE(alert_of_one_byte),
	CASE(alert_of_three_bytes),
	CASE(canceled_four_times),
	CASE(canceled_too_often),
	CASE(thirty_two_empty_records),
	CASE(thirty_three_empty_records),
	CASE(many_records),
	CASE(thirty_updates),
};

static struct forger forger;
static struct answer theirs, ours;

static void same_answers(const char *name)
{
	if (strcmp(ours.rest, theirs.rest) || ours.len != theirs.len ||
	    memcmp(ours.data, theirs.data, ours.len))
		fail_msg("%s%s: libssl%s and %zu bytes, we%s and %zu bytes", name,
			 own ? ", own" : "", theirs.rest, theirs.len, ours.rest, ours.len);
}

static void compare_one(const char *name, void (*run)(struct forger *), const struct setup *s)
{
	forger_open(&forger, our_victim(), s);
	run(&forger);
	assert_true(forger.v->handed_over);
	assert_int_equal(forger.v->by_libssl, !own || s->libssl_alone);
	read_answer(&forger, &ours);
	forger_close(&forger);
	same_answers(name);
}

static void compare(const char *name, void (*run)(struct forger *), const struct setup *s)
{
	forger_open(&forger, libssl_victim(), s);
	run(&forger);
	read_answer(&forger, &theirs);
	forger_close(&forger);
	own = true;
	compare_one(name, run, s);
	own = false;
	compare_one(name, run, s);
}

static void we_answer_as_libssl_does(void **state)
{
	static const struct setup plain = {0};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		compare(cases[i].name, cases[i].run, &plain);
}

static void with_every_suite(void **state)
{
	static const struct setup suites[] = {
		{.suite = "TLS_AES_256_GCM_SHA384"},
		{.suite = "TLS_CHACHA20_POLY1305_SHA256"},
	};

	for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
		compare("many_records", many_records, &suites[i]);
		compare("split_update", split_update, &suites[i]);
		compare("bad_mac", bad_mac, &suites[i]);
		compare("full_record", full_record, &suites[i]);
	}
}

static void with_data_behind_finished(void **state)
{
	static const struct setup held = {.hold_finished = true};

	compare("many_records", many_records, &held);
	compare("byte_by_byte", byte_by_byte, &held);
	compare("data_then_close", data_then_close, &held);
	compare("split_update", split_update, &held);
}

static void after_a_hello_retry_request(void **state)
{
	static const struct setup retry = {.groups = "ffdhe2048:X25519", .libssl_alone = true};

	compare("many_records", many_records, &retry);
}

/* ---- before Finished --------------------------------------------------------------------- */

static uint8_t finished[4 + 48 + 1]; /* and the inner type */
static size_t finished_len;

/* What the client holds back is taken apart, and what is forged next goes under its handshake's key. */
static void rewind_to_flight(struct forger *f)
{
	uint8_t *rec = f->wire + (f->wire[0] == 20 ? 6 : 0), type;
	struct tls_dir hs = {0};

	assert_int_equal(tls_dir_set(&hs, f->out.suite, f->secret[2], 0), 0);
	assert_int_equal(tls_open_one(&hs, rec, 5 + (size_t)(rec[3] << 8 | rec[4]), finished,
				      &finished_len, &type),
			 0);
	assert_int_equal(type, 22);
	assert_int_equal(finished[0], 20);
	f->len = 0;
	tls_dir_clear(&hs);
	tls_dir_clear(&f->out);
	assert_int_equal(tls_dir_set(&f->out, f->in.suite, f->secret[2], 0), 0);
}

/* It has been sent: an echo tells whether it was taken. */
static void speak(struct forger *f)
{
	assert_int_equal(tls_dir_set(&f->out, f->in.suite, f->secret[0], 0), 0);
	forge(f, 23, "hello", 5, 0);
	go(f, 0);
}

static void finish(struct forger *f)
{
	forge(f, 22, finished, finished_len, 0);
	speak(f);
}

static void nothing_but_finished(struct forger *f)
{
	finish(f);
}

static void finished_padded(struct forger *f)
{
	forge(f, 22, finished, finished_len, 16000);
	speak(f);
}

static void finished_in_pieces(struct forger *f)
{
	for (size_t i = 0; i < finished_len; i++)
		forge(f, 22, finished + i, 1, i % 3);
	go(f, 1);
	speak(f);
}

static void finished_in_pieces_between_specs(struct forger *f)
{
	forge(f, 22, finished, 3, 0);
	forge_plain(f, "\x14\3\3\0\1\1", 6);
	forge(f, 22, finished + 3, finished_len - 3, 0);
	speak(f);
}

static void wrong_finished(struct forger *f)
{
	finished[20] ^= 1;
	finish(f);
}

static void finished_too_short(struct forger *f)
{
	finished[3]--;
	finished_len--;
	finish(f);
}

static void finished_longer_than_its_hash(struct forger *f)
{
	uint8_t longer[4 + 60] = {20, 0, 0, 60};

	forge(f, 22, longer, sizeof(longer), 0);
	speak(f);
}

static void finished_of_a_megabyte(struct forger *f)
{
	forge(f, 22, "\x14\x10\0\0", 4, 0);
	go(f, 0);
}

static void finished_with_something_behind(struct forger *f)
{
	uint8_t more[4 + 48 + 5];

	memcpy(more, finished, finished_len);
	memcpy(more + finished_len, update0, 5);
	forge(f, 22, more, finished_len + 5, 0);
	speak(f);
}

static void no_finished_but_a_key_update(struct forger *f)
{
	forge(f, 22, update0, 5, 0);
	finish(f);
}

static void no_finished_but_a_certificate(struct forger *f)
{
	forge(f, 22, "\x0b\0\0\4\0\0\0\0", 8, 0);
	finish(f);
}

static void no_finished_but_data(struct forger *f)
{
	forge(f, 23, "x", 1, 0);
	finish(f);
}

static void empty_data_before_finished(struct forger *f)
{
	forge(f, 23, "", 0, 0);
	finish(f);
}

static void empty_message_before_finished(struct forger *f)
{
	forge(f, 22, "", 0, 0);
	finish(f);
}

static void data_within_finished(struct forger *f)
{
	forge(f, 22, finished, 7, 0);
	forge(f, 23, "x", 1, 0);
	go(f, 0);
}

static void bad_mac_before_finished(struct forger *f)
{
	forge(f, 22, finished, finished_len, 0);
	f->wire[f->len - 1] ^= 1;
	go(f, 0);
}

static void under_the_wrong_key(struct forger *f)
{
	assert_int_equal(tls_dir_set(&f->out, f->in.suite, f->secret[0], 0), 0);
	forge(f, 22, finished, finished_len, 0);
	go(f, 0);
}

static void specs(struct forger *f, int n)
{
	for (int i = 0; i < n; i++)
		forge_plain(f, "\x14\3\3\0\1\1", 6);
	finish(f);
}

static void thirty_two_specs(struct forger *f)
{
	specs(f, 32);
}

static void thirty_three_specs(struct forger *f)
{
	specs(f, 33);
}

static void spec_of_two_bytes(struct forger *f)
{
	forge_plain(f, "\x14\3\3\0\2\1\1", 7);
	finish(f);
}

static void spec_of_nothing(struct forger *f)
{
	forge_plain(f, "\x14\3\3\0\0", 5);
	finish(f);
}

static void spec_of_another_value(struct forger *f)
{
	forge_plain(f, "\x14\3\3\0\1\2", 6);
	finish(f);
}

static void spec_of_an_older_version(struct forger *f)
{
	forge_plain(f, "\x14\3\1\0\1\1", 6);
	finish(f);
}

static void plain_handshake(struct forger *f)
{
	forge_plain(f, "\x16\3\3\0\4\x14\0\0\0", 9);
	go(f, 0);
}

static void plain_alert_of_three_bytes(struct forger *f)
{
	forge_plain(f, "\x15\3\3\0\3\2\x28\0", 8);
	go(f, 0);
}

static void plain_alert_of_nothing(struct forger *f)
{
	forge_plain(f, "\x15\3\3\0\0", 5);
	go(f, 0);
}

static void plain_cancel(struct forger *f)
{
	forge_plain(f, "\x15\3\3\0\2\1\x5a", 7);
	finish(f);
}

static void canceled_before_finished(struct forger *f)
{
	for (int i = 0; i < 4; i++)
		forge(f, 21, "\1\x5a", 2, 0);
	finish(f);
}

static void canceled_too_often_before_finished(struct forger *f)
{
	for (int i = 0; i < 6; i++)
		forge(f, 21, "\1\x5a", 2, 0);
	finish(f);
}

static void closed_before_finished(struct forger *f)
{
	forge(f, 21, "\1\0", 2, 0);
	finish(f);
}

#define EARLY(f) CASE(f)
static const struct {
	const char *name;
	void (*run)(struct forger *f);
} early[] = {
	EARLY(nothing_but_finished),
	EARLY(finished_padded),
	EARLY(finished_in_pieces),
	EARLY(finished_in_pieces_between_specs),
	EARLY(wrong_finished),
	EARLY(finished_too_short),
	EARLY(finished_longer_than_its_hash),
	EARLY(finished_of_a_megabyte),
	EARLY(finished_with_something_behind),
	EARLY(no_finished_but_a_key_update),
	EARLY(no_finished_but_a_certificate),
	EARLY(no_finished_but_data),
	EARLY(empty_data_before_finished),
	EARLY(empty_message_before_finished),
	EARLY(data_within_finished),
	EARLY(bad_mac_before_finished),
	EARLY(under_the_wrong_key),
	EARLY(thirty_two_specs),
	EARLY(thirty_three_specs),
	EARLY(spec_of_two_bytes),
	EARLY(spec_of_nothing),
	EARLY(spec_of_another_value),
	EARLY(spec_of_an_older_version),
	EARLY(plain_handshake),
	EARLY(plain_alert_of_three_bytes),
	EARLY(plain_alert_of_nothing),
	EARLY(plain_cancel),
	EARLY(canceled_before_finished),
	EARLY(canceled_too_often_before_finished),
	EARLY(closed_before_finished),
	EARLY(plain_alert),
	EARLY(plain_http),
	EARLY(wrong_minor_version),
	EARLY(wrong_major_version),
	EARLY(oversized_record),
	EARLY(record_without_room_for_a_tag),
	EARLY(record_of_nothing),
	EARLY(one_byte_too_much),
	EARLY(unknown_type),
	EARLY(all_padding),
	EARLY(inner_change_cipher_spec),
	EARLY(fatal_alert),
	EARLY(alert_of_one_byte),
};

static void before_finished_we_answer_as_libssl_does(void **state)
{
	static const struct setup setups[] = {
		{.hold_finished = true},
		{.hold_finished = true, .suite = "TLS_AES_256_GCM_SHA384"},
	};

	for (size_t i = 0; i < ARRAY_LEN(early) * ARRAY_LEN(setups); i++) {
		const struct setup *s = &setups[i % ARRAY_LEN(setups)];

		forger_open(&forger, libssl_victim(), s);
		rewind_to_flight(&forger);
		early[i / ARRAY_LEN(setups)].run(&forger);
		read_answer(&forger, &theirs);
		forger_close(&forger);
		own = true;
		forger_open(&forger, our_victim(), s);
		rewind_to_flight(&forger);
		early[i / ARRAY_LEN(setups)].run(&forger);
		assert_false(forger.v->by_libssl);
		read_answer(&forger, &ours);
		forger_close(&forger);
		same_answers(early[i / ARRAY_LEN(setups)].name);
		own = false;
	}
}

static void five_hundred(struct forger *f)
{
	for (int i = 0; i < 20; i++)
		forge(f, 23, big, 500, 0);
	go(f, 0);
}

static void six_hundred(struct forger *f)
{
	forge(f, 23, big, 600, 0);
	go(f, 0);
}

static void with_max_fragment_length(void **state)
{
	static const struct setup small = {.fragment = TLSEXT_max_fragment_length_512,
					   .libssl_alone = true};

	compare("five_hundred", five_hundred, &small);
	assert_int_equal(ours.len, 10000);
	assert_true(ours.largest <= 512);
	compare("six_hundred", six_hundred, &small);
}

static void every_asked_update_is_answered_but_not_without_end(void **state)
{
	static const struct setup plain = {0};
	size_t answered = 0;

	forger_open(&forger, our_victim(), &plain);
	for (int i = 0; i < 70; i++) {
		forge(&forger, 22, update1, 5, 0);
		rekey(&forger);
	}
	go(&forger, 0);
	read_answer(&forger, &ours);
	forger_close(&forger);
	for (const char *p = ours.rest; (p = strstr(p, "update(0,0)")); p++)
		answered++;
	assert_true(answered >= 1);
	assert_non_null(strstr(ours.rest, "alert(2,10)"));
}

static void on_both_engines(void **state)
{
	static const struct setup plain = {0};

	assert_null(aead_init("evp"));
	compare("many_records", many_records, &plain);
	compare("byte_by_byte", byte_by_byte, &plain);
	compare("bad_mac", bad_mac, &plain);
	assert_null(aead_init("auto"));
	compare("many_records", many_records, &plain);
}

static int make_cert(void **state)
{
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 31);
	return self_signed_pem("a.example", &cert_pem, &key_pem);
}

static int drop_cert(void **state)
{
	free(cert_pem);
	free(key_pem);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(we_answer_as_libssl_does),
		cmocka_unit_test(with_every_suite),
		cmocka_unit_test(with_data_behind_finished),
		cmocka_unit_test(after_a_hello_retry_request),
		cmocka_unit_test(before_finished_we_answer_as_libssl_does),
		cmocka_unit_test(with_max_fragment_length),
		cmocka_unit_test(every_asked_update_is_answered_but_not_without_end),
		cmocka_unit_test(on_both_engines),
	};

	return cmocka_run_group_tests(tests, make_cert, drop_cert);
}
