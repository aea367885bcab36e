/* The rules of multiplexers (M1-M9, but M8: unit/proto/mux_client) with mux.cool as the protocol, and its own. */
#include "unit.h"

#include "base/err.h"
#include "stream/mux_core.h"
#include "stream/pair.h"
#include "transport/muxcool/muxcool.h"
#include "transport/muxcool/muxcool_flow.h"

#include "hostile.h"
#include "packets.h"
#include "stage.h"

#define CHILDREN 80

/* ---- a client by hand, and the children that come out ------------------------------------------ */

struct bench {
	struct loop *l;
	struct sink sink;
	struct mux *mux;
	struct stream *far; /* the client's end of the carrier; NULL: gone */
	struct bufq heard;  /* what came from it and was not looked at */
	struct stream *child[CHILDREN];
	struct dgram *packets[CHILDREN];
	unsigned nchildren, npackets, closed;
};

static void take_stream(struct sink *k, struct stream *s)
{
	struct bench *b = container_of(k, struct bench, sink);

	assert_true(b->nchildren < CHILDREN);
	b->child[b->nchildren++] = s;
}

static void take_packets(struct sink *k, struct dgram *d)
{
	struct bench *b = container_of(k, struct bench, sink);

	assert_true(b->npackets < CHILDREN);
	b->packets[b->npackets++] = d;
}

static void on_closed(struct sink *k)
{
	struct bench *b = container_of(k, struct bench, sink);

	assert_true(b->mux->ended);
	b->closed++;
}

/* Another carrier of the same user. */
static void connect_again(struct bench *b, size_t capacity, bool udp_only)
{
	struct mux_terms terms = {.sink = &b->sink, .udp_only = udp_only};
	struct stream *near;

	mux_free(b->mux);
	stream_free(b->far);
	bufq_done(&b->heard);
	assert_int_equal(pair_new(b->l, capacity, &near, &b->far), 0);
	b->mux = muxcool_kind.serve(near, &terms);
	assert_non_null(b->mux);
}

static void bench_init(struct bench *b, struct loop *l, size_t capacity)
{
	*b = (struct bench){.l = l, .sink = {take_stream, take_packets, on_closed}};
	bufq_init(&b->heard, loop_pool(l), SIZE_MAX);
	connect_again(b, capacity, false);
}

static void bench_open(struct bench *b)
{
	bench_init(b, loop_new(LOOP_VIRTUAL, 1), 1 << 20);
}

static void bench_stop(struct bench *b)
{
	for (unsigned i = 0; i < b->nchildren; i++)
		stream_free(b->child[i]);
	for (unsigned i = 0; i < b->npackets; i++)
		dgram_free(b->packets[i]);
	mux_free(b->mux);
	stream_free(b->far);
	bufq_done(&b->heard);
}

static void bench_close(struct bench *b)
{
	bench_stop(b);
	loop_turn(b->l, 0);
	assert_int_equal(loop_pool(b->l)->nused, 0);
	loop_free(b->l);
}

static void drop(struct bench *b, unsigned i)
{
	stream_free(b->child[i]);
	b->child[i] = NULL;
}

static struct muxcool_frame frame(uint16_t id, uint8_t status, uint8_t network, const char *to)
{
	struct muxcool_frame f = {.session = id, .status = status, .network = network};

	if (to)
		assert_int_equal(dest_parse(&f.dest, to), 0);
	return f;
}

/* `len` bytes of data, or none where `data` is NULL. */
static void say(struct bench *b, struct muxcool_frame f, const void *data, size_t len)
{
	uint8_t mem[XUDP_HEAD_MAX];
	struct wr w = wr_of(mem, sizeof(mem));
	struct bufq q;

	f.has_data = data != NULL;
	f.data_len = len;
	muxcool_frame_emit(&w, &f);
	assert_int_equal(w.err, 0);
	bufq_init(&q, loop_pool(b->l), SIZE_MAX);
	assert_int_equal(bufq_append(&q, mem, w.len), 0);
	if (data)
		assert_int_equal(bufq_append(&q, data, len), 0);
	while (!bufq_empty(&q) && stream_push(b->far, &q) > 0)
		;
	assert_true(bufq_empty(&q));
	bufq_done(&q);
}

static void open_child(struct bench *b, uint16_t id, const char *text)
{
	say(b, frame(id, MUXCOOL_NEW, MUXCOOL_TCP, "target.example:80"), text,
	    text ? strlen(text) : 0);
	settle_now(b->l);
}

static void say_text(struct bench *b, uint16_t id, const char *text)
{
	say(b, frame(id, MUXCOOL_KEEP, 0, NULL), text, strlen(text));
}

static void say_end(struct bench *b, uint16_t id, bool error)
{
	struct muxcool_frame f = frame(id, MUXCOOL_END, 0, NULL);

	f.error = error;
	say(b, f, NULL, 0);
	settle_now(b->l);
}

static void say_packet(struct bench *b, uint16_t id, uint8_t status, uint64_t gid, const char *to,
		       const char *text)
{
	struct muxcool_frame f = frame(id, status, to ? MUXCOOL_UDP : 0, to);

	f.has_global_id = gid != 0;
	memcpy(f.global_id, &gid, sizeof(gid));
	say(b, f, text, strlen(text));
	settle_now(b->l);
}

static int send_text(struct dgram *d, const char *text, const char *from)
{
	struct packet p = packet_of(d->loop, text, from);
	int n = dgram_send(d, &p, 1);

	if (n != 1)
		buf_free(p.buf);
	return n;
}

/* The next frame of the server; its data, `len` of it.  False: none. */
static bool hear(struct bench *b, struct muxcool_frame *f, uint8_t *data)
{
	const uint8_t *bytes;
	struct rd r;
	size_t got;

	settle_now(b->l);
	while (stream_pull(b->far, &b->heard, 65536) > 0)
		settle_now(b->l);
	bytes = bufq_linear(&b->heard, XUDP_HEAD_MAX, &got);
	if (!bytes)
		return false;
	r = rd_of(bytes, got);
	if (muxcool_frame_parse(&r, f) || bufq_len(&b->heard) < r.pos + f->data_len)
		return false;
	bufq_drain(&b->heard, r.pos);
	assert_int_equal(bufq_take(&b->heard, data, f->data_len), f->data_len);
	return true;
}

static void hears(struct bench *b, uint16_t id, uint8_t status, bool error, const char *text)
{
	struct muxcool_frame f;
	uint8_t data[65536];

	assert_true(hear(b, &f, data));
	assert_int_equal(f.session, id);
	assert_int_equal(f.status, status);
	assert_int_equal(f.error, error);
	assert_int_equal(f.has_data, text != NULL);
	if (text)
		assert_memory_equal(data, text, strlen(text));
}

static void hears_nothing(struct bench *b)
{
	struct muxcool_frame f;
	uint8_t data[65536];

	assert_false(hear(b, &f, data));
}

static void reads(struct stream *s, const char *text, ssize_t then)
{
	uint8_t got[65536];
	ssize_t end;

	assert_int_equal(get_all(s, got, &end), strlen(text));
	assert_memory_equal(got, text, strlen(text));
	assert_int_equal(end, then);
}

static void let_pass(struct loop *l, nsec_t time)
{
	nsec_t until = loop_now(l) + time;

	while (loop_now(l) < until && loop_turn(l, until - loop_now(l)) > 0)
		;
}

/* ---- the rules ----------------------------------------------------------------------------------- */

static void m1_a_child_has_its_own_queue_and_one_that_is_full_stops_the_wire_not_the_memory(
	void **s)
{
	static uint8_t block[16384];
	struct bench b;
	struct bufq q;
	size_t fed = 0;

	bench_open(&b);
	open_child(&b, 1, NULL);
	open_child(&b, 2, "hello");
	reads(b.child[1], "hello", -EAGAIN); /* the first takes nothing, and the second is served */
	while (loop_pool(b.l)->nused < 200 && fed < 4 * MUX_CHILD_MAX) {
		struct muxcool_frame f = frame(1, MUXCOOL_KEEP, 0, NULL);
		uint8_t head[16];
		struct wr w = wr_of(head, sizeof(head));

		f.has_data = true;
		f.data_len = sizeof(block);
		muxcool_frame_emit(&w, &f);
		bufq_init(&q, loop_pool(b.l), SIZE_MAX);
		assert_int_equal(bufq_append(&q, head, w.len), 0);
		assert_int_equal(bufq_append(&q, block, sizeof(block)), 0);
		while (!bufq_empty(&q) && stream_push(b.far, &q) > 0)
			settle_now(b.l);
		fed += sizeof(block) - bufq_len(&q);
		if (!bufq_empty(&q)) {
			bufq_done(&q);
			break;
		}
	}
	/* what the carrier itself holds, what is looked at, and the one queue */
	assert_in_range(fed, MUX_CHILD_MAX, MUX_CHILD_MAX + MUX_READ_MAX + (1 << 20) + 65536);
	/* as soon as it takes some, all goes on */
	bufq_init(&q, loop_pool(b.l), SIZE_MAX);
	while (stream_pull(b.child[0], &q, 65536) > 0) {
		bufq_done(&q);
		settle_now(b.l);
	}
	bufq_done(&q);
	bench_close(&b);
}

