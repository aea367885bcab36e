#include "users.h"

#include "user/live.h"

struct report {
	int64_t id;
	size_t n;
	char text[ADDR_TEXT_MAX];
};

static struct report reports[16];
static size_t nreports;

static void note(void *arg, int64_t id, const struct addr *addrs, size_t n)
{
	struct report *r = &reports[nreports++];

	*r = (struct report){.id = id, .n = n};
	if (n)
		addr_format_ip(&addrs[0], r->text);
}

static size_t report(struct village *v, uint64_t min, bool offline, nsec_t now)
{
	nreports = 0;
	user_registry_report_online(v->reg, min, offline, now, note, NULL);
	return nreports;
}

static void enter(struct village *v, struct user_conn *c, const char *who, const char *from,
		  nsec_t now)
{
	struct addr a = ip(from);

	user_conn_init(c, NULL, NULL);
	assert_int_equal(user_conn_begin(c, village_find(v, who), &a, false, now), 0);
}

static void d2_a_long_connection_stays_in_every_report(void **state)
{
	struct user_conn c;
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice 2:bob");
	enter(&v, &c, "alice", "::ffff:192.0.2.1", 0);
	for (int i = 1; i < 10; i++) {
		assert_int_equal(report(&v, 0, false, i * 60 * NSEC_SEC), 1);
		assert_int_equal(reports[0].id, 1);
		assert_int_equal(reports[0].n, 1);
		assert_string_equal(reports[0].text, "192.0.2.1");
	}
	user_conn_end(&c, 570 * NSEC_SEC); /* since the last report: once more */
	assert_int_equal(report(&v, 0, false, 600 * NSEC_SEC), 1);
	assert_int_equal(report(&v, 0, false, 660 * NSEC_SEC), 0);
	village_done(&v);
}

static void d1_the_latest_address_of_a_device_is_reported(void **state)
{
	struct user_conn c[2];
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice");
	enter(&v, &c[0], "alice", "2001:db8::1", 0);
	enter(&v, &c[1], "alice", "2001:DB8::AB", 1);
	assert_int_equal(report(&v, 0, false, NSEC_SEC), 1);
	assert_int_equal(reports[0].n, 1);
	assert_string_equal(reports[0].text, "2001:db8::ab");
	user_conn_end(&c[0], 2);
	user_conn_end(&c[1], 2);
	village_done(&v);
}

static void d3_who_moved_little_is_left_out(void **state)
{
	struct user_worker w;
	struct user_conn c;
	struct village v;
	struct addr a = ip("192.0.2.1");

	village_init(&v, NULL);
	village_apply(&v, "1:alice");
	user_worker_init(&w, NULL, v.counters, 1);
	user_conn_init(&c, &w, NULL);
	counters_add(v.counters, 0, village_find(&v, "alice")->slot, TRAFFIC_UP,
		     1 << 20); /* before */
	assert_int_equal(user_conn_begin(&c, village_find(&v, "alice"), &a, false, 0), 0);
	user_conn_count(&c, TRAFFIC_DOWN, 199999, 0);
	assert_int_equal(report(&v, 200000, false, 60 * NSEC_SEC), 0);
	user_conn_count(&c, TRAFFIC_DOWN, 200000, 0);
	assert_int_equal(report(&v, 200000, false, 120 * NSEC_SEC), 1);
	assert_int_equal(report(&v, 200000, false, 180 * NSEC_SEC), 0);
	user_conn_end(&c, 0);
	user_worker_done(&w);
	village_done(&v);
}

static void d4_our_own_report_is_not_elsewhere(void **state)
{
	struct user_alive alive = {.id = 1, .devices = 3};
	struct user_conn c;
	struct village v;
	struct user *u;

	village_init(&v, NULL);
	village_apply(&v, "1:alice/0/5 2:bob");
	u = village_find(&v, "alice");
	enter(&v, &c, "alice", "192.0.2.1", 0);
	assert_int_equal(report(&v, 0, false, 60 * NSEC_SEC), 1);
	user_registry_set_alive(v.reg, &alive, 1, 61 * NSEC_SEC);
	assert_int_equal(u->elsewhere, 2);
	/* the panel believes it for five minutes, whatever we leave out of later reports */
	assert_int_equal(report(&v, 1000, false, 120 * NSEC_SEC), 0);
	user_registry_set_alive(v.reg, &alive, 1, 359 * NSEC_SEC);
	assert_int_equal(u->elsewhere, 2);
	user_registry_set_alive(v.reg, &alive, 1, 361 * NSEC_SEC);
	assert_int_equal(u->elsewhere, 3);
	user_conn_end(&c, 0);
	village_done(&v);
}

static void d7_at_most_200_devices_are_reported(void **state)
{
	static struct user_conn c[300];
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice");
	for (int i = 0; i < 300; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.0.%d.%d", i / 100, i % 100);
		enter(&v, &c[i], "alice", text, 0);
	}
	assert_int_equal(report(&v, 0, false, NSEC_SEC), 1);
	assert_int_equal(reports[0].n, 200);
	for (int i = 0; i < 300; i++)
		user_conn_end(&c[i], 0);
	village_done(&v);
}

static void who_went_offline_is_reported_once_if_wanted(void **state)
{
	struct user_conn c;
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice");
	enter(&v, &c, "alice", "192.0.2.1", 0);
	assert_int_equal(report(&v, 0, true, 60 * NSEC_SEC), 1);
	user_conn_end(&c, 61 * NSEC_SEC);
	assert_int_equal(report(&v, 0, true, 120 * NSEC_SEC), 1);
	assert_int_equal(reports[0].n, 1);
	assert_int_equal(report(&v, 0, true, 180 * NSEC_SEC), 1);
	assert_int_equal(reports[0].n, 0);
	assert_int_equal(report(&v, 0, true, 240 * NSEC_SEC), 0);
	village_done(&v);
}

static void who_is_gone_costs_nothing(void **state)
{
	struct user_conn c;
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice");
	enter(&v, &c, "alice", "192.0.2.1", 0);
	user_conn_end(&c, NSEC_SEC);
	assert_int_equal(report(&v, 0, false, 30 * NSEC_SEC), 1);
	assert_non_null(village_find(&v, "alice")->live);
	assert_int_equal(report(&v, 0, false, 500 * NSEC_SEC), 0);
	assert_null(village_find(&v, "alice")->live);
	village_done(&v);
}

static void the_census_counts_who_is_here(void **state)
{
	struct user_census census;
	struct user_conn c[3];
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice 2:bob 3:carol");
	enter(&v, &c[0], "alice", "192.0.2.1", 0);
	enter(&v, &c[1], "alice", "192.0.2.2", 0);
	enter(&v, &c[2], "bob", "192.0.2.1", 0);
	user_conn_end(&c[1], 0);
	user_registry_census(v.reg, &census);
	assert_int_equal(census.users, 3);
	assert_int_equal(census.online, 2);
	assert_int_equal(census.devices, 2);
	assert_int_equal(census.conns, 2);
	user_conn_end(&c[0], 0);
	user_conn_end(&c[2], 0);
	village_done(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(d2_a_long_connection_stays_in_every_report),
		cmocka_unit_test(d1_the_latest_address_of_a_device_is_reported),
		cmocka_unit_test(d3_who_moved_little_is_left_out),
		cmocka_unit_test(d4_our_own_report_is_not_elsewhere),
		cmocka_unit_test(d7_at_most_200_devices_are_reported),
		cmocka_unit_test(who_went_offline_is_reported_once_if_wanted),
		cmocka_unit_test(who_is_gone_costs_nothing),
		cmocka_unit_test(the_census_counts_who_is_here),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
