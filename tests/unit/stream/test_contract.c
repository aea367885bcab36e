#include "unit.h"

#include "stream/pair.h"
#include "stream/tcp.h"

#include "ends.h"

/* The contract of stream.h, line by line, on each kind of stream of this folder. */

struct watcher {
	struct waiter w;
	int wakes;
	struct stream *frees;
};

static void on_wake(struct waiter *w)
{
	struct watcher *x = container_of(w, struct watcher, w);

	x->wakes++;
	stream_free(x->frees);
	x->frees = NULL;
}

static void watcher_init(struct watcher *x)
{
	*x = (struct watcher){0};
	waiter_init(&x->w, on_wake);
}

static ssize_t try_pull(struct stream *s)
{
	struct bufq q;
	ssize_t n;

	bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
	n = stream_pull(s, &q, 16384);
	bufq_done(&q);
	return n;
}

/* Push until the stream takes no more.  Returns how many bytes it took. */
static size_t fill(struct stream *s)
{
	size_t total = 0;
	struct bufq q;
	ssize_t n;

	bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
	for (;;) {
		for (unsigned i = 0; bufq_len(&q) < 20000; i++)
			assert_int_equal(bufq_append(&q, &i, sizeof(i)), 0);
		n = stream_push(s, &q);
		if (n < 0)
			break;
		total += (size_t)n;
	}
	assert_int_equal(n, -EAGAIN);
	bufq_done(&q);
	return total;
}

#define FOR_EACH_KIND(e)                                                                 \
	for (int kind_ = 0; kind_ < ENDS_KINDS; kind_++)                                 \
		for (bool once_ = (ends_open(&(e), (enum ends_kind)kind_), true); once_; \
		     once_ = (ends_close(&(e)), false))

static void S1_a_want_wakes_once(void **state)
{
	struct watcher x;
	struct ends e;

	FOR_EACH_KIND(e)
	{
		watcher_init(&x);
		assert_int_equal(try_pull(e.a), -EAGAIN);
		stream_want(e.a, STREAM_RD, &x.w);
		settle(e.l);
		assert_int_equal(x.wakes, 0);
		push_text(e.b, "one");
		settle(e.l);
		assert_int_equal(x.wakes, 1);
		push_text(e.b, "two");
		settle(e.l);
		assert_int_equal(x.wakes, 1);
	}
}

static void S1_what_came_between_the_failed_call_and_the_want_is_not_missed(void **state)
{
	struct watcher x;
	struct ends e;

	FOR_EACH_KIND(e)
	{
		watcher_init(&x);
		assert_int_equal(try_pull(e.a), -EAGAIN);
		push_text(e.b, "early");
		settle(e.l);
		stream_want(e.a, STREAM_RD, &x.w);
		settle(e.l);
		assert_int_equal(x.wakes, 1);
	}
}

static void S2_who_stops_early_finds_the_rest_without_a_new_event(void **state)
{
	struct ends e;
	char text[64];

	FOR_EACH_KIND(e)
	{
		struct bufq q;

		push_text(e.b, "0123456789");
		settle(e.l);
		bufq_init(&q, loop_pool(e.l), SIZE_MAX);
		assert_int_equal(stream_pull(e.a, &q, 4), 4);
		bufq_done(&q);
		settle(e.l);
		assert_int_equal(pull_text(e.a, text), 6);
		assert_string_equal(text, "456789");
	}
}

static void S3_a_spurious_wake_finds_nothing_and_may_wait_again(void **state)
{
	struct watcher x;
	struct ends e;

	FOR_EACH_KIND(e)
	{
		watcher_init(&x);
		assert_int_equal(try_pull(e.a), -EAGAIN);
		stream_want(e.a, STREAM_RD, &x.w);
		loop_queue(e.l, &x.w);
		settle(e.l);
		assert_int_equal(x.wakes, 1);
		assert_int_equal(try_pull(e.a), -EAGAIN);
		stream_want(e.a, STREAM_RD, &x.w);
		push_text(e.b, "x");
		settle(e.l);
		assert_int_equal(x.wakes, 2);
	}
}

static void S4_what_push_took_arrives_without_further_calls(void **state)
{
	struct ends e;
	size_t sent, got = 0;

	FOR_EACH_KIND(e)
	{
		sent = fill(e.a);
		assert_int_equal(stream_shut(e.a), 0);
		for (ssize_t n = 1; n != 0;) {
			n = try_pull(e.b);
			if (n == -EAGAIN)
				settle(e.l);
			else
				got += (size_t)n;
		}
		assert_int_equal(got, sent);
		got = 0;
	}
}

static void S5_reading_and_writing_wake_whoever_waits_for_both(void **state)
{
	struct watcher rd, wr;
	struct ends e;

	FOR_EACH_KIND(e)
	{
		watcher_init(&rd);
		watcher_init(&wr);
		assert_int_equal(try_pull(e.a), -EAGAIN);
		fill(e.a);
		stream_want(e.a, STREAM_RD, &rd.w);
		stream_want(e.a, STREAM_WR, &wr.w);
		settle(e.l);
		assert_int_equal(rd.wakes + wr.wakes, 0);
		push_text(e.b, "x");
		settle(e.l);
		assert_int_equal(rd.wakes, 1);
		while (try_pull(e.b) > 0)
			settle(e.l);
		assert_int_equal(wr.wakes, 1);
	}
}

