/* sing-box's multiplex as a server: its three session protocols on the shared core, over a carrier
 * that dribbles.
 */
#include "unit.h"

#include "proto/carriers.h"
#include "proto/singmux/singmux.h"
#include "proto/singmux/singmux_carrier.h"
#include "stream/mux_core.h"
#include "stream/pair.h"
#include "transport/smux/smux_wire.h"
#include "transport/yamux/yamux_wire.h"

#include "hostile.h"
#include "mux_peer.h"

/* ---- who serves the streams -------------------------------------------------------------- */

struct kid {
	struct stream *s; /* until it has opened */
	struct waiter w;
	struct talker t;
	struct house *house;
	int err;
};

struct house {
	struct peer p;
	struct sink sink;
	struct mux *mux;
	struct kid kids[PEER_STREAMS];
	int nkids, limit; /* of those that are served: the others are let go at once */
	bool stuck;	  /* nobody reads the first one */
	size_t down;
	bool idle, closed, udp_only;
};

static void kid_wake(struct waiter *w)
{
	struct kid *k = container_of(w, struct kid, w);
	struct stream *s = k->s;
	union stream_value v;
	uint8_t number;

	k->err = stream_open(s);
	if (k->err == -EAGAIN) {
		stream_want(s, STREAM_RD | STREAM_WR, w);
		return;
	}
	if (k->err)
		return;
	assert_int_equal(stream_query(s, STREAM_REQUEST, &v), 0);
	number = (uint8_t)v.request->dest.port;
	assert_int_equal(v.request->network, NETWORK_TCP);
	k->s = NULL;
	talker_start(&k->t, s, k->house->down, (uint8_t)(100 + number), number);
}

static void on_stream(struct sink *sink, struct stream *s)
{
	struct house *h = container_of(sink, struct house, sink);
	struct kid *k = &h->kids[h->nkids];

	if (h->nkids == h->limit) {
		stream_free(s);
		return;
	}
	h->nkids++;
	k->s = s;
	k->house = h;
	waiter_init(&k->w, kid_wake);
	if (!h->idle && !(h->stuck && k == h->kids))
		loop_queue(s->loop, &k->w);
}

static void on_closed(struct sink *sink)
{
	container_of(sink, struct house, sink)->closed = true;
}

static void house_serve(struct house *h, struct stream *carrier, const struct mux_kind *kind)
{
	h->sink = (struct sink){.stream = on_stream, .closed = on_closed};
	if (!h->limit)
		h->limit = PEER_STREAMS;
	h->mux = kind->serve(carrier,
			     &(struct mux_terms){.sink = &h->sink, .udp_only = h->udp_only});
}

static void kids_stop(struct house *h)
{
	for (int i = 0; i < h->nkids; i++) {
		waiter_cancel(&h->kids[i].w);
		stream_free(h->kids[i].s);
		h->kids[i].s = NULL;
		if (h->kids[i].t.s)
			talker_stop(&h->kids[i].t);
	}
}

static void house_stop(void *state)
{
	struct house *h = state;

	kids_stop(h);
	mux_free(h->mux);
	h->mux = NULL;
	peer_stop(&h->p);
}

/* M2: the mux goes first. */
static void house_stop_mux_first(void *state)
{
	struct house *h = state;

	mux_free(h->mux);
	h->mux = NULL;
	house_stop(h);
}

static bool house_done(void *state)
{
	struct house *h = state;

	for (int i = 0; i < h->nkids; i++) {
		if (!h->kids[i].err && (h->kids[i].s || !talker_done(&h->kids[i].t)))
			return false;
	}
	return h->p.err || h->closed || (h->nkids == h->p.n && peer_done(&h->p));
}

static void house_check(void *state)
{
	struct house *h = state;

	assert_int_equal(h->p.err, 0);
	assert_false(h->closed);
	assert_int_equal(h->nkids, h->p.n);
	for (int i = 0; i < h->nkids; i++) {
		assert_int_equal(h->kids[i].t.err, 0);
		assert_int_equal(h->kids[i].t.received, h->p.up);
		assert_int_equal(h->p.st[i].received, h->down);
	}
}

/* ---- many streams ------------------------------------------------------------------------ */

static struct {
	struct singmux_hello hello;
	size_t up, down;
	unsigned max;
	int n;
} shape;

static struct dribble_conf dribble(uint64_t seed)
{
	struct dribble_conf conf = DRIBBLE(seed);

	conf.max = shape.max;
	return conf;
}

static void many_start(struct loop *l, void *state)
{
	struct house *h = state;
	struct stream *x, *y;
	struct dribble_conf a = dribble(1), b = dribble(2);

	assert_int_equal(pair_new(l, 3000, &x, &y), 0);
	h->down = shape.down;
	peer_start(&h->p, singmux_carrier_client(dribble_new(x, &a), &shape.hello),
		   shape.hello.protocol, shape.n, shape.up, shape.down);
	house_serve(h, dribble_new(y, &b), &singmux_kind);
}

static const struct scenario many = {many_start, house_done, house_stop, house_check,
				     sizeof(struct house)};

static void run_once(const struct scenario *sc)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 7);
	struct house *h = calloc(1, sizeof(*h));

	assert_non_null(l);
	assert_non_null(h);
	sc->start(l, h);
	assert_true(run_until(l, sc->done, h));
	sc->check(h);
	sc->stop(h);
	loop_turn(l, 0);
	free(h);
	loop_free(l);
}

static void let_pass(struct loop *l, nsec_t time)
{
	nsec_t end = loop_now(l) + time;

	while (loop_now(l) < end && loop_turn(l, end - loop_now(l)) > 0)
		;
}

static void set_shape(uint8_t protocol, bool padding)
{
	shape.hello = (struct singmux_hello){
		.version = padding, .protocol = protocol, .padding = padding};
}

static void many_streams_carry_what_is_theirs_both_ways(void **state)
{
	for (uint8_t protocol = SINGMUX_SMUX; protocol <= SINGMUX_H2MUX; protocol++) {
		for (int padding = 0; padding <= 1; padding++) {
			set_shape(protocol, padding);
			shape.n = PEER_STREAMS;
			shape.up = 9000;
			shape.down = 14000;
			shape.max = 40;
			run_once(&many);
		}
	}
}

/* More than any window, so that credit has to come back. */
static void more_than_a_window_goes_through(void **state)
{
	for (uint8_t protocol = SINGMUX_SMUX; protocol <= SINGMUX_H2MUX; protocol++) {
		set_shape(protocol, false);
		shape.n = 2;
		shape.up = 700 * 1024;
		shape.down = 600 * 1024;
		shape.max = 3000;
		run_once(&many);
	}
}

