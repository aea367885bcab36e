#include "unit.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <unistd.h>

#include "crypto/aead.h"
#include "crypto/ct.h"
#include "hostile.h"
#include "stage.h"
#include "stream/pair.h"
#include "tls/client.h"
#include "tls/layer.h"
#include "tls/self_signed.h"
#include "tls/server.h"

static struct cert_store *certs;
static char why[200];

static void add_domain(struct cert_store *cs, const char *domain)
{
	char *cert, *key;

	assert_int_equal(self_signed_pem(domain, &cert, &key), 0);
	assert_int_equal(
		cert_store_add_pem(cs, cert, strlen(cert), key, strlen(key), why, sizeof(why)), 0);
	free(cert);
	free(key);
}

static int make_certs(void **state)
{
	certs = cert_store_new();
	add_domain(certs, "one.example");
	add_domain(certs, "two.example");
	return 0;
}

static int drop_certs(void **state)
{
	cert_store_put(certs);
	return 0;
}

static struct tls_server_conf *server_conf(struct tls_server_options o)
{
	struct tls_server_conf *c;

	o.certs = certs;
	c = tls_server_conf_new(&o, why, sizeof(why));
	if (!c)
		fail_msg("%s", why);
	return c;
}

static struct tls_client_conf *client_conf(struct tls_client_options o)
{
	struct tls_client_conf *c = tls_client_conf_new(&o, why, sizeof(why));

	if (!c)
		fail_msg("%s", why);
	return c;
}

static const struct tls_client_options anybody = {.server_name = "One.Example",
						  .verify = TLS_VERIFY_NONE};

/* ---- two ends that talk ------------------------------------------------------------------ */

struct duo {
	struct talker client, server;
};

struct make {
	struct tls_server_options so;
	struct tls_client_options co;
	size_t capacity;
	const struct dribble_conf *dribble;
	size_t up, down, appetite;
};

static struct make make_how; /* a scenario's start() has no arguments */

static struct stream *maybe_dribble(struct stream *s, uint64_t more)
{
	struct dribble_conf c;

	if (!make_how.dribble)
		return s;
	c = *make_how.dribble;
	c.seed += more;
	return dribble_new(s, &c);
}

static void start(struct loop *l, void *state)
{
	struct duo *d = state;
	struct tls_server_conf *sc = server_conf(make_how.so);
	struct tls_client_conf *cc = client_conf(make_how.co);
	struct stream *x, *y;

	assert_int_equal(pair_new(l, make_how.capacity, &x, &y), 0);
	d->client.appetite = d->server.appetite = make_how.appetite;
	talker_start(&d->client, tls_client_new(maybe_dribble(x, 1), cc), make_how.up, 1, 2);
	talker_start(&d->server, tls_server_new(maybe_dribble(y, 2), sc), make_how.down, 2, 1);
	tls_server_conf_put(sc); /* the streams have their own references */
	tls_client_conf_put(cc);
}

static bool done(void *state)
{
	struct duo *d = state;

	return talker_done(&d->client) && talker_done(&d->server);
}

static void stop(void *state)
{
	struct duo *d = state;

	talker_stop(&d->client);
	talker_stop(&d->server);
}

static void check(void *state)
{
	struct duo *d = state;

	assert_int_equal(d->client.err, 0);
	assert_int_equal(d->server.err, 0);
	assert_int_equal(d->client.received, make_how.down);
	assert_int_equal(d->server.received, make_how.up);
}

/* Run them to the end; `look` may look at them before they go. */
static void talk(struct make how, void (*look)(struct duo *d))
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct duo d = {0};

	make_how = how;
	if (make_how.capacity == 0)
		make_how.capacity = 100000;
	if (!make_how.co.server_name && !make_how.co.npins)
		make_how.co = anybody;
	start(l, &d);
	run_until(l, done, &d);
	if (look)
		look(&d);
	else
		check(&d);
	stop(&d);
	while (loop_turn(l, 0) > 0)
		;
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
}