static void m2_the_owner_frees_the_mux_and_its_children_outlive_it(void **s)
{
	struct bench b;
	struct bufq q;

	bench_open(&b);
	open_child(&b, 1, "half");
	open_child(&b, 2, "all");
	say_end(&b, 2, false);
	mux_free(b.mux);
	b.mux = NULL;
	settle_now(b.l);
	assert_int_equal(b.closed, 0); /* he knows */
	reads(b.child[0], "half", -ECONNRESET);
	reads(b.child[1], "all", 0);
	bufq_init(&q, loop_pool(b.l), SIZE_MAX);
	assert_int_equal(bufq_append(&q, "x", 1), 0);
	assert_int_equal(stream_push(b.child[0], &q), -ECONNRESET);
	assert_int_equal(stream_open(b.child[0]), -ECONNRESET);
	bufq_done(&q);
	bench_close(&b);
}

static void m2_a_carrier_that_ends_or_breaks_ends_its_children(void **s)
{
	for (int broken = 0; broken < 3; broken++) {
		struct bench b;

		bench_open(&b);
		open_child(&b, 1, "half");
		if (broken == 2)
			put_bytes(b.far, "\0", 1); /* and no more */
		if (broken)
			hang_up(b.far);
		else
			stream_free(b.far);
		b.far = NULL;
		settle_now(b.l);
		assert_int_equal(b.closed, 1);
		assert_int_equal(b.mux->result, broken ? -ECONNRESET : 0);
		reads(b.child[0], "half", -ECONNRESET);
		bench_close(&b);
	}
}

static void m3_to_free_an_unfinished_child_resets_it_and_nobody_else(void **s)
{
	struct bench b;

	bench_open(&b);
	open_child(&b, 1, NULL);
	open_child(&b, 2, NULL);
	open_child(&b, 3, NULL);
	assert_int_equal(stream_shut(b.child[2]), 0);
	hears(&b, 3, MUXCOOL_END, false, NULL);
	drop(&b, 0);
	drop(&b, 2);
	hears(&b, 1, MUXCOOL_END, true, NULL);
	hears_nothing(&b); /* of the third the end has been said */
	put_bytes(b.child[1], "still here", 10);
	hears(&b, 2, MUXCOOL_KEEP, false, "still here");
	bench_close(&b);
}

static void m4_room_returns_when_the_consumer_pulls(void **s)
{
	static uint8_t block[65535];
	struct bench b;
	struct bufq q;
	size_t room;

	bench_init(&b, loop_new(LOOP_VIRTUAL, 1), 4 << 20);
	open_child(&b, 1, NULL);
	for (int i = 0; i < 40; i++)
		say(&b, frame(1, MUXCOOL_KEEP, 0, NULL), block, sizeof(block));
	settle_now(b.l);
	room = mux_stream_room(container_of(b.child[0], struct mux_stream, s));
	assert_int_equal(room, 0);
	settle_now(b.l);
	bufq_init(&q, loop_pool(b.l), SIZE_MAX);
	assert_int_equal(stream_pull(b.child[0], &q, 1000), 1000);
	/* nothing but that much, and only once it has been pulled */
	assert_int_equal(mux_stream_room(container_of(b.child[0], struct mux_stream, s)), 1000);
	settle_now(b.l);
	assert_int_equal(mux_stream_room(container_of(b.child[0], struct mux_stream, s)), 0);
	bufq_done(&q);
	bench_close(&b);
}

/* Who waits with a lot to say. */
struct speaker {
	struct waiter w;
	struct stream *s;
	struct bufq q;
};

static void speak(struct waiter *w)
{
	struct speaker *t = container_of(w, struct speaker, w);

	while (!bufq_empty(&t->q)) {
		if (stream_push(t->s, &t->q) < 0) {
			stream_want(t->s, STREAM_WR, w);
			return;
		}
	}
}

static void m5_children_take_turns_at_one_output_in_chunks(void **s)
{
	enum { N = 8, EACH = 1 << 20 };
	struct speaker t[N];
	size_t got[N] = {0}, sum = 0;
	struct muxcool_frame f;
	uint8_t data[65536];
	struct bench b;

	bench_init(&b, loop_new(LOOP_VIRTUAL, 1), 65536);
	for (int i = 0; i < N; i++)
		open_child(&b, (uint16_t)(i + 1), NULL);
	for (int i = 0; i < N; i++) {
		static const uint8_t zero[16384];

		t[i].s = b.child[i];
		waiter_init(&t[i].w, speak);
		bufq_init(&t[i].q, loop_pool(b.l), SIZE_MAX);
		for (int k = 0; k < EACH / 16384; k++)
			assert_int_equal(bufq_append(&t[i].q, zero, sizeof(zero)), 0);
		loop_queue(b.l, &t[i].w);
	}
	settle_now(b.l);
	for (int i = 0; i < N; i++) /* nobody has more than the one limit out */
		sum += EACH - bufq_len(&t[i].q);
	assert_in_range(sum, MUX_OUT_MAX, MUX_OUT_MAX + 65536 + MUX_CHUNK);
	/* far into it they have been given the same, but for a few turns */
	for (sum = 0; sum < N * EACH / 2; sum += f.data_len) {
		assert_true(hear(&b, &f, data));
		assert_in_range(f.data_len, 1, MUX_CHUNK);
		got[f.session - 1] += f.data_len;
	}
	for (int i = 0; i < N; i++)
		assert_in_range(got[i], EACH / 2 - 3 * MUX_OUT_MAX, EACH / 2 + 3 * MUX_OUT_MAX);
	for (; sum < (size_t)N * EACH; sum += f.data_len)
		assert_true(hear(&b, &f, data));
	hears_nothing(&b);
	for (int i = 0; i < N; i++)
		waiter_cancel(&t[i].w);
	bench_close(&b);
}

static void m7_a_drained_mux_ends_with_its_last_child(void **s)
{
	struct bench b;

	bench_open(&b);
	open_child(&b, 1, NULL);
	mux_drain(b.mux, 0);
	settle_now(b.l);
	open_child(&b, 2, "this protocol cannot say go away");
	assert_int_equal(b.nchildren, 2);
	say_end(&b, 1, false);
	assert_int_equal(b.closed, 0);
	say_end(&b, 2, false);
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.mux->result, 0);
	bench_close(&b);
}

/* The peer cannot be told, and what comes next may be on its way. */
static void m7_a_drained_mux_is_kept_until_it_is_quiet(void **s)
{
	struct bench b;

	bench_open(&b);
	open_child(&b, 1, NULL);
	mux_drain(b.mux, MUX_QUIET);
	for (uint16_t id = 1; id < 5; id++) {
		let_pass(b.l, 2 * MUX_QUIET);
		say_end(&b, id, false);
		let_pass(b.l, MUX_QUIET - NSEC_SEC);
		assert_int_equal(b.closed, 0);
		open_child(&b, id + 1, "one more");
		assert_int_equal(b.nchildren, id + 1);
	}
	say_end(&b, 5, false);
	let_pass(b.l, MUX_QUIET + NSEC_SEC);
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.mux->result, 0);
	bench_close(&b);
}

/* Or a reload would leave its old rules to who is never quiet for as long as he likes. */
static void m7_a_drained_mux_that_is_never_quiet_ends_at_a_pause_in_the_end(void **s)
{
	struct bench b;
	nsec_t until;
	uint16_t id = 1;

	bench_open(&b);
	mux_drain(b.mux, MUX_QUIET);
	for (until = loop_now(b.l) + MUX_DRAIN_MAX; loop_now(b.l) < until;) {
		open_child(&b, id, "one more");
		let_pass(b.l, MUX_QUIET);
		say_end(&b, id++, false);
		let_pass(b.l, 5 * NSEC_SEC);
		assert_int_equal(b.closed, loop_now(b.l) >= until);
	}
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.mux->result, 0);
	bench_close(&b);
}

