/* REALITY's two sides with a real TLS server as target, over streams that misbehave; and what who
 * is no client of ours sees.
 */
#include "unit.h"

#include <stdio.h>

#include "crypto/aead.h"
#include "crypto/x25519.h"
#include "hostile.h"
#include "stream/pair.h"
#include "stream/relay.h"
#include "tls/client.h"
#include "tls/layer.h"
#include "tls/reality.h"
#include "tls/reality_impl.h"
#include "tls/reality_learn.h"
#include "tls/self_signed.h"
#include "tls/server.h"

#define NAME "target.example"

static struct tls_server_conf *target_conf;
static struct tls_client_conf *browser_conf;
static uint8_t priv[32], pub[32];

static int make_all(void **state)
{
	struct tls_client_options o = {.server_name = NAME, .verify = TLS_VERIFY_NONE};
	struct cert_store *certs = cert_store_new();
	char *cert, *key, why[200];

	assert_null(aead_init("auto"));
	assert_int_equal(self_signed_pem(NAME, &cert, &key), 0);
	assert_int_equal(
		cert_store_add_pem(certs, cert, strlen(cert), key, strlen(key), why, sizeof(why)),
		0);
	free(cert);
	free(key);
	target_conf = tls_server_conf_new(
		&(struct tls_server_options){.certs = certs, .tickets = 2}, why, sizeof(why));
	cert_store_put(certs);
	browser_conf = tls_client_conf_new(&o, why, sizeof(why));
	assert_non_null(target_conf);
	assert_non_null(browser_conf);
	return x25519_keygen(priv, pub);
}

static int drop_all(void **state)
{
	tls_server_conf_put(target_conf);
	tls_client_conf_put(browser_conf);
	return 0;
}

static const uint8_t ids[1][REALITY_SHORT_ID] = {{0xab, 0xcd}};

static struct reality_conf *server_conf(void)
{
	static const char *const names[] = {NAME};
	struct reality_options o = {
		.names = names,
		.nnames = 1,
		.short_ids = ids,
		.nshort_ids = 1,
		.private_key = priv,
	};
	struct reality_conf *c;

	assert_int_equal(dest_parse(&o.dest, NAME ":443"), 0);
	c = reality_conf_new(&o);
	assert_non_null(c);
	return c;
}

/* ---- the way to the target --------------------------------------------------------------- */

/* The target says `down` bytes of pattern 4 and takes those of pattern 3. */
struct outside {
	struct dialer dialer;
	struct talker target;
	size_t down;
	unsigned dribble; /* likewise */
	struct dribble_conf how;
	bool refuse, raw;
	struct stream *raw_end; /* with `raw`: nobody there but the test */
};

struct test_dial {
	struct dial dial;
	struct outside *o;
	struct loop *l;
	struct waiter *w;
	struct timer later;
	bool ready;
};

static void on_later(struct timer *t)
{
	struct test_dial *d = container_of(t, struct test_dial, later);

	d->ready = true;
	loop_queue(d->l, d->w);
}

static int test_result(struct dial *dial, struct stream **out)
{
	struct test_dial *d = container_of(dial, struct test_dial, dial);
	struct outside *o = d->o;
	struct loop *l = d->l;
	struct stream *near, *far;

	if (!d->ready)
		return -EAGAIN;
	free(d);
	if (o->refuse)
		return -ECONNREFUSED;
	assert_int_equal(pair_new(l, 5000, &near, &far), 0);
	if (o->raw) {
		o->raw_end = far;
		*out = near;
		return 0;
	}
	if (o->dribble)
		far = dribble_new(far, &o->how);
	talker_start(&o->target, tls_server_new(far, target_conf), o->down, 4, 3);
	*out = near;
	return 0;
}

static void test_cancel(struct dial *dial)
{
	struct test_dial *d = container_of(dial, struct test_dial, dial);

	timer_stop(&d->later);
	free(d);
}

