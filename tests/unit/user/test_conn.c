#include "users.h"

#include "user/live.h"

struct guest {
	struct user_conn conn;
	struct waiter kicked;
	int kicks;
};

static void on_kick(struct waiter *w)
{
	container_of(w, struct guest, kicked)->kicks++;
}

static void guest_init(struct guest *g, struct user_worker *w)
{
	g->kicks = 0;
	waiter_init(&g->kicked, on_kick);
	user_conn_init(&g->conn, w, &g->kicked);
}

static int enter(struct guest *g, struct user *u, const char *from, nsec_t now)
{
	struct addr a;

	guest_init(g, NULL);
	if (from)
		a = ip(from);
	return user_conn_begin(&g->conn, u, from ? &a : NULL, false, now);
}

static void a_device_limit_refuses_one_device_too_many(void **state)
{
	struct guest g[6];
	struct village v;
	struct user *u;

	village_init(&v, NULL);
	village_apply(&v, "1:alice/0/2");
	u = village_find(&v, "alice");
	assert_int_equal(enter(&g[0], u, "192.0.2.1", 0), 0);
	assert_int_equal(enter(&g[1], u, "192.0.2.2", 0), 0);
	assert_int_equal(enter(&g[2], u, "192.0.2.3", 0), -ERR_LIMIT);
	assert_int_equal(u->refs, 2);			      /* a refused one holds nothing */
	assert_int_equal(enter(&g[3], u, "192.0.2.1", 0), 0); /* a device that is here already */
	assert_int_equal(enter(&g[4], u, NULL, 0), 0);	      /* D6: its address is unknown */
	user_conn_end(&g[0].conn, 0);
	user_conn_end(&g[0].conn, 0);
	user_conn_end(&g[2].conn, 0); /* not begun */
	user_conn_end(&g[1].conn, 0);
	user_conn_end(&g[3].conn, 0);
	user_conn_end(&g[4].conn, 0);
	assert_int_equal(u->refs, 0);
	village_done(&v);
}

static void d1_devices_are_sources_normalised(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} pair[] = {
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"::1", "192.0.2.1", false},
		{"::ffff:192.0.2.1", "::1", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(pair); i++) {
		struct guest a, b;
		struct village v;
		struct user *u;

		village_init(&v, NULL);
		village_apply(&v, "1:alice/0/1");
		u = village_find(&v, "alice");
		assert_int_equal(enter(&a, u, pair[i].a, 0), 0);
		assert_int_equal(enter(&b, u, pair[i].b, 0), pair[i].same ? 0 : -ERR_LIMIT);
		user_conn_end(&a.conn, 0);
		user_conn_end(&b.conn, 0);
		village_done(&v);
	}
}

static void d4_a_device_counts_for_a_while_after_it_left(void **state)
{
	struct user_rules rules = {.grace_s = 120};
	struct guest a, b;
	struct village v;
	struct user *u;

	village_init(&v, &rules);
	village_apply(&v, "1:alice/0/1");
	u = village_find(&v, "alice");
	assert_int_equal(enter(&a, u, "192.0.2.1", 10 * NSEC_SEC), 0);
	user_conn_end(&a.conn, 100 * NSEC_SEC);
	assert_int_equal(enter(&b, u, "192.0.2.2", 220 * NSEC_SEC), -ERR_LIMIT);
	assert_int_equal(enter(&b, u, "192.0.2.2", 221 * NSEC_SEC), 0);
	user_conn_end(&b.conn, 221 * NSEC_SEC);
	village_done(&v);
}

static void d4_devices_elsewhere_count(void **state)
{
	struct user_alive alive = {.id = 1, .devices = 2};
	struct guest a, b;
	struct village v;
	struct user *u;

	village_init(&v, NULL);
	village_apply(&v, "1:alice/0/3");
	u = village_find(&v, "alice");
	user_registry_set_alive(v.reg, &alive, 1, 0);
	assert_int_equal(enter(&a, u, "192.0.2.1", 0), 0);
	assert_int_equal(enter(&b, u, "192.0.2.2", 0), -ERR_LIMIT);
	user_registry_set_alive(v.reg, NULL, 0, 0); /* D5: forgotten, fail open */
	assert_int_equal(enter(&b, u, "192.0.2.2", 0), 0);
	user_conn_end(&a.conn, 0);
	user_conn_end(&b.conn, 0);
	village_done(&v);
}

