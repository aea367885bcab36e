/* A site in virtual time: a panel that answers from a table, an engine that remembers. */
#include "unit.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "fake_engine.h"
#include "sync/snapshot.h"
#include "yassp/yassp.h"

#define ONE    "{\"port\":9101,\"method\":\"aes-256-gcm\",\"password\":\"a\"}"
#define ONE_B  "{\"port\":9101,\"method\":\"aes-256-gcm\",\"password\":\"b\"}"
#define ONE_T  "{\"port\":9101,\"method\":\"aes-256-gcm\",\"password\":\"a\",\"udp\":false}"
#define TWO    "{\"port\":9102,\"method\":\"aes-256-gcm\",\"password\":\"c\"}"
#define BROKEN "{\"port\":9103}"

struct reply {
	int err, status; /* status 0: 200 for the list, 204 for a report */
	const char *body, *etag, *modified, *retry_after;
	bool not_sent; /* it failed before the body */
	nsec_t latency;
};

struct asked {
	nsec_t at;
	bool post;
	char url[128], etag[64], modified[64], key[64], user[32], *body;
};

struct flight {
	struct timer t;
	struct list_node link;
	struct world *w;
	struct http_call *c;
	struct reply r;
};

struct world {
	struct http http;
	struct loop *loop;
	struct ledger *ledger;
	uint32_t node;
	struct engine *engine;
	struct yassp *y;
	struct yassp_conf conf;
	struct reply list, report;
	struct asked log[4096];
	size_t n;
	struct list_node flights;
	char dir[64];
	unsigned stopped, pushed;
};

/* ---- the panel --------------------------------------------------------------------------- */

static void land(struct timer *t)
{
	struct flight *f = container_of(t, struct flight, t);
	struct http_call *c = f->c;
	struct reply r = f->r;

	list_del(&f->link);
	free(f);
	c->impl = NULL;
	c->err = r.err;
	c->body_sent = c->method == HTTP_POST && !r.not_sent;
	c->status = r.err ? 0 : r.status ? r.status : c->method == HTTP_GET ? 200 : 204;
	if (r.etag)
		snprintf(c->etag, sizeof(c->etag), "%s", r.etag);
	if (r.modified)
		snprintf(c->modified, sizeof(c->modified), "%s", r.modified);
	if (r.retry_after)
		snprintf(c->retry_after, sizeof(c->retry_after), "%s", r.retry_after);
	c->answer = strdup(r.err || !r.body ? "" : r.body);
	c->answer_len = strlen(c->answer);
	c->done(c);
}

static void note(struct world *w, const struct http_call *c)
{
	struct asked *q = &w->log[w->n++];

	assert_true(w->n <= ARRAY_LEN(w->log));
	*q = (struct asked){.at = loop_now(w->loop), .post = c->method == HTTP_POST};
	snprintf(q->url, sizeof(q->url), "%s", c->url);
	snprintf(q->user, sizeof(q->user), "%s:%s", c->user, c->password);
	for (size_t i = 0; i < c->n_fields; i++) {
		const struct http_field *f = &c->fields[i];
		char *to = !strcmp(f->name, "If-None-Match")	   ? q->etag
			   : !strcmp(f->name, "If-Modified-Since") ? q->modified
								   : q->key;

		snprintf(to, sizeof(q->etag), "%s", f->value);
	}
	q->body = c->body ? strndup(c->body, c->body_len) : NULL;
}

static int panel_start(struct http *h, struct http_call *c)
{
	struct world *w = container_of(h, struct world, http);
	struct flight *f = calloc(1, sizeof(*f));

	http_call_reset(c);
	note(w, c);
	f->w = w;
	f->c = c;
	f->r = c->method == HTTP_GET ? w->list : w->report;
	c->impl = f;
	timer_init(&f->t, land);
	timer_set(w->loop, &f->t, loop_now(w->loop) + (f->r.latency ? f->r.latency : 10 * NSEC_MS));
	list_add_tail(&w->flights, &f->link);
	return 0;
}

static void panel_cancel(struct http *h, struct http_call *c)
{
	struct flight *f = c->impl;

	if (!f)
		return;
	timer_stop(&f->t);
	list_del(&f->link);
	c->impl = NULL;
	free(f);
}

static const struct http_ops panel_ops = {.start = panel_start, .cancel = panel_cancel};

/* ---- the world --------------------------------------------------------------------------- */

