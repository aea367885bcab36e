#include "users.h"

static void added_users_are_found_by_key(void **state)
{
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice 2:bob");
	assert_int_equal(v.changes.added, 2);
	assert_int_equal(user_id(village_find(&v, "alice")), 1);
	assert_int_equal(user_id(village_find(&v, "bob")), 2);
	assert_null(village_find(&v, "carol"));
	assert_null(look_up(NULL, "alice"));
	assert_ptr_equal(user_registry_find(v.reg, 2), village_find(&v, "bob"));
	assert_null(user_registry_find(v.reg, 3));
	assert_int_equal(user_table_count(v.table), 2);
	assert_string_equal(user_credential(village_find(&v, "bob")), "bob");
	village_done(&v);
}

static void u1_the_same_pair_is_the_same_user(void **state)
{
	struct user *alice;
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice 2:bob");
	alice = village_find(&v, "alice");
	assert_null(village_pull(&v, "2:bob 1:alice")); /* order is no change */
	assert_int_equal(v.changes.kept, 2);
	village_apply(&v, "3:carol 1:alice");
	assert_ptr_equal(village_find(&v, "alice"), alice);
	assert_int_equal(v.changes.added, 1);
	assert_int_equal(v.changes.removed, 1);
	assert_int_equal(v.changes.kept, 1);
	assert_int_equal(user_registry_reap(v.reg, NULL, NULL), 0);
	village_done(&v);
}

static void u2_a_new_credential_is_a_new_user(void **state)
{
	struct user_conn conn;
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice");
	user_conn_init(&conn, NULL, NULL);
	assert_int_equal(user_conn_begin(&conn, village_find(&v, "alice"), NULL, false, 0), 0);
	village_apply(&v, "1:secret");
	assert_int_equal(v.changes.added, 1);
	assert_int_equal(v.changes.removed, 1);
	assert_int_equal(conn.why, -ERR_KICKED);
	assert_null(village_find(&v, "alice"));
	assert_int_equal(user_id(village_find(&v, "secret")), 1);
	assert_int_equal(user_registry_reap(v.reg, NULL, NULL), 1); /* still connected */
	user_conn_end(&conn, 0);
	assert_int_equal(user_registry_reap(v.reg, NULL, NULL), 0);
	village_done(&v);
}

static uint32_t settled[64];
static size_t nsettled;
static int settle_answer;

static int note_settled(void *arg, const uint32_t *slots, size_t n)
{
	if (settle_answer)
		return settle_answer;
	for (size_t i = 0; i < n; i++)
		settled[nsettled++] = slots[i];
	return 0;
}

static void u2_a_new_id_moves_the_accounting_and_keeps_connections(void **state)
{
	struct counters_owner owner;
	struct user_worker w;
	struct user_conn conn;
	struct traffic t;
	struct user *u;
	struct village v;
	uint32_t before;

	village_init(&v, NULL);
	village_apply(&v, "1:alice");
	u = village_find(&v, "alice");
	before = u->slot;
	user_worker_init(&w, NULL, v.counters, 0);
	user_conn_init(&conn, &w, NULL);
	assert_int_equal(user_conn_begin(&conn, u, NULL, false, 0), 0);
	user_conn_count(&conn, TRAFFIC_UP, 100, 0);

	village_apply(&v, "9:alice");
	assert_int_equal(v.changes.rekeyed, 1);
	assert_ptr_equal(village_find(&v, "alice"), u);
	assert_ptr_equal(user_registry_find(v.reg, 9), u);
	assert_null(user_registry_find(v.reg, 1));
	assert_int_equal(conn.why, 0);
	user_conn_count(&conn, TRAFFIC_UP, 7, 0);
	assert_int_not_equal(u->slot, before);
	counters_owner(v.counters, u->slot, &owner);
	assert_int_equal(owner.user, 9);
	counters_total(v.counters, u->slot, &t);
	assert_int_equal(t.up, 7);
	counters_total(v.counters, before, &t);
	assert_int_equal(t.up, 100);

	nsettled = 0;
	assert_int_equal(user_registry_reap(v.reg, note_settled, NULL), 0);
	assert_int_equal(nsettled, 1);
	assert_int_equal(settled[0], before);
	user_conn_end(&conn, 0);
	user_worker_done(&w);
	village_done(&v);
}

