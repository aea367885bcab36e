#include "unit.h"

#include <signal.h>
#include <sys/socket.h>

#include "hostile.h"
#include "net/pipe_pool.h"
#include "stream/pair.h"
#include "stream/relay.h"
#include "stream/tcp.h"

#include "ends.h"

/* user <-> a [relay] b <-> target */

struct fake_meter {
	struct meter m;
	size_t bytes[2], calls[2];
	size_t per_second; /* 0: unlimited */
	size_t most;	   /* at once; 0: as asked */
	size_t asked;	   /* the most that the relay would have taken at once */
	nsec_t paid_until[2];
};

struct bed {
	struct loop *l;
	struct talker user, target;
	struct stream *a, *b;
	struct relay r;
	struct relay_conf conf;
	struct fake_meter meter;
	struct waiter done;
	int dones;
};

static size_t fake_allow(struct meter *m, enum relay_dir dir, size_t want, nsec_t now,
			 nsec_t *pause)
{
	struct fake_meter *f = container_of(m, struct fake_meter, m);

	f->asked = MAX(f->asked, want);
	if (f->per_second && f->paid_until[dir] > now) {
		*pause = f->paid_until[dir] - now;
		return 0;
	}
	return f->most ? MIN(f->most, want) : want;
}

static void fake_count(struct meter *m, enum relay_dir dir, size_t bytes, nsec_t now)
{
	struct fake_meter *f = container_of(m, struct fake_meter, m);

	assert_true(bytes > 0);
	f->bytes[dir] += bytes;
	f->calls[dir]++;
	if (f->per_second)
		f->paid_until[dir] = MAX(f->paid_until[dir], now) +
				     (nsec_t)bytes * NSEC_SEC / (nsec_t)f->per_second;
}

static void on_done(struct waiter *w)
{
	container_of(w, struct bed, done)->dones++;
}

static void bed_init(struct bed *t, struct loop *l)
{
	*t = (struct bed){.l = l,
			  .conf = {.idle = 300 * NSEC_SEC, .linger = 10 * NSEC_SEC, .splice = true},
			  .meter.m = {.allow = fake_allow, .count = fake_count}};
	waiter_init(&t->done, on_done);
}

static void bed_join(struct bed *t, enum ends_kind kind)
{
	ends_join(t->l, kind, &t->user.s, &t->a);
	ends_join(t->l, kind, &t->b, &t->target.s);
}

static void bed_open(struct bed *t, enum ends_kind kind)
{
	bed_init(t, loop_new(kind == ENDS_PAIR ? LOOP_VIRTUAL : LOOP_EPOLL, 1));
	bed_join(t, kind);
}

static void bed_start(struct bed *t)
{
	relay_start(&t->r, &(struct relay_plan){.a = t->a,
						.b = t->b,
						.meter = &t->meter.m,
						.conf = &t->conf,
						.done = &t->done});
}

static void bed_stop(struct bed *t)
{
	relay_stop(&t->r);
	relay_stop(&t->r);
	stream_free(t->a);
	stream_free(t->b);
	talker_stop(&t->user);
	talker_stop(&t->target);
}

static void bed_close(struct bed *t)
{
	bed_stop(t);
	assert_int_equal(loop_pool(t->l)->nused, 0);
	loop_free(t->l);
}

static bool relay_done(void *state)
{
	return ((struct bed *)state)->dones > 0;
}

static bool all_done(void *state)
{
	struct bed *t = state;

	return t->dones > 0 && talker_done(&t->user) && talker_done(&t->target);
}

static void holds_nothing(const struct bed *t)
{
	for (int dir = RELAY_UP; dir <= RELAY_DOWN; dir++) {
		assert_true(bufq_empty(&t->r.flow[dir].queue));
		assert_null(t->r.flow[dir].queue.head);
		assert_null(t->r.flow[dir].pipe);
	}
}

/* ---- both directions to their end -------------------------------------------------------- */

static void bytes_cross_both_ways(enum ends_kind kind, bool splice)
{
	struct bed t;

	bed_open(&t, kind);
	t.conf.splice = splice;
	t.user.burst = t.target.burst = 50000;
	t.user.appetite = t.target.appetite = 100000;
	talker_start(&t.user, t.user.s, 1500000, 1, 2);
	talker_start(&t.target, t.target.s, 700001, 2, 1);
	bed_start(&t);
	assert_true(run_until(t.l, all_done, &t));
	assert_int_equal(t.dones, 1);
	assert_int_equal(t.r.result, 0);
	assert_int_equal(t.user.err, 0);
	assert_int_equal(t.target.err, 0);
	assert_int_equal(t.target.received, 1500000);
	assert_int_equal(t.user.received, 700001);
	assert_int_equal(t.meter.bytes[RELAY_UP], 1500000);
	assert_int_equal(t.meter.bytes[RELAY_DOWN], 700001);
	assert_int_equal(t.r.flow[RELAY_UP].bytes, 1500000);
	assert_int_equal(relay_spliced(&t.r) > 0, splice && kind != ENDS_PAIR);
	holds_nothing(&t);
	bed_close(&t);
}

static void copied_and_spliced_bytes_are_equal_and_both_metered(void **state)
{
	for (int kind = 0; kind < ENDS_KINDS; kind++) {
		bytes_cross_both_ways((enum ends_kind)kind, false);
		bytes_cross_both_ways((enum ends_kind)kind, true);
	}
}