static void open_ledger(struct world *w)
{
	char why[LEDGER_WHY_MAX];

	assert_int_equal(ledger_open(w->dir, 1, &w->ledger, why), 0);
	assert_int_equal(ledger_node(w->ledger, "yassp", 0, "h", &w->node), 0);
	w->engine = fake_engine_new(w->loop, w->ledger, w->node);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	log_set_level(LOG_NONE);
	snprintf(w->dir, sizeof(w->dir), "%s/weir-yassp-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(w->dir));
	w->http.ops = &panel_ops;
	w->loop = loop_new(LOOP_VIRTUAL, 7);
	list_init(&w->flights);
	open_ledger(w);
	w->conf = (struct yassp_conf){.url = "http://panel.test/yassp",
				      .hostname = "h",
				      .psk = "k",
				      .threshold = 1000,
				      .timeout_s = 1800,
				      .pull_interval_s = 60};
	w->list = (struct reply){.body = "[" ONE "," TWO "]", .etag = "\"1\"", .modified = "M1"};
	*state = w;
	return 0;
}

static void drop(struct world *w)
{
	yassp_free(w->y);
	w->y = NULL;
	engine_free(w->engine);
	ledger_close(w->ledger);
}

static int tear_down(void **state)
{
	struct world *w = *state;
	char path[512];
	struct dirent *e;
	DIR *d;

	drop(w);
	loop_free(w->loop);
	for (size_t i = 0; i < w->n; i++)
		free(w->log[i].body);
	d = opendir(w->dir);
	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", w->dir, e->d_name);
		unlink(path);
	}
	closedir(d);
	rmdir(w->dir);
	free(w);
	return 0;
}

static void start(struct world *w)
{
	const struct yassp_env env = {
		.loop = w->loop,
		.http = &w->http,
		.ledger = w->ledger,
		.ledger_node = w->node,
		.engine = w->engine,
		.conf = &w->conf,
		.tag = "site",
		.snapshot_dir = w->dir,
	};

	assert_int_equal(yassp_new(&env, &w->y), 0);
}

static void run_for(struct world *w, nsec_t t)
{
	nsec_t until = loop_now(w->loop) + t;

	while (loop_now(w->loop) < until)
		loop_turn(w->loop, until - loop_now(w->loop));
}

static size_t count(const struct world *w, bool post)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->log[i].post == post;
	return n;
}

static const struct asked *last(const struct world *w, bool post)
{
	for (size_t i = w->n; i > 0; i--) {
		if (w->log[i - 1].post == post)
			return &w->log[i - 1];
	}
	fail_msg("nothing was asked");
	return NULL;
}

static void served(const struct world *w, size_t n)
{
	assert_int_equal(engine_count(w->engine), n);
}

/* ---- pulling ----------------------------------------------------------------------------- */

static void the_list_is_asked_for_at_once_and_served(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	served(w, 2);
	assert_string_equal(last(w, false)->url, "http://panel.test/yassp/services/");
	assert_string_equal(last(w, false)->user, "h:k");
	assert_string_equal(last(w, false)->etag, "");
	assert_string_equal(w->engine->v[9102].profile->password, "c");
}

static void it_is_asked_for_again_every_interval_with_what_was_applied(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	w->list.status = 304;
	run_for(w, 640 * NSEC_SEC);
	assert_in_range(count(w, false), 10, 11);
	assert_string_equal(last(w, false)->etag, "\"1\"");
	assert_string_equal(last(w, false)->modified, "M1");
	assert_int_equal(w->engine->puts, 2);
	served(w, 2);
}

static void identical_entries_are_not_touched(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	w->list = (struct reply){.body = "[" ONE "," TWO "," BROKEN "]"};
	run_for(w, 65 * NSEC_SEC);
	assert_int_equal(w->engine->puts, 2);
	w->list = (struct reply){.body = "[" ONE_T "]"};
	run_for(w, 65 * NSEC_SEC);
	assert_int_equal(w->engine->puts, 3);
	assert_int_equal(w->engine->removes, 1);
	served(w, 1);
	assert_int_equal(w->engine->v[9101].profile->mode, PROFILE_TCP);
}

static void only_another_secret_begins_another_generation(void **state)
{
	struct world *w = *state;
	uint32_t first;

	start(w);
	run_for(w, NSEC_SEC);
	first = w->engine->v[9101].generation;
	w->list = (struct reply){.body = "[" ONE_T "," TWO "]"};
	run_for(w, 65 * NSEC_SEC);
	assert_int_equal(w->engine->v[9101].generation, first);
	w->list = (struct reply){.body = "[" ONE_B "," TWO "]"};
	run_for(w, 65 * NSEC_SEC);
	assert_int_not_equal(w->engine->v[9101].generation, first);
}