static void u2_two_users_may_swap_ids(void **state)
{
	struct user *a, *b;
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice 2:bob");
	a = village_find(&v, "alice");
	b = village_find(&v, "bob");
	village_apply(&v, "1:bob 2:alice");
	assert_int_equal(v.changes.rekeyed, 2);
	assert_int_equal(v.changes.added + v.changes.removed, 0);
	assert_int_equal(user_id(a), 2);
	assert_int_equal(user_id(b), 1);
	assert_ptr_equal(user_registry_find(v.reg, 1), b);
	village_done(&v);
}

/* A node's cipher has changed: the same people with other keys, from what the registry knows. */
static void renewed_users_are_new_ones_with_the_same_limits(void **state)
{
	struct user_publication *pub = NULL;
	struct user_list mine;
	struct user *alice;
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice/100/3/4 2:bob");
	alice = village_find(&v, "alice");
	user_list_init(&mine);
	assert_int_equal(user_registry_list(v.reg, &mine), 0);
	user_registry_renew(v.reg, true);
	assert_int_equal(user_registry_apply(v.reg, &mine, &v.changes, &pub), 0);
	user_registry_renew(v.reg, false);
	user_list_done(&mine);
	assert_non_null(pub);
	assert_int_equal(v.changes.added, 2);
	assert_int_equal(v.changes.removed, 2);
	v.table = pub->table;
	assert_ptr_not_equal(village_find(&v, "alice"), alice);
	assert_int_equal(user_id(village_find(&v, "alice")), 1);
	assert_int_equal(village_find(&v, "alice")->conn_limit, 4);
	assert_int_equal(village_find(&v, "alice")->device_limit, 3);
	assert_int_equal(rate_get(&village_find(&v, "alice")->rate[TRAFFIC_UP]),
			 rate_get(&alice->rate[TRAFFIC_UP]));
	pub->acks = 1;
	assert_true(user_publication_ack(pub));
	assert_int_equal(user_registry_reap(v.reg, NULL, NULL), 0);
	assert_null(village_pull(&v, "1:alice/100/3/4 2:bob")); /* and stay */
	village_done(&v);
}

static void u3_limits_change_in_place(void **state)
{
	struct user *u;
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice/100/3/4 2:bob");
	u = village_find(&v, "alice");
	assert_int_equal(rate_get(&u->rate[TRAFFIC_UP]), 12500000);
	assert_int_equal(u->device_limit, 3);
	assert_int_equal(u->conn_limit, 4);
	assert_null(village_pull(&v, "1:alice/8/0/9 2:bob"));
	assert_int_equal(v.changes.changed, 1);
	assert_int_equal(v.changes.kept, 1);
	assert_int_equal(rate_get(&u->rate[TRAFFIC_DOWN]), 1000000);
	assert_int_equal(u->device_limit, 0);
	assert_int_equal(u->conn_limit, 9);
	village_done(&v);
}

static void u4_the_first_of_a_duplicate_is_kept(void **state)
{
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice 1:mallory 2:alice 3:bob");
	assert_int_equal(v.changes.duplicates, 2);
	assert_int_equal(v.changes.added, 2);
	assert_int_equal(user_id(village_find(&v, "alice")), 1);
	assert_null(village_find(&v, "mallory"));
	/* also when the old user is further down */
	village_apply(&v, "5:alice 1:alice 3:bob");
	assert_int_equal(v.changes.rekeyed, 1);
	assert_int_equal(v.changes.duplicates, 1);
	assert_int_equal(user_id(village_find(&v, "alice")), 5);
	village_done(&v);
}