static void half_close_the_answer_arrives_after_the_user_has_stopped_sending(void **state)
{
	for (int kind = 0; kind < ENDS_KINDS; kind++) {
		struct bed t;
		char text[64];

		bed_open(&t, (enum ends_kind)kind);
		bed_start(&t);
		push_text(t.user.s, "request");
		assert_int_equal(stream_shut(t.user.s), 0);
		assert_int_equal(pull_text(t.target.s, text), 7);
		assert_int_equal(pull_text(t.target.s, text), 0);
		push_text(t.target.s, "the answer");
		assert_int_equal(pull_text(t.user.s, text), 10);
		assert_string_equal(text, "the answer");
		assert_int_equal(t.dones, 0);
		assert_int_equal(stream_shut(t.target.s), 0);
		assert_int_equal(pull_text(t.user.s, text), 0);
		settle(t.l);
		assert_int_equal(t.dones, 1);
		assert_int_equal(t.r.result, 0);
		bed_close(&t);
	}
}

static void half_close_linger_bounds_the_silence_of_the_other_direction(void **state)
{
	struct bed t;
	nsec_t begun;
	char text[64];

	bed_open(&t, ENDS_PAIR);
	bed_start(&t);
	settle(t.l);
	assert_int_equal(stream_shut(t.user.s), 0);
	begun = loop_now(t.l);
	for (int i = 0; i < 5; i++) { /* not silent yet */
		loop_turn(t.l, 0);
		push_text(t.target.s, "drip");
		assert_int_equal(pull_text(t.user.s, text), 4);
		for (nsec_t until = loop_now(t.l) + 8 * NSEC_SEC; loop_now(t.l) < until;)
			loop_turn(t.l, until - loop_now(t.l));
	}
	assert_true(run_until(t.l, relay_done, &t));
	assert_int_equal(t.r.result, -ERR_IDLE);
	assert_in_range((loop_now(t.l) - begun) / NSEC_SEC, 42, 43);
	bed_close(&t);
}

static void half_close_a_stream_that_cannot_is_shut_when_nothing_more_comes_from_it(void **state)
{
	struct bed t;
	char text[64];

	bed_open(&t, ENDS_PAIR);
	pair_set_half_close(t.b, false);
	bed_start(&t);
	push_text(t.user.s, "request");
	assert_int_equal(stream_shut(t.user.s), 0);
	assert_int_equal(pull_text(t.target.s, text), 7);
	settle(t.l);
	assert_false(pair_is_shut(t.b));
	push_text(t.target.s, "answer");
	assert_int_equal(stream_shut(t.target.s), 0);
	assert_int_equal(pull_text(t.user.s, text), 6);
	settle(t.l);
	assert_true(pair_is_shut(t.b));
	assert_true(pair_is_shut(t.a));
	assert_int_equal(t.dones, 1);
	assert_int_equal(t.r.result, 0);
	bed_close(&t);
}

static void half_close_a_stream_that_cannot_ends_in_order_after_the_linger_time(void **state)
{
	struct bed t;
	nsec_t begun;

	bed_open(&t, ENDS_PAIR);
	pair_set_half_close(t.a, false);
	bed_start(&t);
	begun = loop_now(t.l);
	assert_int_equal(stream_shut(t.target.s), 0);
	assert_true(run_until(t.l, relay_done, &t));
	assert_int_equal(t.r.result, 0);
	assert_true(pair_is_shut(t.a));
	assert_in_range((loop_now(t.l) - begun) / NSEC_MS, 10000, 10010);
	bed_close(&t);
}

static void first_goes_ahead_of_the_answer_and_is_not_metered(void **state)
{
	struct bed t;
	struct bufq first;
	char text[64];

	bed_open(&t, ENDS_PAIR);
	bufq_init(&first, loop_pool(t.l), SIZE_MAX);
	assert_int_equal(bufq_append(&first, "head ", 5), 0);
	push_text(t.target.s, "body");
	relay_start(&t.r, &(struct relay_plan){.a = t.a,
					       .b = t.b,
					       .first = &first,
					       .meter = &t.meter.m,
					       .conf = &t.conf,
					       .done = &t.done});
	assert_true(bufq_empty(&first));
	settle(t.l);
	assert_int_equal(pull_text(t.user.s, text), 9);
	assert_string_equal(text, "head body");
	assert_int_equal(t.meter.bytes[RELAY_DOWN], 4);
	bed_close(&t);
}

/* ---- errors ------------------------------------------------------------------------------ */

static void a_truncated_side_ends_it_with_that_error_and_nothing_orderly(void **state)
{
	struct bed t;
	char text[64];

	bed_open(&t, ENDS_PAIR);
	bed_start(&t);
	push_text(t.target.s, "half a sent");
	pair_truncate(t.target.s);
	settle(t.l);
	assert_int_equal(t.dones, 1);
	assert_int_equal(t.r.result, -ERR_TRUNCATED);
	assert_int_equal(pull_text(t.user.s, text), 11);
	assert_false(pair_is_shut(t.a));
	bed_close(&t);
}

static void a_reset_ends_it(void **state)
{
	for (int kind = 0; kind < ENDS_KINDS; kind += 2) { /* unix knows no reset */
		struct bed t;

		bed_open(&t, (enum ends_kind)kind);
		bed_start(&t);
		settle(t.l);
		assert_int_equal(stream_set(t.user.s, STREAM_ABORT, (union stream_value){.num = 1}),
				 0);
		stream_free(t.user.s);
		t.user.s = NULL;
		settle(t.l);
		assert_int_equal(t.dones, 1);
		assert_int_equal(t.r.result, -ECONNRESET);
		bed_close(&t);
	}
}

/* One who has ended and is gone for good resets whoever sends him something: that is to be seen as soon
 * as it happens, where it is asked for.
 */