static const struct dial_ops test_dial_ops = {.result = test_result, .cancel = test_cancel};

static struct dial *test_dial(struct dialer *dialer, struct loop *l, const struct dest *to,
			      struct waiter *w)
{
	struct test_dial *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	assert_string_equal((const char *)to->bytes, NAME);
	*d = (struct test_dial){.dial.ops = &test_dial_ops, .l = l, .w = w};
	d->o = container_of(dialer, struct outside, dialer);
	timer_init(&d->later, on_later);
	timer_set(l, &d->later, loop_now(l) + 5 * NSEC_MS);
	return &d->dial;
}

static const struct dialer_ops outside_ops = {.name = "test", .dial = test_dial};

/* ---- a client of ours -------------------------------------------------------------------- */

struct duo {
	struct outside outside;
	struct talker client, server;
	struct reality_client_conf conf;
};

static unsigned dribbling; /* bytes at a time; 0: no */
static size_t up, down;

static void make_client_conf(struct reality_client_conf *c)
{
	memcpy(c->public_key, pub, sizeof(pub));
	memcpy(c->short_id, ids[0], sizeof(c->short_id));
	snprintf(c->server_name, sizeof(c->server_name), NAME);
}

static void start(struct loop *l, void *state)
{
	struct reality_conf *conf = server_conf();
	struct duo *d = state;
	struct stream *x, *y;

	d->outside.dialer.ops = &outside_ops;
	make_client_conf(&d->conf);
	assert_int_equal(pair_new(l, dribbling ? 700 : 100000, &x, &y), 0);
	if (dribbling) {
		struct dribble_conf a = DRIBBLE(1), b = DRIBBLE(2);

		a.max = b.max = dribbling;
		d->outside.dribble = dribbling;
		d->outside.how = DRIBBLE(7);
		d->outside.how.max = dribbling;
		x = dribble_new(x, &a);
		y = dribble_new(y, &b);
	}
	talker_start(&d->client, reality_client_new(x, &d->conf), up, 1, 2);
	talker_start(&d->server, reality_server_new(y, conf, &d->outside.dialer), down, 2, 1);
	reality_conf_put(conf);
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
	talker_stop(&d->outside.target);
}

static void check(void *state)
{
	struct duo *d = state;

	assert_int_equal(d->client.err, 0);
	assert_int_equal(d->server.err, 0);
	assert_int_equal(d->client.received, down);
	assert_int_equal(d->server.received, up);
	assert_string_equal(stream_text(d->server.s, STREAM_SNI), NAME);
}

static void run(struct duo *d)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);

	start(l, d);
	run_until(l, done, d);
	check(d);
	assert_null(container_of(d->server.s, struct tls, base)->hs);
	stop(d);
	while (loop_turn(l, 0) > 0)
		;
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
}

static void bytes_arrive_both_ways(void **state)
{
	static const size_t sizes[] = {0, 1, 16384, 300000};

	dribbling = 0;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct duo d = {0};

		up = sizes[i];
		down = sizes[ARRAY_LEN(sizes) - 1 - i];
		run(&d);
	}
}

static void it_stands_on_streams_that_misbehave_and_may_be_killed_at_any_turn(void **state)
{
	const struct scenario sc = {start, done, stop, check, sizeof(struct duo)};

	struct duo d = {0};

	up = 500;
	down = 700;
	dribbling = 5;
	run(&d);
	dribbling = 150;
	kill_at_each_turn(&sc, 3);
	dribbling = 0;
	kill_at_each_turn(&sc, 3);
}

static void the_target_is_let_go_once_the_client_has_finished(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct duo d = {0};

	up = down = 1;
	start(l, &d);
	run_until(l, done, &d);
	check(&d);
	while (loop_turn(l, 0) > 0)
		;
	assert_int_equal(d.outside.target.err, -ERR_TRUNCATED);
	stop(&d);
	loop_turn(l, 0);
	loop_free(l);
}

