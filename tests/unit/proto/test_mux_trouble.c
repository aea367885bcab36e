/* A client's carriers in trouble: who stands still, servers that say too much or too little, and what is
 * told of it.
 */
#include "unit.h"

#include "base/err.h"
#include "proto/singmux/singmux_wire.h"
#include "stream/mux_core.h"
#include "stream/pair.h"
#include "transport/mux_session/mux_session.h"

#include "mux_rig.h"
#include "packets.h"
#include "stage.h"

#define FOR_EACH_KIND(i) for (size_t i = 0; i < RIG_KINDS; i++)

enum { COOL, SMUX, YAMUX, H2MUX }; /* in rig_kinds */

static void open_rig(struct rig *r, size_t kind)
{
	rig_init(r, loop_new(LOOP_VIRTUAL, 1), kind, 8);
}

static void close_rig(struct rig *r)
{
	struct loop *l = r->l;

	rig_stop(r);
	loop_turn(l, 0);
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
}

static void pass(struct loop *l, nsec_t time)
{
	nsec_t end = loop_now(l) + time;

	while (loop_now(l) < end && loop_turn(l, end - loop_now(l)) > 0)
		;
}

static struct stream *stream_saying(struct rig *r, const char *text)
{
	struct stream *s = rig_stream(r, 1);

	settle_now(r->l);
	assert_int_equal(stream_open(s), 0);
	put_bytes(s, text, strlen(text));
	settle_now(r->l);
	return s;
}

/* What is there, and what is behind it. */
static void reads(struct stream *s, const char *text, int behind)
{
	char mem[100];
	ssize_t end;
	size_t n = get_bytes(s, mem, sizeof(mem) - 1, &end);

	mem[n] = '\0';
	assert_string_equal(mem, text);
	assert_int_equal(end, behind);
}

static void say_text(struct rig *r, struct stream *s, const char *text)
{
	put_bytes(s, text, strlen(text));
	settle_now(r->l);
}

/* ---- who stands still -------------------------------------------------------------------- */

#define MUCH 600000

/* All of it comes back, and nothing of it is read. */
static void ask_for_much(struct rig *r, struct stream *s)
{
	static const uint8_t block[10000];
	struct bufq q;

	bufq_init(&q, loop_pool(r->l), SIZE_MAX);
	for (size_t n = 0; n < MUCH; n += sizeof(block)) {
		assert_int_equal(bufq_append(&q, block, sizeof(block)), 0);
		while (!bufq_empty(&q)) {
			assert_true(stream_push(s, &q) > 0);
			settle_now(r->l);
		}
	}
}

static void a_stream_that_is_alone_may_stand_still_as_long_as_it_likes(void **state)
{
	static uint8_t mem[65536];
	static struct rig r;
	size_t got = 0;
	struct stream *s;
	ssize_t end;

	FOR_EACH_KIND(k)
	{
		if (!rig_kinds[k].whole_end) /* the others have windows: nothing stands still */
			continue;
		open_rig(&r, k);
		s = stream_saying(&r, "");
		ask_for_much(&r, s);
		for (got = 0; got < MUCH;) {
			size_t n;

			pass(r.l, 3 * MUX_STALL);
			n = get_bytes(s, mem, sizeof(mem), &end);
			assert_true(n > 0);
			got += n;
		}
		assert_int_equal(got, MUCH);
		stream_free(s);
		close_rig(&r);
	}
}

static void one_that_others_wait_for_may_not(void **state)
{
	static struct rig r;
	struct stream *a, *b;
	ssize_t end;
	uint8_t one;

	FOR_EACH_KIND(k)
	{
		if (!rig_kinds[k].whole_end) /* as above */
			continue;
		open_rig(&r, k);
		a = stream_saying(&r, "");
		b = stream_saying(&r, "b");
		reads(b, "b", -EAGAIN);
		ask_for_much(&r, a);
		say_text(&r, b, "behind it");
		reads(b, "", -EAGAIN);
		pass(r.l, MUX_STALL + NSEC_SEC);
		reads(b, "behind it", -EAGAIN);
		assert_int_equal(get_bytes(a, &one, 1, &end), 0);
		assert_int_equal(end, -ERR_TIMEOUT);
		stream_free(a);
		stream_free(b);
		close_rig(&r);
	}
}