static struct tls *tls_of(struct talker *t)
{
	return container_of(t->s, struct tls, base);
}

static const uint16_t versions[] = {0x0303, 0x0304};

static void bytes_arrive_both_ways(void **state)
{
	static const size_t sizes[] = {0, 1, 1000, 16384, 300000};

	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
			talk((struct make){.so.max_version = versions[v],
					   .up = sizes[i],
					   .down = sizes[ARRAY_LEN(sizes) - 1 - i]},
			     NULL);
	}
}

static void with_every_number_of_tickets(void **state)
{
	for (unsigned n = 0; n <= 2; n++)
		talk((struct make){.so.tickets = n, .up = 5000, .down = 5000}, NULL);
}

static void look_13(struct duo *d)
{
	check(d);
	assert_int_equal(tls_of(&d->server)->state, TLS_STATE_RECORDS);
	assert_int_equal(tls_of(&d->client)->state, TLS_STATE_RECORDS);
	assert_null(tls_of(&d->server)->hs);
	assert_null(tls_of(&d->client)->hs);
}

static void look_12(struct duo *d)
{
	check(d);
	assert_int_equal(tls_of(&d->server)->state, TLS_STATE_STAYED);
	assert_int_equal(tls_of(&d->client)->state, TLS_STATE_STAYED);
}

static void libssl_is_let_go_after_a_handshake_of_13_and_stays_with_12(void **state)
{
	talk((struct make){.so.tickets = 2, .up = 10, .down = 10}, look_13);
	talk((struct make){.so.max_version = 0x0303, .so.tickets = 2, .up = 10, .down = 10},
	     look_12);
}

static void look_attributes(struct duo *d)
{
	union stream_value v;

	check(d);
	assert_string_equal(stream_text(d->server.s, STREAM_SNI), "one.example");
	assert_string_equal(stream_text(d->server.s, STREAM_ALPN), "h2");
	assert_string_equal(stream_text(d->client.s, STREAM_ALPN), "h2");
	assert_int_equal(stream_query(d->server.s, STREAM_TLS_VERSION, &v), 0);
	assert_int_equal(v.num, make_how.so.max_version);
	assert_int_equal(stream_query(d->server.s, STREAM_HALF_CLOSE, &v), 0);
	assert_int_equal(v.num, 1);
	assert_int_equal(stream_query(d->server.s, STREAM_PEER, &v), -ENOTSUP);
}

static void names_and_version_can_be_asked_for(void **state)
{
	static const char *const alpn[] = {"h2", "http/1.1", NULL}, *const offer[] = {"http/1.1",
										      "h2", NULL};

	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		struct make how = {.so = {.alpn = alpn, .max_version = versions[v]}, .co = anybody};

		how.co.alpn = offer;
		talk(how, look_attributes);
	}
}

static void an_idle_connection_holds_no_chunk_and_little_memory(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct duo d = {0};

	make_how = (struct make){
		.capacity = 100000, .co = anybody, .so.tickets = 2, .up = 50000, .down = 50000};
	d.client.keep_open = d.server.keep_open = true;
	start(l, &d);
	run_until(l, done, &d);
	assert_int_equal(d.client.received, 50000);
	assert_int_equal(d.server.received, 50000);
	assert_int_equal(loop_pool(l)->nused, 0);
	assert_true(sizeof(struct tls) <= 512);
	stop(&d);
	loop_free(l);
}

/* ---- below them, something that misbehaves ----------------------------------------------- */

static void any_cut_of_the_bytes_below_will_do(void **state)
{
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		for (uint64_t seed = 1; seed < 4; seed++) {
			struct dribble_conf c = DRIBBLE(seed * 10);

			talk((struct make){.so = {.max_version = versions[v], .tickets = 2},
					   .capacity = 300,
					   .dribble = &c,
					   .up = 5000,
					   .down = 20000,
					   .appetite = seed == 3 ? 7 : 0},
			     NULL);
		}
	}
}

