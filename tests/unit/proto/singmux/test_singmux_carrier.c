/* The carrier of sing-box's multiplex: hello, padding, and then nothing. */
#include "unit.h"

#include "proto/singmux/singmux_carrier.h"
#include "stream/pair.h"

#include "hostile.h"

struct duo {
	struct talker a, b;
};

static struct singmux_hello hello;

static void duo_start(struct loop *l, void *state)
{
	struct duo *t = state;
	struct stream *x, *y;

	assert_int_equal(pair_new(l, 300, &x, &y), 0);
	/* more pushes than are padded, and more bytes than one frame carries */
	t->a.burst = 700;
	talker_start(&t->a, singmux_carrier_client(dribble_new(x, &DRIBBLE(1)), &hello), 13000, 1,
		     2);
	talker_start(&t->b, singmux_carrier_server(dribble_new(y, &DRIBBLE(2)), NULL), 40000, 2, 1);
}

static void duo_check(void *state)
{
	struct duo *t = state;

	assert_int_equal(t->a.err, 0);
	assert_int_equal(t->b.err, 0);
	assert_int_equal(t->a.received, 40000);
	assert_int_equal(t->b.received, 13000);
	assert_int_equal(singmux_carrier_hello(t->b.s)->protocol, hello.protocol);
	assert_int_equal(singmux_carrier_hello(t->b.s)->padding, hello.padding);
}

static const struct scenario duo = {duo_start, talkers_done, talkers_stop, duo_check,
				    sizeof(struct duo)};

static void run_once(const struct scenario *sc)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 7);
	struct duo t = {0};

	assert_non_null(l);
	sc->start(l, &t);
	assert_true(run_until(l, sc->done, &t));
	sc->check(&t);
	sc->stop(&t);
	loop_free(l);
}

static void both_ends_understand_each_other_with_and_without_padding(void **state)
{
	for (int padding = 0; padding <= 1; padding++) {
		for (uint8_t protocol = SINGMUX_SMUX; protocol <= SINGMUX_H2MUX; protocol++) {
			hello = (struct singmux_hello){.version = (uint8_t)padding,
						       .protocol = protocol,
						       .padding = padding};
			run_once(&duo);
		}
	}
}

static void small_start(struct loop *l, void *state)
{
	struct duo *t = state;
	struct stream *x, *y;

	assert_int_equal(pair_new(l, 300, &x, &y), 0);
	talker_start(&t->a,
		     singmux_carrier_client(dribble_new(x, &(struct dribble_conf){.seed = 3,
										  .max = 100,
										  .again = 30,
										  .spurious = 10,
										  .cut_in = -1,
										  .cut_out = -1}),
					    &hello),
		     2000, 1, 2);
	talker_start(&t->b,
		     singmux_carrier_server(dribble_new(y, &(struct dribble_conf){.seed = 4,
										  .max = 100,
										  .again = 30,
										  .spurious = 10,
										  .cut_in = -1,
										  .cut_out = -1}),
					    NULL),
		     2000, 2, 1);
}

static void it_can_be_let_go_at_any_time(void **state)
{
	static const struct scenario sc = {small_start, talkers_done, talkers_stop, NULL,
					   sizeof(struct duo)};

	hello = (struct singmux_hello){.version = 1, .protocol = SINGMUX_YAMUX, .padding = true};
	assert_true(kill_at_each_turn(&sc, 5) > 5);
}

/* ---- by hand ----------------------------------------------------------------------------- */

struct hand {
	struct loop *l;
	struct stream *far, *s;
	struct bufq q, first;
};

static void hand_start_with(struct hand *h, const void *bytes, size_t len, bool end,
			    const char *first)
{
	struct stream *near;

	h->l = loop_new(LOOP_VIRTUAL, 1);
	assert_non_null(h->l);
	assert_int_equal(pair_new(h->l, 1 << 20, &near, &h->far), 0);
	bufq_init(&h->q, loop_pool(h->l), SIZE_MAX);
	bufq_init(&h->first, loop_pool(h->l), SIZE_MAX);
	assert_int_equal(bufq_append(&h->q, bytes, len), 0);
	while (!bufq_empty(&h->q))
		assert_true(stream_push(h->far, &h->q) > 0);
	if (end)
		assert_int_equal(stream_shut(h->far), 0);
	assert_int_equal(bufq_append(&h->first, first, strlen(first)), 0);
	h->s = singmux_carrier_server(near, &h->first);
	assert_true(bufq_empty(&h->first));
}

static void hand_start(struct hand *h, const void *bytes, size_t len, bool end)
{
	hand_start_with(h, bytes, len, end, "");
}

static void hand_stop(struct hand *h)
{
	bufq_done(&h->q);
	stream_free(h->s);
	stream_free(h->far);
	loop_turn(h->l, 0);
	loop_free(h->l);
}

/* All that comes up; *end is how it ends. */
static size_t read_all(struct hand *h, char *out, int *end)
{
	ssize_t n;

	while ((n = stream_pull(h->s, &h->q, 10000)) > 0)
		;
	*end = (int)n;
	return bufq_take(&h->q, out, 10000);
}