static void a_carrier_that_stands_still_gets_no_more(void **state)
{
	static struct rig r;
	struct stream *a, *b;

	FOR_EACH_KIND(k)
	{
		if (!rig_kinds[k].whole_end)
			continue;
		open_rig(&r, k);
		a = stream_saying(&r, "");
		ask_for_much(&r, a);
		b = stream_saying(&r, "elsewhere");
		reads(b, "elsewhere", -EAGAIN);
		assert_int_equal(r.nends, 2);
		stream_free(a);
		stream_free(b);
		close_rig(&r);
	}
}

/* The last word of one that goes is no question. */
static void a_carrier_whose_streams_have_gone_owes_nothing(void **state)
{
	static struct rig r;
	struct stream *idle, *s;

	FOR_EACH_KIND(k)
	{
		for (int others = 0; others < 2; others++) {
			open_rig(&r, k);
			idle = others ? stream_saying(&r, "one") : NULL;
			if (idle)
				reads(idle, "one", -EAGAIN);
			s = stream_saying(&r, "two");
			reads(s, "two", -EAGAIN);
			stream_free(s);
			pass(r.l, MUX_SILENCE + 3 * NSEC_SEC);
			s = stream_saying(&r, "three");
			reads(s, "three", -EAGAIN);
			assert_int_equal(r.nends, 1);
			stream_free(s);
			stream_free(idle);
			close_rig(&r);
		}
	}
}

/* Of the pool; its struct is its own, and begins with the link. */
static struct mux *only_carrier(const struct rig *r)
{
	struct first_of_pooled {
		struct list_node link;
		struct mux_pool *pool;
		struct sink sink;
		struct mux *mux;
	};

	const struct first_of_pooled *x =
		list_entry(r->pool.carriers.next, struct first_of_pooled, link);

	assert_ptr_equal(x->pool, &r->pool); /* it does begin so */
	return x->mux;
}

/* The number of the next stream is the last one of its kind. */
static void one_whose_numbers_are_used_up_serves_its_streams_and_gets_no_more(void **state)
{
	static struct rig r;
	struct stream *last, *next;

	for (size_t k = SMUX; k <= YAMUX; k++) {
		struct mux_session *s;

		open_rig(&r, k);
		last = stream_saying(&r, "first");
		reads(last, "first", -EAGAIN);
		stream_free(last);
		s = container_of(only_carrier(&r), struct mux_session, core.mux);
		s->number = INT32_MAX;
		last = stream_saying(&r, "last");
		next = stream_saying(&r, "elsewhere");
		assert_int_equal(r.nends, 2);
		reads(last, "last", -EAGAIN);
		reads(next, "elsewhere", -EAGAIN);
		stream_free(last);
		settle_now(r.l);
		assert_int_equal(r.pool.ncarriers, 1);
		stream_free(next);
		close_rig(&r);
	}
}

/* Of mux.cool there are few: all of them. */
static void cool_whose_numbers_are_used_up_gets_no_more(void **state)
{
	static struct rig r;
	struct stream *s;

	open_rig(&r, COOL);
	for (unsigned i = 0; i < 65535; i++) {
		s = rig_stream(&r, 1);
		assert_int_equal(r.nends, 1);
		if (i < 65534)
			stream_free(s);
		if (i % 1000 == 0)
			settle_now(r.l);
	}
	settle_now(r.l);
	put_bytes(s, "last", 4);
	settle_now(r.l);
	reads(s, "last", -EAGAIN);
	stream_free(stream_saying(&r, "elsewhere"));
	assert_int_equal(r.nends, 2);
	stream_free(s);
	close_rig(&r);
}

/* ---- what a server says ------------------------------------------------------------------ */

/* A carrier whose server is the test. */
static void open_deaf(struct rig *r, size_t kind)
{
	open_rig(r, kind);
	r->deaf = true;
}

static void say_h2(struct rig *r, uint8_t type, uint8_t flags, uint32_t id, const void *body,
		   size_t len)
{
	uint8_t mem[9 + 100];
	struct wr w = wr_of(mem, sizeof(mem));

	wr_be24(&w, (uint32_t)len);
	wr_u8(&w, type);
	wr_u8(&w, flags);
	wr_be32(&w, id);
	wr_bytes(&w, body, len);
	put_bytes(r->ends[0].raw, mem, w.len);
	settle_now(r->l);
}

