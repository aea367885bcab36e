/* test_push.c - traffic to the panel: nothing lost, nothing twice, whatever the panel does
 * (TR2-TR10). */
#include "unit.h"

#include "base/json_value.h"
#include "fake.h"

static struct world w;

/* What the panel has billed: by user, with repeated report ids taken once when `idempotent`. */
static struct {
	uint64_t up[64], down[64];
	unsigned reports;
	bool idempotent;
	char keys[8192][64];
	size_t n_keys;
} bill;

/* A dialect that is like v2sp in everything but what a failed push means. */
static struct dialect piecemeal;

static uint32_t slots[64]; /* by user */

static int set_up(void **state)
{
	world_init(&w);
	memset(slots, 0xff, sizeof(slots)); /* COUNTERS_NO_SLOT */
	memset(&bill, 0, sizeof(bill));
	assert_int_equal(ledger_open(NULL, 1, &w.ledger, NULL), 0);
	assert_int_equal(ledger_node(w.ledger, "http://panel.test/node", 7, "trojan", &w.node), 0);
	piecemeal = dialect_v2sp;
	piecemeal.whole_push = false;
	return 0;
}

static int tear_down(void **state)
{
	world_done(&w);
	return 0;
}

static uint32_t slot_of(int64_t user)
{
	struct counters *c = ledger_counters(w.ledger);

	if (slots[user] == COUNTERS_NO_SLOT)
		assert_int_equal(counters_alloc(c, w.node, user, &slots[user]), 0);
	return slots[user];
}

static void move_bytes(int64_t user, uint64_t up, uint64_t down)
{
	counters_add(ledger_counters(w.ledger), 0, slot_of(user), TRAFFIC_UP, up);
	counters_add(ledger_counters(w.ledger), 0, slot_of(user), TRAFFIC_DOWN, down);
}

static bool is_billed(const struct asked *q)
{
	for (size_t i = 0; i < bill.n_keys; i++) {
		if (!strcmp(bill.keys[i], q->key))
			return true;
	}
	return false;
}

static void take_bill(const struct asked *q)
{
	struct json_value *doc, *u;
	struct arena a;
	int64_t id, n[2];

	if (bill.idempotent && is_billed(q))
		return;
	snprintf(bill.keys[bill.n_keys++], sizeof(bill.keys[0]), "%s", q->key);
	bill.reports++;
	arena_init(&a, 0);
	assert_int_equal(json_parse(q->body, strlen(q->body), 0, &a, &doc, NULL, NULL), 0);
	for (u = doc->child; u; u = u->next) {
		assert_int_equal(json_int_of_text(u->key, strlen(u->key), &id), 0);
		assert_int_equal(json_to_int(u->child, &n[0]), 0);
		assert_int_equal(json_to_int(u->child->next, &n[1]), 0);
		bill.up[id] += (uint64_t)n[0];
		bill.down[id] += (uint64_t)n[1];
	}
	arena_done(&a);
}

static bool bill_answers(struct fake_http *f, const struct asked *q, struct reply *r)
{
	if (q->what == TELL_TRAFFIC && !f->reply[TELL_TRAFFIC].err &&
	    f->reply[TELL_TRAFFIC].status < 300)
		take_bill(q);
	return false;
}

static void run_start(void)
{
	if (!w.http.answer)
		w.http.answer = bill_answers;
	world_start(&w);
	run_for(&w, 1);
}

static struct ledger_totals totals(void)
{
	struct ledger_totals t;

	assert_int_equal(ledger_totals(w.ledger, w.node, &t), 0);
	return t;
}

static void a_tick_reports_what_moved_and_no_more(void **state)
{
	run_start();
	move_bytes(1, 100, 2000);
	move_bytes(2, 7, 0);
	run_for(&w, 65);
	assert_int_equal(times_asked(&w, TELL_TRAFFIC, 0), 1);
	assert_string_equal(asked_nth(&w, TELL_TRAFFIC, 0)->body, "{\"1\":[100,2000],\"2\":[7,0]}");
	assert_int_equal(strlen(asked_nth(&w, TELL_TRAFFIC, 0)->key), 32);
	run_for(&w, 300);
	assert_int_equal(times_asked(&w, TELL_TRAFFIC, 0), 1); /* nothing to report: no request */
	assert_int_equal(totals().batches, 0);
}