static void a_target_that_is_away_ends_it_without_a_byte(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct duo d = {.outside.refuse = true};

	up = down = 1;
	start(l, &d);
	run_until(l, done, &d);
	assert_int_equal(d.server.err, -ECONNREFUSED);
	assert_int_equal(d.client.received, 0);
	stop(&d);
	loop_turn(l, 0);
	loop_free(l);
}

static void a_tail_that_cannot_be_said_ends_it_for_good(void **state)
{
	struct reality_tail tail = {.n = 1, .wire = {TLS_HEADER}};
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct reality_conf *conf = server_conf();
	struct duo d = {.outside.dialer.ops = &outside_ops};
	struct stream *x, *y;
	struct bufq q;

	for (size_t i = 0; i < ALPN_CLASSES; i++)
		reality_tail_set(conf, i, &tail);
	make_client_conf(&d.conf);
	assert_int_equal(pair_new(l, 100000, &x, &y), 0);
	talker_start(&d.client, reality_client_new(x, &d.conf), 1, 1, 2);
	talker_start(&d.server, reality_server_new(y, conf, &d.outside.dialer), 1, 2, 1);
	reality_conf_put(conf);
	while (!talker_done(&d.server))
		assert_true(loop_turn(l, -1) > 0);
	bufq_init(&q, loop_pool(l), SIZE_MAX);
	assert_int_equal(d.server.err, -ERR_TOO_BIG);
	assert_int_equal(stream_open(d.server.s), -ERR_TOO_BIG);
	assert_int_equal(stream_pull(d.server.s, &q, 100), -ERR_TOO_BIG);
	stop(&d);
	loop_turn(l, 0);
	loop_free(l);
}

/* ---- everybody else ---------------------------------------------------------------------- */

/* What a session does: open, and relay to the target whoever is rejected. */
struct host {
	struct outside outside;
	struct stream *s, *target;
	struct relay relay;
	struct waiter w;
	int err;
	bool relaying;
};

static const struct relay_conf relaying = {0};

static void host_look(struct waiter *w)
{
	struct host *h = container_of(w, struct host, w);
	struct loop *l = h->s->loop;
	union stream_value v;
	struct bufq none;

	if (h->relaying)
		return;
	h->err = stream_open(h->s);
	if (h->err == -EAGAIN)
		stream_want(h->s, STREAM_RD | STREAM_WR, &h->w);
	if (h->err != -ERR_REJECTED)
		return;
	assert_int_equal(stream_query(h->s, STREAM_REJECT, &v), 0);
	assert_int_equal(stream_query(h->s, STREAM_REJECT, &v), -ENOTSUP);
	bufq_init(&none, loop_pool(l), SIZE_MAX);
	h->target = v.stream;
	h->s = stream_peel(h->s, &none);
	assert_non_null(h->s);
	h->relaying = true;
	relay_start(
		&h->relay,
		&(struct relay_plan){.a = h->s, .b = h->target, .conf = &relaying, .done = &h->w});
}

static void host_start(struct host *h, struct stream *lower)
{
	struct reality_conf *conf = server_conf();

	h->outside.dialer.ops = &outside_ops;
	h->s = reality_server_new(lower, conf, &h->outside.dialer);
	reality_conf_put(conf);
	waiter_init(&h->w, host_look);
	loop_queue(lower->loop, &h->w);
}

static void host_stop(struct host *h)
{
	if (h->relaying)
		relay_stop(&h->relay);
	waiter_cancel(&h->w);
	stream_free(h->s);
	stream_free(h->target);
	h->s = h->target = NULL;
	talker_stop(&h->outside.target);
	stream_free(h->outside.raw_end);
	h->outside.raw_end = NULL;
}

struct guest {
	struct host host;
	struct talker client;
	struct reality_client_conf conf;
};