static void it_can_be_killed_at_each_turn(void **state)
{
	struct dribble_conf c = DRIBBLE(5);

	c.max = 300;
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		make_how = (struct make){.so = {.max_version = versions[v], .tickets = 2},
					 .co = anybody,
					 .capacity = 1000,
					 .dribble = &c,
					 .up = 2000,
					 .down = 3000};
		assert_true(kill_at_each_turn(&(struct scenario){start, done, stop, check,
								 sizeof(struct duo)},
					      1) > 20);
	}
}

static void look_truncated(struct duo *d)
{
	assert_true(d->client.err == -ERR_TRUNCATED || d->server.err == -ERR_TRUNCATED);
	assert_false(d->client.eof && d->server.eof);
}

/* Wherever the wire is cut, a side that has not seen close_notify does not take it for the end. */
static void an_end_without_close_notify_is_truncation(void **state)
{
	for (int64_t cut = 0; cut < 9000; cut += 613) {
		struct dribble_conf c = DRIBBLE(1);

		c.max = 1000;
		c.cut_in = cut;
		c.cut_in_err = 0;
		talk((struct make){.dribble = &c, .up = 10000, .down = 10000}, look_truncated);
	}
}

/* ---- certificates, names, refusals ------------------------------------------------------- */

static const char *sni_wanted;

static void look_sni(struct duo *d)
{
	check(d);
	assert_string_equal(stream_text(d->server.s, STREAM_SNI), sni_wanted);
}

static void look_refused(struct duo *d)
{
	assert_int_equal(d->client.err, -ERR_TLS);
	assert_true(d->server.err < 0);
	assert_false(d->client.opened);
	assert_false(d->server.opened);
}

/* Pinning names the certificate that must have been chosen. */
static struct tls_client_options pinned(size_t i, const char *name)
{
	static uint8_t pins[2][32];

	memset(pins, 0, sizeof(pins));
	cert_store_fingerprint(certs, i, pins[1]);
	sni_wanted = name ? name : "";
	return (struct tls_client_options){.server_name = name,
					   .verify = TLS_VERIFY_PIN,
					   .pins = (const uint8_t(*)[32])pins,
					   .npins = 2};
}

static void the_certificate_is_chosen_by_name(void **state)
{
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		struct make how = {.so.max_version = versions[v], .up = 10, .down = 10};

		how.co = pinned(0, "one.example");
		talk(how, look_sni);
		how.co = pinned(1, "two.example");
		talk(how, look_sni);
		how.co = pinned(0, "unknown.example"); /* the first serves who names none of them */
		talk(how, look_sni);
		how.co = pinned(0, NULL);
		talk(how, look_sni);
		how.co = pinned(1, "one.example");
		talk(how, look_refused);
	}
}

static void an_unknown_name_is_refused_where_that_is_asked_for(void **state)
{
	struct make how = {.so.reject_unknown_sni = true, .up = 10, .down = 10};

	how.co = pinned(1, "two.example");
	talk(how, look_sni);
	how.co = pinned(0, "unknown.example");
	talk(how, look_refused);
	how.co = pinned(0, NULL);
	talk(how, look_refused);
}

static void no_protocol_in_common_is_refused(void **state)
{
	static const char *const ours[] = {"h2", "http/1.1", NULL}, *const theirs[] = {"x", NULL};
	struct make how = {.so.alpn = ours, .co = anybody};

	how.co.alpn = theirs;
	talk(how, look_refused);
}

static void versions_without_overlap_are_refused(void **state)
{
	struct make how = {.so.min_version = 0x0304, .co = anybody};

	how.co.max_version = 0x0303;
	talk(how, look_refused);
}