static void a_reset_behind_an_end_ends_it_for_who_listens(void **state)
{
	for (int listens = 0; listens < 2; listens++) {
		struct bed t;
		char text[64];

		bed_open(&t, ENDS_TCP);
		t.conf.resets = listens;
		bed_start(&t);
		assert_int_equal(stream_shut(t.target.s), 0);
		settle(t.l);
		assert_int_equal(pull_text(t.user.s, text), 0);
		push_text(t.user.s, "still here");
		settle(t.l);
		assert_int_equal(pull_text(t.target.s, text), 10);
		assert_int_equal(t.dones, 0);
		stream_set(t.target.s, STREAM_ABORT, (union stream_value){.num = 1});
		stream_free(t.target.s);
		t.target.s = NULL;
		settle(t.l);
		assert_int_equal(t.dones, listens);
		assert_true(listens ? t.r.result < 0 : t.r.result == 0);
		bed_close(&t);
	}
}

static void an_answer_sent_ahead_of_a_reset_arrives(void **state)
{
	for (int kind = 0; kind < ENDS_KINDS; kind += 2) {
		struct bed t;
		char text[64];

		bed_open(&t, (enum ends_kind)kind);
		bed_start(&t);
		settle(t.l);
		/* A server that refuses an upload: it answers, closes, and resets what still comes.
		 */
		push_text(t.target.s, "too large");
		stream_free(t.target.s);
		t.target.s = NULL;
		push_text(t.user.s, "upload");
		settle(t.l);
		push_text(t.user.s, "upload");
		assert_int_equal(pull_text(t.user.s, text), 9);
		assert_string_equal(text, "too large");
		bed_close(&t);
	}
}

/* The target takes so many bytes, and no more. */
static void bed_open_cut(struct bed *t, size_t takes)
{
	struct dribble_conf cut = DRIBBLE(1);

	bed_open(t, ENDS_PAIR);
	cut.max = 60;
	cut.cut_out = takes;
	cut.cut_out_err = -EPIPE;
	t->b = dribble_new(t->b, &cut);
	bed_start(t);
}

static void a_side_that_takes_no_more_is_read_to_its_end_within_the_linger_time(void **state)
{
	struct bed t;
	char text[64];

	bed_open_cut(&t, 3);
	push_text(t.user.s, "upload");
	settle(t.l);
	assert_int_equal(t.dones, 0);
	push_text(t.target.s, "why");
	assert_int_equal(pull_text(t.user.s, text), 3);
	assert_true(run_until(t.l, relay_done, &t));
	assert_int_equal(t.r.result, -EPIPE);
	bed_close(&t);
}

/* All of it has gone, the end has not: a peer that has answered and left. */
static void a_side_that_takes_no_end_is_read_to_its_own(void **state)
{
	struct bed t;
	char text[64];

	bed_open_cut(&t, 6);
	push_text(t.user.s, "upload");
	assert_int_equal(stream_shut(t.user.s), 0);
	settle(t.l);
	assert_int_equal(t.dones, 0);
	push_text(t.target.s, "why");
	assert_int_equal(stream_shut(t.target.s), 0);
	assert_true(run_until(t.l, relay_done, &t));
	assert_int_equal(pull_text(t.user.s, text), 3);
	assert_int_equal(t.r.result, -EPIPE);
	bed_close(&t);
}

/* ---- time -------------------------------------------------------------------------------- */

static void silence_both_ways_ends_it(void **state)
{
	struct bed t;
	nsec_t begun;
	char text[64];

	bed_open(&t, ENDS_PAIR);
	bed_start(&t);
	begun = loop_now(t.l);
	for (int i = 0; i < 4; i++) {
		nsec_t until = begun + (i + 1) * 200 * NSEC_SEC;

		push_text(i % 2 ? t.user.s : t.target.s, "x");
		assert_int_equal(pull_text(i % 2 ? t.target.s : t.user.s, text), 1);
		while (loop_now(t.l) < until)
			loop_turn(t.l, until - loop_now(t.l));
	}
	assert_int_equal(t.dones, 0);
	assert_true(run_until(t.l, relay_done, &t));
	assert_int_equal(t.r.result, -ERR_IDLE);
	assert_in_range((loop_now(t.l) - begun) / NSEC_SEC, 900, 901);
	bed_close(&t);
}

static void without_limits_nothing_but_an_end_ends_it(void **state)
{
	struct bed t;

	bed_open(&t, ENDS_PAIR);
	t.conf = (struct relay_conf){0};
	bed_start(&t);
	settle(t.l);
	assert_int_equal(loop_turn(t.l, -1), 0); /* no timer at all */
	assert_int_equal(stream_shut(t.user.s), 0);
	settle(t.l);
	assert_int_equal(loop_turn(t.l, -1), 0);
	assert_int_equal(t.dones, 0);
	bed_close(&t);
}

static void a_rate_is_held_exactly(void **state)
{
	struct bed t;
	nsec_t begun;

	bed_open(&t, ENDS_PAIR);
	t.meter.per_second = 1000000;
	t.meter.most = 20000;
	t.user.burst = 50000;
	t.user.keep_open = true;
	talker_start(&t.user, t.user.s, 100000000, 1, 2);
	talker_start(&t.target, t.target.s, 0, 2, 1);
	bed_start(&t);
	begun = loop_now(t.l);
	while (loop_now(t.l) < begun + 20 * NSEC_SEC)
		assert_true(loop_turn(t.l, -1) > 0);
	assert_in_range(t.meter.bytes[RELAY_UP], 19950000, 20050000);
	assert_in_range(t.target.received, 19950000, 20050000);
	bed_close(&t);
}

static void a_pause_is_not_silence(void **state)
{
	struct bed t;

	bed_open(&t, ENDS_PAIR);
	t.conf.idle = 2 * NSEC_SEC;
	t.meter.per_second = 10; /* a read of 100 bytes pauses for 10 s */
	t.user.burst = 100;
	t.user.keep_open = true;
	t.meter.most = 100;
	talker_start(&t.user, t.user.s, 1000, 1, 2);
	talker_start(&t.target, t.target.s, 0, 2, 1);
	bed_start(&t);
	assert_true(run_until(t.l, relay_done, &t));
	assert_int_equal(t.r.result, -ERR_IDLE);
	assert_int_equal(t.target.received, 1000);
	bed_close(&t);
}