#define H2_SETTINGS	4
#define H2_PUSH_PROMISE 5
#define H2_END_HEADERS	4

static void h2mux_a_server_that_pushes_is_hung_up_on(void **state)
{
	/* stream 2: GET http / */
	static const uint8_t promise[] = {0, 0, 0, 2, 0x82, 0x86, 0x84, 0x01, 1, 'a'};
	static struct rig r;
	struct stream *s;

	open_deaf(&r, H2MUX);
	s = stream_saying(&r, "hello");
	say_h2(&r, H2_SETTINGS, 0, 0, NULL, 0);
	assert_int_equal(r.pool.ncarriers, 1);
	say_h2(&r, H2_PUSH_PROMISE, H2_END_HEADERS, 1, promise, sizeof(promise));
	assert_int_equal(r.pool.ncarriers, 0);
	reads(s, "", -ECONNRESET);
	stream_free(s);
	close_rig(&r);
}

/* In its settings, and ours say it ahead: ENABLE_PUSH 0. */
static void h2mux_a_client_says_that_it_wants_no_pushes(void **state)
{
	static const uint8_t none[] = {0, 2, 0, 0, 0, 0};
	static uint8_t mem[65536];
	static struct rig r;
	struct stream *s;
	size_t n;

	open_deaf(&r, H2MUX);
	s = stream_saying(&r, "hello");
	n = get_bytes(r.ends[0].raw, mem, sizeof(mem), NULL);
	assert_non_null(memmem(mem, n, none, sizeof(none)));
	stream_free(s);
	close_rig(&r);
}

static void h2mux_a_server_is_given_no_more_streams_than_it_wants_at_once(void **state)
{
	static const uint8_t two[] = {0, 3, 0, 0, 0, 2};
	struct stream *s[4] = {0};
	static struct rig r;

	open_deaf(&r, H2MUX);
	s[0] = stream_saying(&r, "1");
	say_h2(&r, H2_SETTINGS, 0, 0, two, sizeof(two));
	s[1] = stream_saying(&r, "2");
	assert_int_equal(r.nends, 1);
	s[2] = stream_saying(&r, "3");
	assert_int_equal(r.nends, 2);
	stream_free(s[0]);
	settle_now(r.l);
	s[3] = stream_saying(&r, "4");
	assert_int_equal(r.nends, 2);
	for (int i = 1; i < 4; i++)
		stream_free(s[i]);
	close_rig(&r);
}

#define SMUX_FIRST 3 /* its number */

static void say_smux(struct rig *r, uint8_t command, const void *body, size_t len)
{
	uint8_t mem[8 + 4096] = {1, command, (uint8_t)len, (uint8_t)(len >> 8), SMUX_FIRST};

	if (len)
		memcpy(mem + 8, body, len);
	put_bytes(r->ends[0].raw, mem, 8 + len);
	settle_now(r->l);
}

/* Whatever it is, and whether all of it comes. */
static void singmux_a_refusal_may_have_many_words(void **state)
{
	static const size_t lens[] = {0, 1, 127, 128, 509, 510, SINGMUX_TEXT_MAX, 4000};
	static const uint8_t zeros[4000];
	static uint8_t mem[3 + sizeof(zeros)];
	static struct rig r;
	struct stream *s;

	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct wr w = wr_of(mem, sizeof(mem));

		wr_u8(&w, SINGMUX_REFUSED);
		if (lens[i] > 127)
			wr_u8(&w, (uint8_t)(0x80 | (lens[i] & 0x7f)));
		wr_u8(&w, (uint8_t)(lens[i] > 127 ? lens[i] >> 7 : lens[i]));
		wr_bytes(&w, zeros, lens[i]);
		open_deaf(&r, SMUX);
		s = stream_saying(&r, "hello");
		say_smux(&r, 2, mem, w.len);
		reads(s, "", -ERR_UNREACHED);
		stream_free(s);
		close_rig(&r);
	}
}

static int sends(struct rig *r, struct dgram *d, const char *text)
{
	struct packet p = packet_of(r->l, text, "192.0.2.1:1000");
	int n = dgram_send(d, &p, 1);

	if (n != 1)
		buf_free(p.buf);
	settle_now(r->l);
	return n;
}