static void a_client_believes_its_ca_file_and_the_name_in_it(void **state)
{
	char dir[] = "/tmp/weir-tls-XXXXXX", cert[100], key[100];
	struct cert_store *all = certs;
	struct make how = {.up = 10, .down = 10};

	assert_non_null(mkdtemp(dir));
	snprintf(cert, sizeof(cert), "%s/c.pem", dir);
	snprintf(key, sizeof(key), "%s/k.pem", dir);
	assert_int_equal(self_signed_files("ca.example", cert, key), 0);
	certs = cert_store_new();
	assert_int_equal(cert_store_add_files(certs, cert, key, why, sizeof(why)), 0);
	how.co = (struct tls_client_options){.server_name = "ca.example", .ca_file = cert};
	talk(how, NULL);
	how.co.server_name = "other.example";
	talk(how, look_refused);
	cert_store_put(certs);
	certs = all;
	how.co.server_name = "one.example"; /* not signed by that one */
	talk(how, look_refused);
	unlink(cert);
	unlink(key);
	rmdir(dir);
}

/* ---- the finer points of the stream ------------------------------------------------------ */

/* A connection that is up, for tests that pull the strings themselves. */
struct wire {
	struct loop *l;
	struct stream *client, *server, *x, *y;
	struct bufq q;
};

static void wire_up(struct wire *w, struct make how)
{
	struct tls_server_conf *sc = server_conf(how.so);
	struct tls_client_conf *cc = client_conf(anybody);
	int a, b;

	w->l = loop_new(LOOP_VIRTUAL, 1);
	assert_int_equal(pair_new(w->l, how.capacity ? how.capacity : 1000000, &w->x, &w->y), 0);
	w->client = tls_client_new(w->x, cc);
	w->server = tls_server_new(w->y, sc);
	tls_server_conf_put(sc);
	tls_client_conf_put(cc);
	bufq_init(&w->q, loop_pool(w->l), SIZE_MAX);
	for (int i = 0; i < 20; i++) {
		a = stream_open(w->client);
		b = stream_open(w->server);
		while (loop_turn(w->l, 0) > 0)
			;
	}
	assert_int_equal(a, 0);
	assert_int_equal(b, 0);
}

static void wire_down(struct wire *w)
{
	stream_free(w->client);
	stream_free(w->server);
	bufq_done(&w->q);
	while (loop_turn(w->l, 0) > 0)
		;
	assert_int_equal(loop_pool(w->l)->nused, 0);
	loop_free(w->l);
}

static void send_some(struct wire *w, struct stream *s, size_t len)
{
	struct bufq q;

	bufq_init(&q, loop_pool(w->l), SIZE_MAX);
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = pattern_byte(1, i);

		assert_int_equal(bufq_append(&q, &byte, 1), 0);
	}
	assert_int_equal(stream_push(s, &q), len);
	while (loop_turn(w->l, 0) > 0)
		;
}

static void after_close_notify_the_other_direction_goes_on(void **state)
{
	struct wire w;

	wire_up(&w, (struct make){.so.tickets = 2});
	send_some(&w, w.client, 10);
	assert_int_equal(stream_shut(w.client), 0);
	assert_int_equal(stream_pull(w.server, &w.q, 100), 10);
	assert_int_equal(stream_pull(w.server, &w.q, 100), 0);
	assert_int_equal(stream_pull(w.server, &w.q, 100), 0);
	send_some(&w, w.server, 50000);
	bufq_done(&w.q);
	while (bufq_len(&w.q) < 50000)
		assert_true(stream_pull(w.client, &w.q, 100000) > 0);
	assert_int_equal(stream_shut(w.server), 0);
	assert_int_equal(stream_shut(w.server), 0);
	assert_int_equal(stream_pull(w.client, &w.q, 100), 0);
	wire_down(&w);
}

static void a_pull_takes_no_more_than_it_was_asked_for(void **state)
{
	struct wire w;
	size_t n = 0;

	wire_up(&w, (struct make){0});
	send_some(&w, w.client, 20000);
	while (n < 20000) {
		ssize_t got = stream_pull(w.server, &w.q, 777);

		assert_true(got > 0 && got <= 777);
		n += (size_t)got;
	}
	for (size_t i = 0; i < n; i++) {
		uint8_t byte;

		bufq_take(&w.q, &byte, 1);
		assert_int_equal(byte, pattern_byte(1, i));
	}
	assert_int_equal(stream_pull(w.server, &w.q, 777), -EAGAIN);
	wire_down(&w);
}