static void the_number_of_remembered_devices_is_bounded(void **state)
{
	struct village v;
	struct user *u;
	struct guest g;

	village_init(&v, NULL);
	village_apply(&v, "1:alice");
	u = village_find(&v, "alice");
	for (int i = 0; i < 3000; i++) {
		uint8_t bytes[4] = {10, 0, (uint8_t)(i >> 8), (uint8_t)i};
		struct addr a = addr_from_ip4(bytes, 1);

		guest_init(&g, NULL);
		assert_int_equal(user_conn_begin(&g.conn, u, &a, true, i), 0);
		user_conn_end(&g.conn, i);
	}
	assert_int_equal(u->live->ndevices, LIVE_DEVICES_MAX);
	village_done(&v);
}

static void cl1_over_the_limit_the_oldest_goes(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct user_worker w;
	struct guest g[4];
	struct village v;
	struct user *u;

	village_init(&v, NULL);
	village_apply(&v, "1:alice/0/0/2");
	u = village_find(&v, "alice");
	user_worker_init(&w, l, v.counters, 0);
	for (int i = 0; i < 3; i++) {
		guest_init(&g[i], &w);
		assert_int_equal(user_conn_begin(&g[i].conn, u, NULL, i == 1, 0), 0);
	}
	assert_int_equal(g[0].kicks, 0); /* news goes by queue */
	while (loop_turn(l, 0))
		;
	assert_int_equal(g[0].kicks, 1);
	assert_int_equal(g[0].conn.why, -ERR_LIMIT);
	assert_int_equal(g[1].kicks + g[2].kicks, 0);
	/* the kicked one counts no more, even if it has not ended yet */
	user_conn_end(&g[2].conn, 0);
	guest_init(&g[3], &w);
	assert_int_equal(user_conn_begin(&g[3].conn, u, NULL, false, 0), 0);
	while (loop_turn(l, 0))
		;
	assert_int_equal(g[1].kicks, 0);
	user_conn_end(&g[0].conn, 0);
	user_conn_end(&g[1].conn, 0);
	user_conn_end(&g[3].conn, 0);
	assert_int_equal(u->refs, 0);
	user_worker_done(&w);
	village_done(&v);
	loop_free(l);
}

static void a_conn_may_be_counted_in_another_file_of_its_thread(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct user_worker home, w;
	struct guest g[3];
	struct village v;
	struct traffic t;
	struct user *u;

	village_init(&v, NULL);
	village_apply(&v, "1:alice/0/0/2");
	u = village_find(&v, "alice");
	user_worker_init(&home, l, NULL, 0);
	user_worker_share(&w, &home, v.counters);
	for (int i = 0; i < 3; i++) {
		guest_init(&g[i], &w);
		assert_int_equal(user_conn_begin(&g[i].conn, u, NULL, false, 0), 0);
	}
	user_conn_count(&g[1].conn, TRAFFIC_DOWN, 17, 0);
	counters_total(v.counters, u->slot, &t);
	assert_int_equal(t.down, 17);
	while (loop_turn(l, 0))
		;
	assert_int_equal(g[0].kicks, 1); /* by the thread's own, which outlives the other */
	for (int i = 0; i < 3; i++)
		user_conn_end(&g[i].conn, 0);
	user_worker_done(&home);
	village_done(&v);
	loop_free(l);
}

static void cl1_idle_connections_go_before_older_ones(void **state)
{
	struct guest g[4];
	struct village v;
	struct user *u;
	nsec_t now = 100 * NSEC_SEC;

	village_init(&v, NULL);
	village_apply(&v, "1:alice/0/0/3");
	u = village_find(&v, "alice");
	for (int i = 0; i < 4; i++)
		guest_init(&g[i], NULL);
	assert_int_equal(user_conn_begin(&g[0].conn, u, NULL, false, 0), 0);
	assert_int_equal(user_conn_begin(&g[1].conn, u, NULL, false, 0), 0);
	assert_int_equal(user_conn_begin(&g[2].conn, u, NULL, true, 0), 0);
	user_conn_count(&g[0].conn, TRAFFIC_UP, 1, now - 15 * NSEC_SEC);
	user_conn_count(&g[1].conn, TRAFFIC_UP, 1, now - 14 * NSEC_SEC);
	user_conn_count(&g[2].conn, TRAFFIC_UP, 1, now - 9 * NSEC_SEC); /* UDP: idle after 8 s */
	assert_int_equal(user_conn_begin(&g[3].conn, u, NULL, false, now), 0);
	assert_int_equal(g[2].conn.why, -ERR_LIMIT);
	assert_int_equal(g[0].conn.why, 0);
	for (int i = 0; i < 4; i++)
		user_conn_end(&g[i].conn, now);
	village_done(&v);
}