/* All but the first of the streams are through. */
static bool others_done(void *state)
{
	const struct house *h = state;

	return h->p.err || h->closed ||
	       (h->nkids == 2 && talker_done(&h->kids[1].t) && h->p.st[1].eof);
}

/* Which may take longer than MUX_STALL: its window is used up, and nobody waits for it. */
static void a_slow_upload_holds_up_nobody_and_goes_on(void **state)
{
	static const uint8_t protocols[] = {SINGMUX_YAMUX, SINGMUX_H2MUX};

	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		struct loop *l = loop_new(LOOP_VIRTUAL, 7);
		struct house *h = calloc(1, sizeof(*h));

		set_shape(protocols[i], false);
		shape.n = 2;
		shape.up = 400 * 1024;
		shape.down = 300 * 1024;
		shape.max = 3000;
		assert_non_null(l);
		assert_non_null(h);
		h->stuck = true;
		many_start(l, h);
		assert_true(run_until(l, others_done, h));
		assert_int_equal(h->p.err, 0);
		assert_int_equal(h->kids[1].t.received, h->p.up);
		assert_int_equal(h->p.st[1].received, h->down);
		for (int k = 0; k < 60; k++)
			loop_turn(l, NSEC_SEC);
		assert_true(h->p.st[0].sent >= 256 * 1024 - 1);
		assert_int_equal(h->p.err, 0);
		loop_queue(l, &h->kids[0].w);
		assert_true(run_until(l, house_done, h));
		house_check(h);
		house_stop(h);
		loop_turn(l, 0);
		free(h);
		loop_free(l);
	}
}

/* Nobody has to wait for it, and its client waits as for any other target. */
static void a_stream_that_is_alone_is_waited_for_as_any_connection_is(void **state)
{
	for (uint8_t protocol = SINGMUX_SMUX; protocol <= SINGMUX_H2MUX; protocol++) {
		struct loop *l = loop_new(LOOP_VIRTUAL, 7);
		struct house *h = calloc(1, sizeof(*h));
		size_t sent;

		set_shape(protocol, false);
		shape.n = 1;
		shape.up = 800 * 1024;
		shape.down = 300 * 1024;
		shape.max = 3000;
		assert_non_null(l);
		assert_non_null(h);
		h->stuck = true;
		many_start(l, h);
		let_pass(l, MUX_STALL_ALONE / 2);
		sent = h->p.st[0].sent;
		assert_in_range(sent, MUX_CHILD_MAX - 1, MUX_CHILD_MAX + 128 * 1024);
		let_pass(l, MUX_STALL_ALONE / 2 - NSEC_SEC);
		assert_int_equal(h->p.st[0].sent, sent);
		assert_int_equal(h->p.err, 0);
		assert_false(h->closed);
		loop_queue(l, &h->kids[0].w);
		assert_true(run_until(l, house_done, h));
		house_check(h);
		house_stop(h);
		loop_turn(l, 0);
		free(h);
		loop_free(l);
	}
}

static void it_can_be_let_go_at_any_turn(void **state)
{
	struct scenario sc = many;

	shape.n = 2;
	shape.up = 700;
	shape.down = 600;
	shape.max = 300;
	for (uint8_t protocol = SINGMUX_SMUX; protocol <= SINGMUX_H2MUX; protocol++) {
		set_shape(protocol, protocol == SINGMUX_YAMUX);
		sc.stop = house_stop;
		assert_true(kill_at_each_turn(&sc, 5) > 5);
		sc.stop = house_stop_mux_first;
		assert_true(kill_at_each_turn(&sc, 6) > 5);
	}
}

/* ---- by hand ----------------------------------------------------------------------------- */

struct hand {
	struct house h;
	struct loop *l;
	struct stream *far;
	struct bufq q;
};

#define HELLO_SMUX  "\0\0"
#define HELLO_YAMUX "\0\1"
#define HELLO_H2MUX "\0\2"
#define REQUEST	    "\0\0\1\xc0\0\2\1\0\1" /* 9 bytes: 192.0.2.1:1 */

static void hand_say(struct hand *t, const void *bytes, size_t len)
{
	struct bufq q;

	bufq_init(&q, loop_pool(t->l), SIZE_MAX);
	assert_int_equal(bufq_append(&q, bytes, len), 0);
	while (!bufq_empty(&q) && stream_push(t->far, &q) > 0)
		;
	bufq_done(&q);
	for (int i = 0; i < 20; i++)
		loop_turn(t->l, 0);
}

#define SAY(t, s) hand_say(t, s, sizeof(s) - 1)

static void hand_start_with(struct hand *t, const struct mux_kind *kind, bool udp_only)
{
	struct stream *near;

	memset(t, 0, sizeof(*t));
	t->h.udp_only = udp_only;
	t->l = loop_new(LOOP_VIRTUAL, 1);
	assert_non_null(t->l);
	assert_int_equal(pair_new(t->l, 4 << 20, &near, &t->far), 0);
	bufq_init(&t->q, loop_pool(t->l), SIZE_MAX);
	house_serve(&t->h, near, kind);
}

static void hand_start(struct hand *t, const struct mux_kind *kind)
{
	hand_start_with(t, kind, false);
}

static void hand_stop(struct hand *t)
{
	house_stop(&t->h);
	stream_free(t->far);
	bufq_done(&t->q);
	loop_turn(t->l, 0);
	loop_free(t->l);
}

/* What has been answered is exactly this. */
static void hears(struct hand *t, const void *bytes, size_t len)
{
	uint8_t got[256];

	while (stream_pull(t->far, &t->q, 65536) > 0)
		;
	assert_int_equal(bufq_len(&t->q), len);
	bufq_take(&t->q, got, sizeof(got));
	assert_memory_equal(got, bytes, len);
}

#define HEARS(t, s) hears(t, s, sizeof(s) - 1)

static void pass(struct hand *t, nsec_t time)
{
	let_pass(t->l, time);
}

static void who_must_pad_and_does_not_is_turned_away(void **state)
{
	struct hand t;

	hand_start(&t, &singmux_padded_kind);
	SAY(&t, HELLO_SMUX);
	assert_true(t.h.closed);
	assert_int_equal(t.h.mux->result, -ERR_DENIED);
	hand_stop(&t);
	hand_start(&t, &singmux_padded_kind);
	SAY(&t, "\1\0\1\0\2--");
	assert_false(t.h.closed);
	hand_stop(&t);
}

static void an_inbound_offers_it_to_all_to_who_pads_or_to_nobody(void **state)
{
	static const struct mux_kind *const want[] = {
		[PROTO_SINGMUX_ANY] = &singmux_kind,
		[PROTO_SINGMUX_PADDED] = &singmux_padded_kind,
		[PROTO_SINGMUX_OFF] = NULL,
	};
	struct dest d;

	singmux_dest(&d);
	for (uint8_t i = 0; i < ARRAY_LEN(want); i++) {
		struct proto_inbound in = {.singmux = i};

		assert_ptr_equal(carrier_find(&in, &d), want[i]);
	}
}