static void m9_too_many_glitches_in_a_second_end_the_mux(void **s)
{
	static const uint8_t kinds[] = {MUXCOOL_KEEPALIVE, MUXCOOL_KEEP};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct bench b;

		bench_open(&b);
		open_child(&b, 1, NULL);
		for (int n = 0; n < 3 * MUX_GLITCHES; n++) {
			if (n % (MUX_GLITCHES - 1) == 0)
				let_pass(b.l, 2 * NSEC_SEC);
			say(&b, frame(1, kinds[i], 0, NULL), NULL, 0);
			settle_now(b.l);
			assert_int_equal(b.closed, 0);
		}
		for (int n = 0; n <= MUX_GLITCHES; n++)
			say(&b, frame(1, kinds[i], 0, NULL), NULL, 0);
		settle_now(b.l);
		assert_int_equal(b.closed, 1);
		assert_int_equal(b.mux->result, -ERR_PROTOCOL);
		bench_close(&b);
	}
}

/* Sessions that are held by somebody who has not heard of their end. */
static void children_that_the_peer_has_ended_count_until_they_are_freed(void **s)
{
	static struct mux_child held[MUX_CHILDREN];
	struct muxcool_frame f;
	uint8_t data[65536];
	struct mux_core *m;
	struct bench b;

	bench_open(&b);
	m = container_of(b.mux, struct mux_core, mux);
	for (uint32_t i = 0; i < MUX_CHILDREN; i++) {
		assert_true(mux_has_room(m));
		held[i] = (struct mux_child){0};
		assert_int_equal(mux_child_add(m, &held[i], i), 0);
		mux_child_detach(&held[i]);
	}
	assert_false(mux_has_room(m));
	open_child(&b, 1, "no");
	assert_int_equal(b.nchildren, 0);
	hears(&b, 1, MUXCOOL_END, true, NULL);
	for (uint16_t n = 1; n < MUX_GLITCHES; n++)
		open_child(&b, n, "no");
	assert_int_equal(b.closed, 0);
	while (bufq_len(&b.heard) || hear(&b, &f, data))
		bufq_done(&b.heard);
	let_pass(b.l, 2 * NSEC_SEC);
	mux_child_gone(&held[0]);
	open_child(&b, 2, "yes");
	assert_int_equal(b.nchildren, 1);
	for (uint16_t n = 3; n < MUX_GLITCHES + 4; n++)
		open_child(&b, n, "no");
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.mux->result, -ERR_PROTOCOL);
	for (uint32_t i = 1; i < MUX_CHILDREN; i++)
		mux_child_gone(&held[i]);
	bench_close(&b);
}

static void m9_to_end_what_was_never_answered_is_a_glitch(void **s)
{
	for (int answered = 0; answered < 2; answered++) {
		struct bench b;
		int n;

		bench_open(&b);
		for (n = 0; n <= MUX_GLITCHES && !b.closed; n++) {
			open_child(&b, 1, "GET /");
			if (answered)
				put_bytes(b.child[0], "x", 1);
			say_end(&b, 1, false);
			drop(&b, 0);
			b.nchildren = 0;
		}
		assert_int_equal(b.closed, !answered);
		bench_close(&b);
	}
}

static void m9_to_end_an_association_that_was_never_answered_is_a_glitch(void **s)
{
	for (int answered = 0; answered < 2; answered++) {
		struct bench b;
		int n;

		bench_open(&b);
		for (n = 0; n <= MUX_GLITCHES && !b.closed; n++) {
			say_packet(&b, 1, MUXCOOL_NEW, 0, "9.9.9.9:53", "?");
			if (answered)
				assert_int_equal(send_text(b.packets[0], "!", "9.9.9.9:53"), 1);
			say_end(&b, 1, false);
			dgram_free(b.packets[0]);
			b.npackets = 0;
		}
		assert_int_equal(b.closed, !answered);
		if (!answered)
			assert_int_equal(b.mux->result, -ERR_PROTOCOL);
		bench_close(&b);
	}
}

/* Their sockets are there until their sessions have had their turn. */
static void associations_that_the_peer_has_ended_count_until_they_are_freed(void **s)
{
	static struct dgram *held[MUX_CHILDREN];
	struct mux_core *m;
	struct bench b;

	bench_open(&b);
	m = container_of(b.mux, struct mux_core, mux);
	for (unsigned i = 0; i < MUX_CHILDREN; i++) {
		assert_true(mux_has_room(m));
		say_packet(&b, 1, MUXCOOL_NEW, 0, "9.9.9.9:53", "?");
		assert_int_equal(b.npackets, 1);
		held[i] = b.packets[0];
		b.npackets = 0;
		say_end(&b, 1, false);
		if (i % (MUX_GLITCHES / 2) == 0)
			let_pass(b.l, NSEC_SEC);
	}
	assert_int_equal(b.closed, 0);
	assert_false(mux_has_room(m));
	say_packet(&b, 1, MUXCOOL_NEW, 0, "9.9.9.9:53", "no");
	assert_int_equal(b.npackets, 0);
	hears(&b, 1, MUXCOOL_END, true, NULL);
	dgram_free(held[0]);
	say_packet(&b, 1, MUXCOOL_NEW, 0, "9.9.9.9:53", "yes");
	assert_int_equal(b.npackets, 1);
	mux_free(b.mux); /* and they may outlive it */
	b.mux = NULL;
	for (unsigned i = 1; i < MUX_CHILDREN; i++)
		dgram_free(held[i]);
	bench_close(&b);
}

static size_t longest_list(const struct mux_core *m)
{
	size_t longest = 0;

	for (size_t i = 0; i < m->nslots; i++) {
		size_t n = 0;

		for (const struct mux_child *c = m->table[i]; c; c = c->next)
			n++;
		longest = MAX(longest, n);
	}
	return longest;
}

static void no_choice_of_numbers_makes_a_long_list(void **s)
{
	enum { N = 4096 };
	static struct mux_child held[N];

	for (unsigned shift = 0; shift <= 20; shift += 4) {
		struct mux_core *m;
		struct bench b;

		bench_open(&b);
		m = container_of(b.mux, struct mux_core, mux);
		for (uint32_t i = 0; i < N; i++) {
			held[i] = (struct mux_child){0};
			assert_int_equal(mux_child_add(m, &held[i], i << shift), 0);
		}
		assert_in_range(longest_list(m), 1, 20);
		for (uint32_t i = 0; i < N; i++) {
			assert_ptr_equal(mux_find(m, i << shift), &held[i]);
			mux_child_gone(&held[i]);
		}
		bench_close(&b);
	}
}

static void a_child_that_takes_nothing_while_others_wait_is_ended_at_its_deadline(void **s)
{
	static uint8_t block[65535];
	struct bench b;

	bench_open(&b);
	open_child(&b, 1, NULL);
	open_child(&b, 2, NULL);
	for (int i = 0; i < 6; i++)
		say(&b, frame(1, MUXCOOL_KEEP, 0, NULL), block, sizeof(block));
	say_text(&b, 2, "behind it");
	settle_now(b.l);
	reads(b.child[1], "", -EAGAIN);
	let_pass(b.l, MUX_STALL - NSEC_SEC);
	reads(b.child[1], "", -EAGAIN);
	let_pass(b.l, 2 * NSEC_SEC);
	reads(b.child[1], "behind it", -EAGAIN);
	reads(b.child[0], "", -ERR_TIMEOUT);
	hears(&b, 1, MUXCOOL_END, true, NULL);
	hears_nothing(&b);
	bench_close(&b);
}

/* Whatever is behind it is its own, as far as anybody can tell. */
static void a_child_that_is_alone_may_take_nothing_for_as_long_as_a_connection_may_be_silent(
	void **s)
{
	static uint8_t block[65535], got[7 * sizeof(block)];
	struct bench b;
	size_t n = 0;

	bench_open(&b);
	open_child(&b, 1, NULL);
	for (int i = 0; i < 6; i++)
		say(&b, frame(1, MUXCOOL_KEEP, 0, NULL), block, sizeof(block));
	let_pass(b.l, MUX_STALL_ALONE - NSEC_SEC);
	hears_nothing(&b);
	for (int i = 0; i < 20; i++) {
		n += get_bytes(b.child[0], got, sizeof(got), NULL);
		settle_now(b.l);
	}
	assert_int_equal(n, 6 * sizeof(block));
	open_child(&b, 2, "and goes on");
	reads(b.child[1], "and goes on", -EAGAIN);
	bench_close(&b);
}