static void u4_two_spellings_of_one_key_are_a_duplicate(void **state)
{
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:a-b 2:ab");
	assert_int_equal(v.changes.duplicates, 1);
	assert_int_equal(user_id(village_find(&v, "ab")), 1);
	village_done(&v);
}

static void u5_an_invalid_user_is_skipped_and_counted(void **state)
{
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "0:alice -4:bob 3:badcred 4: 5:much-too-long 6:carol");
	assert_int_equal(v.changes.invalid, 5);
	assert_int_equal(v.changes.added, 1);
	village_done(&v);
}

/* Somebody moves to another id, or to another cipher, in the moment when a digest fails. */
static void u5_who_could_not_be_looked_at_is_not_an_invalid_user(void **state)
{
	static const int mishaps[] = {-ENOMEM, -ERR_CRYPTO};
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice 2:unlucky");
	for (size_t i = 0; i < ARRAY_LEN(mishaps); i++) {
		struct user *u = village_find(&v, "unlucky");
		struct user_publication *pub = NULL;
		struct user_list l;

		v.mishap = mishaps[i];
		list_of(&l, "1:alice 9:unlucky 3:carol");
		assert_int_equal(user_registry_apply(v.reg, &l, &v.changes, &pub), v.mishap);
		assert_null(pub);
		assert_null(user_registry_find(v.reg, 3));
		assert_ptr_equal(user_registry_find(v.reg, 2), u);
		user_registry_renew(v.reg, true);
		assert_int_equal(user_registry_apply(v.reg, &l, &v.changes, &pub), v.mishap);
		user_registry_renew(v.reg, false);
		assert_null(pub);
		assert_ptr_equal(user_registry_find(v.reg, 2), u);
		user_list_done(&l);
		v.mishap = 0;
		village_apply(&v, "1:alice 9:unlucky 3:carol");
		assert_int_equal(v.changes.rekeyed, 1);
		assert_int_equal(v.changes.removed, 0);
		assert_ptr_equal(user_registry_find(v.reg, 9), u);
		village_apply(&v, "1:alice 2:unlucky");
	}
	v.mishap = -ERR_MALFORMED;
	village_apply(&v, "1:alice 9:unlucky");
	assert_int_equal(v.changes.invalid, 1);
	assert_int_equal(v.changes.removed, 1);
	assert_int_equal(user_registry_reap(v.reg, NULL, NULL), 0);
	village_done(&v);
}

static void u6_an_empty_list_removes_everybody(void **state)
{
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice 2:bob");
	village_apply(&v, "");
	assert_int_equal(v.changes.removed, 2);
	assert_int_equal(user_table_count(v.table), 0);
	assert_null(village_find(&v, "alice"));
	assert_int_equal(user_registry_reap(v.reg, NULL, NULL), 0);
	village_done(&v);
}

static void u7_additions_come_before_removals(void **state)
{
	const struct user_table *old, *new;
	struct user_publication *pub;
	struct user_conn conn;
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:alice");
	old = v.table;
	pub = village_pull(&v, "2:bob");
	new = pub->table;
	pub->acks = 2;
	assert_false(user_publication_ack(pub)); /* one worker has changed over */
	user_conn_init(&conn, NULL, NULL);
	assert_int_equal(user_conn_begin(&conn, look_up(new, "bob"), NULL, false, 0), 0);
	user_conn_end(&conn, 0);
	/* the other has not, and serves the old user as before */
	assert_int_equal(user_conn_begin(&conn, look_up(old, "alice"), NULL, false, 0), 0);
	assert_int_equal(conn.why, 0);
	assert_true(user_publication_ack(pub));
	assert_int_equal(conn.why, -ERR_KICKED);
	user_conn_end(&conn, 0);
	assert_int_equal(user_registry_reap(v.reg, NULL, NULL), 0);
	village_done(&v);
}