static void singmux_an_association_that_is_ended_ahead_of_its_status_moves_on(void **state)
{
	static struct rig r;
	struct packet none;
	struct dgram *a;

	open_deaf(&r, SMUX);
	a = rig_packets(&r, NULL);
	assert_int_equal(sends(&r, a, "one"), 1);
	say_smux(&r, 1, NULL, 0);
	assert_int_equal(dgram_recv(a, &none, 1), -EAGAIN);
	rig_cut(&r, 0);
	settle_now(r.l);
	r.deaf = false;
	assert_int_equal(sends(&r, a, "two"), 1);
	packet_expect(a, "two", "192.0.2.1:1000");
	dgram_free(a);
	close_rig(&r);
}

/* ---- what is told ------------------------------------------------------------------------ */

/* A server that does not know us says nothing: that is no word about the target. */
static void who_never_heard_of_a_carrier_is_told_what_became_of_it(void **state)
{
	static struct rig r;
	struct stream *s;
	struct bufq q;

	FOR_EACH_KIND(k)
	{
		open_deaf(&r, k);
		s = stream_saying(&r, "hello");
		assert_int_equal(stream_shut(r.ends[0].raw), 0);
		settle_now(r.l);
		bufq_init(&q, loop_pool(r.l), SIZE_MAX);
		assert_int_equal(bufq_append(&q, "x", 1), 0);
		assert_int_equal(stream_push(s, &q), -ERR_TRUNCATED);
		bufq_done(&q);
		reads(s, "", -ERR_TRUNCATED);
		stream_free(s);
		close_rig(&r);

		open_deaf(&r, k);
		s = stream_saying(&r, "hello");
		pair_reset(r.ends[0].raw, -ERR_AUTH);
		settle_now(r.l);
		reads(s, "", -ERR_AUTH);
		stream_free(s);
		close_rig(&r);
	}
}

static void who_has_heard_of_it_has_lost_his_connection(void **state)
{
	static struct rig r;
	struct stream *s;

	FOR_EACH_KIND(k)
	{
		for (int how = 0; how < 2; how++) {
			open_rig(&r, k);
			s = stream_saying(&r, "hello");
			reads(s, "hello", -EAGAIN);
			if (how) {
				pair_reset(r.ends[0].raw, -ERR_AUTH);
			} else {
				mux_free(r.ends[0].mux);
				r.ends[0].mux = NULL;
			}
			settle_now(r.l);
			reads(s, "", -ECONNRESET);
			stream_free(s);
			close_rig(&r);
		}
	}
}

/* Once, and as often as it is asked: it does not dial again. */
static void an_association_that_only_sends_is_told_too(void **state)
{
	static struct rig r;
	struct dgram *a;

	FOR_EACH_KIND(k)
	{
		open_rig(&r, k);
		r.wrong = true;
		a = rig_packets(&r, NULL);
		assert_int_equal(sends(&r, a, "one"), 1);
		for (int i = 0; i < 3; i++)
			assert_int_equal(sends(&r, a, "two"), -ERR_MALFORMED);
		assert_int_equal(r.nends, 1);
		dgram_free(a);
		close_rig(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_that_is_alone_may_stand_still_as_long_as_it_likes),
		cmocka_unit_test(one_that_others_wait_for_may_not),
		cmocka_unit_test(a_carrier_that_stands_still_gets_no_more),
		cmocka_unit_test(a_carrier_whose_streams_have_gone_owes_nothing),
		cmocka_unit_test(one_whose_numbers_are_used_up_serves_its_streams_and_gets_no_more),
		cmocka_unit_test(cool_whose_numbers_are_used_up_gets_no_more),
		cmocka_unit_test(h2mux_a_server_that_pushes_is_hung_up_on),
		cmocka_unit_test(h2mux_a_client_says_that_it_wants_no_pushes),
		cmocka_unit_test(h2mux_a_server_is_given_no_more_streams_than_it_wants_at_once),
		cmocka_unit_test(singmux_a_refusal_may_have_many_words),
		cmocka_unit_test(singmux_an_association_that_is_ended_ahead_of_its_status_moves_on),
		cmocka_unit_test(who_never_heard_of_a_carrier_is_told_what_became_of_it),
		cmocka_unit_test(who_has_heard_of_it_has_lost_his_connection),
		cmocka_unit_test(an_association_that_only_sends_is_told_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