static void S6_push_takes_from_the_front_and_leaves_the_rest(void **state)
{
	struct ends e;

	FOR_EACH_KIND(e)
	{
		struct bufq q, got;
		uint32_t v, expected;
		ssize_t n = 0;

		bufq_init(&q, loop_pool(e.l), SIZE_MAX);
		bufq_init(&got, loop_pool(e.l), SIZE_MAX);
		for (v = 0; v < 4000000; v++)
			assert_int_equal(bufq_append(&q, &v, sizeof(v)), 0);
		while (n >= 0)
			n = stream_push(e.a, &q);
		assert_int_equal(n, -EAGAIN);
		assert_false(bufq_empty(&q));
		assert_int_equal(stream_shut(e.a), 0);
		for (n = 1; n != 0;) {
			n = stream_pull(e.b, &got, 65536);
			if (n == -EAGAIN)
				settle(e.l);
		}
		bufq_move(&got, &q, SIZE_MAX);
		for (expected = 0; bufq_take(&got, &v, sizeof(v)) == sizeof(v); expected++)
			assert_int_equal(v, expected);
		assert_int_equal(expected, 4000000);
		buf_pool_trim(loop_pool(e.l));
	}
}

static void S7_pull_returns_zero_only_for_an_orderly_end(void **state)
{
	struct ends e;
	char text[64];

	FOR_EACH_KIND(e)
	{
		push_text(e.a, "last words");
		assert_int_equal(stream_shut(e.a), 0);
		assert_int_equal(pull_text(e.b, text), 10);
		assert_int_equal(pull_text(e.b, text), 0);
		assert_int_equal(pull_text(e.b, text), 0);
	}
}

static void S7_a_reset_is_an_error_and_stays_one(void **state)
{
	struct ends e;
	char text[64];

	FOR_EACH_KIND(e)
	{
		int expected = kind_ == ENDS_UNIX ? 0 : -ECONNRESET; /* unix knows no reset */

		assert_int_equal(stream_set(e.a, STREAM_ABORT, (union stream_value){.num = 1}), 0);
		stream_free(e.a);
		e.a = NULL;
		assert_int_equal(pull_text(e.b, text), expected);
		assert_int_equal(pull_text(e.b, text), expected);
		if (expected)
			assert_int_equal(stream_shut(e.b), expected);
	}
}

static void S7_a_stream_cut_short_is_truncated(void **state)
{
	struct ends e;
	char text[64];

	ends_open(&e, ENDS_PAIR);
	push_text(e.a, "half a sent");
	pair_truncate(e.a);
	push_text(e.a, "lost");
	assert_int_equal(pull_text(e.b, text), 11);
	assert_int_equal(pull_text(e.b, text), -ERR_TRUNCATED);
	ends_close(&e);
}

static void S8_shut_can_be_called_again_and_reading_goes_on(void **state)
{
	struct ends e;
	char text[64];

	FOR_EACH_KIND(e)
	{
		assert_int_equal(stream_shut(e.a), 0);
		assert_int_equal(stream_shut(e.a), 0);
		assert_int_equal(pull_text(e.b, text), 0);
		push_text(e.b, "still here");
		assert_int_equal(pull_text(e.a, text), 10);
		assert_string_equal(text, "still here");
	}
}

static void S8_half_close_is_the_rule(void **state)
{
	union stream_value v = {.num = 7};
	struct ends e;

	FOR_EACH_KIND(e)
	{
		assert_int_equal(stream_query(e.a, STREAM_HALF_CLOSE, &v), 0);
		assert_int_equal(v.num, 1);
	}
	ends_open(&e, ENDS_PAIR);
	pair_set_half_close(e.a, false);
	assert_int_equal(stream_query(e.a, STREAM_HALF_CLOSE, &v), 0);
	assert_int_equal(v.num, 0);
	ends_close(&e);
}

static void S9_free_from_a_wake_leaves_no_wake(void **state)
{
	struct watcher killer, other;
	struct ends e;

	FOR_EACH_KIND(e)
	{
		watcher_init(&killer);
		watcher_init(&other);
		assert_int_equal(try_pull(e.a), -EAGAIN);
		fill(e.a);
		killer.frees = e.a;
		stream_want(e.a, STREAM_RD, &killer.w);
		stream_want(e.a, STREAM_WR, &other.w);
		push_text(e.b, "x");
		e.a = NULL;
		settle(e.l);
		assert_int_equal(killer.wakes, 1);
		while (try_pull(e.b) > 0)
			settle(e.l);
		assert_int_equal(other.wakes, 0);
	}
}