static void nothing_is_lost_when_memory_runs_out(void **state)
{
	struct wire w;
	uint8_t want[60];

	wire_up(&w, (struct make){0});
	send_some(&w, w.client, 30);
	send_some(&w, w.client, 30);
	for (size_t i = 0; i < sizeof(want); i++)
		want[i] = pattern_byte(1, i % 30);
	assert_comes_when_memory_is_scarce(w.server, want, sizeof(want));
	assert_int_equal(stream_pull(w.server, &w.q, 777), -EAGAIN);
	wire_down(&w);
}

static void a_slow_reader_costs_little_memory(void **state)
{
	struct wire w;
	struct bufq q;
	size_t taken = 0;
	ssize_t n;

	wire_up(&w, (struct make){.capacity = 10000});
	bufq_init(&q, loop_pool(w.l), SIZE_MAX);
	for (int i = 0; i < 32; i++) {
		struct buf *b = buf_new(loop_pool(w.l));

		b->end += BUF_PAYLOAD;
		bufq_push(&q, b);
	}
	while ((n = stream_push(w.server, &q)) > 0)
		taken += (size_t)n;
	assert_int_equal(n, -EAGAIN);
	assert_true(taken <= 2 * 16384);
	assert_int_equal(bufq_len(&q), 32 * 16384 - taken);
	bufq_done(&q);
	wire_down(&w);
}

static void in_record_mode_nothing_behind_the_record_is_read(void **state)
{
	struct wire w;
	union stream_value v = {.num = 1 << STREAM_IN | 1 << STREAM_OUT};

	wire_up(&w, (struct make){.so.tickets = 2});
	assert_int_equal(stream_set(w.server, STREAM_RECORD_MODE, v), 0);
	send_some(&w, w.client, 100);
	send_some(&w, w.client, 200);
	/* raw bytes behind the last record, as Vision sends them */
	assert_int_equal(bufq_append(&w.q, "raw bytes", 9), 0);
	assert_int_equal(stream_push(w.x, &w.q), 9);
	assert_int_equal(stream_pull(w.server, &w.q, 100000), 100);
	assert_int_equal(stream_pull(w.server, &w.q, 100000), 200);
	bufq_done(&w.q);
	assert_int_equal(stream_pull(w.y, &w.q, 100), 9);
	wire_down(&w);
}

static void in_record_mode_each_push_is_a_record(void **state)
{
	struct wire w;
	union stream_value v = {.num = 1 << STREAM_IN | 1 << STREAM_OUT};

	wire_up(&w, (struct make){.so.tickets = 2});
	assert_int_equal(stream_set(w.client, STREAM_RECORD_MODE, v), 0);
	assert_int_equal(stream_set(w.server, STREAM_RECORD_MODE, v), 0);
	send_some(&w, w.client, 5);
	send_some(&w, w.client, 16384);
	send_some(&w, w.client, 7);
	assert_int_equal(stream_pull(w.server, &w.q, 100000), 5);
	assert_int_equal(stream_pull(w.server, &w.q, 100000), 16384);
	assert_int_equal(stream_pull(w.server, &w.q, 100000), 7);
	wire_down(&w);
}

