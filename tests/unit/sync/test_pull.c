/* test_pull.c - the scheduler's questions: order, validators, back-off, gates
 * (panel-apis 2.4, 2.5). */
#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "fake.h"

static struct world w;

static int set_up(void **state)
{
	world_init(&w);
	return 0;
}

static int tear_down(void **state)
{
	world_done(&w);
	return 0;
}

static void start_asks_config_users_alive_and_applies_once(void **state)
{
	world_start(&w);
	run_for(&w, 1);
	assert_int_equal(w.http.n, 3);
	assert_int_equal(w.http.log[0].what, ASK_CONFIG);
	assert_int_equal(w.http.log[1].what, ASK_USERS);
	assert_int_equal(w.http.log[2].what, ASK_ALIVE);
	assert_int_equal(w.target.applies, 1);
	assert_int_equal(w.target.port, 443);
	assert_int_equal(w.target.users, 2);
	assert_int_equal(w.target.alive_1, 2);
	assert_int_equal(phase_of(&w), SYNC_RUNNING);
}

static void the_learned_type_is_sent_from_then_on(void **state)
{
	world_start(&w);
	run_for(&w, 1);
	assert_null(strstr(w.http.log[0].url, "node_type"));
	assert_non_null(strstr(w.http.log[1].url, "node_type=trojan"));
}

static void ticks_come_an_interval_after_start_with_little_jitter(void **state)
{
	world_start(&w);
	run_for(&w, 3600);
	for (size_t i = 1; i < 50; i++) {
		nsec_t gap =
			asked_nth(&w, ASK_CONFIG, i)->at - asked_nth(&w, ASK_CONFIG, i - 1)->at;

		assert_true(gap >= 60 * NSEC_SEC && gap <= 63 * NSEC_SEC + NSEC_SEC / 10);
	}
	assert_true(times_asked(&w, ASK_CONFIG, 0) >= 57);
}

static void an_applied_etag_is_sent_verbatim_and_304_keeps(void **state)
{
	world_start(&w);
	run_for(&w, 130);
	assert_string_equal(asked_nth(&w, ASK_CONFIG, 0)->etag, "");
	assert_string_equal(asked_nth(&w, ASK_CONFIG, 1)->etag, "\"c1\"");
	assert_string_equal(asked_nth(&w, ASK_USERS, 1)->etag, "W/\"u1\"");
	assert_string_equal(asked_nth(&w, ASK_ALIVE, 1)->etag, "");
	assert_int_equal(w.target.applies, 1);
}

static void a_failed_apply_keeps_the_etag_out(void **state)
{
	world_start(&w);
	run_for(&w, 1);
	w.http.reply[ASK_CONFIG].body = "{\"node_type\":\"trojan\",\"server_port\":444}";
	w.http.reply[ASK_CONFIG].etag = "\"c2\"";
	w.target.err = -EADDRINUSE;
	run_for(&w, 200);
	assert_int_equal(w.target.port, 443); /* what ran runs on */
	assert_string_equal(asked_nth(&w, ASK_CONFIG, 2)->etag, "\"c1\"");
	assert_true(w.target.applies >= 3); /* offered every round */
	w.target.err = 0;
	run_for(&w, 70);
	assert_int_equal(w.target.port, 444);
	run_for(&w, 70);
	assert_string_equal(w.http.log[w.http.n - 3].etag, "\"c2\"");
}

static void a_first_apply_that_fails_is_tried_again_from_the_start(void **state)
{
	w.target.err = -EADDRINUSE;
	world_start(&w);
	run_for(&w, 1);
	assert_int_equal(w.target.applies, 1);
	run_for(&w, 5);
	assert_int_equal(w.target.applies, 2);
	assert_string_equal(asked_nth(&w, ASK_CONFIG, 1)->etag, "");
	w.target.err = 0;
	run_for(&w, 10);
	assert_int_equal(w.target.port, 443);
	assert_int_equal(phase_of(&w), SYNC_RUNNING);
}

static void an_apply_may_end_later(void **state)
{
	w.target.later = true;
	world_start(&w);
	run_for(&w, 0.5);
	assert_int_equal(w.target.applies, 1);
	assert_int_equal(phase_of(&w), SYNC_STARTING);
	run_for(&w, 1);
	assert_int_equal(phase_of(&w), SYNC_RUNNING);
	assert_int_equal(w.target.port, 443);
	run_for(&w, 70);
	assert_string_equal(asked_nth(&w, ASK_CONFIG, 1)->etag, "\"c1\"");
}