static void S10_wakes_come_on_the_streams_own_loop(void **state)
{
	struct watcher x;
	struct ends e, other;

	FOR_EACH_KIND(e)
	{
		ends_open(&other, (enum ends_kind)kind_);
		watcher_init(&x);
		assert_int_equal(try_pull(e.a), -EAGAIN);
		stream_want(e.a, STREAM_RD, &x.w);
		push_text(e.b, "x");
		settle(other.l);
		assert_int_equal(x.wakes, 0);
		settle(e.l);
		assert_int_equal(x.wakes, 1);
		ends_close(&other);
	}
}

static void S11_a_waiting_stream_has_no_timer(void **state)
{
	struct watcher x;
	struct ends e;

	ends_open(&e, ENDS_PAIR);
	watcher_init(&x);
	assert_int_equal(try_pull(e.a), -EAGAIN);
	stream_want(e.a, STREAM_RD | STREAM_WR, &x.w);
	settle(e.l);
	/* A virtual loop jumps to the next timer: there is none. */
	assert_int_equal(loop_turn(e.l, -1), 0);
	ends_close(&e);
}

static void S12_the_name_is_the_word_for_traces(void **state)
{
	static const char *const names[] = {"pair", "tcp", "tcp"};
	struct ends e;

	FOR_EACH_KIND(e)
	assert_string_equal(e.a->ops->name, names[kind_]);
}

/* ---- what the base adds ------------------------------------------------------------------ */

static void unread(struct stream *s, const char *text)
{
	struct bufq q;

	bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
	assert_int_equal(bufq_append(&q, text, strlen(text)), 0);
	stream_unread(s, &q);
	assert_true(bufq_empty(&q));
	bufq_done(&q);
}

static void unread_bytes_come_first_and_the_end_after_them(void **state)
{
	struct ends e;
	char text[64];

	FOR_EACH_KIND(e)
	{
		push_text(e.b, "later");
		assert_int_equal(stream_shut(e.b), 0);
		assert_int_equal(pull_text(e.a, text), 5);
		assert_int_equal(pull_text(e.a, text), 0);
		unread(e.a, "later");
		unread(e.a, "first ");
		assert_int_equal(pull_text(e.a, text), 11);
		assert_string_equal(text, "first later");
		assert_int_equal(pull_text(e.a, text), 0);
	}
}

static void unread_bytes_wake_and_forbid_splicing(void **state)
{
	struct stream_raw raw;
	struct watcher x;
	struct ends e;

	ends_open(&e, ENDS_TCP);
	watcher_init(&x);
	assert_int_equal(try_pull(e.a), -EAGAIN);
	assert_int_equal(stream_splice(e.a, STREAM_IN, &raw), 0);
	unread(e.a, "x");
	assert_int_equal(stream_splice(e.a, STREAM_IN, &raw), -EAGAIN);
	assert_int_equal(stream_splice(e.a, STREAM_OUT, &raw), 0);
	stream_want(e.a, STREAM_RD, &x.w);
	settle(e.l);
	assert_int_equal(x.wakes, 1);
	ends_close(&e);
}

static void what_a_layer_leaves_out_has_one_answer(void **state)
{
	union stream_value v = {.num = 1};
	struct stream_raw raw;
	struct addr a;
	struct ends e;

	ends_open(&e, ENDS_PAIR);
	assert_null(stream_peel(e.a, NULL));
	assert_int_equal(stream_bypass(e.a, STREAM_IN), -ENOTSUP);
	assert_int_equal(stream_splice(e.a, STREAM_IN, &raw), -ENOTSUP);
	assert_int_equal(stream_set(e.a, STREAM_RECORD_MODE, v), -ENOTSUP);
	assert_string_equal(stream_text(e.a, STREAM_SNI), "");
	assert_false(stream_peer(e.a, &a));
	stream_free(NULL);
	ends_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(S1_a_want_wakes_once),
		cmocka_unit_test(S1_what_came_between_the_failed_call_and_the_want_is_not_missed),
		cmocka_unit_test(S2_who_stops_early_finds_the_rest_without_a_new_event),
		cmocka_unit_test(S3_a_spurious_wake_finds_nothing_and_may_wait_again),
		cmocka_unit_test(S4_what_push_took_arrives_without_further_calls),
		cmocka_unit_test(S5_reading_and_writing_wake_whoever_waits_for_both),
		cmocka_unit_test(S6_push_takes_from_the_front_and_leaves_the_rest),
		cmocka_unit_test(S7_pull_returns_zero_only_for_an_orderly_end),
		cmocka_unit_test(S7_a_reset_is_an_error_and_stays_one),
		cmocka_unit_test(S7_a_stream_cut_short_is_truncated),
		cmocka_unit_test(S8_shut_can_be_called_again_and_reading_goes_on),
		cmocka_unit_test(S8_half_close_is_the_rule),
		cmocka_unit_test(S9_free_from_a_wake_leaves_no_wake),
		cmocka_unit_test(S10_wakes_come_on_the_streams_own_loop),
		cmocka_unit_test(S11_a_waiting_stream_has_no_timer),
		cmocka_unit_test(S12_the_name_is_the_word_for_traces),
		cmocka_unit_test(unread_bytes_come_first_and_the_end_after_them),
		cmocka_unit_test(unread_bytes_wake_and_forbid_splicing),
		cmocka_unit_test(what_a_layer_leaves_out_has_one_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