static void bypassed_bytes_pass_as_they_are_after_what_was_read(void **state)
{
	struct wire w;
	struct stream_raw raw;
	char text[32];

	wire_up(&w, (struct make){.so.tickets = 2});
	send_some(&w, w.client, 10);
	assert_int_equal(bufq_append(&w.q, "raw", 3), 0);
	assert_int_equal(stream_push(w.x, &w.q), 3);
	assert_int_equal(stream_pull(w.server, &w.q, 10), 10); /* "raw" was read with it */
	assert_int_equal(stream_splice(w.server, STREAM_IN, &raw), -ENOTSUP);
	assert_int_equal(stream_bypass(w.server, STREAM_IN), 0);
	assert_int_equal(stream_bypass(w.server, STREAM_OUT), 0);
	bufq_done(&w.q);
	assert_int_equal(stream_splice(w.server, STREAM_IN, &raw), -EAGAIN);
	assert_int_equal(stream_pull(w.server, &w.q, 100), 3);
	bufq_take(&w.q, text, 3);
	assert_memory_equal(text, "raw", 3);
	assert_int_equal(stream_splice(w.server, STREAM_IN, &raw), -ENOTSUP); /* memory has none */
	assert_int_equal(bufq_append(&w.q, "back", 4), 0);
	assert_int_equal(stream_push(w.server, &w.q), 4);
	stream_open(w.client);
	assert_true(stream_pull(w.x, &w.q, 5000) > 4); /* tickets before it */
	bufq_drain(&w.q, bufq_len(&w.q) - 4);
	bufq_take(&w.q, text, 4);
	assert_memory_equal(text, "back", 4);
	assert_int_equal(stream_shut(w.server), 0); /* no close_notify any more */
	assert_int_equal(stream_pull(w.x, &w.q, 100), 0);
	wire_down(&w);
}

/* Our direction is raw, theirs is still records: whatever they do there, nothing of TLS is added to it. */
static void behind_a_bypass_outwards_nothing_is_answered(void **state)
{
	static const uint8_t update[] = {24, 0, 0, 1, 1},
			     garbage[] = "\x17\3\3\0\x20 32 bytes that nobody has sealed";
	struct wire w;
	struct bufq out;

	for (int broken = 0; broken < 2; broken++) {
		wire_up(&w, (struct make){.so.tickets = 0});
		bufq_init(&out, w.q.pool, SIZE_MAX);
		stream_open(w.client);
		while (stream_pull(w.x, &out, 5000) > 0)
			;
		bufq_done(&out);
		assert_int_equal(stream_bypass(w.server, STREAM_OUT), 0);
		if (broken)
			assert_int_equal(bufq_append(&out, garbage, 37), 0);
		else
			assert_int_equal(
				tls_records_put(&container_of(w.client, struct tls, base)->rec,
						TLS_HANDSHAKE, update, sizeof(update), &out),
				0);
		assert_true(stream_push(w.x, &out) > 0);
		assert_int_equal(stream_pull(w.server, &w.q, 10), broken ? -ERR_TLS : -EAGAIN);
		assert_int_equal(bufq_append(&w.q, "raw", 3), 0);
		assert_int_equal(stream_push(w.server, &w.q), 3);
		assert_int_equal(stream_pull(w.x, &out, 100), 3);
		bufq_done(&out);
		assert_int_equal(stream_shut(w.server), 0);
		assert_int_equal(stream_pull(w.x, &out, 100), 0);
		wire_down(&w);
	}
}

/* ---- resumption, with libssl as the client ----------------------------------------------- */

static SSL_SESSION *kept;

static int on_session(SSL *ssl, SSL_SESSION *s)
{
	SSL_SESSION_free(kept);
	kept = s;
	return 1;
}