static void who_says_nothing_is_let_go(void **state)
{
	struct hand t;
	nsec_t before;

	hand_start(&t, &singmux_kind);
	before = loop_now(t.l);
	for (int i = 0; i < 100 && !t.h.closed; i++)
		loop_turn(t.l, NSEC_SEC);
	assert_true(t.h.closed);
	assert_true(loop_now(t.l) - before < 60 * NSEC_SEC);
	hand_stop(&t);
}

static void a_yamux_stream_is_acknowledged_and_a_ping_answered(void **state)
{
	struct hand t;

	hand_start(&t, &singmux_kind);
	SAY(&t, HELLO_YAMUX "\0\1\0\1\0\0\0\1\0\0\0\0");
	HEARS(&t, "\0\1\0\2\0\0\0\1\0\0\0\0");
	assert_int_equal(t.h.nkids, 1);
	SAY(&t, "\0\2\0\1\0\0\0\0\x0a\x0b\x0c\x0d");
	HEARS(&t, "\0\2\0\2\0\0\0\0\x0a\x0b\x0c\x0d");
	SAY(&t, "\0\1\0\1\0\0\0\1\0\0\0\0"); /* once more */
	assert_int_equal(t.h.mux->result, -ERR_PROTOCOL);
	hand_stop(&t);
}

/* M4 */
static void yamux_credit_comes_back_when_the_consumer_pulls(void **state)
{
	static uint8_t data[YAMUX_HEAD + YAMUX_WINDOW] = {0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0, 0};
	struct hand t;
	struct stream *s;

	hand_start(&t, &singmux_kind);
	t.h.idle = true;
	SAY(&t, HELLO_YAMUX "\0\1\0\1\0\0\0\1\0\0\0\0");
	HEARS(&t, "\0\1\0\2\0\0\0\1\0\0\0\0");
	memcpy(data + YAMUX_HEAD, REQUEST, 9);
	hand_say(&t, data, sizeof(data));
	HEARS(&t, "");
	s = t.h.kids[0].s;
	assert_int_equal(stream_open(s), 0);
	while (stream_pull(s, &t.q, 4096) > 0 && bufq_len(&t.q) < YAMUX_WINDOW / 2 - 20000)
		;
	bufq_done(&t.q);
	loop_turn(t.l, 0);
	HEARS(&t, "");
	while (stream_pull(s, &t.q, 4096) > 0)
		;
	bufq_done(&t.q);
	loop_turn(t.l, 0);
	while (stream_pull(t.far, &t.q, 65536) > 0)
		;
	assert_true(bufq_len(&t.q) >= YAMUX_HEAD);
	bufq_done(&t.q);
	hand_stop(&t);
}

static void more_than_a_yamux_window_is_broken_off(void **state)
{
	struct hand t;

	hand_start(&t, &singmux_kind);
	SAY(&t, HELLO_YAMUX "\0\1\0\1\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\1\0\4\0\1");
	assert_int_equal(t.h.mux->result, -ERR_PROTOCOL);
	hand_stop(&t);
}

static void yamux_data_behind_a_fin_is_broken_off(void **state)
{
	struct hand t;

	hand_start(&t, &singmux_kind);
	t.h.idle = true;
	SAY(&t, HELLO_YAMUX "\0\1\0\1\0\0\0\1\0\0\0\0\0\0\0\4\0\0\0\1\0\0\0\x0b" REQUEST "ab");
	assert_false(t.h.closed);
	SAY(&t, "\0\0\0\0\0\0\0\1\0\0\0\1c");
	assert_true(t.h.closed);
	assert_int_equal(t.h.mux->result, -ERR_PROTOCOL);
	hand_stop(&t);
}

/* M3 */
static void a_yamux_child_that_goes_is_reset_and_nobody_else(void **state)
{
	struct hand t;

	hand_start(&t, &singmux_kind);
	t.h.idle = true;
	SAY(&t, HELLO_YAMUX "\0\1\0\1\0\0\0\1\0\0\0\0\0\1\0\1\0\0\0\3\0\0\0\0");
	HEARS(&t, "\0\1\0\2\0\0\0\1\0\0\0\0\0\1\0\2\0\0\0\3\0\0\0\0");
	stream_free(t.h.kids[0].s);
	t.h.kids[0].s = NULL;
	SAY(&t, "\0\0\0\0\0\0\0\1\0\0\0\5-late"); /* what is still on its way to it */
	HEARS(&t, "\0\1\0\x08\0\0\0\1\0\0\0\0");
	assert_false(t.h.closed);
	assert_int_equal(stream_pull(t.h.kids[1].s, &t.q, 10), -EAGAIN);
	SAY(&t, "\0\1\0\x08\0\0\0\3\0\0\0\0");
	assert_int_equal(stream_pull(t.h.kids[1].s, &t.q, 10), -ECONNRESET);
	hand_stop(&t);
}

/* A stream of a carrier that has none, and which it is to survive: `open` and `end` are the client's
 * words, and behind them the carrier is there. */
static void open_and_end(struct hand *t, const char *open, const char *end, size_t len)
{
	int before = t->h.nkids;

	hand_say(t, open, len);
	assert_int_equal(t->h.nkids, before + 1);
	hand_say(t, end, len);
	assert_false(t->h.closed);
	bufq_done(&t->q);
}

/* M7.  The next stream may be on its way when the last one ends, and nobody can be told. */
static void a_drained_smux_or_yamux_is_kept_until_it_is_quiet(void **state)
{
	static const struct {
		const char *hello, *open, *end;
		size_t len;
	} cases[] = {
		{HELLO_SMUX, "\1\0\0\0\3\0\0\0", "\1\1\0\0\3\0\0\0", 8},
		{HELLO_YAMUX, "\0\1\0\1\0\0\0\1\0\0\0\0", "\0\1\0\x08\0\0\0\1\0\0\0\0", 12},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct hand t;

		hand_start(&t, &singmux_kind);
		t.h.idle = true;
		hand_say(&t, cases[i].hello, 2);
		mux_drain(t.h.mux, MUX_QUIET);
		for (int n = 0; n < 3; n++) {
			open_and_end(&t, cases[i].open, cases[i].end, cases[i].len);
			pass(&t, MUX_QUIET - NSEC_SEC);
			assert_false(t.h.closed);
		}
		pass(&t, 2 * NSEC_SEC);
		assert_true(t.h.closed);
		assert_int_equal(t.h.mux->result, 0);
		hand_stop(&t);
	}
}