static void start_browser(struct loop *l, void *state)
{
	struct guest *g = state;
	struct stream *x, *y;

	assert_int_equal(pair_new(l, 3000, &x, &y), 0);
	g->host.outside.down = 4000;
	host_start(&g->host, y);
	talker_start(&g->client, tls_client_new(x, browser_conf), 3000, 3, 4);
}

static bool browsed(void *state)
{
	struct guest *g = state;

	return talker_done(&g->client) && (g->client.err || g->host.relay.ended);
}

static void stop_guest(void *state)
{
	struct guest *g = state;

	talker_stop(&g->client);
	host_stop(&g->host);
}

static void check_browser(void *state)
{
	struct guest *g = state;

	assert_int_equal(g->host.err, -ERR_REJECTED);
	assert_int_equal(g->client.err, 0);
	assert_int_equal(g->client.received, 4000);
	assert_int_equal(g->host.outside.target.received, 3000);
	assert_int_equal(g->host.relay.result, 0);
}

static void a_browser_talks_to_the_target(void **state)
{
	kill_at_each_turn(&(struct scenario){start_browser, browsed, stop_guest, check_browser,
					     sizeof(struct guest)},
			  5);
}

/* What a stranger has sent before he is one, and the end of it: all of that reaches the target, and
 * what that answers reaches him.
 */
static void every_first_byte_and_end_reaches_the_target(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{"", 0},
		{"GET / HTTP/1.1\r\n\r\n", 18},
		{"\x16\x03\x01\x02\x00\x01", 6},
		{"\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9},
		{"\x16\x03\x01\xff\xff", 5},
		{"\x15\x03\x01\x00\x02\x01\x00", 7},
		{"\x80\x2e\x01\x00\x02", 5},
	};

	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		struct loop *l = loop_new(LOOP_VIRTUAL, 1);
		const char *bytes = rows[i / 2].bytes;
		size_t len = rows[i / 2].len;
		bool slow = i % 2;
		struct host h = {.outside.raw = true};
		struct stream *x, *y;
		struct bufq q;

		assert_int_equal(pair_new(l, 3000, &x, &y), 0);
		host_start(&h, slow ? dribble_new(y, &DRIBBLE(i)) : y);
		bufq_init(&q, loop_pool(l), SIZE_MAX);
		if (len > 0) {
			assert_int_equal(bufq_append(&q, bytes, len), 0);
			assert_int_equal(stream_push(x, &q), len);
		}
		assert_int_equal(stream_shut(x), 0);
		while (!h.relaying || !h.relay.flow[RELAY_UP].done)
			assert_true(loop_turn(l, -1) > 0);
		for (ssize_t n = 1; n > 0;)
			n = stream_pull(h.outside.raw_end, &q, 100);
		assert_int_equal(bufq_len(&q), len);
		if (len > 0) {
			size_t got;

			assert_memory_equal(bufq_linear(&q, len, &got), bytes, len);
		}
		bufq_done(&q);
		pair_reset(h.outside.raw_end, -ECONNRESET);
		while (!h.relay.ended)
			assert_true(loop_turn(l, -1) > 0);
		assert_int_equal(h.relay.result, -ECONNRESET);
		host_stop(&h);
		stream_free(x);
		loop_turn(l, 0);
		loop_free(l);
	}
}

/* Who has seen a hello of ours and says it again. */
struct repeater {
	struct loop *l;
	struct host h;
	struct stream *x; /* his end */
};

static void hello_of_ours(struct loop *l, struct bufq *out)
{
	struct reality_client_conf conf = {0};
	struct stream *a, *b, *client;

	assert_int_equal(pair_new(l, 3000, &a, &b), 0);
	make_client_conf(&conf);
	client = reality_client_new(a, &conf);
	assert_int_equal(stream_open(client), -EAGAIN);
	bufq_init(out, loop_pool(l), SIZE_MAX);
	while (stream_pull(b, out, 3000) > 0)
		;
	stream_free(client);
	stream_free(b);
}

static void turn_all(struct repeater *r)
{
	while (loop_turn(r->l, -1) > 0)
		;
}