static void the_same_bytes_are_not_applied_again(void **state)
{
	w.http.reply[ASK_CONFIG].etag = w.http.reply[ASK_USERS].etag = NULL;
	world_start(&w);
	run_for(&w, 300);
	assert_true(times_asked(&w, ASK_CONFIG, 0) >= 4);
	assert_int_equal(w.target.applies, 1);
}

static void other_words_for_the_same_are_not_applied_but_remembered(void **state)
{
	world_start(&w);
	run_for(&w, 1);
	w.http.reply[ASK_CONFIG].body = "{\"port\":\"443\",\"protocol\":\"TROJAN\",\"tls\":\"1\"}";
	w.http.reply[ASK_CONFIG].etag = "\"c2\"";
	run_for(&w, 130);
	assert_int_equal(w.target.applies, 1);
	assert_string_equal(asked_nth(&w, ASK_CONFIG, 2)->etag, "\"c2\"");
}

static void a_304_of_nothing_is_asked_once_more_and_then_waits(void **state)
{
	w.http.reply[ASK_CONFIG].status = 304;
	world_start(&w);
	run_for(&w, 1);
	assert_int_equal(w.http.n, 2);
	assert_int_equal(w.target.applies, 0);
	w.http.reply[ASK_CONFIG].status = 0;
	run_for(&w, 6);
	assert_int_equal(w.target.applies, 1);
}

static void an_error_page_with_an_etag_leaves_none_behind(void **state)
{
	world_start(&w);
	run_for(&w, 1);
	w.http.reply[ASK_CONFIG] = (struct reply){.body = "<html>", .etag = "\"bad\""};
	w.http.reply[ASK_USERS] = (struct reply){.status = 500, .body = "{}", .etag = "\"bad\""};
	run_for(&w, 130);
	assert_string_equal(asked_nth(&w, ASK_CONFIG, 2)->etag, "\"c1\"");
	assert_string_equal(asked_nth(&w, ASK_USERS, 2)->etag, "W/\"u1\"");
	assert_int_equal(w.target.applies, 1);
}

static void an_answer_without_etag_clears_it(void **state)
{
	world_start(&w);
	run_for(&w, 1);
	w.http.reply[ASK_USERS] = (struct reply){.body = USERS_BODY};
	run_for(&w, 130);
	assert_string_equal(asked_nth(&w, ASK_USERS, 1)->etag, "W/\"u1\"");
	assert_string_equal(asked_nth(&w, ASK_USERS, 2)->etag, "");
}

static void a_failing_configuration_does_not_hold_up_users(void **state)
{
	world_start(&w);
	run_for(&w, 1);
	w.http.reply[ASK_CONFIG] = (struct reply){.status = 500};
	w.http.reply[ASK_USERS] = (struct reply){.body = "{\"users\":[{\"id\":1,\"uuid\":\"a\"}]}"};
	run_for(&w, 70);
	assert_int_equal(w.target.users, 1);
	assert_int_equal(w.target.configs, 1);
}

static void an_empty_list_removes_everybody_and_a_missing_one_nobody(void **state)
{
	world_start(&w);
	run_for(&w, 1);
	w.http.reply[ASK_USERS] = (struct reply){.body = "{}"};
	run_for(&w, 70);
	assert_int_equal(w.target.users, 2);
	w.http.reply[ASK_USERS] = (struct reply){.body = "{\"status\":\"fail\",\"users\":null}"};
	run_for(&w, 70);
	assert_int_equal(w.target.users, 2);
	w.http.reply[ASK_USERS] = (struct reply){.body = "{\"users\":[]}"};
	run_for(&w, 70);
	assert_int_equal(w.target.users, 0);
	assert_int_equal(w.target.lists, 2);
}

static void a_panel_that_does_not_answer_is_asked_with_growing_pauses(void **state)
{
	static const double pauses[] = {5, 10, 20, 40, 60, 60};
	nsec_t last = 0;

	w.http.reply[ASK_CONFIG] = (struct reply){.status = 500};
	world_start(&w);
	run_for(&w, 210);
	assert_int_equal(w.http.n, 7);
	for (size_t i = 1; i < w.http.n; i++) {
		double gap = (double)(w.http.log[i].at - w.http.log[i - 1].at) / 1e9;

		assert_true(gap >= pauses[i - 1] && gap < pauses[i - 1] + 0.1);
		last = w.http.log[i].at;
	}
	assert_true(last > 0);
	assert_int_equal(phase_of(&w), SYNC_STARTING);
}