static void what_waits_is_sent_again_with_the_same_id(void **state)
{
	const char *key;

	run_start();
	move_bytes(1, 100, 0);
	w.http.reply[TELL_TRAFFIC] = (struct reply){.status = 500};
	run_for(&w, 65);
	move_bytes(1, 5, 0);
	run_for(&w, 65);
	key = asked_nth(&w, TELL_TRAFFIC, 0)->key;
	assert_string_equal(asked_nth(&w, TELL_TRAFFIC, 1)->key, key);
	assert_string_equal(asked_nth(&w, TELL_TRAFFIC, 1)->body, "{\"1\":[100,0]}");
	assert_string_equal(asked_nth(&w, TELL_TRAFFIC, 2)->body,
			    "{\"1\":[5,0]}"); /* not held up */
	w.http.reply[TELL_TRAFFIC] = (struct reply){.body = ""};
	run_for(&w, 65);
	assert_int_equal(bill.up[1], 105);
	assert_int_equal(totals().batches, 0);
}

static void hours_without_panel_lose_nothing(void **state)
{
	uint64_t sent = 0;

	bill.idempotent = true;
	run_start();
	for (int a = 0; a < ASKS; a++)
		w.http.reply[a] = (struct reply){.err = -ECONNREFUSED, .no_body_sent = true};
	for (int minute = 0; minute < 300; minute++) {
		move_bytes(1 + minute % 5, 1000, 1);
		sent += 1000;
		run_for(&w, 60);
	}
	assert_in_range(totals().batches, 10, 11); /* then freezing waits */
	w.http.reply[TELL_TRAFFIC] = (struct reply){.body = "{}"};
	run_for(&w, 200);
	assert_int_equal(bill.up[1] + bill.up[2] + bill.up[3] + bill.up[4] + bill.up[5], sent);
	assert_int_equal(totals().batches, 0);
}

static void an_ambiguous_push_is_repeated_where_panels_take_it_once(void **state)
{
	bill.idempotent = true;
	run_start();
	move_bytes(1, 100, 0);
	w.http.reply[TELL_TRAFFIC] = (struct reply){.err = -ERR_TIMEOUT};
	run_for(&w, 65);
	/* taken, answer lost */
	w.http.reply[TELL_TRAFFIC] = (struct reply){.body = "<html>bad gateway</html>"};
	run_for(&w, 65);
	assert_int_equal(bill.up[1], 100);
	assert_int_equal(totals().batches, 1);
	w.http.reply[TELL_TRAFFIC] = (struct reply){.body = "{}"};
	run_for(&w, 65);
	assert_int_equal(times_asked(&w, TELL_TRAFFIC, 0), 3);
	assert_int_equal(bill.up[1], 100);
	assert_int_equal(totals().batches, 0);
	for (size_t i = 1; i < 3; i++)
		assert_string_equal(asked_nth(&w, TELL_TRAFFIC, i)->key,
				    asked_nth(&w, TELL_TRAFFIC, 0)->key);
}

static void an_ambiguous_push_is_dropped_where_a_repeat_bills_twice(void **state)
{
	struct sync_status st;

	w.conf.dialect = &piecemeal;
	run_start();
	move_bytes(1, 100, 50);
	w.http.reply[TELL_TRAFFIC] =
		(struct reply){.status = 500, .body = "{\"message\":\"Server Error\"}"};
	run_for(&w, 70);
	w.http.reply[TELL_TRAFFIC] = (struct reply){.body = ""};
	run_for(&w, 130);
	assert_int_equal(times_asked(&w, TELL_TRAFFIC, 0), 1);
	assert_int_equal(totals().batches, 0);
	assert_int_equal(totals().dead_letters, 1);
	sync_node_status(w.n, &st);
	assert_int_equal(st.dropped_up, 100);
	assert_int_equal(st.dropped_down, 50);
}