static void say(struct repeater *r, struct stream *s, const char *bytes, size_t len)
{
	struct bufq q;

	bufq_init(&q, loop_pool(r->l), SIZE_MAX);
	assert_int_equal(bufq_append(&q, bytes, len), 0);
	while (!bufq_empty(&q)) {
		assert_true(stream_push(s, &q) > 0);
		turn_all(r);
	}
}

/* How many bytes have come; *end is what pull() says behind them. */
static size_t heard(struct repeater *r, ssize_t *end)
{
	struct bufq q;
	size_t n;

	bufq_init(&q, loop_pool(r->l), SIZE_MAX);
	do {
		*end = stream_pull(r->x, &q, 9000);
		turn_all(r);
	} while (*end > 0);
	n = bufq_len(&q);
	bufq_done(&q);
	return n;
}

/* Up to where he has been answered, and a Finished is awaited. */
static void repeat(struct repeater *r)
{
	struct stream *y;
	struct bufq q;
	ssize_t end;

	*r = (struct repeater){.l = loop_new(LOOP_VIRTUAL, 1)};
	hello_of_ours(r->l, &q);
	assert_int_equal(pair_new(r->l, 9000, &r->x, &y), 0);
	host_start(&r->h, y);
	while (!bufq_empty(&q))
		assert_true(stream_push(r->x, &q) > 0);
	turn_all(r);
	assert_int_equal(r->h.err, -EAGAIN);
	assert_true(heard(r, &end) > 500);
	assert_int_equal(end, -EAGAIN);
}

static void stop_repeating(struct repeater *r)
{
	stream_free(r->x);
	host_stop(&r->h);
	loop_turn(r->l, 0);
	loop_free(r->l);
}

/* He is ours as far as anybody can see, and no further: what he says next is answered by the target. */
static void who_repeats_a_hello_is_the_targets_after_all(void **state)
{
	static const char lie[] = "\x17\x03\x03\x00\x20this is not what was agreed upon.";
	struct repeater r;
	ssize_t end;

	repeat(&r);
	say(&r, r.x, lie, sizeof(lie) - 1);
	assert_true(r.h.relaying);
	/* the target could not open it: an alert, and the end */
	assert_int_equal(r.h.outside.target.err, -ERR_TLS);
	assert_int_equal(heard(&r, &end), 24);
	stop_repeating(&r);
}

static void a_second_change_of_ciphers_is_the_targets_to_judge(void **state)
{
	static const char ccs[] = "\x14\x03\x03\x00\x01\x01";
	struct repeater r;

	repeat(&r);
	say(&r, r.x, ccs, 6);
	assert_false(r.h.relaying);
	say(&r, r.x, ccs, 6);
	assert_true(r.h.relaying);
	assert_int_equal(r.h.relay.flow[RELAY_UP].bytes, 12);
	stop_repeating(&r);
}

/* Bytes of the target's own, behind its flight. */
static struct stream *under_target(struct repeater *r)
{
	return container_of(r->h.outside.target.s, struct tls, base)->lower;
}

static void what_the_target_says_while_it_waits_is_kept_for_him(void **state)
{
	static const char alert[] = "\x15\x03\x03\x00\x02\x02\x28";
	struct repeater r;
	ssize_t end;

	repeat(&r);
	for (int i = 0; i < 2; i++) {
		say(&r, under_target(&r), alert, 7);
		turn_all(&r);
		assert_false(r.h.relaying);
	}
	assert_int_equal(heard(&r, &end), 0);
	assert_int_equal(end, -EAGAIN);
	assert_int_equal(stream_shut(under_target(&r)), 0);
	turn_all(&r);
	assert_true(r.h.relaying);
	assert_int_equal(heard(&r, &end), 14);
	assert_int_equal(end, 0);
	stop_repeating(&r);
}

