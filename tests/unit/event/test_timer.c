#include "unit.h"

#include "event/loop.h"

struct alarm {
	struct timer t;
	struct loop *loop;
	nsec_t at, fired_at;
	int fired, order;
	struct alarm *stops;
	nsec_t every;
};

static int sequence;

static void ring(struct timer *t)
{
	struct alarm *a = container_of(t, struct alarm, t);

	assert_false(timer_armed(t));
	a->fired++;
	a->fired_at = loop_now(a->loop);
	a->order = ++sequence;
	if (a->stops)
		timer_stop(&a->stops->t);
	if (a->every)
		timer_set(a->loop, t, loop_now(a->loop) + a->every);
}

static void alarm_set(struct alarm *a, struct loop *l, nsec_t in)
{
	*a = (struct alarm){.loop = l, .at = loop_now(l) + in};
	timer_init(&a->t, ring);
	timer_set(l, &a->t, a->at);
}

static void the_virtual_clock_jumps_to_the_next_timer(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct alarm a, b;
	nsec_t start = loop_now(l);

	alarm_set(&a, l, 3600 * NSEC_SEC);
	alarm_set(&b, l, 10 * NSEC_MS);
	assert_int_equal(loop_turn(l, 0), 0);
	assert_int_equal(loop_now(l), start);
	assert_int_equal(loop_turn(l, 5 * NSEC_MS), 0); /* the wait ended first */
	assert_int_equal(loop_now(l), start + 5 * NSEC_MS);
	assert_int_equal(loop_turn(l, -1), 1);
	assert_int_equal(loop_now(l), start + 10 * NSEC_MS);
	assert_int_equal(loop_turn(l, -1), 1);
	assert_int_equal(loop_now(l), start + 3600 * NSEC_SEC);
	assert_int_equal(loop_turn(l, -1), 0); /* nothing can ever happen again */
	loop_run(l);
	assert_int_equal(loop_wall(l), 1700000000 + 3600);
	loop_free(l);
}

/* Distances of every magnitude, from a nanosecond to a century. */
static void no_timer_is_early_or_more_than_a_tick_late(void **state)
{
	enum { MANY = 4000 };
	struct loop *l = loop_new(LOOP_VIRTUAL, 7);
	struct alarm *a = calloc(MANY, sizeof(*a));
	int left = MANY;

	for (int i = 0; i < MANY; i++) {
		uint64_t r[2];

		loop_random(l, r, sizeof(r));
		alarm_set(&a[i], l, (nsec_t)(r[0] >> (2 + r[1] % 61)) + 1);
	}
	while (left > 0) {
		int n = loop_turn(l, -1);

		assert_true(n > 0);
		left -= n;
	}
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(a[i].fired, 1);
		assert_true(a[i].fired_at >= a[i].at);
		assert_true(a[i].fired_at - a[i].at < NSEC_MS);
	}
	loop_free(l);
	free(a);
}

/* Set, moved and stopped at random while time passes in random steps; checked against a plain
 * array.
 */
static void the_wheel_agrees_with_a_plain_list(void **state)
{
	enum { MANY = 200, STEPS = 20000 };
	struct loop *l = loop_new(LOOP_VIRTUAL, 11);
	struct alarm *a = calloc(MANY, sizeof(*a));
	bool armed[MANY] = {0};

	for (int i = 0; i < MANY; i++) {
		a[i].loop = l;
		timer_init(&a[i].t, ring);
	}
	for (int step = 0; step < STEPS; step++) {
		uint32_t r[3];
		struct alarm *x;

		loop_random(l, r, sizeof(r));
		x = &a[r[0] % MANY];
		x->fired = 0;
		armed[x - a] = r[1] % 4 != 0;
		if (armed[x - a]) {
			x->at = loop_now(l) + (nsec_t)(r[2] >> r[1] % 16) * 64;
			timer_set(l, &x->t, x->at);
		} else {
			timer_stop(&x->t);
		}
		loop_turn(l, (nsec_t)(r[1] % 5000) * NSEC_US * (step % 50 == 0 ? 1000 : 1));
		for (int i = 0; i < MANY; i++) {
			if (armed[i] && a[i].fired) {
				assert_int_equal(a[i].fired, 1);
				assert_true(a[i].fired_at >= a[i].at);
				assert_true(a[i].fired_at - a[i].at < NSEC_MS);
				armed[i] = false;
				a[i].fired = 0;
			}
			assert_int_equal(a[i].fired, 0);
			assert_int_equal(timer_armed(&a[i].t), armed[i]);
			assert_true(!armed[i] || a[i].at + NSEC_MS > loop_now(l));
		}
	}
	loop_free(l);
	free(a);
}