static void u8_a_removed_user_is_settled_after_its_last_connection(void **state)
{
	struct user_conn conn, late;
	struct user *u;
	struct village v;
	uint32_t slot;

	village_init(&v, NULL);
	village_apply(&v, "1:alice");
	u = village_find(&v, "alice");
	slot = u->slot;
	user_conn_init(&conn, NULL, NULL);
	user_conn_init(&late, NULL, NULL);
	assert_int_equal(user_conn_begin(&conn, u, NULL, false, 0), 0);
	assert_true(user_get(u)); /* somebody is still authenticating */
	village_apply(&v, "");
	assert_int_equal(user_conn_begin(&late, u, NULL, false, 0), -ERR_KICKED);
	assert_false(user_get(u));

	nsettled = 0;
	assert_int_equal(user_registry_reap(v.reg, note_settled, NULL), 1);
	user_conn_end(&conn, 0);
	assert_int_equal(user_registry_reap(v.reg, note_settled, NULL), 1);
	assert_int_equal(nsettled, 0);
	user_put(u);
	/* the ledger fails: nothing is freed, the next time does it */
	settle_answer = -ERR_DATABASE;
	assert_int_equal(user_registry_reap(v.reg, note_settled, NULL), -ERR_DATABASE);
	settle_answer = 0;
	assert_int_equal(user_registry_reap(v.reg, note_settled, NULL), 0);
	assert_int_equal(nsettled, 1);
	assert_int_equal(settled[0], slot);
	village_done(&v);
}

static void several_publications_may_be_under_way(void **state)
{
	struct user_publication *one, *two, *three;
	struct village v;

	village_init(&v, NULL);
	one = village_pull(&v, "1:alice");
	two = village_pull(&v, "2:bob");
	three = village_pull(&v, "1:alice 2:bob 3:carol");
	one->acks = two->acks = three->acks = 1;
	assert_true(user_publication_ack(one));
	assert_true(user_publication_ack(two));
	v.table = three->table;
	assert_true(user_publication_ack(three));
	assert_int_equal(user_registry_reap(v.reg, NULL, NULL), 0);
	assert_int_equal(user_id(village_find(&v, "alice")), 1);
	village_done(&v);
}

static void sl1_the_smallest_speed_limit_wins(void **state)
{
	struct user_rules rules = {.speed_bps = 50000000};
	struct user *a, *b, *c;
	struct village v;

	village_init(&v, &rules);
	village_apply(&v, "1:a/100 2:b/8 3:c");
	a = village_find(&v, "a");
	b = village_find(&v, "b");
	c = village_find(&v, "c");
	assert_int_equal(rate_get(&a->rate[0]), 6250000);
	assert_int_equal(rate_get(&b->rate[0]), 1000000);
	assert_int_equal(rate_get(&c->rate[0]), 6250000);
	user_registry_set_dynamic(v.reg, a, 4000000);
	assert_int_equal(rate_get(&a->rate[0]), 500000);
	assert_null(village_pull(&v, "1:a/100 2:b/8 3:c")); /* a pull does not lift it */
	assert_int_equal(rate_get(&a->rate[0]), 500000);
	user_registry_set_dynamic(v.reg, a, 0);
	assert_int_equal(rate_get(&a->rate[0]), 6250000);
	rules.speed_bps = 0;
	rules.sum = true;
	user_registry_set_rules(v.reg, &rules);
	assert_int_equal(rate_get(&a->rate[0]), 12500000);
	assert_int_equal(rate_get(&c->rate[0]), 0);
	assert_true(a->sum);
	village_done(&v);
}

static void cl2_the_users_own_limit_wins_over_the_default(void **state)
{
	struct user_rules rules = {.device_limit = 3, .conn_limit = 20};
	struct village v;

	village_init(&v, &rules);
	village_apply(&v, "1:a/0/5/50 2:b");
	assert_int_equal(village_find(&v, "a")->device_limit, 5);
	assert_int_equal(village_find(&v, "a")->conn_limit, 50);
	assert_int_equal(village_find(&v, "b")->device_limit, 3);
	assert_int_equal(village_find(&v, "b")->conn_limit, 20);
	village_done(&v);
}