/* What its peer opens behind it would never begin. */
static void and_what_it_says_itself_meanwhile_is_no_reason_to_wait_longer(void **s)
{
	static uint8_t block[65535];
	struct bench b;

	bench_open(&b);
	open_child(&b, 1, NULL);
	for (int i = 0; i < 6; i++)
		say(&b, frame(1, MUXCOOL_KEEP, 0, NULL), block, sizeof(block));
	open_child(&b, 2, "behind it");
	for (int i = 0; i < 10; i++) {
		assert_int_equal(b.nchildren, 1);
		put_bytes(b.child[0], "event", 5);
		hears(&b, 1, MUXCOOL_KEEP, false, "event");
		let_pass(b.l, MUX_STALL_ALONE / 10 - 1);
	}
	let_pass(b.l, 2 * MUX_STALL);
	assert_int_equal(b.nchildren, 2);
	reads(b.child[1], "behind it", -EAGAIN);
	reads(b.child[0], "", -ERR_TIMEOUT);
	hears(&b, 1, MUXCOOL_END, true, NULL);
	bench_close(&b);
}

struct watcher {
	struct waiter w;
	int wakes;
};

static void on_wake(struct waiter *w)
{
	container_of(w, struct watcher, w)->wakes++;
}

static void feed(struct mux_stream *ms, size_t n)
{
	static const uint8_t zero[BUF_PAYLOAD];
	struct bufq q;

	bufq_init(&q, loop_pool(ms->s.loop), SIZE_MAX);
	assert_int_equal(bufq_append(&q, zero, n), 0);
	assert_int_equal(mux_stream_feed(ms, &q, n), 0);
	assert_true(bufq_empty(&q));
}

static void queues_of_little_are_bounded_by_the_memory_they_take(void **s)
{
	enum { N = 3000 };
	static struct mux_stream *ms[N];

	for (int is_short = 0; is_short < 2; is_short++) {
		struct mux_core *m;
		size_t fed = 0;
		struct bench b;

		bench_open(&b);
		m = container_of(b.mux, struct mux_core, mux);
		for (uint32_t i = 0; i < N; i++) {
			ms[i] = mux_stream_new(m, i);
			assert_non_null(ms[i]);
			loop_pool(b.l)->max = is_short ? 1200 : 0;
			loop_pool(b.l)->nused += is_short ? 1000 : 0;
			for (; mux_stream_room(ms[i]) && bufq_len(&ms[i]->in) < 2; fed++)
				feed(ms[i], 1);
			loop_pool(b.l)->nused -= is_short ? 1000 : 0;
		}
		assert_in_range(fed, is_short ? 128 : 1024, 4000);
		assert_in_range(loop_pool(b.l)->nused, 1, is_short ? 140 : 1100);
		for (uint32_t i = 0; i < N; i++)
			stream_free(&ms[i]->s);
		assert_int_equal(m->held, 0);
		bench_close(&b);
	}
}

static void a_queue_of_pieces_takes_about_twice_its_bytes(void **s)
{
	static const size_t sizes[] = {1, 1000, 1025, 3000, 8200, 16384};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct mux_stream *ms;
		size_t room, len = 0;
		struct bench b;

		bench_open(&b);
		open_child(&b, 1, NULL);
		ms = container_of(b.child[0], struct mux_stream, s);
		while ((room = mux_stream_room(ms)) > 0) {
			feed(ms, MIN(sizes[i], room));
			len += MIN(sizes[i], room);
		}
		assert_int_equal(len, MUX_CHILD_MAX);
		assert_in_range(loop_pool(b.l)->nused, 1, 2 * MUX_CHILD_MAX / BUF_PAYLOAD + 4);
		bench_close(&b);
	}
}

static void a_reset_behind_an_end_wakes_who_waits_to_send(void **s)
{
	struct watcher wr = {0};
	struct mux_stream *ms;
	struct bench b;
	struct bufq q;

	bench_init(&b, loop_new(LOOP_VIRTUAL, 1), 100);
	open_child(&b, 1, NULL);
	ms = container_of(b.child[0], struct mux_stream, s);
	waiter_init(&wr.w, on_wake);
	mux_stream_end(ms, 0);
	bufq_init(&q, loop_pool(b.l), SIZE_MAX);
	for (int before = -1;
	     before < wr.wakes;) { /* until it is full, and nobody is woken any more */
		static const uint8_t zero[BUF_PAYLOAD];

		before = wr.wakes;
		do
			assert_int_equal(bufq_append(&q, zero, sizeof(zero)), 0);
		while (stream_push(b.child[0], &q) > 0);
		stream_want(b.child[0], STREAM_WR, &wr.w);
		settle_now(b.l);
	}
	wr.wakes = 0;
	mux_stream_end(ms, -ECONNRESET);
	mux_child_detach(&ms->c);
	settle_now(b.l);
	assert_int_equal(wr.wakes, 1);
	assert_int_equal(stream_push(b.child[0], &q), -EPIPE);
	reads(b.child[0], "", 0);
	bufq_done(&q);
	bench_close(&b);
}

static void who_waited_for_memory_that_is_there_again_is_not_ended(void **s)
{
	static uint8_t block[65535];
	struct bench b;

	bench_open(&b);
	open_child(&b, 1, NULL);
	open_child(&b, 2, NULL);
	loop_pool(b.l)->max = 1200;
	loop_pool(b.l)->nused += 1000;
	say(&b, frame(1, MUXCOOL_KEEP, 0, NULL), block, sizeof(block));
	say_text(&b, 2, "behind it");
	settle_now(b.l);
	reads(b.child[1], "", -EAGAIN);
	loop_pool(b.l)->nused -= 1000;
	let_pass(b.l, MUX_STALL + NSEC_SEC);
	reads(b.child[1], "behind it", -EAGAIN);
	assert_int_equal(container_of(b.child[0], struct mux_stream, s)->err, 0);
	hears_nothing(&b);
	bench_close(&b);
}

static void queues_that_the_peer_has_ended_give_way_too(void **s)
{
	enum { N = MUX_TOTAL_MAX / MUX_CHILD_MAX };
	static uint8_t block[65535];
	struct bench b;

	bench_open(&b);
	for (uint16_t i = 1; i <= N; i++) {
		open_child(&b, i, NULL);
		for (int k = 0; k < 4; k++) {
			say(&b, frame(i, MUXCOOL_KEEP, 0, NULL), block, sizeof(block));
			settle_now(b.l);
		}
		say(&b, frame(i, MUXCOOL_KEEP, 0, NULL), block, 4);
		say_end(&b, i, false);
	}
	open_child(&b, 100, "the next");
	reads(b.child[N], "", -EAGAIN);
	let_pass(b.l, MUX_STALL + NSEC_SEC);
	reads(b.child[N], "the next", -EAGAIN);
	reads(b.child[0], "", -ERR_TIMEOUT);
	hears_nothing(&b);
	bench_close(&b);
}

/* ---- mux.cool's ---------------------------------------------------------------------------------- */

static void data_of_the_first_frame_is_the_first_data(void **s)
{
	union stream_value v;
	char text[DEST_TEXT_MAX];
	struct bench b;

	bench_open(&b);
	open_child(&b, 1, "GET /");
	say_text(&b, 1, " HTTP");
	settle_now(b.l);
	assert_int_equal(stream_open(b.child[0]), 0);
	assert_int_equal(stream_query(b.child[0], STREAM_REQUEST, &v), 0);
	assert_int_equal(v.request->network, NETWORK_TCP);
	assert_string_equal(dest_format(&v.request->dest, text), "target.example:80");
	reads(b.child[0], "GET / HTTP", -EAGAIN);
	bench_close(&b);
}

