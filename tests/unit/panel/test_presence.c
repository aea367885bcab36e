#include "unit.h"

#include "net/addr.h"
#include "panel/presence.h"

#define TTL (300 * NSEC_SEC)

static struct presence *p;

static int setup(void **state)
{
	p = presence_new(TTL);
	return p ? 0 : -1;
}

static int teardown(void **state)
{
	presence_free(p);
	return 0;
}

/* Report addresses given as text, "" for none. */
static void see(int64_t node, int64_t user, nsec_t now, const char *one, const char *two)
{
	uint8_t ips[2][16];
	size_t n = 0;
	struct addr a;

	for (int i = 0; i < 2; i++) {
		const char *text = i ? two : one;

		if (!text)
			continue;
		assert_int_equal(addr_parse_ip(&a, text, 0), 0);
		addr_ip16(&a, ips[n++]);
	}
	assert_int_equal(presence_report(p, node, user, (const uint8_t(*)[16])ips, n, now), 0);
}

static void one_device_on_two_nodes_counts_once(void **state)
{
	see(1, 41, 0, "192.0.2.1", "192.0.2.2");
	see(2, 41, 0, "192.0.2.1", NULL);
	assert_int_equal(presence_count(p, 41, 1), 2);
	assert_int_equal(presence_count(p, 42, 1), 0);
}

static void an_ipv6_device_is_a_64_bit_prefix(void **state)
{
	see(1, 41, 0, "2001:db8:0:1::5", "2001:db8:0:1:ffff::6");
	see(2, 41, 0, "2001:db8:0:2::5", "192.0.2.1");
	assert_int_equal(presence_count(p, 41, 1), 3);
}

static void a_report_replaces_what_the_node_said_before(void **state)
{
	see(1, 41, 0, "192.0.2.1", "192.0.2.2");
	see(2, 41, 0, "192.0.2.9", NULL);
	see(1, 41, 0, "192.0.2.3", NULL);
	assert_int_equal(presence_count(p, 41, 1), 2);
	see(1, 41, 0, NULL, NULL);
	assert_int_equal(presence_count(p, 41, 1), 1);
	see(2, 41, 0, NULL, NULL);
	assert_int_equal(presence_count(p, 41, 1), 0);
}

static void an_address_is_forgotten_after_its_time(void **state)
{
	size_t n;

	see(1, 41, 0, "192.0.2.1", NULL);
	see(2, 41, TTL / 2, "192.0.2.2", NULL);
	assert_int_equal(presence_count(p, 41, TTL - 1), 2);
	assert_int_equal(presence_count(p, 41, TTL), 1);
	assert_int_equal(presence_count(p, 41, 2 * TTL), 0);
	free(presence_users(p, 0, 0, 2 * TTL, &n));
	assert_int_equal(n, 0);
}

static void those_of_whom_nothing_is_heard_leave_no_memory_behind(void **state)
{
	size_t n;

	for (int64_t user = 1; user <= 5000; user++)
		see(1, user, 1, "192.0.2.1", NULL);
	free(presence_users(p, 0, 0, 2, &n));
	assert_int_equal(n, 5000);
	see(1, 1, 3 * TTL, "192.0.2.1", NULL);
	/* At the time of the first reports everybody would still be there, had nobody been swept.
	 */
	free(presence_users(p, 0, 0, 2, &n));
	assert_int_equal(n, 1);
}

static void users_come_in_order_and_in_pages(void **state)
{
	struct presence_user *on;
	size_t n;

	for (int64_t user = 1000; user > 0; user--)
		see(1, user * 7, 0, "192.0.2.1", NULL);
	on = presence_users(p, 70, 3, 1, &n);
	assert_int_equal(n, 3);
	assert_true(on[0].user == 77 && on[1].user == 84 && on[2].user == 91);
	free(on);
}

static void a_removed_user_is_seen_nowhere(void **state)
{
	struct presence_row *rows;
	size_t n;

	see(1, 41, 0, "192.0.2.1", NULL);
	rows = presence_of(p, 41, 1, &n);
	assert_int_equal(n, 1);
	assert_true(rows[0].node == 1 && rows[0].left == TTL - 1);
	free(rows);
	presence_forget(p, 41);
	presence_forget(p, 42);
	free(presence_of(p, 41, 1, &n));
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_device_on_two_nodes_counts_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_ipv6_device_is_a_64_bit_prefix, setup, teardown),
		cmocka_unit_test_setup_teardown(a_report_replaces_what_the_node_said_before, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_address_is_forgotten_after_its_time, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			those_of_whom_nothing_is_heard_leave_no_memory_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(users_come_in_order_and_in_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(a_removed_user_is_seen_nowhere, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