static void a_lost_connection_is_repeated_twice_within_the_round(void **state)
{
	w.http.reply[ASK_CONFIG] = (struct reply){.err = -ECONNRESET};
	world_start(&w);
	run_for(&w, 4);
	assert_int_equal(w.http.n, 3);
	assert_true(w.http.log[1].at - w.http.log[0].at >= 500 * NSEC_MS);
	assert_true(w.http.log[2].at - w.http.log[1].at >= 1500 * NSEC_MS);
}

static void a_user_list_cut_short_is_repeated_too(void **state)
{
	world_start(&w);
	run_for(&w, 1);
	w.http.reply[ASK_USERS] = (struct reply){.err = -ERR_TRUNCATED};
	run_for(&w, 70);
	assert_int_equal(times_asked(&w, ASK_USERS, 0), 4);
	assert_int_equal(w.target.users, 2);
}

static void an_outage_changes_nothing_and_ends_by_itself(void **state)
{
	world_start(&w);
	run_for(&w, 1);
	for (int a = 0; a < ASKS; a++)
		w.http.reply[a] = (struct reply){.err = -ECONNREFUSED, .no_body_sent = true};
	run_for(&w, 8 * 3600);
	assert_int_equal(w.target.applies, 1);
	w.http.reply[ASK_CONFIG] =
		(struct reply){.body = "{\"node_type\":\"trojan\",\"server_port\":9}"};
	w.http.reply[ASK_USERS] = (struct reply){.body = "{\"users\":[]}"};
	run_for(&w, 70);
	assert_int_equal(w.target.port, 9);
	assert_int_equal(w.target.users, 0);
}

static void a_changed_interval_counts_at_once(void **state)
{
	size_t before;

	world_start(&w);
	run_for(&w, 61);
	w.http.reply[ASK_CONFIG] =
		(struct reply){.body = "{\"node_type\":\"trojan\",\"server_port\":443,\"base_"
				       "config\":{\"pull_interval\":5}}"};
	run_for(&w, 65);
	before = w.http.n;
	run_for(&w, 60);
	assert_in_range(times_asked(&w, ASK_CONFIG, before), 11, 12);
	assert_int_equal(w.target.configs, 2);
}

static void retry_after_is_honoured_by_all_nodes_of_the_panel(void **state)
{
	struct fake_target second = w.target;
	struct sync_node_conf conf = w.conf;
	struct sync_node *m;
	size_t before;

	world_start(&w);
	conf.tag = "second";
	conf.panel.node_id = "8";
	assert_int_equal(sync_add(w.sync, &conf, &second.base, &m), 0);
	run_for(&w, 1);
	w.http.reply[ASK_CONFIG] = (struct reply){.status = 429, .retry_after = "300"};
	run_for(&w, 63);
	before = w.http.n;
	run_for(&w, 290);
	assert_int_equal(w.http.n, before);
	run_for(&w, 20);
	assert_true(w.http.n > before);
}

static void retry_after_is_at_most_ten_minutes(void **state)
{
	w.http.reply[ASK_CONFIG] = (struct reply){.status = 503, .retry_after = "86400"};
	world_start(&w);
	run_for(&w, 590);
	assert_int_equal(w.http.n, 1);
	run_for(&w, 20);
	assert_int_equal(w.http.n, 2);
}

static void no_more_than_eight_requests_are_in_flight(void **state)
{
	enum { NODES = 30 };
	static struct fake_target targets[NODES];
	static char ids[NODES][8];
	struct sync_node *m;

	for (int a = 0; a < ASKS; a++)
		w.http.reply[a].latency = 3 * NSEC_SEC;
	world_start(&w);
	for (int i = 0; i < NODES; i++) {
		struct sync_node_conf conf = w.conf;

		snprintf(ids[i], sizeof(ids[i]), "%d", 100 + i);
		conf.panel.node_id = ids[i];
		targets[i] = w.target;
		assert_int_equal(sync_add(w.sync, &conf, &targets[i].base, &m), 0);
	}
	run_for(&w, 50);
	assert_int_equal(w.http.most_in_flight, 8);
	for (int i = 0; i < NODES; i++)
		assert_int_equal(targets[i].applies, 1);
}