static void an_end_is_that_of_both_directions(void **s)
{
	struct bench b;
	struct bufq q;

	bench_open(&b);
	open_child(&b, 1, "one");
	open_child(&b, 2, "two");
	say_end(&b, 1, false);
	say_end(&b, 2, true);
	reads(b.child[0], "one", 0);
	reads(b.child[1], "two", -ECONNRESET);
	bufq_init(&q, loop_pool(b.l), SIZE_MAX);
	assert_int_equal(bufq_append(&q, "x", 1), 0);
	assert_int_equal(stream_push(b.child[0], &q), -EPIPE);
	bufq_done(&q);
	drop(&b, 0);
	drop(&b, 1);
	hears_nothing(&b);
	bench_close(&b);
}

/* Xray's client answers our End with one of its own that says error. */
static void an_error_behind_our_own_end_is_none(void **s)
{
	struct bench b;

	bench_open(&b);
	open_child(&b, 1, NULL);
	assert_int_equal(stream_shut(b.child[0]), 0);
	hears(&b, 1, MUXCOOL_END, false, NULL);
	say_end(&b, 1, true);
	reads(b.child[0], "", 0);
	bench_close(&b);
}

static void refuse_stream(struct sink *k, struct stream *s)
{
	stream_free(s);
}

static void answers_to_our_own_ends_are_no_glitches(void **s)
{
	for (int refused = 0; refused < 2; refused++) {
		struct bench b;

		bench_open(&b);
		if (refused)
			b.sink.stream = refuse_stream;
		for (int i = 0; i < 2 * MUX_GLITCHES; i++) {
			open_child(&b, 1, NULL);
			if (!refused)
				assert_int_equal(stream_shut(b.child[0]), 0);
			hears(&b, 1, MUXCOOL_END, refused, NULL);
			say_end(&b, 1, true);
			if (!refused)
				drop(&b, --b.nchildren);
			assert_int_equal(b.closed, 0);
		}
		for (int i = 0; i <= MUX_GLITCHES; i++)
			say_end(&b, 1, true); /* nobody has asked for these */
		assert_int_equal(b.closed, 1);
		bench_close(&b);
	}
}

static void an_unknown_number_is_ended_once_and_its_data_passed_over(void **s)
{
	struct bench b;

	bench_open(&b);
	say_text(&b, 9, "whose?");
	say_text(&b, 9, "whose?");
	say_end(&b, 9, false);
	open_child(&b, 1, "mine");
	hears(&b, 9, MUXCOOL_END, true, NULL);
	hears_nothing(&b);
	reads(b.child[0], "mine", -EAGAIN);
	bench_close(&b);
}

/* Nobody is billed for it: it is no more than what can have been on its way to one that has gone. */
static void m9_data_for_numbers_that_nobody_has_is_bounded(void **s)
{
	static uint8_t data[65535];
	size_t sent = 0;
	struct bench b;

	bench_open(&b);
	for (int again = 0; again < 2; again++) {
		open_child(&b, 1, "mine");
		for (sent = 0; sent + sizeof(data) <= MUX_STRAY - 4096; sent += sizeof(data)) {
			say(&b, frame(9, MUXCOOL_KEEP, 0, NULL), data, sizeof(data));
			settle_now(b.l);
		}
		assert_int_equal(b.closed, 0);
		drop(&b, b.nchildren - 1); /* one more whose data may be on its way */
		settle_now(b.l);
	}
	for (; sent <= 2 * MUX_STRAY && !b.closed; sent += sizeof(data)) {
		say(&b, frame(9, MUXCOOL_KEEP, 0, NULL), data, sizeof(data));
		settle_now(b.l);
	}
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.mux->result, -ERR_PROTOCOL);
	bench_close(&b);
}

static void m9_ends_of_numbers_that_nobody_has_are_bounded(void **s)
{
	static const uint8_t end[] = {0, 4, 0, 9, MUXCOOL_END, 0};
	static uint8_t block[10000 * sizeof(end)];
	size_t sent = 0;
	struct bench b;

	for (size_t i = 0; i < sizeof(block); i += sizeof(end))
		memcpy(block + i, end, sizeof(end));
	bench_open(&b);
	for (; sent <= 2 * MUX_STRAY && !b.closed; sent += sizeof(block)) {
		put_bytes(b.far, block, sizeof(block));
		settle_now(b.l);
	}
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.mux->result, -ERR_PROTOCOL);
	assert_in_range(sent, MUX_STRAY, MUX_STRAY + sizeof(block));
	bench_close(&b);
}

static void a_second_new_of_a_live_number_ends_the_first(void **s)
{
	struct bench b;

	bench_open(&b);
	open_child(&b, 1, "first");
	open_child(&b, 1, "second");
	assert_int_equal(b.nchildren, 2);
	reads(b.child[0], "first", -ECONNRESET);
	reads(b.child[1], "second", -EAGAIN);
	drop(&b, 0);
	put_bytes(b.child[1], "for whom", 8);
	hears(&b, 1, MUXCOOL_KEEP, false, "for whom");
	bench_close(&b);
}

static void metadata_may_be_padded_and_data_of_the_odd_frame_is_skipped(void **s)
{
	/* New with twenty bytes behind its address; KeepAlive and End with data */
	static const uint8_t wire[] = {
		0, 32, 0, 1, 1, 1, 1,	0,   80,  1, 192, 0, 2, 1, 0, 0, 0,   0,   0,	0,
		0, 0,  0, 0, 0, 0, 0,	0,   0,	  0, 0,	  0, 0, 0, 0, 2, 'o', 'k', 0,	4,
		0, 1,  4, 1, 0, 3, 'x', 'y', 'z', 0, 4,	  0, 1, 3, 1, 0, 3,   'x', 'y', 'z',
	};
	struct bench b;

	bench_open(&b);
	put_bytes(b.far, wire, sizeof(wire));
	settle_now(b.l);
	assert_int_equal(b.nchildren, 1);
	reads(b.child[0], "ok", 0);
	assert_int_equal(b.closed, 0);
	bench_close(&b);
}

static void a_wrong_frame_breaks_the_connection(void **s)
{
	static const uint8_t wrong[][8] = {{0, 3}, {2, 1}, {0, 4, 0, 1, 5, 0}, {0, 4, 0, 1, 0, 0}};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct bench b;

		bench_open(&b);
		open_child(&b, 1, NULL);
		put_bytes(b.far, wrong[i], sizeof(wrong[i]));
		settle_now(b.l);
		assert_int_equal(b.closed, 1);
		assert_int_equal(b.mux->result, -ERR_MALFORMED);
		reads(b.child[0], "", -ECONNRESET);
		bench_close(&b);
	}
}

static void an_idle_connection_ends_after_a_minute(void **s)
{
	struct bench b;

	bench_open(&b);
	let_pass(b.l, 59 * NSEC_SEC);
	open_child(&b, 1, NULL);
	let_pass(b.l, 200 * NSEC_SEC);
	assert_int_equal(b.closed, 0);
	say_end(&b, 1, false);
	let_pass(b.l, 59 * NSEC_SEC);
	assert_int_equal(b.closed, 0);
	let_pass(b.l, 2 * NSEC_SEC);
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.mux->result, 0);
	bench_close(&b);
}

static void with_the_flow_a_stream_ends_the_connection_and_packets_do_not(void **s)
{
	struct bench b;

	bench_open(&b);
	connect_again(&b, 65536, true);
	say(&b, frame(1, MUXCOOL_NEW, MUXCOOL_UDP, "192.0.2.1:53"), "q", 1);
	settle_now(b.l);
	assert_int_equal(b.npackets, 1);
	assert_int_equal(b.closed, 0);
	open_child(&b, 2, NULL);
	assert_int_equal(b.nchildren, 0);
	assert_int_equal(b.closed, 1);
	bench_close(&b);
}

/* ---- UDP ----------------------------------------------------------------------------------------- */

static void hears_packet(struct bench *b, uint16_t id, const char *text, const char *from)
{
	char at[DEST_TEXT_MAX];
	struct muxcool_frame f;
	uint8_t data[65536];

	assert_true(hear(b, &f, data));
	assert_int_equal(f.session, id);
	assert_int_equal(f.status, MUXCOOL_KEEP);
	assert_int_equal(f.data_len, strlen(text));
	assert_memory_equal(data, text, f.data_len);
	assert_string_equal(dest_format(&f.dest, at), from);
}