/* When all ends, who has no stream is not waited for: whatever was said before. */
static void a_drained_carrier_is_over_when_it_is_not_to_wait_any_more(void **state)
{
	struct hand t;

	hand_start(&t, &singmux_kind);
	t.h.idle = true;
	SAY(&t, HELLO_SMUX "\1\0\0\0\3\0\0\0\1\1\0\0\3\0\0\0");
	mux_drain(t.h.mux, MUX_QUIET);
	SAY(&t, "");
	assert_false(t.h.closed);
	mux_drain(t.h.mux, 0);
	SAY(&t, "");
	assert_true(t.h.closed);
	assert_int_equal(t.h.mux->result, 0);
	hand_stop(&t);
}

/* M7.  The clients of neither go elsewhere: they would only lose what they open. */
static void a_drained_smux_or_yamux_serves_on_and_ends_with_its_last_child(void **state)
{
	struct hand t;

	hand_start(&t, &singmux_kind);
	t.h.idle = true;
	SAY(&t, HELLO_YAMUX "\0\1\0\1\0\0\0\1\0\0\0\0");
	HEARS(&t, "\0\1\0\2\0\0\0\1\0\0\0\0");
	mux_drain(t.h.mux, 0);
	SAY(&t, "\0\1\0\1\0\0\0\3\0\0\0\0");
	HEARS(&t, "\0\1\0\2\0\0\0\3\0\0\0\0");
	SAY(&t, "\0\1\0\x08\0\0\0\1\0\0\0\0");
	assert_false(t.h.closed);
	SAY(&t, "\0\1\0\x08\0\0\0\3\0\0\0\0");
	assert_true(t.h.closed);
	assert_int_equal(t.h.mux->result, 0);
	hand_stop(&t);
	hand_start(&t, &singmux_kind);
	t.h.idle = true;
	SAY(&t, HELLO_SMUX "\1\0\0\0\3\0\0\0");
	mux_drain(t.h.mux, 0);
	SAY(&t, "\1\0\0\0\5\0\0\0");
	HEARS(&t, "");
	assert_int_equal(t.h.nkids, 2);
	SAY(&t, "\1\1\0\0\3\0\0\0\1\1\0\0\5\0\0\0");
	assert_true(t.h.closed);
	assert_int_equal(t.h.mux->result, 0);
	hand_stop(&t);
}

/* As where a worker is full: no fault of the client's. */
static void a_stream_that_is_let_go_at_once_is_ended_once_and_is_no_glitch(void **state)
{
	static const struct {
		const char *hello, *open, *end;
		size_t nopen, nend, at;
	} cases[] = {
		{HELLO_SMUX, "\1\0\0\0\3\0\0\0", "\1\1\0\0\3\0\0\0", 8, 8, 4},
		{HELLO_YAMUX, "\0\1\0\1\0\0\0\1\0\0\0\0", "\0\1\0\x08\0\0\0\1\0\0\0\0", 12, 12, 7},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct hand t;
		uint8_t open[16], end[16];

		hand_start(&t, &singmux_kind);
		t.h.limit = 0;
		hand_say(&t, cases[i].hello, 2);
		memcpy(open, cases[i].open, cases[i].nopen);
		memcpy(end, cases[i].end, cases[i].nend);
		for (int n = 0; n < 1200; n++) {
			open[cases[i].at] = end[cases[i].at] = (uint8_t)(n | 1);
			hand_say(&t, open, cases[i].nopen);
			hears(&t, end, cases[i].nend);
		}
		assert_false(t.h.closed);
		hand_stop(&t);
	}
}

/* Who has said FIN has forgotten the stream: what he is not going to hear is not sent. */
static void a_smux_fin_is_the_end_of_both_directions(void **state)
{
	struct hand t;
	struct stream *s;

	hand_start(&t, &singmux_kind);
	t.h.idle = true;
	SAY(&t, HELLO_SMUX "\1\0\0\0\3\0\0\0"
			   "\1\2\x0b\0\3\0\0\0" REQUEST "ab"
			   "\1\1\0\0\3\0\0\0");
	s = t.h.kids[0].s;
	assert_int_equal(stream_open(s), 0);
	assert_int_equal(stream_pull(s, &t.q, 10), 2);
	assert_int_equal(stream_pull(s, &t.q, 10), 0);
	assert_int_equal(stream_push(s, &t.q), -EPIPE);
	bufq_done(&t.q);
	kids_stop(&t.h);
	SAY(&t, "");
	HEARS(&t, "");
	hand_stop(&t);
}

static void a_smux_child_that_goes_says_fin_once(void **state)
{
	struct hand t;

	hand_start(&t, &singmux_kind);
	t.h.idle = true;
	SAY(&t, HELLO_SMUX "\1\0\0\0\3\0\0\0\1\0\0\0\5\0\0\0");
	assert_int_equal(stream_shut(t.h.kids[0].s), 0);
	kids_stop(&t.h);
	SAY(&t, "\1\2\3\0\3\0\0\0abc");
	HEARS(&t, "\1\1\0\0\3\0\0\0\1\1\0\0\5\0\0\0");
	assert_false(t.h.closed);
	hand_stop(&t);
}

static void what_no_frame_begins_with_ends_the_carrier(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{"\3\0", 2},			     /* no such protocol */
		{HELLO_SMUX "\2\0\0\0\3\0\0\0", 10}, /* smux version 2 */
		{HELLO_YAMUX "\0\4\0\0\0\0\0\1\0\0\0\0", 14},
		{HELLO_H2MUX "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 29},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct hand t;

		hand_start(&t, &singmux_kind);
		hand_say(&t, cases[i].bytes, cases[i].len);
		assert_true(t.h.closed);
		assert_true(t.h.mux->result < 0);
		hand_stop(&t);
	}
}

/* ---- HTTP/2 by hand ---------------------------------------------------------------------- */

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
/* CONNECT by a literal, :authority "x" */
#define CONNECT(id) "\0\0\x0c\1\4\0\0\0" id "\x42\7CONNECT\x41\1x"
#define END_OF(id)  "\0\0\0\0\1\0\0\0" id

/* Is there a frame of this type in what has been answered? */
static bool h2_heard(struct hand *t, uint8_t type)
{
	bool found = false;
	uint8_t head[9];

	while (stream_pull(t->far, &t->q, 65536) > 0)
		;
	while (bufq_take(&t->q, head, 9) == 9) {
		found |= head[3] == type;
		bufq_drain(&t->q, MIN(bufq_len(&t->q), (size_t)head[1] << 8 | head[2]));
	}
	return found;
}

/* The same, of one whose client is Go's. */
#define CONNECT_OF_GO(id) "\0\0\x20\1\4\0\0\0" id "\x42\7CONNECT\x41\1x\x7a\x12Go-http-client/2.0"

#define FOREVER	     0x7fffffff
#define FAREWELL_ACK "\0\0\x08\6\1\0\0\0\0farewell"