static void who_moves_much_is_capped_for_a_while(void **state)
{
	struct user_dynamic rule = {.bytes = 1000, .speed_bps = 8000000, .expire = 100 * NSEC_SEC};
	struct user *a, *b;
	struct village v;

	village_init(&v, NULL);
	village_apply(&v, "1:a/100 2:b");
	a = village_find(&v, "a");
	b = village_find(&v, "b");
	user_registry_dynamic(v.reg, &rule, 60 * NSEC_SEC);
	counters_add(v.counters, 0, a->slot, TRAFFIC_UP, 600);
	counters_add(v.counters, 1, a->slot, TRAFFIC_DOWN, 400);
	counters_add(v.counters, 0, b->slot, TRAFFIC_UP, 999);
	user_registry_dynamic(v.reg, &rule, 120 * NSEC_SEC);
	assert_int_equal(rate_get(&a->rate[0]), 1000000);
	assert_int_equal(rate_get(&b->rate[0]), 0);
	counters_add(v.counters, 0, b->slot, TRAFFIC_UP, 999); /* the sum restarts at each look */
	user_registry_dynamic(v.reg, &rule, 180 * NSEC_SEC);
	assert_int_equal(rate_get(&a->rate[0]), 1000000);
	assert_int_equal(rate_get(&b->rate[0]), 0);
	village_apply(&v, "9:a/100 2:b"); /* a new id is no way out */
	user_registry_dynamic(v.reg, &rule, 200 * NSEC_SEC);
	assert_int_equal(rate_get(&a->rate[0]), 1000000);
	user_registry_dynamic(v.reg, &rule, 300 * NSEC_SEC);
	assert_int_equal(rate_get(&a->rate[0]), 12500000);
	counters_add(v.counters, 0, a->slot, TRAFFIC_UP, 1000);
	user_registry_dynamic(v.reg, &rule, 360 * NSEC_SEC);
	assert_int_equal(rate_get(&a->rate[0]), 1000000);
	user_registry_dynamic(v.reg, NULL, 361 * NSEC_SEC);
	assert_int_equal(rate_get(&a->rate[0]), 12500000);
	assert_int_equal(user_registry_reap(v.reg, NULL, NULL), 0);
	village_done(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(added_users_are_found_by_key),
		cmocka_unit_test(u1_the_same_pair_is_the_same_user),
		cmocka_unit_test(u2_a_new_credential_is_a_new_user),
		cmocka_unit_test(u2_a_new_id_moves_the_accounting_and_keeps_connections),
		cmocka_unit_test(u2_two_users_may_swap_ids),
		cmocka_unit_test(renewed_users_are_new_ones_with_the_same_limits),
		cmocka_unit_test(u3_limits_change_in_place),
		cmocka_unit_test(u4_the_first_of_a_duplicate_is_kept),
		cmocka_unit_test(u4_two_spellings_of_one_key_are_a_duplicate),
		cmocka_unit_test(u5_an_invalid_user_is_skipped_and_counted),
		cmocka_unit_test(u5_who_could_not_be_looked_at_is_not_an_invalid_user),
		cmocka_unit_test(u6_an_empty_list_removes_everybody),
		cmocka_unit_test(u7_additions_come_before_removals),
		cmocka_unit_test(u8_a_removed_user_is_settled_after_its_last_connection),
		cmocka_unit_test(several_publications_may_be_under_way),
		cmocka_unit_test(sl1_the_smallest_speed_limit_wins),
		cmocka_unit_test(who_moves_much_is_capped_for_a_while),
		cmocka_unit_test(cl2_the_users_own_limit_wins_over_the_default),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