static void a_panel_that_is_down_as_a_whole_took_nothing(void **state)
{
	w.conf.dialect = &piecemeal;
	run_start();
	move_bytes(1, 100, 0);
	for (int a = 0; a < ASKS; a++)
		w.http.reply[a] =
			(struct reply){.status = 500, .body = "{\"message\":\"Server Error\"}"};
	run_for(&w, 600);
	assert_int_equal(totals().dead_letters, 0);
	assert_int_equal(totals().batches, 1);
	w.http.reply[ASK_CONFIG] = (struct reply){.body = CONFIG_BODY};
	w.http.reply[ASK_USERS] = (struct reply){.body = USERS_BODY};
	w.http.reply[TELL_TRAFFIC] = (struct reply){.body = ""};
	run_for(&w, 130);
	assert_int_equal(bill.up[1], 100);
	assert_int_equal(totals().dead_letters, 0);
}

static void a_definite_failure_is_kept_by_every_dialect(void **state)
{
	w.conf.dialect = &piecemeal;
	run_start();
	move_bytes(1, 100, 0);
	w.http.reply[TELL_TRAFFIC] = (struct reply){.err = -ECONNREFUSED, .no_body_sent = true};
	run_for(&w, 65);
	w.http.reply[TELL_TRAFFIC] =
		(struct reply){.status = 500, .body = "{\"message\":\"token is error\"}"};
	run_for(&w, 65);
	w.http.reply[TELL_TRAFFIC] = (struct reply){.status = 503};
	run_for(&w, 65);
	w.http.reply[TELL_TRAFFIC] = (struct reply){.body = "{\"ret\":0}"};
	run_for(&w, 65);
	assert_int_equal(totals().batches, 1);
	bill.up[1] = 0; /* the fake bills before it says ret 0 */
	w.http.reply[TELL_TRAFFIC] = (struct reply){.body = ""};
	run_for(&w, 65);
	assert_int_equal(bill.up[1], 100);
}

static void the_policy_may_be_chosen(void **state)
{
	w.conf.ambiguous = SYNC_AMBIGUOUS_DROP;
	run_start();
	move_bytes(1, 100, 0);
	w.http.reply[TELL_TRAFFIC] = (struct reply){.err = -ERR_TIMEOUT};
	run_for(&w, 130);
	assert_int_equal(totals().dead_letters, 1);
}

/* 413 as long as a report names more than two users. */
static bool at_most_two(struct fake_http *f, const struct asked *q, struct reply *r)
{
	unsigned users = 0;

	if (q->what != TELL_TRAFFIC)
		return false;
	for (const char *s = q->body; (s = strchr(s, '[')); s++)
		users++;
	*r = (struct reply){.status = users > 2 ? 413 : 200};
	if (r->status == 200)
		take_bill(q);
	return true;
}

static void a_report_that_is_too_large_is_split_until_it_fits(void **state)
{
	w.http.answer = at_most_two;
	run_start();
	for (int u = 1; u <= 13; u++)
		move_bytes(u, (uint64_t)u, 0);
	run_for(&w, 600);
	for (int u = 1; u <= 13; u++)
		assert_int_equal(bill.up[u], u);
	assert_int_equal(totals().batches, 0);
	assert_int_equal(totals().dead_letters, 0);
}

/* User 3 is poison. */
static bool never_three(struct fake_http *f, const struct asked *q, struct reply *r)
{
	if (q->what != TELL_TRAFFIC)
		return false;
	*r = (struct reply){.status = strstr(q->body, "\"3\":") ? 422 : 200};
	if (r->status == 200)
		take_bill(q);
	return true;
}

static void one_refused_user_ends_among_the_dead_letters(void **state)
{
	w.http.answer = never_three;
	run_start();
	for (int u = 1; u <= 5; u++)
		move_bytes(u, 10, 0);
	run_for(&w, 130);
	assert_int_equal(bill.up[1], 0); /* refused twice: not split yet */
	run_for(&w, 1500);
	assert_int_equal(totals().batches, 0);
	assert_int_equal(totals().dead_letters, 1);
	for (int u = 1; u <= 5; u++)
		assert_int_equal(bill.up[u], u == 3 ? 0 : 10);
}

static void little_traffic_waits_until_it_is_enough(void **state)
{
	w.conf.report_min_kib = 1;
	run_start();
	move_bytes(1, 1024, 0);
	run_for(&w, 65);
	assert_int_equal(times_asked(&w, TELL_TRAFFIC, 0), 0); /* not greater than */
	move_bytes(1, 1, 0);
	run_for(&w, 65);
	assert_int_equal(bill.up[1], 1025);
}