static bool answers_at_api(struct fake_http *f, const struct asked *q, struct reply *r)
{
	if (strstr(q->url, "panel.test/api?"))
		return false;
	*r = (struct reply){.status = 404, .body = "<html>"};
	return true;
}

static void a_bare_host_is_tried_at_its_usual_paths(void **state)
{
	w.conf.panel.host = "http://panel.test/";
	w.http.answer = answers_at_api;
	world_start(&w);
	run_for(&w, 70);
	assert_non_null(strstr(w.http.log[0].url, "panel.test/?action"));
	assert_non_null(strstr(w.http.log[1].url, "panel.test/api/v2sp?"));
	assert_non_null(strstr(w.http.log[2].url, "panel.test/api?"));
	assert_int_equal(w.target.applies, 1);
	assert_non_null(strstr(asked_nth(&w, ASK_CONFIG, 3)->url, "panel.test/api?"));
}

static void an_address_with_a_path_is_taken_as_it_is(void **state)
{
	w.http.reply[ASK_CONFIG] = (struct reply){.status = 404};
	world_start(&w);
	run_for(&w, 1);
	assert_int_equal(w.http.n, 1);
}

static void forbidden_closes_after_three_and_opens_with_the_next_success(void **state)
{
	w.conf.suspend_on_forbidden = true;
	world_start(&w);
	run_for(&w, 1);
	w.http.reply[ASK_CONFIG] = (struct reply){.status = 403};
	run_for(&w, 127);
	assert_int_equal(w.target.suspends, 0);
	run_for(&w, 63);
	assert_int_equal(w.target.suspends, 1);
	assert_int_equal(phase_of(&w), SYNC_SUSPENDED);
	w.http.reply[ASK_CONFIG] = (struct reply){.body = CONFIG_BODY};
	run_for(&w, 70);
	assert_int_equal(w.target.resumes, 1);
	assert_int_equal(phase_of(&w), SYNC_RUNNING);
}

static void forbidden_keeps_serving_without_that_option(void **state)
{
	world_start(&w);
	run_for(&w, 1);
	w.http.reply[ASK_CONFIG] = (struct reply){.status = 403};
	run_for(&w, 1000);
	assert_int_equal(w.target.suspends, 0);
	assert_int_equal(w.target.applies, 1);
}

static void an_alive_list_is_kept_for_five_minutes(void **state)
{
	world_start(&w);
	run_for(&w, 1);
	assert_int_equal(w.target.alive_n, 1);
	w.http.reply[ASK_ALIVE] = (struct reply){.status = 500};
	run_for(&w, 290);
	assert_int_equal(w.target.alive_n, 1);
	run_for(&w, 80);
	assert_int_equal(w.target.alive_n, 0);
	assert_int_equal(w.target.alives, 2);
	w.http.reply[ASK_ALIVE] = (struct reply){.body = "{\"alive\":[]}"};
	run_for(&w, 70);
	assert_int_equal(w.target.alives, 3);
}

static void the_status_tells_and_hides_the_token(void **state)
{
	struct sync_status st;

	w.http.reply[ASK_CONFIG] =
		(struct reply){.status = 401, .body = "{\"message\":\"token s3cr3t is wrong\"}"};
	world_start(&w);
	run_for(&w, 1);
	sync_node_status(w.n, &st);
	assert_int_equal(st.ask[ASK_CONFIG].last, ANSWER_HTTP);
	assert_int_equal(st.ask[ASK_CONFIG].http_status, 401);
	assert_non_null(strstr(st.error, "token *** is wrong"));
	assert_int_equal(st.phase, SYNC_STARTING);
	w.http.reply[ASK_CONFIG] = (struct reply){.body = CONFIG_BODY};
	run_for(&w, 10);
	sync_node_status(w.n, &st);
	assert_string_equal(st.error, "");
	assert_int_equal(st.type, NODE_TROJAN);
}

