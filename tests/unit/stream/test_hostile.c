#include "unit.h"

#include "hostile.h"
#include "stream/pair.h"

struct duo {
	struct talker a, b;
};

static struct stream *dribbled(struct stream *lower, uint64_t seed)
{
	struct dribble_conf conf = DRIBBLE(seed);

	return dribble_new(lower, &conf);
}

static void start(struct loop *l, void *state)
{
	struct duo *d = state;
	struct stream *x, *y;

	assert_int_equal(pair_new(l, 100, &x, &y), 0);
	talker_start(&d->a, dribbled(x, 3), 300, 1, 2);
	talker_start(&d->b, dribbled(y, 4), 200, 2, 1);
}

static bool done(void *state)
{
	struct duo *d = state;

	return talker_done(&d->a) && talker_done(&d->b);
}

static void stop(void *state)
{
	struct duo *d = state;

	talker_stop(&d->a);
	talker_stop(&d->b);
}

static void check(void *state)
{
	struct duo *d = state;

	assert_int_equal(d->a.err, 0);
	assert_int_equal(d->b.err, 0);
	assert_int_equal(d->a.received, 200);
	assert_int_equal(d->b.received, 300);
}

static void a_dribbled_pair_can_be_killed_at_each_turn(void **state)
{
	int turns = kill_at_each_turn(
		&(struct scenario){start, done, stop, check, sizeof(struct duo)}, 1);

	assert_true(turns > 50);
}

/* Both talk over a pair, `a` through a dribble of this kind; `d` holds what came of it. */
static void talk(struct duo *d, struct dribble_conf conf)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct stream *x, *y;

	assert_int_equal(pair_new(l, 1000, &x, &y), 0);
	talker_start(&d->a, dribble_new(x, &conf), 500, 1, 2);
	talker_start(&d->b, y, 500, 2, 1);
	run_until(l, done, d);
	stop(d);
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
}

static void a_cut_ends_the_stream_at_its_byte(void **state)
{
	struct dribble_conf conf = DRIBBLE(1);
	struct duo d = {0};

	conf.cut_in = 123;
	conf.cut_in_err = -ERR_TRUNCATED;
	talk(&d, conf);
	assert_int_equal(d.a.received, 123);
	assert_int_equal(d.a.err, -ERR_TRUNCATED);

	d = (struct duo){0};
	conf = DRIBBLE(2);
	conf.cut_out = 77;
	conf.cut_out_err = -ECONNRESET;
	talk(&d, conf);
	assert_int_equal(d.a.sent, 77);
	assert_int_equal(d.a.err, -ECONNRESET);

	d = (struct duo){0};
	conf = DRIBBLE(3);
	conf.cut_in = 50; /* in order, too early */
	talk(&d, conf);
	assert_int_equal(d.a.received, 50);
	assert_true(d.a.eof);
	assert_int_equal(d.a.err, 0);
}

static void a_seed_repeats_itself(void **state)
{
	struct scenario sc = {start, done, stop, check, sizeof(struct duo)};

	assert_int_equal(kill_at_each_turn(&sc, 1), kill_at_each_turn(&sc, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dribbled_pair_can_be_killed_at_each_turn),
		cmocka_unit_test(a_cut_ends_the_stream_at_its_byte),
		cmocka_unit_test(a_seed_repeats_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