static void packets_go_where_they_say_and_say_where_they_come_from(void **s)
{
	struct bench b;

	bench_open(&b);
	say_packet(&b, 0, MUXCOOL_NEW, 0, "dns.example:53", "query");
	say_packet(&b, 0, MUXCOOL_KEEP, 0, "192.0.2.9:99", "other");
	say_packet(&b, 0, MUXCOOL_KEEP, 0, NULL, "again");
	packet_expect(b.packets[0], "query", "dns.example:53");
	packet_expect(b.packets[0], "other", "192.0.2.9:99");
	packet_expect(b.packets[0], "again", "dns.example:53");
	assert_int_equal(send_text(b.packets[0], "stranger", "[2001:db8::1]:5"), 1);
	hears_packet(&b, 0, "stranger", "[2001:db8::1]:5");
	say_end(&b, 0, false);
	assert_int_equal(dgram_recv(b.packets[0], &(struct packet){0}, 1), 0);
	bench_close(&b);
}

static void packets_that_nobody_takes_are_lost_among_others_and_wait_alone(void **s)
{
	for (int others = 0; others < 2; others++) {
		struct bench b;
		struct packet p;
		int n = 0;

		bench_open(&b);
		say_packet(&b, 7, MUXCOOL_NEW, 0, "192.0.2.1:53", "x");
		if (others)
			open_child(&b, 1, NULL);
		for (int i = 1; i < 100; i++)
			say_packet(&b, 7, MUXCOOL_KEEP, 0, NULL, "x");
		if (others) {
			say_text(&b, 1, "on time");
			settle_now(b.l);
			reads(b.child[0], "on time", -EAGAIN);
		}
		while (dgram_recv(b.packets[0], &p, 1) == 1) {
			buf_free(p.buf);
			settle_now(b.l);
			n++;
		}
		assert_int_equal(n, others ? XUDP_QUEUE : 100);
		assert_int_equal(b.packets[0]->dropped, 100 - n);
		bench_close(&b);
	}
}

/* Packets that come to `n` flows of which nobody takes any; how many wait. */
static size_t flood(struct bench *b, unsigned n)
{
	size_t before = loop_pool(b->l)->nused;

	for (unsigned i = 0; i < n; i++)
		for (int k = 0; k < 2 * XUDP_QUEUE; k++)
			say_packet(b, (uint16_t)(i + 1), MUXCOOL_KEEP, 0, NULL, "x");
	return loop_pool(b->l)->nused - before;
}

static size_t take_all(struct dgram *d)
{
	struct packet p;
	size_t n = 0;

	for (; dgram_recv(d, &p, 1) == 1; n++)
		buf_free(p.buf);
	return n;
}

static void packets_that_wait_are_bounded_over_all_flows(void **s)
{
	struct bench b;

	bench_open(&b);
	for (unsigned i = 0; i < CHILDREN; i++)
		say_packet(&b, (uint16_t)(i + 1), MUXCOOL_NEW, 0, "192.0.2.1:53", "x");
	for (unsigned i = 0; i < CHILDREN; i++)
		assert_int_equal(take_all(b.packets[i]), 1);
	assert_in_range(flood(&b, CHILDREN), XUDP_QUEUED / 2, XUDP_QUEUED / 2 + CHILDREN + 4);
	assert_int_equal(take_all(b.packets[0]), XUDP_QUEUE);
	assert_int_equal(take_all(b.packets[CHILDREN - 1]),
			 1); /* the last has not been locked out */
	for (unsigned i = 0; i < CHILDREN; i++)
		(void)take_all(b.packets[i]);
	/* nothing is lost of the room when they are freed with what they hold */
	flood(&b, CHILDREN);
	while (b.npackets > 1)
		dgram_free(b.packets[--b.npackets]);
	assert_int_equal(take_all(b.packets[0]), XUDP_QUEUE);
	flood(&b, 1);
	assert_int_equal(take_all(b.packets[0]), XUDP_QUEUE);
	bench_close(&b);
}

static void when_memory_is_short_one_packet_of_a_flow_waits(void **s)
{
	struct bench b;

	bench_open(&b);
	for (unsigned i = 0; i < 4; i++) {
		say_packet(&b, (uint16_t)(i + 1), MUXCOOL_NEW, 0, "192.0.2.1:53", "x");
		assert_int_equal(take_all(b.packets[i]), 1);
	}
	loop_pool(b.l)->max = 40;
	flood(&b, 4);
	assert_in_range(loop_pool(b.l)->nused, 30, 36);
	assert_int_equal(take_all(b.packets[3]), 1);
	loop_pool(b.l)->max = 0;
	bench_close(&b);
}

static void refuse_packets(struct sink *k, struct dgram *d)
{
	dgram_free(d);
}

static void a_flow_that_nobody_wants_is_ended_once(void **s)
{
	struct bench b;

	bench_open(&b);
	b.sink.dgram = refuse_packets;
	say_packet(&b, 1, MUXCOOL_NEW, 0, "192.0.2.1:53", "x");
	say_packet(&b, 1, MUXCOOL_KEEP, 0, NULL, "x");
	hears(&b, 1, MUXCOOL_END, false, NULL);
	hears_nothing(&b);
	bench_close(&b);
}

static void a_packet_too_large_for_the_peer_is_dropped(void **s)
{
	struct packet p;
	struct bench b;

	bench_open(&b);
	say_packet(&b, 0, MUXCOOL_NEW, 0, "192.0.2.1:53", "x");
	p = packet_of(b.l, "", "192.0.2.1:53");
	p.buf->end += XUDP_DATA_MAX + 1;
	assert_int_equal(dgram_send(b.packets[0], &p, 1), 1);
	assert_int_equal(b.packets[0]->dropped, 1);
	hears_nothing(&b);
	bench_close(&b);
}

static void small_answers_to_who_does_not_listen_take_no_chunk_each(void **s)
{
	int n = 1, sent;
	struct bench b;

	bench_init(&b, loop_new(LOOP_VIRTUAL, 1), 100);
	say_packet(&b, 0, MUXCOOL_NEW, 0, "192.0.2.1:53", "x");
	for (sent = 0; n == 1 && sent < 100000; sent++) {
		n = send_text(b.packets[0], "y", "192.0.2.1:53");
		if (sent % 64 == 0)
			settle_now(b.l);
	}
	assert_int_equal(n, -EAGAIN);
	assert_true(sent > 5000);
	assert_in_range(loop_pool(b.l)->nused, 1, 4 + MUX_OUT_MAX / BUF_PAYLOAD);
	bench_close(&b);
}

static void an_association_survives_its_carrier_for_a_minute(void **s)
{
	struct bench b;

	bench_open(&b);
	say_packet(&b, 0, MUXCOOL_NEW, 0x1234, "192.0.2.1:53", "one");
	packet_expect(b.packets[0], "one", "192.0.2.1:53");
	connect_again(&b, 65536, false);
	settle_now(b.l);
	/* meanwhile nothing is lost that the socket can hold */
	assert_int_equal(send_text(b.packets[0], "early", "192.0.2.1:53"), -EAGAIN);
	let_pass(b.l, 59 * NSEC_SEC);
	say_packet(&b, 5, MUXCOOL_NEW, 0x1234, "192.0.2.2:53", "two");
	assert_int_equal(b.npackets, 1); /* the same: its session noticed nothing */
	packet_expect(b.packets[0], "two", "192.0.2.2:53");
	assert_int_equal(send_text(b.packets[0], "answer", "192.0.2.1:53"), 1);
	hears_packet(&b, 5, "answer", "192.0.2.1:53");
	connect_again(&b, 65536, false);
	let_pass(b.l, 61 * NSEC_SEC);
	assert_int_equal(dgram_recv(b.packets[0], &(struct packet){0}, 1), 0);
	connect_again(&b, 65536, false);
	say_packet(&b, 5, MUXCOOL_NEW, 0x1234, "192.0.2.2:53", "new");
	assert_int_equal(b.npackets, 2);
	bench_close(&b);
}

static void a_global_id_takes_its_association_from_the_flow_that_had_it(void **s)
{
	struct bench b;

	bench_open(&b);
	say_packet(&b, 1, MUXCOOL_NEW, 7, "192.0.2.1:53", "one");
	say_packet(&b, 2, MUXCOOL_NEW, 7, "192.0.2.1:53", "two");
	say_packet(&b, 3, MUXCOOL_NEW, 8, "192.0.2.1:53", "other");
	assert_int_equal(b.npackets, 2);
	hears(&b, 1, MUXCOOL_END, false, NULL);
	packet_expect(b.packets[0], "one", "192.0.2.1:53");
	packet_expect(b.packets[0], "two", "192.0.2.1:53");
	assert_int_equal(send_text(b.packets[0], "answer", "192.0.2.1:53"), 1);
	hears_packet(&b, 2, "answer", "192.0.2.1:53");
	bench_close(&b);
}