static void large_reports_are_cut(void **state)
{
	w.conf.push_batch_users = 4;
	run_start();
	for (int u = 1; u <= 10; u++)
		move_bytes(u, 10, 0);
	run_for(&w, 65);
	assert_int_equal(times_asked(&w, TELL_TRAFFIC, 0), 3);
	for (int u = 1; u <= 10; u++)
		assert_int_equal(bill.up[u], 10);
}

static void retry_after_holds_reports_back(void **state)
{
	run_start();
	move_bytes(1, 10, 0);
	w.http.reply[TELL_TRAFFIC] = (struct reply){.status = 429, .retry_after = "200"};
	run_for(&w, 65);
	w.http.reply[TELL_TRAFFIC] = (struct reply){.body = ""};
	run_for(&w, 190);
	assert_int_equal(bill.up[1], 0);
	run_for(&w, 80);
	assert_int_equal(bill.up[1], 10);
}

static void what_was_in_flight_at_a_crash_follows_the_policy(void **state)
{
	struct ledger_freeze how = {.always = true};
	struct ledger_batch b;

	move_bytes(1, 10, 0);
	assert_int_equal(ledger_freeze(w.ledger, w.node, &how), 1);
	assert_int_equal(ledger_batches(w.ledger, w.node, &b, 1), 1);
	assert_int_equal(ledger_sending(w.ledger, b.seq), 0);
	w.conf.dialect = &piecemeal;
	run_start();
	run_for(&w, 65);
	assert_int_equal(times_asked(&w, TELL_TRAFFIC, 0), 0);
	assert_int_equal(totals().dead_letters, 1);
	assert_int_equal(totals().batches, 0);
}

static void what_was_in_flight_is_sent_again_where_that_is_safe(void **state)
{
	struct ledger_freeze how = {.always = true};
	struct ledger_batch b;

	move_bytes(1, 10, 0);
	assert_int_equal(ledger_freeze(w.ledger, w.node, &how), 1);
	assert_int_equal(ledger_batches(w.ledger, w.node, &b, 1), 1);
	assert_int_equal(ledger_sending(w.ledger, b.seq), 0);
	run_start();
	run_for(&w, 65);
	assert_int_equal(bill.up[1], 10);
}

static void online_addresses_follow_the_traffic(void **state)
{
	w.conf.online_min_kb = 200;
	w.target.online = 2;
	run_start();
	move_bytes(1, 1, 1);
	run_for(&w, 65);
	assert_string_equal(asked_nth(&w, TELL_ONLINE, 0)->body,
			    "{\"1\":[\"198.51.100.7\"],\"2\":[\"198.51.100.7\"]}");
	assert_true(asked_nth(&w, TELL_ONLINE, 0)->at > asked_nth(&w, TELL_TRAFFIC, 0)->at);
	assert_int_equal(w.target.online_min, 200000);
	w.http.reply[TELL_ONLINE] = (struct reply){.err = -ERR_TIMEOUT};
	run_for(&w, 65);
	assert_int_equal(times_asked(&w, TELL_ONLINE, 0), 2); /* not repeated */
	w.target.online = 0;
	run_for(&w, 130);
	assert_int_equal(times_asked(&w, TELL_ONLINE, 0), 2); /* nobody: no request */
}

static void a_panel_without_alive_is_left_alone_for_an_hour(void **state)
{
	piecemeal.may_lack_alive = true;
	w.conf.dialect = &piecemeal;
	w.target.online = 1;
	w.http.reply[TELL_ONLINE] = w.http.reply[ASK_ALIVE] = (struct reply){.status = 404};
	run_start();
	run_for(&w, 3000);
	assert_int_equal(times_asked(&w, TELL_ONLINE, 0), 2);
	assert_int_equal(times_asked(&w, ASK_ALIVE, 0), 2);
	run_for(&w, 1200);
	assert_int_equal(times_asked(&w, TELL_ONLINE, 0), 4);
	assert_int_equal(w.target.users, 2);
}

