/* The stream around sealed records, with a protocol of one-byte records: what it owes to any. */
#include "unit.h"

#include <errno.h>

#include "base/err.h"
#include "proto/sealed.h"
#include "stream/pair.h"

struct toy {
	struct sealed base;
	int verdict; /* of the next record, part of which has been opened */
};

static ssize_t toy_open(struct sealed *l, struct bufq *dst)
{
	struct toy *t = container_of(l, struct toy, base);

	if (bufq_empty(&l->rq))
		return -ERR_MORE;
	if (t->verdict) {
		assert_int_equal(bufq_append(dst, "part", 4), 0);
		return t->verdict;
	}
	return (ssize_t)bufq_move(dst, &l->rq, 1);
}

static size_t toy_need(const struct sealed *l)
{
	return 1;
}

static bool toy_within(const struct sealed *l)
{
	return false;
}

static ssize_t toy_seal(struct sealed *l, struct bufq *src)
{
	return (ssize_t)bufq_move(&l->wq, src, l->burst);
}

static void toy_clear(struct sealed *l)
{
}

static const struct stream_ops toy_stream = {
	.name = "toy",
	.query = sealed_query,
	SEALED_COMMON,
};

struct bed {
	struct loop *l;
	struct stream *far;
	struct toy *toy;
};

static void bed_open(struct bed *b, const struct sealed_ops *ops)
{
	struct stream *near;
	struct sealed *l;

	b->l = loop_new(LOOP_VIRTUAL, 1);
	assert_int_equal(pair_new(b->l, 1000, &b->far, &near), 0);
	l = sealed_new(sizeof(struct toy), near, &toy_stream, ops, NULL);
	assert_non_null(l);
	b->toy = container_of(l, struct toy, base);
}

static void turn(struct bed *b)
{
	for (int i = 0; i < 20; i++)
		loop_turn(b->l, 0);
}

static void bed_close(struct bed *b)
{
	stream_free(&b->toy->base.s);
	stream_free(b->far);
	turn(b);
	assert_int_equal(loop_pool(b->l)->nused, 0);
	loop_free(b->l);
}

static void far_says(struct bed *b, const char *text)
{
	struct bufq q;

	bufq_init(&q, loop_pool(b->l), SIZE_MAX);
	assert_int_equal(bufq_append(&q, text, strlen(text)), 0);
	assert_int_equal(stream_push(b->far, &q), strlen(text));
	turn(b);
}

#define TOY                                                                         \
	.open = toy_open, .need = toy_need, .within = toy_within, .seal = toy_seal, \
	.clear = toy_clear

static const struct sealed_ops leaving = {TOY};
static const struct sealed_ops staying = {TOY, .stays = true};

/* The caller wants less than the longest record, so that it is opened aside. */
static void what_was_opened_of_a_record_that_fails_is_given_back(void **state)
{
	static const int verdicts[] = {-ENOMEM, -ERR_PROTOCOL};

	for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
		struct bufq got;
		struct bed b;
		size_t held;

		bed_open(&b, &leaving);
		b.toy->base.ready = true;
		far_says(&b, "x");
		bufq_init(&got, loop_pool(b.l), SIZE_MAX);
		b.toy->verdict = verdicts[i];
		held = loop_pool(b.l)->nused;
		assert_int_equal(stream_pull(&b.toy->base.s, &got, 100), verdicts[i]);
		assert_true(loop_pool(b.l)->nused <= held);
		b.toy->verdict = 0;
		if (verdicts[i] == -ENOMEM)
			assert_int_equal(stream_pull(&b.toy->base.s, &got, 100), 1);
		bufq_done(&got);
		bed_close(&b); /* every chunk is back */
	}
}

struct sleeper {
	struct waiter w;
	int woken;
};

static void on_wake(struct waiter *w)
{
	container_of(w, struct sleeper, w)->woken++;
}

/* Before it is ready, and with nothing to send. */
static int woken_by_the_layer(const struct sealed_ops *ops, bool lower_open)
{
	struct sleeper s = {0};
	struct bed b;

	bed_open(&b, ops);
	b.toy->base.lower_open = lower_open;
	waiter_init(&s.w, on_wake);
	stream_want(&b.toy->base.s, STREAM_RD, &s.w);
	turn(&b);
	s.woken = 0;
	sealed_wake(&b.toy->base);
	turn(&b);
	waiter_cancel(&s.w);
	bed_close(&b);
	return s.woken;
}

static void who_stays_wakes_its_caller_by_itself(void **state)
{
	assert_int_equal(woken_by_the_layer(&staying, true), 1);
	/* who may step out leaves no waiter of its own below */
	assert_int_equal(woken_by_the_layer(&staying, false), 0);
	assert_int_equal(woken_by_the_layer(&leaving, true), 0);
}

static void who_stays_is_woken_by_what_comes(void **state)
{
	struct sleeper s = {0};
	struct bed b;

	bed_open(&b, &staying);
	b.toy->base.lower_open = true;
	waiter_init(&s.w, on_wake);
	stream_want(&b.toy->base.s, STREAM_RD, &s.w);
	turn(&b);
	assert_int_equal(s.woken, 0);
	far_says(&b, "x");
	assert_int_equal(s.woken, 1);
	bed_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_opened_of_a_record_that_fails_is_given_back),
		cmocka_unit_test(who_stays_wakes_its_caller_by_itself),
		cmocka_unit_test(who_stays_is_woken_by_what_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