/* The last stream that is going to be served, as the goodbye in what has been answered says.  0: there is
 * none. */
static uint32_t h2_goodbye(struct hand *t)
{
	uint32_t last = 0;
	uint8_t frame[17];

	SAY(t, "");
	while (stream_pull(t->far, &t->q, 65536) > 0)
		;
	while (bufq_peek(&t->q, 0, frame, sizeof(frame)) >= 9) {
		struct rd r = rd_of(frame + 9, 8);

		if (frame[3] == NGHTTP2_GOAWAY) {
			last = rd_be32(&r);
			assert_int_equal(rd_be32(&r), NGHTTP2_NO_ERROR);
		}
		bufq_drain(&t->q, 9 + ((size_t)frame[1] << 8 | frame[2]));
	}
	return last;
}

static void end_both(struct hand *t, int kid, const char *end)
{
	hand_say(t, end, 9);
	assert_int_equal(stream_shut(t->h.kids[kid].s), 0);
	SAY(t, "");
}

/* M7, RFC 9113 section 6.8: what crosses with the first word is served, and goes on behind the last one. */
static void an_h2mux_says_goodbye_in_two_steps(void **state)
{
	for (int answers = 0; answers <= 1; answers++) {
		struct hand t;

		hand_start(&t, &singmux_kind);
		t.h.idle = true;
		SAY(&t, HELLO_H2MUX PREFACE CONNECT("\1"));
		assert_int_equal(h2_goodbye(&t), 0);
		mux_drain(t.h.mux, MUX_QUIET);
		assert_int_equal(h2_goodbye(&t), FOREVER);
		SAY(&t, CONNECT("\3"));
		assert_int_equal(t.h.nkids, 2);
		assert_int_equal(h2_goodbye(&t), 0);
		if (answers)
			SAY(&t, FAREWELL_ACK);
		else
			pass(&t, 3 * NSEC_SEC);
		assert_int_equal(h2_goodbye(&t), 3);
		SAY(&t, CONNECT("\5"));
		assert_int_equal(t.h.nkids, 2);
		end_both(&t, 0, END_OF("\1"));
		assert_false(t.h.closed);
		pass(&t, 2 * MUX_QUIET);
		assert_false(t.h.closed);
		end_both(&t, 1, END_OF("\3"));
		assert_true(t.h.closed);
		assert_int_equal(t.h.mux->result, 0);
		hand_stop(&t);
	}
}

/* It would end all that it has. */
static void an_h2mux_of_go_hears_goodbye_when_it_is_quiet(void **state)
{
	struct hand t;

	hand_start(&t, &singmux_kind);
	t.h.idle = true;
	SAY(&t, HELLO_H2MUX PREFACE CONNECT_OF_GO("\1"));
	mux_drain(t.h.mux, MUX_QUIET);
	pass(&t, 2 * MUX_QUIET);
	assert_int_equal(h2_goodbye(&t), 0);
	end_both(&t, 0, END_OF("\1"));
	pass(&t, MUX_QUIET - NSEC_SEC);
	SAY(&t, CONNECT_OF_GO("\3"));
	assert_int_equal(t.h.nkids, 2);
	end_both(&t, 1, END_OF("\3"));
	pass(&t, MUX_QUIET - NSEC_SEC);
	assert_int_equal(h2_goodbye(&t), 0);
	assert_false(t.h.closed);
	pass(&t, NSEC_SEC + NSEC_SEC / 2);
	assert_int_equal(h2_goodbye(&t), FOREVER);
	SAY(&t, CONNECT_OF_GO("\5") FAREWELL_ACK);
	assert_int_equal(t.h.nkids, 3);
	assert_int_equal(h2_goodbye(&t), 5);
	end_both(&t, 2, END_OF("\5"));
	assert_true(t.h.closed);
	assert_int_equal(t.h.mux->result, 0);
	hand_stop(&t);
}

/* Nor for ever: what it begins would follow the old rules. */
static void an_h2mux_of_go_that_is_never_quiet_hears_goodbye_in_the_end(void **state)
{
	for (int all_ends = 0; all_ends <= 1; all_ends++) {
		struct hand t;

		hand_start(&t, &singmux_kind);
		t.h.idle = true;
		SAY(&t, HELLO_H2MUX PREFACE CONNECT_OF_GO("\1"));
		mux_drain(t.h.mux, all_ends ? 0 : MUX_QUIET);
		pass(&t, MUX_DRAIN_MAX - NSEC_SEC);
		assert_int_equal(h2_goodbye(&t), 0);
		SAY(&t, CONNECT_OF_GO("\3"));
		assert_int_equal(t.h.nkids, 2);
		pass(&t, 2 * NSEC_SEC);
		assert_int_equal(h2_goodbye(&t), FOREVER);
		SAY(&t, FAREWELL_ACK);
		assert_int_equal(h2_goodbye(&t), 3);
		SAY(&t, CONNECT_OF_GO("\5"));
		assert_int_equal(t.h.nkids, 2);
		end_both(&t, 0, END_OF("\1"));
		assert_false(t.h.closed);
		end_both(&t, 1, END_OF("\3"));
		assert_true(t.h.closed);
		assert_int_equal(t.h.mux->result, 0);
		hand_stop(&t);
	}
}

/* Whoever has nothing there is told as well, and answers or not. */
static void an_h2mux_without_streams_ends_behind_its_goodbye(void **state)
{
	for (int answers = 0; answers <= 1; answers++) {
		struct hand t;

		hand_start(&t, &singmux_kind);
		SAY(&t, HELLO_H2MUX PREFACE);
		mux_drain(t.h.mux, 0);
		assert_int_equal(h2_goodbye(&t), FOREVER);
		assert_false(t.h.closed);
		if (answers)
			SAY(&t, FAREWELL_ACK);
		else
			pass(&t, 3 * NSEC_SEC);
		assert_true(t.h.closed);
		assert_int_equal(t.h.mux->result, 0);
		hand_stop(&t);
	}
}

/* Whoever ends last. */
static void a_drained_h2mux_is_over_in_order(void **state)
{
	for (int we_last = 0; we_last <= 1; we_last++) {
		struct hand t;

		hand_start(&t, &singmux_kind);
		t.h.idle = true;
		SAY(&t, HELLO_H2MUX PREFACE CONNECT("\1"));
		mux_drain(t.h.mux, 0);
		SAY(&t, "");
		assert_true(h2_heard(&t, NGHTTP2_GOAWAY));
		SAY(&t, FAREWELL_ACK);
		if (we_last)
			SAY(&t, END_OF("\1"));
		assert_int_equal(stream_shut(t.h.kids[0].s), 0);
		assert_false(t.h.closed);
		SAY(&t, "");
		if (!we_last)
			SAY(&t, END_OF("\1"));
		assert_true(t.h.closed);
		assert_int_equal(t.h.mux->result, 0);
		hand_stop(&t);
	}
}