static void an_empty_list_stops_all_ports(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	w->list = (struct reply){.body = "[]"};
	run_for(w, 65 * NSEC_SEC);
	served(w, 0);
}

static void whatever_goes_wrong_the_ports_stay(void **state)
{
	static const struct reply wrong[] = {
		{.err = -ECONNREFUSED},
		{.err = -ETIMEDOUT},
		{.status = 500, .etag = "\"e\"", .body = "[]"},
		{.status = 401},
		{.status = 403},
		{.status = 404, .body = "[]"},
		{.status = 204},
		{.status = 301},
		{.body = "<html>login</html>"},
		{.body = "{}"},
		{.body = "", .etag = "\"e\""},
		{.body = "[" BROKEN "]", .etag = "\"e\""},
		{.status = 201, .body = "[]"},
	};
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		w->list = wrong[i];
		run_for(w, 70 * NSEC_SEC);
		served(w, 2);
		assert_string_equal(last(w, false)->etag, "\"1\""); /* C5 */
	}
	w->list = (struct reply){.body = "[" ONE "]"};
	run_for(w, 70 * NSEC_SEC);
	served(w, 1);
	run_for(w, 70 * NSEC_SEC);
	assert_string_equal(last(w, false)->etag, ""); /* C7 */
}

static void a_304_to_who_has_nothing_is_asked_again_plainly(void **state)
{
	struct world *w = *state;

	w->list = (struct reply){.status = 304};
	start(w);
	run_for(w, NSEC_SEC);
	assert_int_equal(count(w, false), 2);
	served(w, 0);
	run_for(w, 60 * NSEC_SEC + 4 * NSEC_SEC);
	assert_int_equal(count(w, false), 4);
}

static void a_failure_on_the_way_is_tried_three_times(void **state)
{
	struct world *w = *state;

	w->list = (struct reply){.err = -ECONNREFUSED};
	start(w);
	run_for(w, 10 * NSEC_SEC);
	assert_int_equal(count(w, false), 3);
}

static void retry_after_is_obeyed(void **state)
{
	struct world *w = *state;

	w->list = (struct reply){.status = 503, .retry_after = "300"};
	start(w);
	run_for(w, 290 * NSEC_SEC);
	assert_int_equal(count(w, false), 1);
	run_for(w, 20 * NSEC_SEC);
	assert_int_equal(count(w, false), 2);
}

static void a_port_that_cannot_be_served_does_not_stop_the_rest(void **state)
{
	struct world *w = *state;

	w->engine->err_of[9101] = -EADDRINUSE;
	start(w);
	run_for(w, NSEC_SEC);
	assert_int_equal(w->engine->v[9102].puts, 1);
	w->list.status = 304;
	run_for(w, 65 * NSEC_SEC);
	assert_string_equal(last(w, false)->etag, "\"1\""); /* it was applied */
}

static void the_last_good_list_serves_while_the_panel_is_away(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	drop(w);
	open_ledger(w);
	w->list = (struct reply){.err = -ECONNREFUSED};
	start(w);
	run_for(w, 10 * NSEC_SEC);
	served(w, 2);
	w->list = (struct reply){.body = "[" TWO "]"};
	run_for(w, 60 * NSEC_SEC);
	assert_string_equal(last(w, false)->etag, ""); /* nothing is known to the panel's mind */
	served(w, 1);
}

static void a_panel_that_says_no_gets_no_such_start(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	drop(w);
	open_ledger(w);
	w->list = (struct reply){.status = 403};
	start(w);
	run_for(w, 10 * NSEC_SEC);
	served(w, 0);
}

/* ---- pushing ----------------------------------------------------------------------------- */

static void on_pushed(void *arg)
{
	((struct world *)arg)->pushed++;
}

static int push(struct world *w, const char *body)
{
	char why[PROFILE_WHY_MAX];

	return yassp_push(w->y, body, strlen(body), on_pushed, w, why);
}

static void a_push_is_applied_and_makes_the_next_pull_whole(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	assert_int_equal(push(w, "[" TWO "]"), 0);
	assert_int_equal(w->pushed, 1);
	served(w, 1);
	run_for(w, 65 * NSEC_SEC);
	assert_string_equal(last(w, false)->etag, "");
	assert_string_equal(last(w, false)->modified, "");
	served(w, 2);
}

