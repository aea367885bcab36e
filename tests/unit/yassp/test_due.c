#include "unit.h"

#include "yassp/due.h"

#define SEC NSEC_SEC

static struct yassp_due due_of(uint64_t threshold, nsec_t timeout)
{
	return (struct yassp_due){.threshold = threshold, .timeout = timeout};
}

/* One check with one id. */
static bool check(struct yassp_due *d, nsec_t now, int64_t id, uint64_t bytes)
{
	bool due;

	yassp_due_begin(d, now);
	due = yassp_due(d, id, bytes);
	yassp_due_end(d, true);
	return due;
}

static void the_threshold_is_reached_exactly(void **state)
{
	struct yassp_due d = due_of(100, 1800 * SEC);

	assert_false(check(&d, 0, 7, 99));
	assert_true(check(&d, 1, 7, 100));
	yassp_due_done(&d);
}

static void a_single_byte_waits_for_the_timeout_and_no_longer(void **state)
{
	struct yassp_due d = due_of(100, 60 * SEC);

	assert_false(check(&d, 5 * SEC, 7, 1));
	assert_false(check(&d, 65 * SEC, 7, 1)); /* not older than the timeout, as old */
	assert_true(check(&d, 65 * SEC + 1, 7, 1));
	yassp_due_done(&d);
}

static void the_age_begins_with_the_check_that_sees_bytes_first(void **state)
{
	struct yassp_due d = due_of(100, 60 * SEC);

	assert_false(check(&d, 1000 * SEC, 7, 1)); /* long idle before */
	assert_false(check(&d, 1060 * SEC, 7, 2));
	assert_true(check(&d, 1061 * SEC, 7, 3));
	assert_false(check(&d, 1062 * SEC, 7, 1)); /* a new age after what was taken */
	assert_false(check(&d, 1120 * SEC, 7, 1));
	assert_true(check(&d, 1123 * SEC, 7, 1));
	yassp_due_done(&d);
}

static void a_check_that_came_to_nothing_leaves_the_ages(void **state)
{
	struct yassp_due d = due_of(100, 60 * SEC);

	assert_false(check(&d, 0, 7, 1));
	yassp_due_begin(&d, 100 * SEC);
	assert_true(yassp_due(&d, 7, 1));
	yassp_due_end(&d, false);
	assert_true(check(&d, 101 * SEC, 7, 1));
	yassp_due_done(&d);
}

static void threshold_and_timeout_of_zero_mean_at_once(void **state)
{
	struct yassp_due d = due_of(0, 1800 * SEC), e = due_of(100, 0);

	assert_true(check(&d, 0, 7, 1));
	assert_true(check(&e, 0, 7, 1));
	yassp_due_done(&d);
	yassp_due_done(&e);
}

static void each_id_has_its_own_age(void **state)
{
	struct yassp_due d = due_of(100, 60 * SEC);

	for (int64_t id = 1; id <= 1000; id++) {
		yassp_due_begin(&d, id * SEC);
		for (int64_t i = 1; i <= id; i++)
			assert_int_equal(yassp_due(&d, i, 1), (id - i) % 62 == 61);
		yassp_due_end(&d, true);
	}
	yassp_due_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_threshold_is_reached_exactly),
		cmocka_unit_test(a_single_byte_waits_for_the_timeout_and_no_longer),
		cmocka_unit_test(the_age_begins_with_the_check_that_sees_bytes_first),
		cmocka_unit_test(a_check_that_came_to_nothing_leaves_the_ages),
		cmocka_unit_test(threshold_and_timeout_of_zero_mean_at_once),
		cmocka_unit_test(each_id_has_its_own_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