static void a_long_sleep_is_followed_by_one_round_not_by_many(void **state)
{
	size_t before;

	for (int a = 0; a < ASKS; a++)
		w.http.reply[a].latency = 1;
	world_start(&w);
	run_for(&w, 1);
	/* A request that takes ten hours is the longest gap virtual time knows. */
	w.http.reply[ASK_CONFIG].latency = 36000 * NSEC_SEC;
	run_for(&w, 63);
	w.http.reply[ASK_CONFIG].latency = 1;
	before = w.http.n;
	run_for(&w, 35990);
	assert_in_range(times_asked(&w, ASK_CONFIG, before), 0, 1);
	run_for(&w, 10);
	assert_in_range(times_asked(&w, ASK_CONFIG, before), 0, 2);
}

/* --- snapshots ------------------------------------------------------------------------------- */

static char dir[] = "/tmp/weir-snapshot-XXXXXX";

static void away(void)
{
	for (int a = 0; a < ASKS; a++)
		w.http.reply[a] = (struct reply){.err = -ECONNREFUSED, .no_body_sent = true};
}

/* One life that saves, then the next world in the same folder. */
static void live_before(void)
{
	w.snapshots = dir;
	world_start(&w);
	run_for(&w, 1);
	assert_int_equal(w.target.applies, 1);
	world_done(&w);
	world_init(&w);
	w.snapshots = dir;
}

static void a_restart_without_panel_serves_the_last_good_state(void **state)
{
	live_before();
	away();
	world_start(&w);
	run_for(&w, 3);
	assert_int_equal(w.target.port, 443);
	assert_int_equal(w.target.users, 2);
	assert_int_equal(phase_of(&w), SYNC_CACHED);
	run_for(&w, 600);
	assert_int_equal(phase_of(&w), SYNC_CACHED);
	assert_int_equal(w.target.applies, 1);
	for (size_t i = 0; i < w.http.n; i++)
		assert_string_equal(w.http.log[i].etag, ""); /* nothing of the panel's is applied */
	w.http.reply[ASK_CONFIG] = (struct reply){.body = CONFIG_BODY, .etag = "\"c1\""};
	w.http.reply[ASK_USERS] = (struct reply){.body = "{\"users\":[]}"};
	run_for(&w, 130);
	assert_int_equal(phase_of(&w), SYNC_RUNNING);
	assert_int_equal(w.target.users, 0);
}

static void a_configuration_from_the_panel_and_users_from_the_snapshot(void **state)
{
	live_before();
	w.http.reply[ASK_CONFIG].body = "{\"node_type\":\"trojan\",\"server_port\":444}";
	w.http.reply[ASK_USERS] = (struct reply){.status = 502};
	world_start(&w);
	run_for(&w, 3);
	assert_int_equal(w.target.port, 444);
	assert_int_equal(w.target.users, 2);
	assert_int_equal(phase_of(&w), SYNC_CACHED);
}

static void a_panel_that_says_no_is_obeyed_after_a_restart(void **state)
{
	live_before();
	w.http.reply[ASK_CONFIG] = (struct reply){.status = 403};
	world_start(&w);
	run_for(&w, 100);
	assert_int_equal(w.target.applies, 0);
}

static void an_old_or_damaged_snapshot_is_none(void **state)
{
	char path[300];
	char name[SNAPSHOT_NAME_LEN + 1];
	struct stat st;
	FILE *f;

	live_before();
	assert_int_equal(snapshot_name("http://panel.test/node", "7", "unknown", name), 0);
	snprintf(path, sizeof(path), "%s/%s.users", dir, name);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	f = fopen(path, "r+");
	fseek(f, -5, SEEK_END);
	fputs("\x01", f);
	fclose(f);
	away();
	world_start(&w);
	run_for(&w, 100);
	assert_int_equal(w.target.applies, 0);
}