static void a_wrong_push_changes_nothing(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	assert_int_equal(push(w, ""), -ERR_MALFORMED);
	assert_int_equal(push(w, "{}"), -ERR_MALFORMED);
	assert_int_equal(push(w, "[" BROKEN "]"), -ERR_CONFIG);
	assert_int_equal(w->pushed, 0);
	served(w, 2);
	w->list.status = 304;
	run_for(w, 65 * NSEC_SEC);
	assert_string_equal(last(w, false)->etag, "\"1\"");
}

static void an_answer_older_than_a_push_does_not_undo_it(void **state)
{
	struct world *w = *state;

	w->list.latency = 5 * NSEC_SEC;
	start(w);
	run_for(w, NSEC_SEC);
	assert_int_equal(push(w, "[" TWO "]"), 0);
	run_for(w, 20 * NSEC_SEC);
	served(w, 1);
	run_for(w, 60 * NSEC_SEC);
	served(w, 2);
}

static void pushes_are_applied_one_after_the_other(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	w->engine->latency = 2 * NSEC_SEC;
	assert_int_equal(push(w, "[" TWO "]"), 0);
	assert_int_equal(push(w, "[" ONE_B "]"), 0);
	assert_int_equal(w->pushed, 0);
	run_for(w, 2500 * NSEC_MS);
	assert_int_equal(w->pushed, 1);
	run_for(w, 2500 * NSEC_MS);
	assert_int_equal(w->pushed, 2);
	served(w, 1);
	assert_string_equal(w->engine->v[9101].profile->password, "b");
}

static void who_has_left_is_not_told(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	w->engine->latency = 2 * NSEC_SEC;
	assert_int_equal(push(w, "[" TWO "]"), 0);
	yassp_push_forget(w->y, w);
	run_for(w, 5 * NSEC_SEC);
	assert_int_equal(w->pushed, 0);
	served(w, 1);
}

/* ---- reporting --------------------------------------------------------------------------- */

static void the_threshold_sends_at_the_next_check(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	fake_engine_move(w->engine, 9101, 400, 600);
	fake_engine_move(w->engine, 9102, 999, 0);
	run_for(w, 31 * NSEC_SEC);
	assert_int_equal(count(w, true), 1);
	assert_string_equal(last(w, true)->url, "http://panel.test/yassp/traffics/");
	assert_string_equal(last(w, true)->body, "{\"9101\":1000}");
	assert_string_equal(last(w, true)->user, "h:k");
	assert_int_equal(strlen(last(w, true)->key), 2 * LEDGER_ID_LEN);
	run_for(w, 300 * NSEC_SEC);
	assert_int_equal(count(w, true), 1);
}

static void the_timeout_sends_what_is_little(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	fake_engine_move(w->engine, 9102, 1, 0);
	run_for(w, 1790 * NSEC_SEC);
	assert_int_equal(count(w, true), 0);
	run_for(w, 100 * NSEC_SEC);
	assert_int_equal(count(w, true), 1);
	assert_string_equal(last(w, true)->body, "{\"9102\":1}");
}

static void a_timeout_of_zero_sends_every_second(void **state)
{
	struct world *w = *state;

	w->conf.timeout_s = 0;
	start(w);
	run_for(w, NSEC_SEC);
	for (int i = 0; i < 10; i++) {
		fake_engine_move(w->engine, 9102, 1, 0);
		run_for(w, NSEC_SEC);
	}
	assert_in_range(count(w, true), 9, 10);
}

static void what_a_removed_port_has_left_goes_at_once(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, 45 * NSEC_SEC);
	fake_engine_move(w->engine, 9101, 7, 0);
	fake_engine_move(w->engine, 9102, 5, 0);
	assert_int_equal(push(w, "[" ONE_B "," TWO "]"), 0);
	run_for(w, 3 * NSEC_SEC);
	assert_int_equal(count(w, true), 1);
	assert_string_equal(last(w, true)->body, "{\"9101\":7}");
}

static void a_success_is_any_2xx_or_304_whatever_its_body(void **state)
{
	static const struct reply good[] = {{.status = 200, .body = "<html>"},
					    {.status = 201, .body = "{"},
					    {.status = 204},
					    {.status = 304}};
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		w->report = good[i];
		fake_engine_move(w->engine, 9101, 1000, 0);
		run_for(w, 62 * NSEC_SEC);
		assert_int_equal(count(w, true), i + 1);
	}
}

