#include "unit.h"

#include "user/rate.h"
#include "user/user.h"

#define SEC NSEC_SEC

/* A flow that always has bytes, woken by timers that are late by up to `late`. */
static uint64_t run(struct rate *r, nsec_t from, nsec_t until, nsec_t late, unsigned flows)
{
	uint64_t moved = 0;
	nsec_t wake[64] = {0};
	unsigned seed = 1;

	for (unsigned i = 0; i < flows; i++)
		wake[i] = from;
	for (;;) {
		unsigned next = 0;
		nsec_t pause, now;

		for (unsigned i = 1; i < flows; i++)
			if (wake[i] < wake[next])
				next = i;
		now = wake[next];
		if (now >= until)
			return moved;
		pause = rate_wait(r, now);
		if (pause > 0) {
			seed = seed * 1103515245 + 12345;
			wake[next] = now + pause + (late ? (nsec_t)(seed >> 8) % late : 0);
			continue;
		}
		rate_charge(r, now, rate_quantum(rate_get(r)));
		moved += rate_quantum(rate_get(r));
		wake[next] = now + 1000;
	}
}

static void assert_rate(uint64_t moved, uint64_t Bps, nsec_t span)
{
	double want = (double)Bps * (double)span / (double)SEC;

	if ((double)moved < want * 0.97 || (double)moved > want * 1.03)
		fail_msg("moved %llu, wanted %.0f", (unsigned long long)moved, want);
}

static void the_rate_is_kept_within_three_percent(void **state)
{
	static const uint64_t Bps[] = {20000, 125000, 1250000, 12500000, 125000000, 1250000000};

	for (size_t i = 0; i < ARRAY_LEN(Bps); i++) {
		nsec_t span = Bps[i] < 1000000 ? 60 * SEC : 4 * SEC;

		for (unsigned flows = 1; flows <= 16; flows *= 4) {
			struct rate r = {0};

			rate_set(&r, Bps[i]);
			assert_rate(run(&r, 5 * SEC, 5 * SEC + span, 0, flows), Bps[i], span);
		}
	}
}

static void late_timers_cost_no_rate(void **state)
{
	static const uint64_t Bps[] = {125000, 1250000, 12500000, 125000000};

	for (size_t i = 0; i < ARRAY_LEN(Bps); i++) {
		struct rate r = {0};

		rate_set(&r, Bps[i]);
		assert_rate(run(&r, 5 * SEC, 25 * SEC, 5 * NSEC_MS, 1), Bps[i], 20 * SEC);
	}
}

static void who_was_idle_has_saved_no_burst(void **state)
{
	struct rate r = {0};

	rate_set(&r, 1000000);
	rate_charge(&r, 1 * SEC, 20000);
	/* an hour later: one quantum, then a pause of its full length */
	assert_int_equal(rate_wait(&r, 3600 * SEC), 0);
	rate_charge(&r, 3600 * SEC, 20000);
	assert_int_equal(rate_wait(&r, 3600 * SEC), 20 * NSEC_MS);
}

static void credit_for_lateness_ends_at_20_ms(void **state)
{
	struct rate r = {0};

	rate_set(&r, 1000000);
	rate_charge(&r, 1 * SEC, 20000);		/* paid off at 1.020 */
	rate_charge(&r, 1 * SEC + 35 * NSEC_MS, 20000); /* 15 ms late: counts from 1.020 */
	assert_int_equal(rate_wait(&r, 1 * SEC + 35 * NSEC_MS), 5 * NSEC_MS);
	rate_charge(&r, 1 * SEC + 61 * NSEC_MS, 20000); /* 21 ms late: counts from now */
	assert_int_equal(rate_wait(&r, 1 * SEC + 61 * NSEC_MS), 20 * NSEC_MS);
}

static void the_quantum_is_20_ms_within_2_and_64_kib(void **state)
{
	assert_int_equal(rate_quantum(1), 2048);
	assert_int_equal(rate_quantum(1000000), 20000);
	assert_int_equal(rate_quantum(1000000000), 65536);
}

static void no_limit_never_waits(void **state)
{
	struct rate r = {0};

	rate_charge(&r, SEC, 1u << 30);
	assert_int_equal(rate_wait(&r, SEC), 0);
	assert_int_equal(r.paid_at, 0);
}

static void a_change_takes_effect_at_once(void **state)
{
	struct rate r = {0};

	rate_set(&r, 1000); /* 2 KiB take two seconds */
	rate_charge(&r, SEC, 2048);
	assert_true(rate_wait(&r, SEC) > 2 * SEC);
	rate_set(&r, 1000000);
	assert_int_equal(rate_wait(&r, SEC), 0);
	rate_charge(&r, SEC, 20000);
	rate_set(&r, 1000000); /* the same again is no change: no fresh start */
	assert_int_equal(rate_wait(&r, SEC), 20 * NSEC_MS);
	rate_set(&r, 0);
	assert_int_equal(rate_wait(&r, SEC), 0);
}

static void each_direction_has_its_own_rate(void **state)
{
	struct user u = {0};
	nsec_t pause = 0;

	rate_set(&u.rate[TRAFFIC_UP], 1000000);
	rate_set(&u.rate[TRAFFIC_DOWN], 1000000);
	assert_int_equal(user_allow(&u, TRAFFIC_UP, 1u << 20, SEC, &pause), 20000);
	user_charge(&u, TRAFFIC_UP, 20000, SEC);
	assert_int_equal(user_allow(&u, TRAFFIC_UP, 1u << 20, SEC, &pause), 0);
	assert_int_equal(pause, 20 * NSEC_MS);
	assert_int_equal(user_allow(&u, TRAFFIC_DOWN, 100, SEC, &pause), 100);
}

static void scope_sum_is_one_rate_for_both_directions(void **state)
{
	struct user u = {.sum = true};
	nsec_t pause = 0;

	rate_set(&u.rate[TRAFFIC_UP], 1000000);
	rate_set(&u.rate[TRAFFIC_DOWN], 1000000);
	user_charge(&u, TRAFFIC_DOWN, 20000, SEC);
	assert_int_equal(user_allow(&u, TRAFFIC_UP, 1u << 20, SEC, &pause), 0);
	assert_int_equal(user_allow(&u, TRAFFIC_DOWN, 1u << 20, SEC, &pause), 0);
}

static void without_a_limit_everything_is_allowed(void **state)
{
	struct user u = {0};
	nsec_t pause = 0;

	user_charge(&u, TRAFFIC_UP, 1u << 30, SEC);
	assert_int_equal(user_allow(&u, TRAFFIC_UP, 1u << 20, SEC, &pause), 1u << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rate_is_kept_within_three_percent),
		cmocka_unit_test(late_timers_cost_no_rate),
		cmocka_unit_test(who_was_idle_has_saved_no_burst),
		cmocka_unit_test(credit_for_lateness_ends_at_20_ms),
		cmocka_unit_test(the_quantum_is_20_ms_within_2_and_64_kib),
		cmocka_unit_test(no_limit_never_waits),
		cmocka_unit_test(a_change_takes_effect_at_once),
		cmocka_unit_test(each_direction_has_its_own_rate),
		cmocka_unit_test(scope_sum_is_one_rate_for_both_directions),
		cmocka_unit_test(without_a_limit_everything_is_allowed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