static void timers_of_one_tick_fire_in_the_order_they_were_set(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct alarm a[6], nudge;
	nsec_t at = loop_now(l) + 100 * NSEC_SEC;

	sequence = 0;
	for (int i = 0; i < 6; i++) {
		/* Some from far away, some from near: the later ones lie lower in the wheel. */
		alarm_set(&a[i], l, at - loop_now(l));
		alarm_set(&nudge, l, i < 3 ? 33 * NSEC_SEC - NSEC_MS : 500 * NSEC_US);
		assert_int_equal(loop_turn(l, -1), 1);
		sequence = 0;
	}
	while (loop_turn(l, -1))
		;
	for (int i = 0; i < 6; i++)
		assert_int_equal(a[i].order, i + 1);
	loop_free(l);
}

static void a_timer_stopped_by_another_of_the_same_tick_does_not_fire(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct alarm a, b;

	alarm_set(&a, l, NSEC_MS);
	alarm_set(&b, l, NSEC_MS);
	a.stops = &b;
	assert_int_equal(loop_turn(l, -1), 1);
	assert_int_equal(b.fired, 0);
	timer_stop(&b.t);
	loop_free(l);
}

static void a_timer_set_for_the_past_fires_in_the_next_turn_without_moving_the_clock(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	nsec_t start = loop_now(l);
	struct alarm a;

	alarm_set(&a, l, -5 * NSEC_SEC);
	assert_int_equal(loop_turn(l, -1), 1);
	assert_int_equal(loop_now(l), start);
	timer_set(l, &a.t, INT64_MIN);
	assert_int_equal(loop_turn(l, 0), 1);
	timer_set(l, &a.t, INT64_MAX);
	assert_int_equal(loop_turn(l, 1000 * NSEC_SEC), 0);
	assert_true(timer_armed(&a.t));
	loop_free(l);
	assert_false(timer_armed(&a.t));
}

static void a_timer_may_set_itself_again(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct alarm a;

	alarm_set(&a, l, NSEC_SEC);
	a.every = NSEC_SEC;
	for (int i = 1; i <= 100; i++) {
		assert_int_equal(loop_turn(l, -1), 1);
		assert_int_equal(a.fired, i);
		assert_int_equal(a.fired_at, a.at + (i - 1) * NSEC_SEC);
	}
	loop_free(l);
}

static void real_timers_are_never_early(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct alarm a[20];
	int left = 20;

	for (int i = 0; i < 20; i++)
		alarm_set(&a[i], l, i * 1700 * NSEC_US + 1);
	while (left > 0) {
		int n = loop_turn(l, 5 * NSEC_SEC);

		assert_true(n > 0);
		left -= n;
	}
	for (int i = 0; i < 20; i++)
		assert_true(a[i].fired_at >= a[i].at);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_virtual_clock_jumps_to_the_next_timer),
		cmocka_unit_test(no_timer_is_early_or_more_than_a_tick_late),
		cmocka_unit_test(the_wheel_agrees_with_a_plain_list),
		cmocka_unit_test(timers_of_one_tick_fire_in_the_order_they_were_set),
		cmocka_unit_test(a_timer_stopped_by_another_of_the_same_tick_does_not_fire),
		cmocka_unit_test(
			a_timer_set_for_the_past_fires_in_the_next_turn_without_moving_the_clock),
		cmocka_unit_test(a_timer_may_set_itself_again),
		cmocka_unit_test(real_timers_are_never_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