/* ---- memory and fairness ----------------------------------------------------------------- */

static void a_slow_receiver_slows_the_sender_and_memory_stays_bounded(void **state)
{
	for (int splice = 0; splice < 2; splice++) {
		for (int kind = 0; kind < ENDS_KINDS; kind++) {
			struct bed t;

			bed_open(&t, (enum ends_kind)kind);
			t.conf.splice = splice;
			t.user.burst = 100000;
			t.user.keep_open = true;
			talker_start(&t.user, t.user.s, 100000000, 1, 2);
			bed_start(&t);
			settle(t.l); /* the target reads nothing */
			assert_true(loop_pool(t.l)->nused <= 16 + 16 + 2);
			assert_true(t.user.sent < 32000000);
			assert_true(bufq_len(&t.r.flow[RELAY_UP].queue) <= 256 * 1024);
			/* It goes on where it stopped. */
			talker_start(&t.target, t.target.s, 0, 2, 1);
			for (int i = 0; i < 300; i++)
				loop_turn(t.l, NSEC_MS);
			assert_true(t.target.received > 1000000);
			bed_close(&t);
		}
	}
}

#define MUCH		((size_t)1 << 20)
#define READS_OF_A_TURN 8

static void S2_one_read_per_wake_and_direction_and_a_few_for_who_moves_much(void **state)
{
	struct bed t;

	bed_open(&t, ENDS_TCP);
	t.conf.splice = false;
	t.user.burst = 500000;
	t.user.keep_open = true;
	talker_start(&t.user, t.user.s, 2000000, 1, 2);
	settle(t.l);
	bed_start(&t);
	for (size_t i = 1; i < 20; i++) {
		size_t calls = t.meter.calls[RELAY_UP];
		bool much = t.meter.bytes[RELAY_UP] >= MUCH;

		loop_turn(t.l, 5 * NSEC_MS);
		assert_true(t.meter.calls[RELAY_UP] - calls <= (much ? READS_OF_A_TURN : 1));
	}
	assert_true(t.meter.calls[RELAY_UP] > 2);
	bed_close(&t);
}

static void S3_spurious_wakes_change_nothing(void **state)
{
	struct bed t;
	char text[64];

	bed_open(&t, ENDS_PAIR);
	bed_start(&t);
	for (int i = 0; i < 10; i++) {
		loop_queue(t.l, &t.r.run);
		settle(t.l);
	}
	push_text(t.user.s, "x");
	assert_int_equal(pull_text(t.target.s, text), 1);
	assert_int_equal(t.meter.calls[RELAY_UP], 1);
	bed_close(&t);
}

/* What the user has received was billed; what was billed had been sent. */
static void billing_never_runs_behind_delivery_nor_ahead_of_the_sender(void **state)
{
	struct bed t;

	bed_open(&t, ENDS_PAIR);
	t.target.burst = 30000;
	talker_start(&t.user, t.user.s, 0, 1, 2);
	talker_start(&t.target, t.target.s, 2000000, 2, 1);
	bed_start(&t);
	while (!all_done(&t)) {
		assert_true(loop_turn(t.l, -1) > 0);
		assert_true(t.user.received <= t.meter.bytes[RELAY_DOWN]);
		assert_true(t.meter.bytes[RELAY_DOWN] <= t.target.sent);
	}
	bed_close(&t);
}

static void exchange(struct bed *t, size_t bytes)
{
	struct bufq q, got;
	uint8_t c = 0;

	bufq_init(&q, loop_pool(t->l), SIZE_MAX);
	bufq_init(&got, loop_pool(t->l), SIZE_MAX);
	while (bufq_len(&q) < bytes)
		assert_int_equal(bufq_append(&q, &c, 1), 0);
	for (size_t n = 0; n < bytes;) {
		ssize_t k;

		if (!bufq_empty(&q))
			stream_push(t->user.s, &q);
		k = stream_pull(t->target.s, &got, 1 << 20);
		if (k > 0)
			n += (size_t)k;
		bufq_done(&got);
		loop_turn(t->l, NSEC_MS);
	}
	bufq_done(&q);
}

static void bulk_is_spliced_small_messages_are_copied_and_idle_holds_nothing(void **state)
{
	struct bed t;
	uint64_t spliced;

	bed_open(&t, ENDS_TCP);
	bed_start(&t);
	for (int i = 0; i < 20; i++)
		exchange(&t, 500);
	assert_int_equal(relay_spliced(&t.r), 0);
	exchange(&t, 2000000);
	assert_true(relay_spliced(&t.r) > 1000000);
	for (int i = 0; i < 20; i++)
		exchange(&t, 500);
	spliced = relay_spliced(&t.r);
	for (int i = 0; i < 20; i++)
		exchange(&t, 500);
	assert_int_equal(relay_spliced(&t.r), spliced);
	settle(t.l);
	holds_nothing(&t);
	assert_int_equal(loop_pool(t.l)->nused, 0);
	exchange(&t, 2000000);
	assert_true(relay_spliced(&t.r) > spliced);
	assert_int_equal(t.meter.bytes[RELAY_UP], t.r.flow[RELAY_UP].bytes);
	bed_close(&t);
}

struct company {
	struct loop *l;
	struct waiter w;
};

static void stay_busy(struct waiter *w)
{
	loop_queue(container_of(w, struct company, w)->l, w);
}

static void who_is_nearly_alone_is_spliced_in_larger_bites(void **state)
{
	struct company others[8];
	struct bed t;

	bed_open(&t, ENDS_TCP);
	bed_start(&t);
	exchange(&t, 2000000);
	assert_int_equal(t.meter.asked, 1024 * 1024);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		others[i].l = t.l;
		waiter_init(&others[i].w, stay_busy);
		loop_queue(t.l, &others[i].w);
	}
	loop_turn(t.l, 0);
	t.meter.asked = 0;
	exchange(&t, 2000000);
	assert_int_equal(t.meter.asked, 256 * 1024);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		waiter_cancel(&others[i].w);
	bed_close(&t);
}