/* A stream that says where it comes from. */
struct placed {
	struct stream s;
	struct stream *lower;
	struct addr peer;
};

static struct stream *below(const struct stream *s)
{
	return container_of(s, struct placed, s)->lower;
}

static int placed_open(struct stream *s)
{
	return stream_open(below(s));
}

static ssize_t placed_pull(struct stream *s, struct bufq *dst, size_t max)
{
	return stream_pull(below(s), dst, max);
}

static ssize_t placed_push(struct stream *s, struct bufq *src)
{
	return stream_push(below(s), src);
}

static void placed_want(struct stream *s, unsigned ev, struct waiter *w)
{
	stream_want(below(s), ev, w);
}

static int placed_shut(struct stream *s)
{
	return stream_shut(below(s));
}

static void placed_free(struct stream *s)
{
	stream_free(below(s));
	stream_done(s);
	loop_free_later(s->loop, container_of(s, struct placed, s));
}

static int placed_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	if (attr != STREAM_PEER)
		return -ENOTSUP;
	out->addr = &container_of(s, const struct placed, s)->peer;
	return 0;
}

static int placed_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	return -ENOTSUP;
}

static struct stream *placed_new(struct stream *lower, const char *from)
{
	static const struct stream_ops ops = {
		.name = "placed",
		.open = placed_open,
		.pull = placed_pull,
		.push = placed_push,
		.want = placed_want,
		.shut = placed_shut,
		.free = placed_free,
		.query = placed_query,
		.set = placed_set,
	};
	struct placed *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	stream_init(&p->s, &ops, lower->loop);
	p->lower = lower;
	assert_int_equal(addr_parse_ip(&p->peer, from, 1000), 0);
	return &p->s;
}

static void a_global_id_is_found_from_the_same_device_and_under_the_same_rules(void **s)
{
	static const int old_rules, new_rules;
	static const struct {
		const char *from;
		const int *realm;
		unsigned known; /* how many there are then */
	} step[] = {
		{"192.0.2.1", &old_rules, 1},	    {"::ffff:192.0.2.1", &old_rules, 1},
		{"192.0.2.2", &old_rules, 2},	    {"192.0.2.1", &old_rules, 2},
		{"192.0.2.1", &new_rules, 3},	    {"192.0.2.2", &old_rules, 3},
		{"2001:db8::1", &new_rules, 4},	    {"2001:db8::ffff:1", &new_rules, 4},
		{"2001:db8:0:1::1", &new_rules, 5},
	};
	struct bench b;

	bench_open(&b);
	for (size_t i = 0; i < ARRAY_LEN(step); i++) {
		struct mux_terms terms = {.sink = &b.sink, .realm = step[i].realm};
		struct stream *near;

		mux_free(b.mux);
		stream_free(b.far);
		bufq_done(&b.heard);
		assert_int_equal(pair_new(b.l, 65536, &near, &b.far), 0);
		b.mux = muxcool_kind.serve(placed_new(near, step[i].from), &terms);
		say_packet(&b, 0, MUXCOOL_NEW, 7, "192.0.2.1:53", "x");
		assert_int_equal(b.npackets, step[i].known);
	}
	bench_close(&b);
}

static void a_global_id_is_its_users_own(void **s)
{
	static int alice, mallory;
	struct mux_terms terms;
	struct stream *near;
	struct bench b;

	bench_open(&b);
	mux_free(b.mux);
	stream_free(b.far);
	for (int i = 0; i < 2; i++) {
		terms = (struct mux_terms){.sink = &b.sink,
					   .user = (struct user *)(i ? &mallory : &alice)};
		assert_int_equal(pair_new(b.l, 65536, &near, &b.far), 0);
		b.mux = muxcool_kind.serve(near, &terms);
		say_packet(&b, 0, MUXCOOL_NEW, 7, "192.0.2.1:53", i ? "his" : "hers");
		if (i)
			break;
		mux_free(b.mux);
		stream_free(b.far);
	}
	assert_int_equal(b.npackets, 2);
	packet_expect(b.packets[0], "hers", "192.0.2.1:53");
	packet_expect(b.packets[1], "his", "192.0.2.1:53");
	bench_close(&b);
}

static void who_owns_the_mux_sees_when_it_last_did_something(void **s)
{
	_Atomic nsec_t active = 0;
	struct mux_terms terms = {.active = &active};
	struct stream *near;
	struct bench b;
	nsec_t began;

	bench_open(&b);
	mux_free(b.mux);
	stream_free(b.far);
	assert_int_equal(pair_new(b.l, 65536, &near, &b.far), 0);
	terms.sink = &b.sink;
	b.mux = muxcool_kind.serve(near, &terms);
	open_child(&b, 1, "up");
	began = active;
	let_pass(b.l, 20 * NSEC_SEC);
	assert_true(active < began + NSEC_SEC);
	say_text(&b, 1, "again");
	settle_now(b.l);
	assert_in_range(active, began + 20 * NSEC_SEC, began + 21 * NSEC_SEC);
	let_pass(b.l, 20 * NSEC_SEC);
	put_bytes(b.child[0], "down", 4);
	settle_now(b.l);
	assert_in_range(active, began + 40 * NSEC_SEC, began + 41 * NSEC_SEC);
	bench_close(&b);
}

static void those_at_rest_are_few_and_the_oldest_goes(void **s)
{
	struct packet p;
	struct bench b;

	bench_open(&b);
	for (unsigned i = 0; i <= XUDP_REST_USER; i++) {
		say_packet(&b, 1, MUXCOOL_NEW, 100 + i, "192.0.2.1:53", "x");
		say_end(&b, 1, false);
	}
	for (unsigned i = 0; i <= XUDP_REST_USER; i++) {
		packet_expect(b.packets[i], "x", "192.0.2.1:53");
		assert_int_equal(dgram_recv(b.packets[i], &p, 1), i ? -EAGAIN : 0);
	}
	/* the one that went is not found, the one that stayed is */
	say_packet(&b, 1, MUXCOOL_NEW, 101, "192.0.2.1:53", "x");
	assert_int_equal(b.npackets, XUDP_REST_USER + 1);
	say_packet(&b, 2, MUXCOOL_NEW, 100, "192.0.2.1:53", "x");
	assert_int_equal(b.npackets, XUDP_REST_USER + 2);
	bench_close(&b);
}

/* ---- over a carrier that misbehaves ------------------------------------------------------------- */

struct hostile {
	struct bench b;
	struct talker far[2]; /* on the far side of two children: what a session does */
	struct waiter w;
	struct stream *lower; /* the client's, by hand */
	struct bufq out, in;
	size_t sent[2], received[2];
	bool ended[2];
};

enum { UP = 3000, DOWN = 2000 };

static void hostile_child(struct sink *k, struct stream *s)
{
	struct hostile *t = container_of(container_of(k, struct bench, sink), struct hostile, b);
	unsigned i = t->b.nchildren++;

	talker_start(&t->far[i], s, DOWN, (uint8_t)(10 + i), (uint8_t)(20 + i));
	t->far[i].appetite = i ? 7 : 3000;
}

/* The client: both children's frames, in small pieces, in turn. */
static void hostile_say(struct hostile *t)
{
	for (unsigned i = 0; i < 2 && bufq_len(&t->out) < 500; i++) {
		struct muxcool_frame f = frame((uint16_t)(i + 1), MUXCOOL_KEEP, 0, NULL);
		uint8_t mem[XUDP_HEAD_MAX + 100];
		struct wr w = wr_of(mem, sizeof(mem));

		if (t->sent[i] > UP)
			continue;
		if (t->sent[i] == 0)
			f = frame((uint16_t)(i + 1), MUXCOOL_NEW, MUXCOOL_TCP, "t.example:1");
		f.data_len = MIN((size_t)UP - t->sent[i], (size_t)97);
		f.has_data = f.data_len > 0;
		if (!f.has_data && !t->ended[i])
			continue; /* its own end is last: it would cut off the answer */
		if (!f.has_data)
			f.status = MUXCOOL_END;
		muxcool_frame_emit(&w, &f);
		for (size_t k = 0; k < f.data_len; k++)
			wr_u8(&w, pattern_byte((uint8_t)(20 + i), t->sent[i] + k));
		t->sent[i] += f.has_data ? f.data_len : 1;
		assert_int_equal(bufq_append(&t->out, mem, w.len), 0);
	}
}