static void guest_carries(struct guest *g, struct user *u, nsec_t now)
{
	guest_init(g, NULL);
	g->conn.carrier = true;
	assert_int_equal(user_conn_begin(&g->conn, u, NULL, false, now), 0);
}

/* Which of `n` have been told to go; the number of the last. */
static int told_to_go(const struct guest *g, int n, int *which)
{
	int told = 0;

	for (int i = 0; i < n; i++) {
		if (g[i].conn.why == 0)
			continue;
		assert_int_equal(g[i].conn.why, -ERR_LIMIT);
		*which = i;
		told++;
	}
	return told;
}

static void carriers_are_limited_among_themselves(void **state)
{
	static const struct {
		const char *user;
		int max;
	} few[] = {{"1:alice/0/0/2", 8}, {"1:alice/0/0/20", 20}, {"1:alice", 1024}};
	static struct guest g[1024 + 3];

	for (size_t i = 0; i < ARRAY_LEN(few); i++) {
		int which = -1, n = few[i].max;
		struct guest own;
		struct village v;
		struct user *u;

		village_init(&v, NULL);
		village_apply(&v, few[i].user);
		u = village_find(&v, "alice");
		guest_init(&own, NULL);
		assert_int_equal(user_conn_begin(&own.conn, u, NULL, false, 0), 0);
		for (int k = 0; k < n; k++)
			guest_carries(&g[k], u, 0);
		assert_int_equal(told_to_go(g, n, &which), 0);
		guest_carries(&g[n], u, 0);
		assert_int_equal(told_to_go(g, n + 1, &which), 1);
		assert_int_equal(which, 0);
		/* one that ends makes room, the one that was told to go has made his */
		user_conn_end(&g[0].conn, 0);
		user_conn_end(&g[1].conn, 0);
		guest_carries(&g[n + 1], u, 0);
		assert_int_equal(told_to_go(&g[2], n, &which), 0);
		/* the idle one goes before older ones */
		for (int k = 2; k < n + 2; k++)
			atomic_store(&g[k].conn.active, (k == 5 ? 1 : 90) * NSEC_SEC);
		guest_carries(&g[n + 2], u, 100 * NSEC_SEC);
		assert_int_equal(told_to_go(&g[2], n + 1, &which), 1);
		assert_int_equal(which + 2, 5);
		assert_int_equal(own.conn.why, 0); /* a connection is not their like */
		for (int k = 2; k < n + 3; k++)
			user_conn_end(&g[k].conn, 0);
		user_conn_end(&own.conn, 0);
		assert_int_equal(u->live->ncarriers, 0);
		assert_int_equal(u->live->nconns, 0);
		assert_int_equal(u->refs, 0);
		village_done(&v);
	}
}

static void a_conn_may_end_while_its_kick_is_on_the_way(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct user_worker w;
	struct village v;
	struct guest g[2];

	village_init(&v, NULL);
	village_apply(&v, "1:alice");
	user_worker_init(&w, l, v.counters, 0);
	for (int i = 0; i < 2; i++) {
		guest_init(&g[i], &w);
		assert_int_equal(
			user_conn_begin(&g[i].conn, village_find(&v, "alice"), NULL, false, 0), 0);
	}
	village_apply(&v, "");
	user_conn_end(&g[0].conn, 0);
	while (loop_turn(l, 0))
		;
	assert_int_equal(g[0].kicks, 0);
	assert_int_equal(g[1].kicks, 1);
	assert_int_equal(g[1].conn.why, -ERR_KICKED);
	user_conn_end(&g[1].conn, 0);
	assert_int_equal(user_registry_reap(v.reg, NULL, NULL), 0);
	user_worker_done(&w);
	village_done(&v);
	loop_free(l);
}

static void a_conn_is_at_most_64_bytes(void **state)
{
	assert_true(sizeof(struct user_conn) <= 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_limit_refuses_one_device_too_many),
		cmocka_unit_test(d1_devices_are_sources_normalised),
		cmocka_unit_test(d4_a_device_counts_for_a_while_after_it_left),
		cmocka_unit_test(d4_devices_elsewhere_count),
		cmocka_unit_test(the_number_of_remembered_devices_is_bounded),
		cmocka_unit_test(cl1_over_the_limit_the_oldest_goes),
		cmocka_unit_test(a_conn_may_be_counted_in_another_file_of_its_thread),
		cmocka_unit_test(cl1_idle_connections_go_before_older_ones),
		cmocka_unit_test(carriers_are_limited_among_themselves),
		cmocka_unit_test(a_conn_may_end_while_its_kick_is_on_the_way),
		cmocka_unit_test(a_conn_is_at_most_64_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