/* ---- much at a time ---------------------------------------------------------------------- */

static void bed_open_roomy(struct bed *t)
{
	bed_init(t, loop_new(LOOP_VIRTUAL, 1));
	assert_int_equal(pair_new(t->l, 1 << 20, &t->user.s, &t->a), 0);
	assert_int_equal(pair_new(t->l, 1 << 20, &t->b, &t->target.s), 0);
	bed_start(t);
	loop_turn(t->l, 0);
}

static void send_bytes(struct bed *t, size_t bytes)
{
	static const uint8_t much[MUCH];
	struct bufq q;

	bufq_init(&q, loop_pool(t->l), SIZE_MAX);
	assert_int_equal(bufq_append(&q, much, bytes), 0);
	while (!bufq_empty(&q))
		assert_true(stream_push(t->user.s, &q) > 0);
}

static void discard(struct bed *t)
{
	struct bufq got;

	bufq_init(&got, loop_pool(t->l), SIZE_MAX);
	while (stream_pull(t->target.s, &got, SIZE_MAX / 2) > 0)
		bufq_done(&got);
}

static void pass(struct bed *t, nsec_t time)
{
	for (nsec_t until = loop_now(t->l) + time; loop_now(t->l) < until;)
		loop_turn(t->l, until - loop_now(t->l));
}

struct witness {
	struct waiter w;
	const struct bed *bed;
	size_t seen;
};

static void see_calls(struct waiter *w)
{
	struct witness *x = container_of(w, struct witness, w);

	x->seen = x->bed->meter.calls[RELAY_UP];
}

/* Reads in the turn that finds 1 MiB, and how many of them came before somebody else's in it. */
static size_t reads_of_a_turn(struct bed *t, size_t *before)
{
	size_t calls = t->meter.calls[RELAY_UP];
	struct witness other = {.bed = t};

	waiter_init(&other.w, see_calls);
	send_bytes(t, MUCH);
	loop_queue(t->l, &other.w);
	loop_turn(t->l, 0);
	*before = other.seen - calls;
	return t->meter.calls[RELAY_UP] - calls;
}

/* All that is left, whatever number of turns that takes. */
static void finish(struct bed *t)
{
	for (int i = 0; i < 8; i++) {
		loop_turn(t->l, 0);
		discard(t);
	}
}

static void who_moves_much_lets_others_go_first_and_takes_several_reads_then(void **state)
{
	size_t before;
	struct bed t;

	bed_open_roomy(&t);
	assert_int_equal(reads_of_a_turn(&t, &before), 1);
	assert_int_equal(before, 1);
	finish(&t);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(reads_of_a_turn(&t, &before), 4); /* that is all there was */
		assert_int_equal(before, 0);
		finish(&t);
	}
	bed_close(&t);
}

static void who_rests_or_has_little_to_move_is_among_the_first_again(void **state)
{
	size_t before;
	struct bed t;

	bed_open_roomy(&t);
	for (int rests = 0; rests < 2; rests++) {
		(void)reads_of_a_turn(&t, &before);
		finish(&t);
		for (int i = 0; i < 2; i++) {
			if (rests) {
				pass(&t, 51 * NSEC_MS);
			} else {
				send_bytes(&t, 100);
				finish(&t);
			}
		}
		assert_int_equal(reads_of_a_turn(&t, &before), 1);
		assert_int_equal(before, 1);
		finish(&t);
	}
	bed_close(&t);
}

/* Or who shares his limit would always find it used up. */
static void who_is_under_a_limit_takes_one_read_a_turn_among_the_others(void **state)
{
	size_t before;
	struct bed t;

	bed_open_roomy(&t);
	(void)reads_of_a_turn(&t, &before);
	finish(&t);
	t.meter.most = 64 * 1024;
	assert_int_equal(reads_of_a_turn(&t, &before), 1);
	finish(&t);
	finish(&t);
	assert_int_equal(reads_of_a_turn(&t, &before), 1);
	assert_int_equal(before, 1);
	bed_close(&t);
}

static void a_relay_ends_and_stops_also_while_it_waits_for_its_turn(void **state)
{
	for (int how = 0; how < 2; how++) {
		size_t before;
		struct bed t;

		bed_open_roomy(&t);
		(void)reads_of_a_turn(&t, &before);
		finish(&t);
		send_bytes(&t, MUCH);
		t.r.run.wake(&t.r.run); /* as a turn's first part leaves it behind */
		assert_true(t.r.queued_bulk);
		assert_true(list_linked(&t.r.run.link));
		if (how) {
			pair_reset(t.user.s, -ECONNRESET);
			settle(t.l);
			assert_int_equal(t.dones, 1);
		}
		bed_close(&t);
	}
}

/* However long the line is. */
static void who_waits_for_its_turn_is_not_silent(void **state)
{
	for (int bulk = 0; bulk < 2; bulk++) {
		size_t before;
		struct bed t;

		bed_open_roomy(&t);
		if (bulk)
			(void)reads_of_a_turn(&t, &before);
		finish(&t);
		pass(&t, NSEC_SEC);
		t.meter.bytes[RELAY_UP] = 0;
		send_bytes(&t, 1000);
		assert_true(list_linked(&t.r.run.link));
		if (bulk) {
			waiter_cancel(&t.r.run);
			loop_queue_bulk(t.l, &t.r.run);
		}
		t.r.pace.last = loop_now(t.l) - t.conf.idle;
		t.r.pace.timer.fire(&t.r.pace.timer);
		finish(&t);
		assert_int_equal(t.dones, 0);
		assert_int_equal(t.meter.bytes[RELAY_UP], 1000);
		/* from then on it is */
		pass(&t, t.conf.idle - NSEC_SEC);
		assert_int_equal(t.dones, 0);
		pass(&t, 2 * NSEC_SEC);
		assert_int_equal(t.dones, 1);
		assert_int_equal(t.r.result, -ERR_IDLE);
		bed_close(&t);
	}
}