static void hostile_hear(struct hostile *t)
{
	for (;;) {
		struct muxcool_frame f;
		size_t got;
		const uint8_t *bytes = bufq_linear(&t->in, 16384, &got);
		struct rd r = rd_of(bytes, bytes ? got : 0);

		if (!bytes || muxcool_frame_parse(&r, &f) || rd_left(&r) < f.data_len)
			return;
		assert_in_range(f.session, 1, 2);
		for (size_t k = 0; k < f.data_len; k++)
			assert_int_equal(bytes[r.pos + k],
					 pattern_byte((uint8_t)(10 + f.session - 1),
						      t->received[f.session - 1]++));
		if (f.status == MUXCOOL_END)
			t->ended[f.session - 1] = true;
		bufq_drain(&t->in, r.pos + f.data_len);
	}
}

static void hostile_client(struct waiter *w)
{
	struct hostile *t = container_of(w, struct hostile, w);
	ssize_t n = stream_open(t->lower);

	if (n == -EAGAIN)
		stream_want(t->lower, STREAM_RD | STREAM_WR, w);
	if (n < 0)
		return;
	while ((n = stream_pull(t->lower, &t->in, 4096)) > 0)
		hostile_hear(t);
	if (n != -EAGAIN)
		return;
	stream_want(t->lower, STREAM_RD, w);
	hostile_say(t);
	while (!bufq_empty(&t->out)) {
		n = stream_push(t->lower, &t->out);
		if (n == -EAGAIN)
			stream_want(t->lower, STREAM_WR, w);
		if (n < 0)
			return;
		hostile_say(t);
	}
}

static struct stream *dribbled(struct stream *s)
{
	uint64_t seed;

	loop_random(s->loop, &seed, sizeof(seed));
	return dribble_new(s, &DRIBBLE(seed));
}

static void hostile_start(struct loop *l, void *state)
{
	struct hostile *t = state;
	struct mux_terms terms = {.sink = &t->b.sink};
	struct stream *near, *far;

	t->b.l = l;
	t->b.sink = (struct sink){hostile_child, take_packets, on_closed};
	assert_int_equal(pair_new(l, 300, &near, &far), 0);
	t->b.mux = muxcool_kind.serve(dribbled(near), &terms);
	t->lower = dribbled(far);
	bufq_init(&t->out, loop_pool(l), SIZE_MAX);
	bufq_init(&t->in, loop_pool(l), SIZE_MAX);
	waiter_init(&t->w, hostile_client);
	loop_queue(l, &t->w);
}

static bool hostile_done(void *state)
{
	struct hostile *t = state;

	return t->b.nchildren == 2 && talker_done(&t->far[0]) && talker_done(&t->far[1]);
}

static void hostile_stop(void *state)
{
	struct hostile *t = state;

	waiter_cancel(&t->w);
	bufq_done(&t->out);
	bufq_done(&t->in);
	for (unsigned i = 0; i < t->b.nchildren; i += 2)
		talker_stop(&t->far[i]); /* one before the mux, one behind */
	mux_free(t->b.mux);
	stream_free(t->lower);
	if (t->b.nchildren > 1)
		talker_stop(&t->far[1]);
}

static void hostile_check(void *state)
{
	struct hostile *t = state;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(t->far[i].err, 0);
		assert_int_equal(t->far[i].received, UP);
		assert_int_equal(t->received[i], DOWN);
		assert_true(t->ended[i]);
	}
	assert_int_equal(t->b.closed, 0);
}

static void children_survive_a_dribble_and_a_kill_at_each_turn(void **s)
{
	struct scenario sc = {hostile_start, hostile_done, hostile_stop, hostile_check,
			      sizeof(struct hostile)};

	assert_true(kill_at_each_turn(&sc, 7) > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			m1_a_child_has_its_own_queue_and_one_that_is_full_stops_the_wire_not_the_memory),
		cmocka_unit_test(m2_the_owner_frees_the_mux_and_its_children_outlive_it),
		cmocka_unit_test(m2_a_carrier_that_ends_or_breaks_ends_its_children),
		cmocka_unit_test(m3_to_free_an_unfinished_child_resets_it_and_nobody_else),
		cmocka_unit_test(m4_room_returns_when_the_consumer_pulls),
		cmocka_unit_test(m5_children_take_turns_at_one_output_in_chunks),
		cmocka_unit_test(m7_a_drained_mux_ends_with_its_last_child),
		cmocka_unit_test(m7_a_drained_mux_is_kept_until_it_is_quiet),
		cmocka_unit_test(m7_a_drained_mux_that_is_never_quiet_ends_at_a_pause_in_the_end),
		cmocka_unit_test(m9_too_many_glitches_in_a_second_end_the_mux),
		cmocka_unit_test(children_that_the_peer_has_ended_count_until_they_are_freed),
		cmocka_unit_test(m9_to_end_what_was_never_answered_is_a_glitch),
		cmocka_unit_test(m9_to_end_an_association_that_was_never_answered_is_a_glitch),
		cmocka_unit_test(associations_that_the_peer_has_ended_count_until_they_are_freed),
		cmocka_unit_test(no_choice_of_numbers_makes_a_long_list),
		cmocka_unit_test(
			a_child_that_takes_nothing_while_others_wait_is_ended_at_its_deadline),
		cmocka_unit_test(
			a_child_that_is_alone_may_take_nothing_for_as_long_as_a_connection_may_be_silent),
		cmocka_unit_test(and_what_it_says_itself_meanwhile_is_no_reason_to_wait_longer),
		cmocka_unit_test(queues_of_little_are_bounded_by_the_memory_they_take),
		cmocka_unit_test(a_queue_of_pieces_takes_about_twice_its_bytes),
		cmocka_unit_test(a_reset_behind_an_end_wakes_who_waits_to_send),
		cmocka_unit_test(who_waited_for_memory_that_is_there_again_is_not_ended),
		cmocka_unit_test(queues_that_the_peer_has_ended_give_way_too),
		cmocka_unit_test(data_of_the_first_frame_is_the_first_data),
		cmocka_unit_test(an_end_is_that_of_both_directions),
		cmocka_unit_test(an_error_behind_our_own_end_is_none),
		cmocka_unit_test(answers_to_our_own_ends_are_no_glitches),
		cmocka_unit_test(an_unknown_number_is_ended_once_and_its_data_passed_over),
		cmocka_unit_test(m9_data_for_numbers_that_nobody_has_is_bounded),
		cmocka_unit_test(m9_ends_of_numbers_that_nobody_has_are_bounded),
		cmocka_unit_test(a_second_new_of_a_live_number_ends_the_first),
		cmocka_unit_test(metadata_may_be_padded_and_data_of_the_odd_frame_is_skipped),
		cmocka_unit_test(a_wrong_frame_breaks_the_connection),
		cmocka_unit_test(an_idle_connection_ends_after_a_minute),
		cmocka_unit_test(with_the_flow_a_stream_ends_the_connection_and_packets_do_not),
		cmocka_unit_test(packets_go_where_they_say_and_say_where_they_come_from),
		cmocka_unit_test(packets_that_nobody_takes_are_lost_among_others_and_wait_alone),
		cmocka_unit_test(packets_that_wait_are_bounded_over_all_flows),
		cmocka_unit_test(when_memory_is_short_one_packet_of_a_flow_waits),
		cmocka_unit_test(a_flow_that_nobody_wants_is_ended_once),
		cmocka_unit_test(a_packet_too_large_for_the_peer_is_dropped),
		cmocka_unit_test(small_answers_to_who_does_not_listen_take_no_chunk_each),
		cmocka_unit_test(an_association_survives_its_carrier_for_a_minute),
		cmocka_unit_test(a_global_id_takes_its_association_from_the_flow_that_had_it),
		cmocka_unit_test(
			a_global_id_is_found_from_the_same_device_and_under_the_same_rules),
		cmocka_unit_test(a_global_id_is_its_users_own),
		cmocka_unit_test(who_owns_the_mux_sees_when_it_last_did_something),
		cmocka_unit_test(those_at_rest_are_few_and_the_oldest_goes),
		cmocka_unit_test(children_survive_a_dribble_and_a_kill_at_each_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