static void an_h2_client_that_says_goodbye_ends_in_order(void **state)
{
	struct hand t;

	hand_start(&t, &singmux_kind);
	SAY(&t, HELLO_H2MUX PREFACE "\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\0");
	assert_true(t.h.closed);
	assert_int_equal(t.h.mux->result, 0);
	hand_stop(&t);
}

static void an_h2_stream_that_is_let_go_at_once_is_no_glitch(void **state)
{
	struct hand t;

	hand_start(&t, &singmux_kind);
	t.h.limit = 0;
	SAY(&t, HELLO_H2MUX PREFACE);
	for (uint16_t id = 1; id < 2400; id += 2) {
		uint8_t mem[] = CONNECT("\1");

		mem[7] = (uint8_t)(id >> 8);
		mem[8] = (uint8_t)id;
		hand_say(&t, mem, sizeof(mem) - 1);
		assert_false(t.h.closed);
		assert_true(h2_heard(&t, NGHTTP2_RST_STREAM));
	}
	hand_stop(&t);
}

/* What is held is what it costs. */
static void small_pieces_of_data_share_chunks(void **state)
{
	static uint8_t frame[9 + 1025] = {0, 4, 1, 0, 0, 0, 0, 0, 1};
	struct hand t;
	size_t before;

	hand_start(&t, &singmux_kind);
	t.h.idle = true;
	SAY(&t, HELLO_H2MUX PREFACE CONNECT("\1"));
	(void)h2_heard(&t, 0);
	before = loop_pool(t.l)->nused;
	for (int i = 0; i < 60; i++)
		hand_say(&t, frame, sizeof(frame));
	assert_false(t.h.closed);
	(void)h2_heard(&t, 0);
	assert_in_range(loop_pool(t.l)->nused - before, 4, 8);
	hand_stop(&t);
}

static size_t (*real_window)(const struct mux_child *);
static int nasked;

static size_t counted_window(const struct mux_child *c)
{
	nasked++;
	return real_window(c);
}

static void many_window_updates_at_once_are_one_for_those_who_wait(void **state)
{
	static const uint8_t update[] = "\0\0\4\x08\0\0\0\0\0\0\0\0\1";
	static uint8_t flood[1000 * (sizeof(update) - 1)];
	struct mux_codec codec;
	struct mux_core *m;
	struct hand t;

	hand_start(&t, &singmux_kind);
	t.h.idle = true;
	/* no stream has a window */
	SAY(&t, HELLO_H2MUX PREFACE "\0\0\6\4\0\0\0\0\0\0\4\0\0\0\0" CONNECT("\1") CONNECT("\3"));
	assert_int_equal(t.h.nkids, 2);
	for (int i = 0; i < 2; i++)
		stream_want(t.h.kids[i].s, STREAM_WR, &t.h.kids[i].w);
	m = container_of(t.h.mux, struct mux_core, mux);
	codec = *m->codec;
	real_window = codec.window;
	codec.window = counted_window;
	m->codec = &codec;
	nasked = 0;
	for (size_t i = 0; i < 1000; i++)
		memcpy(flood + i * (sizeof(update) - 1), update, sizeof(update) - 1);
	hand_say(&t, flood, sizeof(flood));
	assert_false(t.h.closed);
	assert_in_range(nasked, 2, 20);
	hand_stop(&t);
}

/* ---- no window --------------------------------------------------------------------------- */

/* All that goes out for a stream that has as much to say as it is let. */
static size_t say_without_end(struct hand *t, uint32_t id)
{
	static uint8_t block[16384];
	struct mux_core *m = container_of(t->h.mux, struct mux_core, mux);
	struct stream *s = &mux_stream_of(mux_find(m, id))->s;
	struct bufq q;
	size_t all = 0, quiet = 0;

	bufq_init(&q, loop_pool(t->l), SIZE_MAX);
	while (quiet < 5) {
		ssize_t n;

		if (bufq_empty(&q))
			assert_int_equal(bufq_append(&q, block, sizeof(block)), 0);
		n = stream_push(s, &q);
		all += n > 0 ? (size_t)n : 0;
		quiet = n > 0 ? 0 : quiet + 1;
		if (n < 0)
			assert_int_equal(n, -EAGAIN);
		SAY(t, "");
		while (stream_pull(t->far, &t->q, 65536) > 0)
			;
		bufq_done(&t->q);
	}
	bufq_done(&q);
	return all;
}

/* Who grants nothing gets no more than he has granted, for however long, and the others get theirs. */
static void a_window_that_stays_shut_costs_nothing_and_holds_up_nobody(void **state)
{
	static const char yamux[] = HELLO_YAMUX "\0\1\0\1\0\0\0\1\0\0\0\0\0\1\0\1\0\0\0\3\0\0\0\0",
			  h2[] = HELLO_H2MUX PREFACE "\0\0\4\x08\0\0\0\0\0\0\1\0\0" CONNECT("\1")
				  CONNECT("\3");
	static const struct {
		const char *bytes;
		size_t len, window;
	} cases[] = {
		{yamux, sizeof(yamux) - 1, YAMUX_WINDOW},
		{h2, sizeof(h2) - 1, 65535},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct hand t;

		hand_start(&t, &singmux_kind);
		t.h.idle = true;
		hand_say(&t, cases[i].bytes, cases[i].len);
		assert_int_equal(t.h.nkids, 2);
		assert_int_equal(say_without_end(&t, 1), cases[i].window);
		assert_int_equal(say_without_end(&t, 3), cases[i].window);
		pass(&t, 10 * MUX_STALL);
		assert_int_equal(say_without_end(&t, 1), 0);
		assert_false(t.h.closed);
		hand_stop(&t);
	}
}

/* ---- TCP Brutal -------------------------------------------------------------------------- */

static void brutal_is_declined_in_its_own_words(void **state)
{
	static const char want[] = "\1\2\x21\0\3\0\0\0\0\0\x1eTCP Brutal is not offered here";
	struct hand t;

	hand_start(&t, &singmux_kind);
	SAY(&t, HELLO_SMUX "\1\0\0\0\3\0\0\0"
			   "\1\2\x1e\0\3\0\0\0\0\0\3\x11_BrutalBwExchange\0\0"
			   "\0\0\0\0\0\1\0");
	assert_int_equal(t.h.kids[0].err, -EAGAIN);
	HEARS(&t, "");
	SAY(&t, "\1\2\1\0\3\0\0\0\0");
	hears(&t, want, sizeof(want) - 1);
	assert_int_equal(t.h.kids[0].err, -EAGAIN);
	SAY(&t, "\1\1\0\0\3\0\0\0");
	assert_int_equal(t.h.kids[0].err, -ERR_UNSUPPORTED);
	hand_stop(&t);
}