/* ---- small arrivals ---------------------------------------------------------------------- */

#define RECORD	   (16 * 1024)
#define NOT_YET	   15 /* small arrivals after which a fresh relay does not gather */
#define WORTH_WAKE (256 * 1024)

static void send_record(struct bed *t)
{
	static const uint8_t record[RECORD];
	struct bufq q;

	bufq_init(&q, loop_pool(t->l), SIZE_MAX);
	assert_int_equal(bufq_append(&q, record, sizeof(record)), 0);
	assert_int_equal(stream_push(t->user.s, &q), RECORD);
	bufq_done(&q);
}

/* What has come to the target without time going by. */
static size_t arrived(struct bed *t)
{
	struct bufq got;
	size_t n;

	bufq_init(&got, loop_pool(t->l), SIZE_MAX);
	for (int i = 0; i < 8; i++) {
		loop_turn(t->l, 0);
		(void)stream_pull(t->target.s, &got, SIZE_MAX / 2);
	}
	n = bufq_len(&got);
	bufq_done(&got);
	return n;
}

/* One after the other, each handed on at once. */
static void send_records(struct bed *t, int n)
{
	for (int i = 0; i < n; i++) {
		send_record(t);
		assert_int_equal(arrived(t), RECORD);
	}
}

static void small_arrivals_that_are_fast_travel_together(void **state)
{
	struct bed t;

	bed_open_roomy(&t);
	send_records(&t, NOT_YET);
	assert_false(t.r.flow[RELAY_UP].gathering);
	send_records(&t, 1);
	assert_true(t.r.flow[RELAY_UP].gathering);
	for (int round = 0; round < 5; round++) {
		for (int i = 1; i < WORTH_WAKE / RECORD; i++) {
			send_record(&t);
			assert_int_equal(arrived(&t), 0);
		}
		send_record(&t);
		assert_int_equal(arrived(&t), WORTH_WAKE);
	}
	bed_close(&t);
}

static void what_was_gathered_waits_two_ms_when_the_sender_pauses(void **state)
{
	struct bed t;

	bed_open_roomy(&t);
	send_records(&t, NOT_YET + 1);
	send_record(&t);
	assert_int_equal(arrived(&t), 0);
	pass(&t, 3 * NSEC_MS); /* and a tick of the timers */
	assert_int_equal(arrived(&t), RECORD);
	assert_false(t.r.flow[RELAY_UP].gathering);
	for (int i = 0; i < 5; i++) {
		char text[64];

		push_text(t.user.s, "ping");
		loop_turn(t.l, 0);
		assert_int_equal(pull_text(t.target.s, text), 4);
	}
	bed_close(&t);
}

static void what_was_gathered_and_waits_for_its_turn_is_no_pause_of_the_sender_s(void **state)
{
	struct bed t;

	bed_open_roomy(&t);
	send_records(&t, NOT_YET + 1);
	for (int i = 0; i < WORTH_WAKE / RECORD; i++)
		send_record(&t);
	assert_true(list_linked(&t.r.run.link));
	t.r.flow[RELAY_UP].since -= 3000;
	t.r.pace.timer.fire(&t.r.pace.timer);
	assert_true(t.r.flow[RELAY_UP].gathering);
	assert_int_equal(arrived(&t), WORTH_WAKE);
	assert_true(t.r.flow[RELAY_UP].gathering);
	pass(&t, 4 * NSEC_MS);
	assert_false(t.r.flow[RELAY_UP].gathering);
	bed_close(&t);
}

static void who_pauses_soon_must_send_ever_more_before_it_is_tried_again(void **state)
{
	struct bed t;
	int paused = 0;

	bed_open_roomy(&t);
	for (int i = 0; i < 2000; i++) { /* answers of 320 KiB, one after the other */
		size_t got = 0;
		nsec_t begun = loop_now(t.l);

		for (int k = 0; k < 20; k++) {
			send_record(&t);
			got += arrived(&t);
		}
		while (got < 20 * RECORD) {
			pass(&t, NSEC_MS);
			got += arrived(&t);
		}
		paused += loop_now(t.l) > begun;
	}
	/* Each time twice as many: 16, 32, ... and at most 4,096 records without a pause. */
	assert_in_range(paused, 5, 25);
	bed_close(&t);
}

static void a_slow_sender_of_small_records_is_never_gathered(void **state)
{
	struct bed t;

	bed_open_roomy(&t);
	for (int i = 0; i < 500; i++) {
		send_records(&t, 1);
		pass(&t, NSEC_MS);
		assert_false(t.r.flow[RELAY_UP].gathering);
	}
	bed_close(&t);
}

static void an_end_does_not_wait_for_more_to_gather(void **state)
{
	struct bed t;
	nsec_t now;

	bed_open_roomy(&t);
	send_records(&t, NOT_YET + 1);
	send_record(&t);
	now = loop_now(t.l);
	assert_int_equal(stream_shut(t.user.s), 0);
	assert_int_equal(arrived(&t), RECORD);
	assert_true(t.r.flow[RELAY_UP].done);
	assert_int_equal(loop_now(t.l), now);
	bed_close(&t);
}

static int wakes_from(struct stream *s)
{
	socklen_t len = sizeof(int);
	struct stream_raw raw;
	int bytes = 0;

	assert_int_equal(stream_splice(s, STREAM_IN, &raw), 0);
	assert_int_equal(getsockopt(raw.io->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, &len), 0);
	return bytes;
}

