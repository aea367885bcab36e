/* A stream that dials when it is opened: who waits for it is always told. */
#include "unit.h"

#include "client/lazy.h"
#include "stream/pair.h"

/* A dialer whose one dial is done when the test says so. */
struct slow {
	struct dialer dialer;
	struct dial dial;
	struct waiter *w;
	struct stream *near, *far;
	int err; /* of the dial; -EAGAIN while it goes on */
	bool canceled;
};

static int slow_result(struct dial *d, struct stream **out)
{
	struct slow *s = container_of(d, struct slow, dial);

	if (s->err == 0)
		*out = s->near;
	return s->err;
}

static void slow_cancel(struct dial *d)
{
	container_of(d, struct slow, dial)->canceled = true;
}

static struct dial *slow_dial(struct dialer *d, struct loop *l, const struct dest *to,
			      struct waiter *w)
{
	static const struct dial_ops ops = {slow_result, slow_cancel};
	struct slow *s = container_of(d, struct slow, dialer);

	s->dial.ops = &ops;
	s->w = w;
	return &s->dial;
}

static const struct dialer_ops slow_ops = {.name = "slow", .dial = slow_dial};

struct ear {
	struct waiter w;
	int heard;
};

static void on_wake(struct waiter *w)
{
	container_of(w, struct ear, w)->heard++;
}

struct bed {
	struct loop *l;
	struct slow slow;
	struct stream *s;
	struct ear rd, wr;
};

static void bed_open(struct bed *b)
{
	struct dest to;

	*b = (struct bed){.slow.dialer.ops = &slow_ops, .slow.err = -EAGAIN};
	b->l = loop_new(LOOP_VIRTUAL, 1);
	assert_int_equal(pair_new(b->l, 4096, &b->slow.near, &b->slow.far), 0);
	assert_int_equal(dest_parse(&to, "server.example:443"), 0);
	b->s = lazy_new(b->l, &b->slow.dialer, &to);
	assert_non_null(b->s);
	waiter_init(&b->rd.w, on_wake);
	waiter_init(&b->wr.w, on_wake);
	assert_int_equal(stream_open(b->s), -EAGAIN);
	stream_want(b->s, STREAM_RD, &b->rd.w);
	stream_want(b->s, STREAM_WR, &b->wr.w);
}

static void bed_close(struct bed *b)
{
	stream_free(b->s);
	if (b->slow.err)
		stream_free(b->slow.near);
	stream_free(b->slow.far);
	loop_turn(b->l, 0);
	loop_free(b->l);
}

static void both_directions_are_told_when_the_connection_stands(void **state)
{
	struct bed b;

	bed_open(&b);
	b.slow.err = 0;
	loop_queue(b.l, b.slow.w);
	loop_turn(b.l, 0); /* the dialer's wake, */
	loop_turn(b.l, 0); /* and those that it makes */
	assert_int_equal(b.rd.heard, 1);
	assert_int_equal(b.wr.heard, 1);
	assert_int_equal(stream_open(b.s), 0);
	bed_close(&b);
}

/* One direction looks before the dialer's wake has come: the other must not wait for ever. */
static void whoever_sees_the_connection_first_tells_the_others(void **state)
{
	struct bed b;

	bed_open(&b);
	b.slow.err = 0;
	assert_int_equal(stream_open(b.s), 0);
	loop_turn(b.l, 0);
	assert_int_equal(b.rd.heard, 1);
	assert_int_equal(b.wr.heard, 1);
	bed_close(&b);
}

static void a_failed_dial_is_told_to_everybody_and_stays(void **state)
{
	struct bed b;

	bed_open(&b);
	b.slow.err = -ECONNREFUSED;
	assert_int_equal(stream_open(b.s), -ECONNREFUSED);
	loop_turn(b.l, 0);
	assert_int_equal(b.rd.heard, 1);
	assert_int_equal(b.wr.heard, 1);
	assert_int_equal(stream_open(b.s), -ECONNREFUSED);
	stream_want(b.s, STREAM_RD, &b.rd.w);
	loop_turn(b.l, 0);
	assert_int_equal(b.rd.heard, 2);
	bed_close(&b);
}

static void freed_before_the_connection_stands_it_calls_the_dial_off(void **state)
{
	struct bed b;

	bed_open(&b);
	bed_close(&b);
	assert_true(b.slow.canceled);
	assert_int_equal(b.rd.heard + b.wr.heard, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_directions_are_told_when_the_connection_stands),
		cmocka_unit_test(whoever_sees_the_connection_first_tells_the_others),
		cmocka_unit_test(a_failed_dial_is_told_to_everybody_and_stays),
		cmocka_unit_test(freed_before_the_connection_stands_it_calls_the_dial_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