static void the_panel_sets_thresholds_too(void **state)
{
	w.http.reply[ASK_CONFIG] = (struct reply){
		.body = "{\"node_type\":\"trojan\",\"server_port\":443,\"base_config\":{\"push_"
			"interval\":10,"
			"\"node_report_min_traffic\":5,\"device_online_min_traffic\":3}}"};
	w.conf.report_min_kib = 0;
	w.target.online = 1;
	run_start();
	move_bytes(1, 5000, 0);
	run_for(&w, 12);
	assert_int_equal(w.target.online_min, 3000);
	assert_int_equal(bill.up[1], 0);
	move_bytes(1, 1, 0);
	run_for(&w, 12);
	assert_int_equal(bill.up[1], 5001);
}

#define QUOTA_BODY(used)                                                                           \
	"{\"users\":[{\"id\":1,\"uuid\":\"a\",\"u\":" used ",\"d\":100,\"transfer_enable\":1000}," \
	"{\"id\":2,\"uuid\":\"b\",\"u\":5000,\"d\":0,\"transfer_enable\":0}]}"

static void who_has_spent_a_quota_is_left_out(void **state)
{
	w.conf.enforce_quota = true;
	w.http.reply[ASK_USERS] = (struct reply){.body = QUOTA_BODY("100")};
	run_start();
	move_bytes(1, 400, 399);
	run_for(&w, 65);
	assert_int_equal(bill.up[1], 400);
	assert_int_equal(w.target.users, 2);
	move_bytes(1, 0, 1);
	run_for(&w, 65);
	assert_int_equal(bill.down[1], 400); /* taken, and the panel's list does not say so yet */
	assert_int_equal(w.target.users, 1);
	run_for(&w, 120);
	assert_int_equal(w.target.users, 1);
	w.http.reply[ASK_USERS] = (struct reply){.body = QUOTA_BODY("900")};
	run_for(&w, 65);
	assert_int_equal(w.target.users, 1);
	w.http.reply[ASK_USERS] = (struct reply){.body = QUOTA_BODY("0")}; /* a new month */
	run_for(&w, 65);
	assert_int_equal(w.target.users, 2);
}

/* --- the end --------------------------------------------------------------------------------- */

static void stopping_reports_the_rest(void **state)
{
	w.conf.report_min_kib = 1000;
	run_start();
	move_bytes(1, 7, 0);
	sync_stop(w.sync, 10 * NSEC_SEC, on_stopped_world, &w);
	assert_false(w.stopped);
	run_for(&w, 1);
	assert_true(w.stopped);
	assert_int_equal(bill.up[1], 7);
	assert_int_equal(phase_of(&w), SYNC_STOPPED);
	run_for(&w, 300);
	assert_int_equal(times_asked(&w, TELL_TRAFFIC, 0), 1);
}

static void stopping_keeps_to_its_budget_and_the_ledger_the_rest(void **state)
{
	run_start();
	move_bytes(1, 7, 0);
	w.http.reply[TELL_TRAFFIC].latency = 3600 * NSEC_SEC;
	sync_stop(w.sync, 10 * NSEC_SEC, on_stopped_world, &w);
	run_for(&w, 9);
	assert_false(w.stopped);
	run_for(&w, 2);
	assert_true(w.stopped);
	assert_int_equal(totals().batches, 1);
	assert_int_equal(totals().frozen.up, 7);
}

static void stopping_lets_a_push_under_way_finish(void **state)
{
	run_start();
	move_bytes(1, 7, 0);
	w.http.reply[TELL_TRAFFIC].latency = 3 * NSEC_SEC;
	run_for(&w, 62.5);
	assert_int_equal(w.http.in_flight, 1);
	move_bytes(1, 5, 0);
	sync_stop(w.sync, 10 * NSEC_SEC, on_stopped_world, &w);
	run_for(&w, 8);
	assert_true(w.stopped);
	assert_int_equal(times_asked(&w, TELL_TRAFFIC, 0), 2);
	assert_int_equal(bill.up[1], 12);
}

static void stopping_with_nothing_to_say_is_quick(void **state)
{
	run_start();
	sync_stop(w.sync, 10 * NSEC_SEC, on_stopped_world, &w);
	run_for(&w, 0.1);
	assert_true(w.stopped);
}