/* As fast as it takes: the clock of a busy machine does not count. */
static void gather_over_tcp(struct bed *t)
{
	size_t sent = 0, got = 0;

	for (int i = 0; i < 2000 && !t->r.flow[RELAY_UP].gathering; i++) {
		t->r.flow[RELAY_UP].since = (uint32_t)(loop_now(t->l) / 1000);
		send_record(t);
		sent += RECORD;
		got += arrived(t);
	}
	assert_true(t->r.flow[RELAY_UP].gathering);
	while (got < sent) {
		loop_turn(t->l, NSEC_MS);
		got += arrived(t);
	}
}

static void a_socket_gathers_and_is_as_before_when_the_sender_pauses(void **state)
{
	struct bed t;

	bed_open(&t, ENDS_TCP);
	bed_start(&t);
	for (int round = 0; round < 3; round++) {
		gather_over_tcp(&t);
		send_record(&t);
		for (size_t got = 0; got < RECORD || t.r.flow[RELAY_UP].gathering;) {
			loop_turn(t.l, NSEC_MS);
			got += arrived(&t);
		}
		assert_int_equal(wakes_from(t.a), 1);
	}
	assert_true(relay_spliced(&t.r) > 0);
	exchange(&t, 5000000);
	assert_int_equal(t.meter.bytes[RELAY_UP], t.r.flow[RELAY_UP].bytes);
	bed_close(&t);
}

static void a_socket_is_as_before_when_the_relay_is_stopped_while_it_gathers(void **state)
{
	struct bed t;

	bed_open(&t, ENDS_TCP);
	bed_start(&t);
	for (int i = 0; i < 2000 && !t.r.flow[RELAY_UP].gathering; i++) {
		t.r.flow[RELAY_UP].since = (uint32_t)(loop_now(t.l) / 1000);
		send_record(&t);
		(void)arrived(&t);
	}
	assert_true(t.r.flow[RELAY_UP].gathering);
	assert_true(wakes_from(t.a) > RECORD);
	relay_stop(&t.r);
	assert_int_equal(wakes_from(t.a), 1);
	bed_close(&t);
}

/* ---- together ---------------------------------------------------------------------------- */

static void spliced_bytes_obey_a_rate_too(void **state)
{
	struct bed t;
	nsec_t begun, spent;

	bed_open(&t, ENDS_TCP);
	t.meter.per_second = 20000000;
	t.meter.most = 64 * 1024;
	t.user.burst = 200000;
	t.target.appetite = 300000;
	t.user.keep_open = true;
	talker_start(&t.user, t.user.s, 100000000, 1, 2);
	talker_start(&t.target, t.target.s, 0, 2, 1);
	loop_turn(t.l, 0);
	begun = loop_now(t.l);
	bed_start(&t);
	while (loop_now(t.l) < begun + 500 * NSEC_MS)
		loop_turn(t.l, 10 * NSEC_MS);
	spent = loop_now(t.l) - begun;
	assert_true(relay_spliced(&t.r) > 1000000);
	assert_true(t.meter.bytes[RELAY_UP] <= (size_t)(spent / NSEC_MS) * 20000 + 200000);
	bed_close(&t);
}

static void a_relay_is_small(void **state)
{
	assert_true(sizeof(struct relay) <= 312);
}

/* ---- endings ----------------------------------------------------------------------------- */

static void done_comes_once_and_not_after_a_stop(void **state)
{
	struct bed t;

	bed_open(&t, ENDS_PAIR);
	bed_start(&t);
	assert_int_equal(stream_shut(t.user.s), 0);
	assert_int_equal(stream_shut(t.target.s), 0);
	loop_turn(t.l, 0);
	while (!t.r.ended)
		loop_turn(t.l, 0);
	/* Queued, or delivered: either way no more than once. */
	settle(t.l);
	assert_int_equal(t.dones, 1);
	bed_close(&t);

	bed_open(&t, ENDS_PAIR);
	bed_start(&t);
	pair_reset(t.user.s, -ECONNRESET);
	relay_stop(&t.r);
	settle(t.l);
	assert_int_equal(t.dones, 0);
	bed_close(&t);
}

/* The streams still know the relay's waiter when it has ended: an edge on a socket queues it. */
static void a_wake_between_the_end_and_the_stop_does_not_follow(void **state)
{
	struct bed t;

	bed_open(&t, ENDS_PAIR);
	bed_start(&t);
	assert_int_equal(stream_shut(t.user.s), 0);
	assert_int_equal(stream_shut(t.target.s), 0);
	while (!t.r.ended)
		loop_turn(t.l, 0);
	loop_queue(t.l, &t.r.run);
	relay_stop(&t.r);
	assert_false(list_linked(&t.r.run.link));
	bed_close(&t);
}

static void start_dribbled(struct loop *l, void *state)
{
	struct bed *t = state;
	struct dribble_conf x = DRIBBLE(5), y = DRIBBLE(6);

	bed_init(t, l);
	assert_int_equal(pair_new(l, 50, &t->user.s, &t->a), 0);
	assert_int_equal(pair_new(l, 60, &t->b, &t->target.s), 0);
	t->a = dribble_new(t->a, &x);
	t->b = dribble_new(t->b, &y);
	talker_start(&t->user, t->user.s, 250, 1, 2);
	talker_start(&t->target, t->target.s, 150, 2, 1);
	bed_start(t);
}

static void stop_dribbled(void *state)
{
	struct bed *t = state;

	bed_stop(t);
	waiter_cancel(&t->done);
}

static void check_dribbled(void *state)
{
	struct bed *t = state;

	assert_int_equal(t->r.result, 0);
	assert_int_equal(t->user.received, 150);
	assert_int_equal(t->target.received, 250);
	assert_int_equal(t->meter.bytes[RELAY_UP], 250);
	assert_int_equal(t->meter.bytes[RELAY_DOWN], 150);
}