static void a_failure_is_sent_again_as_it_was(void **state)
{
	static const struct reply bad[] = {
		{.status = 500}, {.err = -ETIMEDOUT},	{.err = -ECONNREFUSED, .not_sent = true},
		{.status = 403}, {.status = 200 + 100},
	};
	struct world *w = *state;
	char key[64];

	start(w);
	run_for(w, NSEC_SEC);
	fake_engine_move(w->engine, 9101, 1000, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		w->report = bad[i];
		run_for(w, 30 * NSEC_SEC);
		assert_true(count(w, true) >= 1);
		if (!i)
			snprintf(key, sizeof(key), "%s", last(w, true)->key);
		assert_string_equal(last(w, true)->key, key);
		assert_string_equal(last(w, true)->body, "{\"9101\":1000}");
		fake_engine_move(w->engine, 9101, 1, 0); /* not into a frozen batch */
	}
	w->report = (struct reply){0};
	run_for(w, 31 * NSEC_SEC);
	assert_string_equal(last(w, true)->body, "{\"9101\":1000}");
	run_for(w, 2000 * NSEC_SEC);
	assert_string_equal(last(w, true)->body, "{\"9101\":5}");
	assert_string_not_equal(last(w, true)->key, key);
}

static void on_stopped(void *arg)
{
	((struct world *)arg)->stopped++;
}

static void the_end_reports_everything_whatever_the_threshold(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	fake_engine_move(w->engine, 9101, 1, 2);
	fake_engine_move(w->engine, 9102, 3, 0);
	yassp_stop(w->y, 0, on_stopped, w);
	run_for(w, NSEC_SEC);
	assert_int_equal(w->stopped, 1);
	assert_string_equal(last(w, true)->body, "{\"9101\":3,\"9102\":3}");
}

static void the_end_waits_ten_seconds_and_the_next_start_goes_on(void **state)
{
	struct world *w = *state;
	char key[64];

	start(w);
	run_for(w, NSEC_SEC);
	fake_engine_move(w->engine, 9101, 1, 2);
	w->report.latency = 100 * NSEC_SEC;
	yassp_stop(w->y, 0, on_stopped, w);
	run_for(w, 9 * NSEC_SEC);
	assert_int_equal(w->stopped, 0);
	run_for(w, 2 * NSEC_SEC);
	assert_int_equal(w->stopped, 1);
	snprintf(key, sizeof(key), "%s", last(w, true)->key);
	drop(w);
	open_ledger(w);
	w->report.latency = 0;
	start(w);
	run_for(w, NSEC_SEC);
	assert_int_equal(count(w, true), 2);
	assert_string_equal(last(w, true)->key, key);
	assert_string_equal(last(w, true)->body, "{\"9101\":3}");
}

static void the_end_lets_a_report_under_way_finish(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	fake_engine_move(w->engine, 9101, 1000, 0);
	w->report.latency = 3 * NSEC_SEC;
	run_for(w, 30 * NSEC_SEC);
	assert_int_equal(count(w, true), 1);
	fake_engine_move(w->engine, 9101, 4, 0);
	yassp_stop(w->y, 0, on_stopped, w);
	run_for(w, 10 * NSEC_SEC);
	assert_int_equal(w->stopped, 1);
	assert_int_equal(count(w, true), 2);
	assert_string_equal(last(w, true)->body, "{\"9101\":4}");
}

static void who_is_in_a_hurry_leaves_the_rest_to_the_next_start(void **state)
{
	struct world *w = *state;

	start(w);
	run_for(w, NSEC_SEC);
	fake_engine_move(w->engine, 9101, 1, 2);
	w->report.latency = 100 * NSEC_SEC;
	yassp_stop(w->y, 0, on_stopped, w);
	run_for(w, NSEC_SEC);
	assert_int_equal(w->stopped, 0);
	yassp_hurry(w->y);
	run_for(w, NSEC_SEC);
	assert_int_equal(w->stopped, 1);
	drop(w);
	open_ledger(w);
	w->report.latency = 0;
	start(w);
	run_for(w, NSEC_SEC);
	assert_string_equal(last(w, true)->body, "{\"9101\":3}");
}

/* ---- the property: books that balance ------------------------------------------------------ */

static uint32_t seed;