static void a_target_that_does_not_wait_is_not_waited_for(void **state)
{
	static char much[16000];
	struct repeater r;
	ssize_t end;

	repeat(&r);
	say(&r, under_target(&r), much, 16000);
	assert_false(r.h.relaying);
	say(&r, under_target(&r), much, 1000);
	assert_true(r.h.relaying);
	assert_int_equal(heard(&r, &end), 17000);
	stop_repeating(&r);
}

/* ---- asking the target --------------------------------------------------------------------- */

struct asked {
	struct outside outside;
	int told[8], n;
};

static void on_told(void *arg, const char *name, const char *alpn, int err)
{
	struct asked *a = arg;

	assert_string_equal(name, NAME);
	a->told[a->n++] = err;
	talker_stop(&a->outside.target);
	a->outside.target = (struct talker){0};
}

static void what_a_target_says_behind_a_handshake_is_learned(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct asked a = {.outside.dialer.ops = &outside_ops, .outside.down = 100};
	struct reality_conf *conf = server_conf();
	struct reality_learn *r = reality_learn_new(l, conf, &a.outside.dialer, on_told, &a);
	struct reality_tail tail;
	nsec_t since = loop_now(l);

	reality_tail_get(conf, 0, &tail);
	assert_int_equal(tail.n, 0);
	while (a.n < 3)
		assert_true(loop_turn(l, -1) > 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(a.told[i], 0);
		reality_tail_get(conf, (size_t)i, &tail);
		assert_int_equal(tail.n, 4); /* two tickets, what it says, and its end */
		assert_int_equal(tail.wire[0], tail.wire[1]);
		assert_int_equal(tail.wire[2], 100 + TLS_OVERHEAD);
	}
	/* away an hour later: told once, and what is known stays */
	a.outside.refuse = true;
	while (a.n < 6)
		assert_true(loop_turn(l, -1) > 0);
	assert_in_range(loop_now(l) - since, 3600 * NSEC_SEC, 3700 * NSEC_SEC);
	assert_int_equal(a.told[5], -ECONNREFUSED);
	for (int i = 0; i < 100; i++)
		loop_turn(l, -1);
	assert_int_equal(a.n, 6);
	reality_tail_get(conf, 2, &tail);
	assert_int_equal(tail.n, 4);
	reality_learn_free(r);
	reality_conf_put(conf);
	talker_stop(&a.outside.target);
	loop_turn(l, 0);
	loop_free(l);
}

/* The target is reached by a way that leads back to the same server. */
struct circle {
	struct dialer dialer;
	struct reality_conf *conf;
	struct talker servers[64];
	int dials, told[8], n;
	bool leads_home, full;
	struct outside outside;
};

static int circle_result(struct dial *dial, struct stream **out)
{
	struct test_dial *d = container_of(dial, struct test_dial, dial);
	struct circle *c = container_of(d->o, struct circle, outside);
	struct loop *l = d->l;
	struct stream *far;

	if (!d->ready)
		return -EAGAIN;
	if (!c->leads_home)
		return test_result(dial, out);
	free(d);
	if (c->dials == 40 && !c->full) { /* so many of one source */
		c->full = true;
		return -ECONNRESET;
	}
	assert_true(c->dials < 64);
	assert_int_equal(pair_new(l, 5000, out, &far), 0);
	talker_start(&c->servers[c->dials++], reality_server_new(far, c->conf, &c->dialer), 0, 2,
		     1);
	return 0;
}

static struct dial *circle_dial(struct dialer *dialer, struct loop *l, const struct dest *to,
				struct waiter *w)
{
	static const struct dial_ops ops = {.result = circle_result, .cancel = test_cancel};
	struct circle *c = container_of(dialer, struct circle, dialer);
	struct dial *d = test_dial(&c->outside.dialer, l, to, w);

	d->ops = &ops;
	return d;
}

static void on_circle(void *arg, const char *name, const char *alpn, int err)
{
	struct circle *c = arg;

	c->told[c->n++] = err;
	talker_stop(&c->outside.target);
	c->outside.target = (struct talker){0};
}