static void data_and_padding_are_told_apart(void **state)
{
	static const char wire[] = "\1\0\1\0\3xyz" /* three bytes of padding */
				   "\0\5\0\2hello--"
				   "\0\0\0\1-" /* nothing but padding */
				   "\0\6\0\0 world";
	struct hand h;
	char got[10000];
	int end;

	hand_start(&h, wire, sizeof(wire) - 1, true);
	assert_int_equal(stream_open(h.s), 0);
	assert_int_equal(read_all(&h, got, &end), 11);
	assert_memory_equal(got, "hello world", 11);
	assert_int_equal(end, 0);
	hand_stop(&h);
}

static void after_sixteen_writes_bytes_are_bytes(void **state)
{
	char wire[5 + 16 * 6 + 6], *p = wire, got[10000];
	struct hand h;
	int end;

	memcpy(p, "\1\1\1\0\0", 5);
	p += 5;
	for (int i = 0; i < SINGMUX_PADDED; i++, p += 6)
		memcpy(p, "\0\1\0\1x-", 6);
	memcpy(p, "\0\1\0\1x-", 6);
	hand_start(&h, wire, sizeof(wire), true);
	assert_int_equal(stream_open(h.s), 0);
	assert_int_equal(read_all(&h, got, &end), 16 + 6);
	assert_memory_equal(got, "xxxxxxxxxxxxxxxx\0\1\0\1x-", 22);
	assert_int_equal(end, 0);
	hand_stop(&h);
}

static void an_end_in_the_middle_is_a_stream_cut_short(void **state)
{
	static const char wire[] = "\1\0\1\0\1-"
				   "\0\2\0\2ab--";

	for (size_t n = 0; n < sizeof(wire) - 1; n++) {
		struct hand h;
		char got[10000];
		int err, end = 0;

		hand_start(&h, wire, n, true);
		err = stream_open(h.s);
		if (!err) {
			assert_true(n >= 6);
			read_all(&h, got, &end);
			assert_int_equal(end, n == 6 ? 0 : -ERR_TRUNCATED);
		} else {
			assert_int_equal(err, -ERR_TRUNCATED);
			assert_int_equal(stream_open(h.s), -ERR_TRUNCATED);
		}
		hand_stop(&h);
	}
}

static void what_follows_a_hello_is_left_for_the_session_protocol(void **state)
{
	struct hand h;
	char got[10000];
	int end;

	hand_start(&h, "\0\1rest", 6, false);
	assert_int_equal(stream_open(h.s), 0);
	assert_int_equal(read_all(&h, got, &end), 4);
	assert_memory_equal(got, "rest", 4);
	assert_int_equal(end, -EAGAIN);
	hand_stop(&h);
	hand_start(&h, "\3", 1, false);
	assert_int_equal(stream_open(h.s), -ERR_MALFORMED);
	hand_stop(&h);
}

static void what_we_write_is_padded_within_the_bounds(void **state)
{
	struct hand h;
	uint8_t mem[4];
	struct rd r;
	struct singmux_pad_head head;

	hand_start_with(&h, "\1\0\1\0\0", 5, false, "\7\7");
	assert_int_equal(stream_open(h.s), 0);
	assert_int_equal(stream_pull(h.far, &h.q, 10), -EAGAIN);
	for (int i = 0; i < SINGMUX_PADDED; i++) {
		assert_int_equal(bufq_append(&h.q, "data", 4), 0);
		assert_int_equal(stream_push(h.s, &h.q), 4);
		while (stream_pull(h.far, &h.q, 10000) > 0)
			;
		if (i == 0) { /* what goes first is no part of what is padded */
			assert_int_equal(bufq_take(&h.q, mem, 2), 2);
			assert_memory_equal(mem, "\7\7", 2);
		}
		r = rd_of(mem, bufq_take(&h.q, mem, 4));
		assert_int_equal(singmux_pad_parse(&r, &head), 0);
		assert_int_equal(head.data, 4);
		assert_in_range(head.pad, SINGMUX_PAD_MIN, SINGMUX_PAD_MAX);
		assert_int_equal(bufq_take(&h.q, mem, 4), 4);
		assert_memory_equal(mem, "data", 4);
		assert_int_equal(bufq_len(&h.q), head.pad);
		bufq_drain(&h.q, head.pad);
	}
	assert_int_equal(bufq_append(&h.q, "data", 4), 0);
	assert_int_equal(stream_push(h.s, &h.q), 4);
	assert_int_equal(stream_pull(h.far, &h.q, 10000), 4);
	hand_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_understand_each_other_with_and_without_padding),
		cmocka_unit_test(it_can_be_let_go_at_any_time),
		cmocka_unit_test(data_and_padding_are_told_apart),
		cmocka_unit_test(after_sixteen_writes_bytes_are_bytes),
		cmocka_unit_test(an_end_in_the_middle_is_a_stream_cut_short),
		cmocka_unit_test(what_follows_a_hello_is_left_for_the_session_protocol),
		cmocka_unit_test(what_we_write_is_padded_within_the_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