static void one_node_stops_and_the_other_goes_on(void **state)
{
	struct fake_target second = w.target;
	struct sync_node_conf conf = w.conf;
	struct sync_node *m;
	size_t before;

	run_start();
	conf.panel.node_id = "8";
	assert_int_equal(
		ledger_node(w.ledger, "http://panel.test/node", 8, "trojan", &conf.ledger_node), 0);
	assert_int_equal(sync_add(w.sync, &conf, &second.base, &m), 0);
	run_for(&w, 5);
	sync_node_stop(w.n, NSEC_SEC, on_stopped_world, &w);
	run_for(&w, 1);
	assert_true(w.stopped);
	sync_node_free(w.n);
	before = w.http.n;
	run_for(&w, 70);
	assert_int_equal(times_asked(&w, ASK_CONFIG, before), 1);
	assert_ptr_equal(sync_first(w.sync), m);
	assert_null(sync_next(m));
	w.n = m;
}

/* Random trouble for a day, then a good hour: every byte is billed once, or known to be lost. */
static uint32_t dice(void)
{
	uint32_t r;

	loop_random(w.loop, &r, sizeof(r));
	return r;
}

static bool moody(struct fake_http *f, const struct asked *q, struct reply *r)
{
	static const int statuses[] = {200, 200, 200, 400, 413, 422, 429, 500, 502, 503, 504};

	if (q->what != TELL_TRAFFIC) {
		if (dice() % 4)
			return false;
		*r = (struct reply){.status = 502};
		return true;
	}
	if (is_billed(q)) { /* a repeat gets the answer that was stored */
		*r = (struct reply){.status = 200};
		return true;
	}
	*r = (struct reply){.status = statuses[dice() % ARRAY_LEN(statuses)], .body = ""};
	if (dice() % 8 == 0)
		*r = (struct reply){.err = -ECONNREFUSED, .no_body_sent = true};
	if (r->status == 200 || dice() % 8 == 0) { /* taken, though the answer may not say so */
		if (dice() % 4 == 0)
			*r = (struct reply){.err = -ERR_TIMEOUT};
		if (r->err != -ECONNREFUSED && (r->err || r->status == 200))
			take_bill(q);
	}
	return true;
}

static void a_day_of_trouble_bills_every_byte_once(void **state)
{
	uint64_t moved[6] = {0}, lost;

	bill.idempotent = true;
	w.http.answer = moody;
	world_start(&w);
	for (int minute = 0; minute < 1440; minute++) {
		int64_t u = 1 + dice() % 5;
		uint64_t bytes = dice() % 100000;

		move_bytes(u, bytes, 0);
		moved[u] += bytes;
		run_for(&w, 60);
	}
	w.http.answer = bill_answers;
	run_for(&w, 3600);
	assert_int_equal(totals().batches, 0);
	lost = totals().dead.up;
	for (int u = 1; u <= 5; u++) {
		assert_true(bill.up[u] <= moved[u]);
		lost -= moved[u] - bill.up[u];
	}
	assert_int_equal(lost, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_tick_reports_what_moved_and_no_more),
		T(what_waits_is_sent_again_with_the_same_id),
		T(hours_without_panel_lose_nothing),
		T(an_ambiguous_push_is_repeated_where_panels_take_it_once),
		T(an_ambiguous_push_is_dropped_where_a_repeat_bills_twice),
		T(a_panel_that_is_down_as_a_whole_took_nothing),
		T(a_definite_failure_is_kept_by_every_dialect),
		T(the_policy_may_be_chosen),
		T(a_report_that_is_too_large_is_split_until_it_fits),
		T(one_refused_user_ends_among_the_dead_letters),
		T(little_traffic_waits_until_it_is_enough),
		T(large_reports_are_cut),
		T(retry_after_holds_reports_back),
		T(what_was_in_flight_at_a_crash_follows_the_policy),
		T(what_was_in_flight_is_sent_again_where_that_is_safe),
		T(online_addresses_follow_the_traffic),
		T(a_panel_without_alive_is_left_alone_for_an_hour),
		T(the_panel_sets_thresholds_too),
		T(who_has_spent_a_quota_is_left_out),
		T(stopping_reports_the_rest),
		T(stopping_keeps_to_its_budget_and_the_ledger_the_rest),
		T(stopping_lets_a_push_under_way_finish),
		T(stopping_with_nothing_to_say_is_quick),
		T(one_node_stops_and_the_other_goes_on),
		T(a_day_of_trouble_bills_every_byte_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