static void a_target_that_is_ourselves_is_found_out_and_not_dialled_again(void **state)
{
	static const struct dialer_ops ops = {.name = "circle", .dial = circle_dial};
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct circle *c = calloc(1, sizeof(*c));
	struct reality_learn *r;
	int before;

	assert_non_null(c);
	c->dialer.ops = &ops;
	c->outside.dialer.ops = &outside_ops;
	c->outside.down = 100;
	c->leads_home = true;
	c->conf = server_conf();
	r = reality_learn_new(l, c->conf, &c->dialer, on_circle, c);
	while (c->n < 3)
		assert_true(loop_turn(l, -1) > 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(c->told[i], -ELOOP);
	assert_true(atomic_load(&c->conf->loops));
	/* from now on the questions themselves, three a minute at most, and nothing behind them */
	before = c->dials;
	assert_in_range(before, 40, 43);
	for (nsec_t end = loop_now(l) + 300 * NSEC_SEC; loop_now(l) < end;)
		loop_turn(l, NSEC_SEC);
	assert_in_range(c->dials - before, 3, 15);
	/* moved away at last */
	c->leads_home = false;
	while (c->n < 6)
		assert_true(loop_turn(l, -1) > 0);
	assert_int_equal(c->told[5], 0);
	assert_false(atomic_load(&c->conf->loops));
	reality_learn_free(r);
	for (int i = 0; i < c->dials; i++)
		talker_stop(&c->servers[i]);
	talker_stop(&c->outside.target);
	reality_conf_put(c->conf);
	loop_turn(l, 0);
	loop_free(l);
	free(c);
}

/* Somebody on the way reads the question, says it to the node himself, and cuts it off. */
static void bring_the_question_home(struct loop *l, struct reality_conf *conf, struct outside *way)
{
	struct outside other = {.dialer.ops = &outside_ops, .raw = true};
	struct talker server = {0};
	struct stream *x, *y;
	struct bufq q;

	bufq_init(&q, loop_pool(l), SIZE_MAX);
	while (!way->raw_end)
		assert_true(loop_turn(l, -1) > 0);
	for (int i = 0; i < 20; i++)
		loop_turn(l, NSEC_MS);
	assert_true(stream_pull(way->raw_end, &q, 5000) > 100);
	assert_int_equal(pair_new(l, 5000, &x, &y), 0);
	talker_start(&server, reality_server_new(y, conf, &other.dialer), 0, 2, 1);
	assert_true(stream_push(x, &q) > 100);
	for (int i = 0; i < 20; i++)
		loop_turn(l, NSEC_MS);
	assert_true(atomic_load(&conf->came_back));
	stream_free(way->raw_end);
	way->raw_end = NULL;
	stream_free(x);
	talker_stop(&server);
	stream_free(other.raw_end);
	bufq_done(&q);
}

/* The answer to the first question that was brought home. */
static int told_behind_an_observer(struct loop *l, struct reality_conf *conf, bool answers_first)
{
	struct asked a = {.outside.dialer.ops = &outside_ops, .outside.down = 100};
	struct reality_learn *r = reality_learn_new(l, conf, &a.outside.dialer, on_told, &a);
	int before = answers_first ? 3 : 0;

	while (a.n < before)
		assert_true(loop_turn(l, -1) > 0);
	a.outside.raw = true;
	bring_the_question_home(l, conf, &a.outside);
	while (a.n == before)
		assert_true(loop_turn(l, -1) > 0);
	reality_learn_free(r);
	stream_free(a.outside.raw_end);
	loop_turn(l, 0);
	return a.told[before];
}

static void a_target_that_has_answered_is_not_ourselves_whoever_brings_a_question(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct reality_conf *fresh = server_conf(), *known = server_conf(), *next = server_conf();
	int err = told_behind_an_observer(l, known, true);

	assert_true(err < 0 && err != -ELOOP);
	assert_false(atomic_load(&known->loops));
	reality_conf_inherit(next, known); /* a reload does not bring the doubt back */
	err = told_behind_an_observer(l, next, false);
	assert_true(err < 0 && err != -ELOOP);
	assert_false(atomic_load(&next->loops));
	/* of a target that has never answered that cannot be known */
	assert_int_equal(told_behind_an_observer(l, fresh, false), -ELOOP);
	assert_true(atomic_load(&fresh->loops));
	reality_conf_put(fresh);
	reality_conf_put(known);
	reality_conf_put(next);
	loop_turn(l, 0);
	loop_free(l);
}

static struct reality_conf *conf_of(const char *target, const char *a, const char *b)
{
	const char *const names[] = {a, b};
	struct reality_options o = {
		.target = target,
		.names = names,
		.nnames = 2,
		.short_ids = ids,
		.nshort_ids = 1,
		.private_key = priv,
	};
	struct reality_conf *c;

	assert_int_equal(dest_parse(&o.dest, NAME ":443"), 0);
	c = reality_conf_new(&o);
	assert_non_null(c);
	return c;
}

static size_t first_wire(const struct reality_conf *c, size_t i)
{
	struct reality_tail t;

	reality_tail_get(c, i, &t);
	return t.n ? t.wire[0] : 0;
}

static void what_was_learned_of_a_target_outlives_a_reload(void **state)
{
	struct reality_conf *old = conf_of(NULL, "a", "b"), *same = conf_of(NULL, "b", "c"),
			    *other = conf_of("/run/x", "a", "b"),
			    *third = conf_of("/run/y", "a", "b");

	for (size_t i = 0; i < 2 * ALPN_CLASSES; i++) {
		struct reality_tail t = {.n = 1, .wire = {(uint16_t)(100 + i)}};

		reality_tail_set(old, i, &t);
		t.wire[0] += 100;
		reality_tail_set(third, i, &t);
	}
	reality_conf_inherit(same, old);
	reality_conf_inherit(other, old);
	reality_conf_inherit(other, third);
	reality_conf_inherit(NULL, old);
	reality_conf_inherit(other, NULL);
	for (size_t k = 0; k < ALPN_CLASSES; k++) {
		assert_int_equal(first_wire(same, k), 100 + ALPN_CLASSES + k); /* "b" was second */
		assert_int_equal(first_wire(same, ALPN_CLASSES + k), 0);       /* "c" is new */
		assert_int_equal(first_wire(other, k), 0); /* another target's */
	}
	reality_conf_put(old);
	reality_conf_put(same);
	reality_conf_put(other);
	reality_conf_put(third);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_arrive_both_ways),
		cmocka_unit_test(it_stands_on_streams_that_misbehave_and_may_be_killed_at_any_turn),
		cmocka_unit_test(the_target_is_let_go_once_the_client_has_finished),
		cmocka_unit_test(a_target_that_is_away_ends_it_without_a_byte),
		cmocka_unit_test(a_tail_that_cannot_be_said_ends_it_for_good),
		cmocka_unit_test(a_browser_talks_to_the_target),
		cmocka_unit_test(every_first_byte_and_end_reaches_the_target),
		cmocka_unit_test(what_a_target_says_behind_a_handshake_is_learned),
		cmocka_unit_test(what_was_learned_of_a_target_outlives_a_reload),
		cmocka_unit_test(a_target_that_is_ourselves_is_found_out_and_not_dialled_again),
		cmocka_unit_test(
			a_target_that_has_answered_is_not_ourselves_whoever_brings_a_question),
		cmocka_unit_test(who_repeats_a_hello_is_the_targets_after_all),
		cmocka_unit_test(a_second_change_of_ciphers_is_the_targets_to_judge),
		cmocka_unit_test(what_the_target_says_while_it_waits_is_kept_for_him),
		cmocka_unit_test(a_target_that_does_not_wait_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, make_all, drop_all);
}