/* ---- what a request may be --------------------------------------------------------------- */

/* The flow of Vision allows nothing else inside. */
static void where_only_udp_may_be_inside_a_tcp_stream_is_refused(void **state)
{
	struct hand t;
	union stream_value v;

	hand_start_with(&t, &singmux_kind, true);
	t.h.idle = true;
	SAY(&t, HELLO_SMUX "\1\0\0\0\3\0\0\0\1\2\x09\0\3\0\0\0" REQUEST
			   "\1\0\0\0\5\0\0\0\1\2\x09\0\5\0\0\0\0\1\1\xc0\0\2\1\0\1");
	assert_int_equal(t.h.nkids, 2);
	assert_int_equal(stream_open(t.h.kids[0].s), -ERR_UNSUPPORTED);
	assert_int_equal(stream_query(t.h.kids[0].s, STREAM_REQUEST, &v), -ENOTSUP);
	assert_int_equal(stream_open(t.h.kids[1].s), 0);
	assert_int_equal(stream_query(t.h.kids[1].s, STREAM_REQUEST, &v), 0);
	assert_int_equal(v.request->network, NETWORK_UDP);
	hand_stop(&t);
}

/* ---- floods (M9) ------------------------------------------------------------------------- */

static void flood(const char *hello, size_t nhello, const void *frame, size_t len, int limit)
{
	struct hand t;
	int n = 0;

	hand_start(&t, &singmux_kind);
	t.h.limit = limit;
	hand_say(&t, hello, nhello);
	while (!t.h.closed && n++ < 2000)
		hand_say(&t, frame, len);
	if (!t.h.closed)
		fail_msg("frame of type %u goes on for ever", ((const uint8_t *)frame)[3]);
	assert_true(t.h.mux->result < 0);
	assert_in_range(n, 50, 1100);
	hand_stop(&t);
}

#define FLOOD(hello, frame) flood(hello, sizeof(hello) - 1, frame, sizeof(frame) - 1, 1)

static void frames_that_only_make_work_are_not_taken_for_ever(void **state)
{
	FLOOD(HELLO_SMUX, "\1\3\0\0\0\0\0\0");			  /* NOP */
	FLOOD(HELLO_SMUX, "\1\2\0\0\3\0\0\0");			  /* no data */
	FLOOD(HELLO_SMUX "\1\0\0\0\3\0\0\0", "\1\0\0\0\3\0\0\0"); /* SYN of one that lives */
	FLOOD(HELLO_YAMUX, "\0\2\0\1\0\0\0\0\0\0\0\1");		  /* ping */
	FLOOD(HELLO_YAMUX "\0\1\0\1\0\0\0\1\0\0\0\0", "\0\1\0\0\0\0\0\1\0\0\0\0");
	FLOOD(HELLO_YAMUX "\0\1\0\1\0\0\0\1\0\0\0\0", "\0\0\0\0\0\0\0\1\0\0\0\0");
	FLOOD(HELLO_YAMUX, "\0\3\0\0\0\0\0\0\0\0\0\0"); /* go away */
}

static void an_http2_peer_cannot_flood_either(void **state)
{
	FLOOD(HELLO_H2MUX PREFACE, "\0\0\0\4\0\0\0\0\0");	    /* SETTINGS */
	FLOOD(HELLO_H2MUX PREFACE, "\0\0\x08\6\0\0\0\0\0abcdefgh"); /* PING */
	FLOOD(HELLO_H2MUX PREFACE, "\0\0\5\2\0\0\0\0\1\0\0\0\3\1"); /* PRIORITY */
	FLOOD(HELLO_H2MUX PREFACE CONNECT("\1"),
	      "\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\0");			    /* GOAWAY */
	FLOOD(HELLO_H2MUX PREFACE CONNECT("\1"), "\0\0\0\0\0\0\0\0\1");	    /* no data */
	FLOOD(HELLO_H2MUX PREFACE CONNECT("\1"), "\0\0\1\0\x08\0\0\0\1\0"); /* padding alone */
}

/* The bytes that were taken of a frame again and again, until the carrier was ended. */
static size_t say_for_ever(const char *hello, size_t nhello, const char *frame, size_t len)
{
	static uint8_t block[65536];
	size_t n = sizeof(block) / len * len, all = 0;
	struct hand t;

	for (size_t at = 0; at < n; at += len)
		memcpy(block + at, frame, len);
	hand_start(&t, &singmux_kind);
	t.h.idle = true;
	hand_say(&t, hello, nhello);
	assert_false(t.h.closed);
	for (; !t.h.closed && all < 4 * MUX_STRAY; all += n)
		hand_say(&t, block, n);
	if (!t.h.closed)
		fail_msg("frame %02x %02x %02x %02x goes on for ever", (uint8_t)frame[0],
			 (uint8_t)frame[1], (uint8_t)frame[2], (uint8_t)frame[3]);
	assert_int_equal(t.h.mux->result, -ERR_PROTOCOL);
	hand_stop(&t);
	return all;
}