static uint32_t dice(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* What the panel has by the keys it knows: a repeat adds nothing. */
struct books {
	char keys[2048][64];
	size_t n;
	uint64_t of[2];
	size_t seen; /* of the log */
};

static void book(struct books *b, struct world *w, bool commits)
{
	static const char *const ports[] = {"\"9101\":", "\"9102\":"};

	for (; b->seen < w->n; b->seen++) {
		const struct asked *q = &w->log[b->seen];
		bool known = false;

		if (!q->post || !commits)
			continue;
		for (size_t i = 0; i < b->n; i++)
			known = known || !strcmp(b->keys[i], q->key);
		if (known)
			continue;
		snprintf(b->keys[b->n++], sizeof(b->keys[0]), "%s", q->key);
		for (size_t i = 0; i < 2; i++) {
			const char *at = strstr(q->body, ports[i]);

			if (at)
				b->of[i] += strtoull(at + strlen(ports[i]), NULL, 10);
		}
	}
}

/* Panels fail before and after they commit, the process dies, ports come and go: at the end the
 * panel has exactly what was moved.
 */
static void no_byte_is_lost_or_doubled_whatever_happens(void **state)
{
	static const char *const lists[] = {"[" ONE "," TWO "]", "[" ONE_B "," TWO "]",
					    "[" ONE_T "," TWO "]", "[" TWO "]", "[]"};
	struct world *w = *state;
	struct books *b = calloc(1, sizeof(*b));
	uint64_t moved[2] = {0};

	seed = 1;
	for (int round = 0; round < 300 && w->n < 3500; round++) {
		bool commits = dice(2);

		w->report = commits ? (dice(2) ? (struct reply){0} : (struct reply){.err = -EPIPE})
				    : (dice(2) ? (struct reply){.status = 500}
					       : (struct reply){.err = -ETIMEDOUT});
		w->list = (struct reply){.body = lists[dice(5)]};
		if (!w->y)
			start(w);
		for (unsigned steps = dice(20); steps > 0; steps--) {
			for (uint16_t p = 0; p < 2; p++) {
				uint64_t bytes = dice(2) ? dice(2000) : 0;

				if (!w->engine->v[9101 + p].there)
					continue;
				fake_engine_move(w->engine, (uint16_t)(9101 + p), bytes, bytes / 2);
				moved[p] += bytes + bytes / 2;
			}
			run_for(w, dice(20) * NSEC_SEC);
		}
		book(b, w, commits);
		if (dice(6) == 0) { /* as kill -9 leaves it */
			drop(w);
			open_ledger(w);
		}
	}
	if (!w->y)
		start(w);
	w->list = (struct reply){.body = "[]"};
	w->report = (struct reply){0};
	run_for(w, 300 * NSEC_SEC);
	yassp_stop(w->y, 0, on_stopped, w);
	run_for(w, 10 * NSEC_SEC);
	book(b, w, true);
	assert_true(b->n > 20 && moved[0] > 100000);
	assert_int_equal(b->of[0], moved[0]);
	assert_int_equal(b->of[1], moved[1]);
	free(b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_list_is_asked_for_at_once_and_served),
		TEST(it_is_asked_for_again_every_interval_with_what_was_applied),
		TEST(identical_entries_are_not_touched),
		TEST(only_another_secret_begins_another_generation),
		TEST(an_empty_list_stops_all_ports),
		TEST(whatever_goes_wrong_the_ports_stay),
		TEST(a_304_to_who_has_nothing_is_asked_again_plainly),
		TEST(a_failure_on_the_way_is_tried_three_times),
		TEST(retry_after_is_obeyed),
		TEST(a_port_that_cannot_be_served_does_not_stop_the_rest),
		TEST(the_last_good_list_serves_while_the_panel_is_away),
		TEST(a_panel_that_says_no_gets_no_such_start),
		TEST(a_push_is_applied_and_makes_the_next_pull_whole),
		TEST(a_wrong_push_changes_nothing),
		TEST(an_answer_older_than_a_push_does_not_undo_it),
		TEST(pushes_are_applied_one_after_the_other),
		TEST(who_has_left_is_not_told),
		TEST(the_threshold_sends_at_the_next_check),
		TEST(the_timeout_sends_what_is_little),
		TEST(a_timeout_of_zero_sends_every_second),
		TEST(what_a_removed_port_has_left_goes_at_once),
		TEST(a_success_is_any_2xx_or_304_whatever_its_body),
		TEST(a_failure_is_sent_again_as_it_was),
		TEST(the_end_reports_everything_whatever_the_threshold),
		TEST(the_end_waits_ten_seconds_and_the_next_start_goes_on),
		TEST(the_end_lets_a_report_under_way_finish),
		TEST(who_is_in_a_hurry_leaves_the_rest_to_the_next_start),
		TEST(no_byte_is_lost_or_doubled_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