/* Shake hands and read one byte; did it resume? */
static bool connect_once(struct tls_server_conf *sc, SSL_CTX *ctx)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	SSL *ssl = SSL_new(ctx);
	struct stream *x, *y, *s;
	struct bufq q;
	uint8_t buf[20000];
	bool resumed, sent = false;

	assert_int_equal(pair_new(l, 100000, &x, &y), 0);
	s = tls_server_new(y, sc);
	bufq_init(&q, loop_pool(l), SIZE_MAX);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_connect_state(ssl);
	if (kept)
		SSL_set_session(ssl, kept);
	for (int i = 0; i < 10; i++) {
		int n = SSL_read(ssl, buf, sizeof(buf));

		if (n > 0)
			break;
		n = BIO_read(SSL_get_wbio(ssl), buf, sizeof(buf));
		if (n > 0) {
			assert_int_equal(bufq_append(&q, buf, (size_t)n), 0);
			assert_int_equal(stream_push(x, &q), n);
		}
		if (stream_open(s) == 0 && !sent) {
			assert_int_equal(bufq_append(&q, "!", 1), 0);
			assert_int_equal(stream_push(s, &q), 1);
			sent = true;
		}
		n = (int)stream_pull(x, &q, sizeof(buf));
		if (n > 0) {
			bufq_take(&q, buf, (size_t)n);
			BIO_write(SSL_get_rbio(ssl), buf, n);
		}
	}
	assert_true(sent);
	assert_int_equal(buf[0], '!');
	resumed = SSL_session_reused(ssl);
	SSL_shutdown(ssl);
	SSL_free(ssl);
	stream_free(s);
	stream_free(x);
	bufq_done(&q);
	while (loop_turn(l, 0) > 0)
		;
	loop_free(l);
	return resumed;
}

static void tickets_resume_and_outlive_a_change_of_certificates(void **state)
{
	static const uint8_t key[TLS_TICKET_KEY_LEN] = {1, 2, 3};

	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		struct tls_server_options o = {
			.tickets = 1, .ticket_key = key, .max_version = versions[v]};
		struct tls_server_conf *sc = server_conf(o), *later, *other;
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
		SSL_CTX_sess_set_new_cb(ctx, on_session);
		assert_false(connect_once(sc, ctx));
		assert_true(connect_once(sc, ctx));
		later = server_conf(o);
		tls_server_conf_put(sc);
		assert_true(connect_once(later, ctx));
		o.ticket_key = NULL;
		other = server_conf(o);
		assert_false(connect_once(other, ctx));
		tls_server_conf_put(later);
		tls_server_conf_put(other);
		SSL_SESSION_free(kept);
		kept = NULL;
		SSL_CTX_free(ctx);
	}
}

static void both_engines_talk_to_each_other_s_peers(void **state)
{
	static const char *const engines[] = {"evp", "auto"};

	for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
		assert_null(aead_init(engines[i]));
		talk((struct make){.so.tickets = 2, .up = 100000, .down = 300000}, look_13);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_arrive_both_ways),
		cmocka_unit_test(with_every_number_of_tickets),
		cmocka_unit_test(libssl_is_let_go_after_a_handshake_of_13_and_stays_with_12),
		cmocka_unit_test(names_and_version_can_be_asked_for),
		cmocka_unit_test(an_idle_connection_holds_no_chunk_and_little_memory),
		cmocka_unit_test(any_cut_of_the_bytes_below_will_do),
		cmocka_unit_test(it_can_be_killed_at_each_turn),
		cmocka_unit_test(an_end_without_close_notify_is_truncation),
		cmocka_unit_test(the_certificate_is_chosen_by_name),
		cmocka_unit_test(an_unknown_name_is_refused_where_that_is_asked_for),
		cmocka_unit_test(no_protocol_in_common_is_refused),
		cmocka_unit_test(versions_without_overlap_are_refused),
		cmocka_unit_test(a_client_believes_its_ca_file_and_the_name_in_it),
		cmocka_unit_test(after_close_notify_the_other_direction_goes_on),
		cmocka_unit_test(a_pull_takes_no_more_than_it_was_asked_for),
		cmocka_unit_test(nothing_is_lost_when_memory_runs_out),
		cmocka_unit_test(a_slow_reader_costs_little_memory),
		cmocka_unit_test(in_record_mode_nothing_behind_the_record_is_read),
		cmocka_unit_test(in_record_mode_each_push_is_a_record),
		cmocka_unit_test(bypassed_bytes_pass_as_they_are_after_what_was_read),
		cmocka_unit_test(behind_a_bypass_outwards_nothing_is_answered),
		cmocka_unit_test(tickets_resume_and_outlive_a_change_of_certificates),
		cmocka_unit_test(both_engines_talk_to_each_other_s_peers),
	};

	return cmocka_run_group_tests(tests, make_certs, drop_certs);
}