static void snapshots_keep_what_a_list_says(void **state)
{
	struct user_list a, b;
	char *body = NULL;
	size_t len;

	user_list_init(&a);
	assert_int_equal(user_list_add(&a, &(struct user_entry){.id = 7,
								.credential = "q\"\\\n\xc3\xbc",
								.credential_len = 6,
								.speed_bps = 1234567,
								.device_limit = 3,
								.conn_limit = 4}),
			 0);
	assert_int_equal(user_list_add(&a, &(struct user_entry){0}), 0); /* an invalid one */
	assert_int_equal(snapshot_save_users(dir, "x", 1000, &a), 0);
	assert_int_equal(snapshot_load_users(dir, "x", 1100, 99, &b), -ENOENT);
	assert_int_equal(snapshot_load_users(dir, "x", 500, 100, &b), 0); /* from the future */
	user_list_done(&b);
	assert_int_equal(snapshot_load_users(dir, "x", 1100, 100, &b), 0);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.v[0].id, 7);
	assert_string_equal(b.v[0].credential, "q\"\\\n\xc3\xbc");
	assert_int_equal(b.v[0].speed_bps, 1234567);
	assert_int_equal(b.v[0].device_limit, 3);
	assert_int_equal(b.v[0].conn_limit, 4);
	user_list_done(&b);
	user_list_done(&a);
	assert_int_equal(snapshot_save_config(dir, "x", 1000, "{}", 2), 0);
	assert_int_equal(snapshot_load_config(dir, "x", 1000, 0, &body, &len), 0);
	assert_string_equal(body, "{}");
	free(body);
	assert_int_equal(snapshot_load_config(dir, "y", 1000, 0, &body, &len), -ENOENT);
	assert_int_equal(snapshot_save_config("/nowhere", "x", 1000, "{}", 2), -ENOENT);
}

static void the_same_seed_gives_the_same_story(void **state)
{
	nsec_t at[64];
	size_t n;

	world_start(&w);
	run_for(&w, 600);
	n = MIN(w.http.n, ARRAY_LEN(at));
	for (size_t i = 0; i < n; i++)
		at[i] = w.http.log[i].at;
	world_done(&w);
	world_init(&w);
	world_start(&w);
	run_for(&w, 600);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(w.http.log[i].at, at[i]);
}

static void freeing_in_the_middle_leaves_nothing(void **state)
{
	world_start(&w);
	run_for(&w, 0.005); /* the first request is out */
	assert_int_equal(w.http.in_flight, 1);
	sync_node_free(w.n);
	assert_int_equal(w.http.in_flight, 0);
	run_for(&w, 1);
	assert_int_equal(w.http.n, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(start_asks_config_users_alive_and_applies_once),
		T(the_learned_type_is_sent_from_then_on),
		T(ticks_come_an_interval_after_start_with_little_jitter),
		T(an_applied_etag_is_sent_verbatim_and_304_keeps),
		T(a_failed_apply_keeps_the_etag_out),
		T(a_first_apply_that_fails_is_tried_again_from_the_start),
		T(an_apply_may_end_later),
		T(the_same_bytes_are_not_applied_again),
		T(other_words_for_the_same_are_not_applied_but_remembered),
		T(a_304_of_nothing_is_asked_once_more_and_then_waits),
		T(an_error_page_with_an_etag_leaves_none_behind),
		T(an_answer_without_etag_clears_it),
		T(a_failing_configuration_does_not_hold_up_users),
		T(an_empty_list_removes_everybody_and_a_missing_one_nobody),
		T(a_panel_that_does_not_answer_is_asked_with_growing_pauses),
		T(a_lost_connection_is_repeated_twice_within_the_round),
		T(a_user_list_cut_short_is_repeated_too),
		T(an_outage_changes_nothing_and_ends_by_itself),
		T(a_changed_interval_counts_at_once),
		T(retry_after_is_honoured_by_all_nodes_of_the_panel),
		T(retry_after_is_at_most_ten_minutes),
		T(no_more_than_eight_requests_are_in_flight),
		T(a_bare_host_is_tried_at_its_usual_paths),
		T(an_address_with_a_path_is_taken_as_it_is),
		T(forbidden_closes_after_three_and_opens_with_the_next_success),
		T(forbidden_keeps_serving_without_that_option),
		T(an_alive_list_is_kept_for_five_minutes),
		T(the_status_tells_and_hides_the_token),
		T(a_long_sleep_is_followed_by_one_round_not_by_many),
		T(a_restart_without_panel_serves_the_last_good_state),
		T(a_configuration_from_the_panel_and_users_from_the_snapshot),
		T(a_panel_that_says_no_is_obeyed_after_a_restart),
		T(an_old_or_damaged_snapshot_is_none),
		T(snapshots_keep_what_a_list_says),
		T(the_same_seed_gives_the_same_story),
		T(freeing_in_the_middle_leaves_nothing),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (fork() == 0)
		execlp("rm", "rm", "-rf", dir, (char *)NULL);
	return failed;
}