static void a_dribbled_relay_can_be_killed_at_each_turn(void **state)
{
	int turns = kill_at_each_turn(&(struct scenario){start_dribbled, all_done, stop_dribbled,
							 check_dribbled, sizeof(struct bed)},
				      1);

	assert_true(turns > 50);
}

static void a_dribbled_relay_without_half_close_delivers_the_same(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct dribble_conf x = DRIBBLE(7), y = DRIBBLE(8);
	struct bed t;

	bed_init(&t, l);
	assert_int_equal(pair_new(l, 500, &t.user.s, &t.a), 0);
	assert_int_equal(pair_new(l, 600, &t.b, &t.target.s), 0);
	pair_set_half_close(t.a, false);
	pair_set_half_close(t.b, false);
	t.a = dribble_new(t.a, &x);
	t.b = dribble_new(t.b, &y);
	talker_start(&t.user, t.user.s, 2500, 1, 2);
	talker_start(&t.target, t.target.s, 1500, 2, 1);
	bed_start(&t);
	assert_true(run_until(l, all_done, &t));
	assert_int_equal(t.r.result, 0);
	assert_int_equal(t.user.received, 1500);
	assert_int_equal(t.target.received, 2500);
	bed_close(&t);
}

/* Sockets, killed while pipes and queues are full. */
static void a_stop_in_full_flow_leaves_nothing(void **state)
{
	for (int splice = 0; splice < 2; splice++) {
		for (int turns = 0; turns < 30; turns += 2) {
			struct bed t;

			bed_open(&t, ENDS_TCP);
			t.conf.splice = splice;
			t.user.burst = t.target.burst = 200000;
			talker_start(&t.user, t.user.s, 100000000, 1, 2);
			talker_start(&t.target, t.target.s, 100000000, 2, 1);
			bed_start(&t);
			for (int i = 0; i < turns; i++)
				loop_turn(t.l, NSEC_MS);
			bed_close(&t);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copied_and_spliced_bytes_are_equal_and_both_metered),
		cmocka_unit_test(half_close_the_answer_arrives_after_the_user_has_stopped_sending),
		cmocka_unit_test(half_close_linger_bounds_the_silence_of_the_other_direction),
		cmocka_unit_test(
			half_close_a_stream_that_cannot_is_shut_when_nothing_more_comes_from_it),
		cmocka_unit_test(
			half_close_a_stream_that_cannot_ends_in_order_after_the_linger_time),
		cmocka_unit_test(first_goes_ahead_of_the_answer_and_is_not_metered),
		cmocka_unit_test(a_truncated_side_ends_it_with_that_error_and_nothing_orderly),
		cmocka_unit_test(a_reset_ends_it),
		cmocka_unit_test(a_reset_behind_an_end_ends_it_for_who_listens),
		cmocka_unit_test(an_answer_sent_ahead_of_a_reset_arrives),
		cmocka_unit_test(
			a_side_that_takes_no_more_is_read_to_its_end_within_the_linger_time),
		cmocka_unit_test(a_side_that_takes_no_end_is_read_to_its_own),
		cmocka_unit_test(silence_both_ways_ends_it),
		cmocka_unit_test(without_limits_nothing_but_an_end_ends_it),
		cmocka_unit_test(a_rate_is_held_exactly),
		cmocka_unit_test(a_pause_is_not_silence),
		cmocka_unit_test(a_slow_receiver_slows_the_sender_and_memory_stays_bounded),
		cmocka_unit_test(S2_one_read_per_wake_and_direction_and_a_few_for_who_moves_much),
		cmocka_unit_test(S3_spurious_wakes_change_nothing),
		cmocka_unit_test(billing_never_runs_behind_delivery_nor_ahead_of_the_sender),
		cmocka_unit_test(bulk_is_spliced_small_messages_are_copied_and_idle_holds_nothing),
		cmocka_unit_test(who_is_nearly_alone_is_spliced_in_larger_bites),
		cmocka_unit_test(who_moves_much_lets_others_go_first_and_takes_several_reads_then),
		cmocka_unit_test(who_rests_or_has_little_to_move_is_among_the_first_again),
		cmocka_unit_test(who_is_under_a_limit_takes_one_read_a_turn_among_the_others),
		cmocka_unit_test(a_relay_ends_and_stops_also_while_it_waits_for_its_turn),
		cmocka_unit_test(who_waits_for_its_turn_is_not_silent),
		cmocka_unit_test(small_arrivals_that_are_fast_travel_together),
		cmocka_unit_test(what_was_gathered_waits_two_ms_when_the_sender_pauses),
		cmocka_unit_test(
			what_was_gathered_and_waits_for_its_turn_is_no_pause_of_the_sender_s),
		cmocka_unit_test(who_pauses_soon_must_send_ever_more_before_it_is_tried_again),
		cmocka_unit_test(a_slow_sender_of_small_records_is_never_gathered),
		cmocka_unit_test(an_end_does_not_wait_for_more_to_gather),
		cmocka_unit_test(a_socket_gathers_and_is_as_before_when_the_sender_pauses),
		cmocka_unit_test(a_socket_is_as_before_when_the_relay_is_stopped_while_it_gathers),
		cmocka_unit_test(spliced_bytes_obey_a_rate_too),
		cmocka_unit_test(a_relay_is_small),
		cmocka_unit_test(done_comes_once_and_not_after_a_stop),
		cmocka_unit_test(a_wake_between_the_end_and_the_stop_does_not_follow),
		cmocka_unit_test(a_dribbled_relay_can_be_killed_at_each_turn),
		cmocka_unit_test(a_dribbled_relay_without_half_close_delivers_the_same),
		cmocka_unit_test(a_stop_in_full_flow_leaves_nothing),
	};

	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