/* Of a stream that has gone, so that it is no fault as such.  It costs no reply, and yet is work. */
static void frames_for_numbers_that_nobody_has_are_bounded(void **state)
{
	static const char h2[] = HELLO_H2MUX PREFACE CONNECT("\1") "\0\0\4\3\0\0\0\0\1\0\0\0\x08";
	static const struct {
		const char *hello, *frame;
		size_t nhello, len;
	} cases[] = {
		{HELLO_SMUX, "\1\1\0\0\3\0\0\0", 2, 8},		    /* FIN */
		{HELLO_SMUX, "\1\2\1\0\3\0\0\0a", 2, 9},	    /* data */
		{HELLO_YAMUX, "\0\0\0\0\0\0\0\1\0\0\0\0", 2, 12},   /* none */
		{HELLO_YAMUX, "\0\1\0\0\0\0\0\1\0\0\0\1", 2, 12},   /* window */
		{HELLO_YAMUX, "\0\1\0\x08\0\0\0\1\0\0\0\0", 2, 12}, /* reset */
		{h2, "\0\0\4\3\0\0\0\0\1\0\0\0\x08", sizeof(h2) - 1, 13},
		{h2, "\0\0\4\x08\0\0\0\0\1\0\0\0\1", sizeof(h2) - 1, 13},
		{h2, CONNECT("\1"), sizeof(h2) - 1, 21},
		{h2, "\0\0\1\0\0\0\0\0\1a", sizeof(h2) - 1, 10},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_in_range(
			say_for_ever(cases[i].hello, cases[i].nhello, cases[i].frame, cases[i].len),
			1, MUX_STRAY + (MUX_STRAY >> 1));
}

/* What a stream of the lowest number begins with, which the next ones say with theirs. */
struct opening {
	const char *hello, *bytes;
	size_t nhello, len, at[2]; /* where the number stands */
	bool little;
};

#define OPENING(hello, bytes, at, at_too, little)                                        \
	{                                                                                \
		hello, bytes, sizeof(hello) - 1, sizeof(bytes) - 1, {at, at_too}, little \
	}

/* The first number that was not taken any more; *result is what the carrier ended with. */
static uint32_t open_for_ever(const struct opening *o, bool idle, int *result)
{
	uint32_t id = 1;
	struct hand t;

	hand_start(&t, &singmux_kind);
	t.h.idle = idle;
	hand_say(&t, o->hello, o->nhello);
	for (; !t.h.closed && id < 4000; id += 2) {
		uint8_t mem[64];

		memcpy(mem, o->bytes, o->len);
		for (int k = 0; k < 2; k++) {
			struct wr w = wr_of(mem + o->at[k], 4);

			o->little ? wr_le32(&w, id) : wr_be32(&w, id);
		}
		kids_stop(&t.h);
		t.h.nkids = 0;
		hand_say(&t, mem, o->len);
		if (!t.h.closed && !idle)
			assert_true(t.h.kids[0].err < 0);
	}
	assert_true(t.h.closed);
	*result = t.h.mux->result;
	hand_stop(&t);
	return id;
}

/* None is kept: what is seen is the opening and the resetting. */
static void opening_and_resetting_is_a_flood(void **state)
{
	static const struct opening cases[] = {
		OPENING(HELLO_H2MUX PREFACE, CONNECT("\1") "\0\0\4\3\0\0\0\0\1\0\0\0\x08", 5, 26,
			false),
		OPENING(HELLO_YAMUX,
			"\0\1\0\1\0\0\0\1\0\0\0\0"
			"\0\1\0\x08\0\0\0\1\0\0\0\0",
			4, 16, false),
		OPENING(HELLO_SMUX, "\1\0\0\0\3\0\0\0\1\1\0\0\3\0\0\0", 4, 12, true),
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int result;

		assert_in_range(open_for_ever(&cases[i], true, &result), 400, 3000);
		assert_true(result < 0);
	}
}

/* Each asks for nothing that there is; it is the server who ends it. */
static void requests_that_are_none_are_a_flood(void **state)
{
	static const struct opening cases[] = {
		OPENING(HELLO_H2MUX PREFACE, "\0\0\x0c\1\5\0\0\0\1\x42\7CONNECT\x41\1x", 5, 5,
			false),
		OPENING(HELLO_YAMUX, "\0\0\0\1\0\0\0\1\0\0\0\3\0\0\x09", 4, 4, false),
		OPENING(HELLO_SMUX, "\1\0\0\0\3\0\0\0\1\2\3\0\3\0\0\0\0\0\x09", 4, 12, true),
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int result;

		assert_in_range(open_for_ever(&cases[i], false, &result), 900, 1100);
		assert_int_equal(result, -ERR_PROTOCOL);
	}
}

static void a_header_list_without_an_end_is_a_flood(void **state)
{
	struct hand t;
	int n = 0;

	hand_start(&t, &singmux_kind);
	SAY(&t, HELLO_H2MUX PREFACE "\0\0\x0c\1\0\0\0\0\1\x42\7CONNECT\x41\1x");
	while (!t.h.closed && n++ < 2000)
		SAY(&t, "\0\0\5\x09\0\0\0\0\1\0\1a\1b");
	assert_true(t.h.closed);
	assert_in_range(n, 1, 600);
	hand_stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_streams_carry_what_is_theirs_both_ways),
		cmocka_unit_test(more_than_a_window_goes_through),
		cmocka_unit_test(a_slow_upload_holds_up_nobody_and_goes_on),
		cmocka_unit_test(a_stream_that_is_alone_is_waited_for_as_any_connection_is),
		cmocka_unit_test(it_can_be_let_go_at_any_turn),
		cmocka_unit_test(who_must_pad_and_does_not_is_turned_away),
		cmocka_unit_test(an_inbound_offers_it_to_all_to_who_pads_or_to_nobody),
		cmocka_unit_test(who_says_nothing_is_let_go),
		cmocka_unit_test(a_yamux_stream_is_acknowledged_and_a_ping_answered),
		cmocka_unit_test(yamux_credit_comes_back_when_the_consumer_pulls),
		cmocka_unit_test(more_than_a_yamux_window_is_broken_off),
		cmocka_unit_test(yamux_data_behind_a_fin_is_broken_off),
		cmocka_unit_test(a_yamux_child_that_goes_is_reset_and_nobody_else),
		cmocka_unit_test(a_drained_smux_or_yamux_is_kept_until_it_is_quiet),
		cmocka_unit_test(a_drained_carrier_is_over_when_it_is_not_to_wait_any_more),
		cmocka_unit_test(a_drained_smux_or_yamux_serves_on_and_ends_with_its_last_child),
		cmocka_unit_test(a_stream_that_is_let_go_at_once_is_ended_once_and_is_no_glitch),
		cmocka_unit_test(a_smux_fin_is_the_end_of_both_directions),
		cmocka_unit_test(a_smux_child_that_goes_says_fin_once),
		cmocka_unit_test(what_no_frame_begins_with_ends_the_carrier),
		cmocka_unit_test(an_h2mux_says_goodbye_in_two_steps),
		cmocka_unit_test(an_h2mux_of_go_hears_goodbye_when_it_is_quiet),
		cmocka_unit_test(an_h2mux_of_go_that_is_never_quiet_hears_goodbye_in_the_end),
		cmocka_unit_test(an_h2mux_without_streams_ends_behind_its_goodbye),
		cmocka_unit_test(a_drained_h2mux_is_over_in_order),
		cmocka_unit_test(an_h2_client_that_says_goodbye_ends_in_order),
		cmocka_unit_test(an_h2_stream_that_is_let_go_at_once_is_no_glitch),
		cmocka_unit_test(small_pieces_of_data_share_chunks),
		cmocka_unit_test(many_window_updates_at_once_are_one_for_those_who_wait),
		cmocka_unit_test(a_window_that_stays_shut_costs_nothing_and_holds_up_nobody),
		cmocka_unit_test(brutal_is_declined_in_its_own_words),
		cmocka_unit_test(where_only_udp_may_be_inside_a_tcp_stream_is_refused),
		cmocka_unit_test(frames_that_only_make_work_are_not_taken_for_ever),
		cmocka_unit_test(an_http2_peer_cannot_flood_either),
		cmocka_unit_test(frames_for_numbers_that_nobody_has_are_bounded),
		cmocka_unit_test(opening_and_resetting_is_a_flood),
		cmocka_unit_test(requests_that_are_none_are_a_flood),
		cmocka_unit_test(a_header_list_without_an_end_is_a_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
