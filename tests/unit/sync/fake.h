/* fake.h - a panel that answers from a table, a node that writes down what it is told, and virtual
 * time: the world of the scheduler's tests.
 */
#ifndef WEIR_TESTS_SYNC_FAKE_H
#define WEIR_TESTS_SYNC_FAKE_H

#include <stdio.h>

#include "base/log.h"
#include "sync/snapshot.h"
#include "sync/sync.h"

#define CONFIG_BODY                                                                            \
	"{\"node_type\":\"trojan\",\"server_port\":443,\"base_config\":{\"pull_interval\":60," \
	"\"push_interval\":60}}"
#define USERS_BODY "{\"users\":[{\"id\":1,\"uuid\":\"a\"},{\"id\":2,\"uuid\":\"b\"}]}"
#define ALIVE_BODY "{\"alive\":{\"1\":2}}"

struct reply {
	int err, status; /* status 0: 200 */
	const char *body, *etag, *retry_after;
	bool no_body_sent, not_modified; /* answer 304 when If-None-Match equals etag */
	nsec_t latency;
};

struct asked {
	nsec_t at;
	enum ask what;
	char url[256], etag[64], key[64], *body;
};

struct fake_http {
	struct http base;
	struct loop *loop;
	struct reply reply[ASKS];
	/* Looks at each request first; true: `r` is the answer. */
	bool (*answer)(struct fake_http *f, const struct asked *q, struct reply *r);
	struct asked *log;
	size_t n, cap;
	unsigned in_flight, most_in_flight;
	struct list_node flights;
};

struct fake_flight {
	struct timer t;
	struct list_node link;
	struct fake_http *f;
	struct http_call *c;
	struct reply r;
};

static enum ask fake_ask(const char *url)
{
	static const char *const names[ASKS] = {"action=config&", "action=user&",
						"action=alivelist&", "action=push&",
						"action=alive&"};

	for (int i = 0; i < ASKS; i++) {
		if (strstr(url, names[i]))
			return (enum ask)i;
	}
	fail_msg("not ours: %s", url);
	return ASKS;
}

static void fake_note(struct fake_http *f, struct http_call *c)
{
	struct asked *q;

	if (f->n == f->cap) {
		f->cap = f->cap ? 2 * f->cap : 64;
		f->log = realloc(f->log, f->cap * sizeof(*f->log));
	}
	q = &f->log[f->n++];
	memset(q, 0, sizeof(*q));
	q->at = loop_now(f->loop);
	q->what = fake_ask(c->url);
	snprintf(q->url, sizeof(q->url), "%s", c->url);
	for (size_t i = 0; i < c->n_fields; i++) {
		if (!strcmp(c->fields[i].name, "If-None-Match"))
			snprintf(q->etag, sizeof(q->etag), "%s", c->fields[i].value);
		if (!strcmp(c->fields[i].name, "Idempotency-Key"))
			snprintf(q->key, sizeof(q->key), "%s", c->fields[i].value);
	}
	q->body = c->body ? strndup(c->body, c->body_len) : NULL;
}

static void fake_body(struct http_call *c, const char *body)
{
	size_t len = strlen(body);

	if (!c->sink || c->status < 200 || c->status >= 300) {
		c->answer = strdup(body);
		c->answer_len = len;
		return;
	}
	c->answer = strdup("");
	for (size_t i = 0; i < len && !c->err; i += 7) {
		int err = c->sink(c, body + i, MIN((size_t)7, len - i));

		if (err < 0)
			c->err = err;
	}
}

static void fake_land(struct timer *t)
{
	struct fake_flight *l = container_of(t, struct fake_flight, t);
	struct http_call *c = l->c;
	struct reply *r = &l->r;

	list_del(&l->link);
	l->f->in_flight--;
	c->impl = NULL;
	c->err = r->err;
	c->body_sent = c->method == HTTP_POST && !r->no_body_sent;
	c->status = r->err ? 0 : r->status ? r->status : 200;
	if (r->etag)
		snprintf(c->etag, sizeof(c->etag), "%s", r->etag);
	if (r->retry_after)
		snprintf(c->retry_after, sizeof(c->retry_after), "%s", r->retry_after);
	fake_body(c, r->err || c->status == 304 || !r->body ? "" : r->body);
	free(l);
	c->done(c);
}

static int fake_start(struct http *h, struct http_call *c)
{
	struct fake_http *f = container_of(h, struct fake_http, base);
	struct fake_flight *l = calloc(1, sizeof(*l));
	struct asked *q;

	http_call_reset(c);
	fake_note(f, c);
	q = &f->log[f->n - 1];
	l->f = f;
	l->c = c;
	if (!f->answer || !f->answer(f, q, &l->r))
		l->r = f->reply[q->what];
	if (l->r.not_modified && l->r.etag && !strcmp(l->r.etag, q->etag))
		l->r.status = 304;
	c->impl = l;
	timer_init(&l->t, fake_land);
	timer_set(f->loop, &l->t, loop_now(f->loop) + (l->r.latency ? l->r.latency : 10 * NSEC_MS));
	list_add_tail(&f->flights, &l->link);
	f->in_flight++;
	f->most_in_flight = MAX(f->most_in_flight, f->in_flight);
	return 0;
}

static void fake_cancel(struct http *h, struct http_call *c)
{
	struct fake_flight *l = c->impl;

	if (!l)
		return;
	timer_stop(&l->t);
	list_del(&l->link);
	l->f->in_flight--;
	c->impl = NULL;
	free(l);
}

static const struct http_ops fake_ops = {.start = fake_start, .cancel = fake_cancel};

/* --- the node -------------------------------------------------------------------------------- */

struct fake_target {
	struct node_target base;
	struct loop *loop;
	unsigned applies, configs, lists, suspends, resumes, alives;
	uint16_t port;
	size_t users, alive_n;
	uint32_t alive_1; /* of the first */
	int err;	  /* what apply says */
	bool later;	  /* -EINPROGRESS, and `err` a second later */
	node_applied *done;
	void *arg;
	struct timer t;
	unsigned online;     /* users to report */
	uint64_t online_min; /* what was asked for */
	uint16_t next_port;
	size_t next_users;
	bool next_config, next_list;
};

static void fake_take(struct fake_target *f)
{
	if (f->next_config) {
		f->port = f->next_port;
		f->configs++;
	}
	if (f->next_list) {
		f->users = f->next_users;
		f->lists++;
	}
}

static void fake_applied(struct timer *t)
{
	struct fake_target *f = container_of(t, struct fake_target, t);

	if (!f->err)
		fake_take(f);
	f->done(f->arg, f->err);
}

static int fake_apply(struct node_target *t, struct node_info *info, const struct user_list *users,
		      node_applied *done, void *arg)
{
	struct fake_target *f = container_of(t, struct fake_target, base);

	assert_true(info || users);
	f->applies++;
	f->next_config = info;
	f->next_list = users;
	f->next_port = info ? info->port : 0;
	f->next_users = users ? users->n : 0;
	if (f->later) {
		f->done = done;
		f->arg = arg;
		timer_set(f->loop, &f->t, loop_now(f->loop) + NSEC_SEC);
		return -EINPROGRESS;
	}
	if (!f->err)
		fake_take(f);
	return f->err;
}

static void fake_alive(struct node_target *t, const struct user_alive *v, size_t n)
{
	struct fake_target *f = container_of(t, struct fake_target, base);

	f->alives++;
	f->alive_n = n;
	f->alive_1 = n ? v[0].devices : 0;
}

static void fake_online(struct node_target *t, uint64_t min_bytes, user_online *each, void *arg)
{
	struct fake_target *f = container_of(t, struct fake_target, base);
	struct addr a;

	f->online_min = min_bytes;
	assert_int_equal(addr_parse_ip(&a, "198.51.100.7", 0), 0);
	for (unsigned i = 1; each && i <= f->online; i++)
		each(arg, i, &a, 1);
}

static void fake_suspend(struct node_target *t, bool on)
{
	struct fake_target *f = container_of(t, struct fake_target, base);

	f->suspends += on;
	f->resumes += !on;
}

static const struct node_target_ops fake_target_ops = {
	.apply = fake_apply,
	.alive = fake_alive,
	.online = fake_online,
	.suspend = fake_suspend,
};

/* --- the world -------------------------------------------------------------------------------- */

struct world {
	struct loop *loop;
	struct fake_http http;
	struct fake_target target;
	struct ledger *ledger;
	uint32_t node;
	struct sync *sync;
	struct sync_node *n;
	struct sync_node_conf conf;
	const char *snapshots;
	struct timer end;
	bool over, stopped;
};

static void world_end(struct timer *t)
{
	container_of(t, struct world, end)->over = true;
}

static UNUSED void run_for(struct world *w, double seconds)
{
	w->over = false;
	timer_set(w->loop, &w->end, loop_now(w->loop) + (nsec_t)(seconds * 1e9));
	while (!w->over)
		loop_turn(w->loop, -1);
}

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	log_set_level(getenv("WEIR_TEST_LOG") ? LOG_DEBUG : LOG_NONE);
	w->loop = loop_new(LOOP_VIRTUAL, 7);
	w->http.base.ops = &fake_ops;
	w->http.loop = w->target.loop = w->loop;
	list_init(&w->http.flights);
	w->http.reply[ASK_CONFIG] =
		(struct reply){.body = CONFIG_BODY, .etag = "\"c1\"", .not_modified = true};
	w->http.reply[ASK_USERS] =
		(struct reply){.body = USERS_BODY, .etag = "W/\"u1\"", .not_modified = true};
	w->http.reply[ASK_ALIVE] = (struct reply){.body = ALIVE_BODY};
	w->http.reply[TELL_TRAFFIC] = (struct reply){.body = "{\"message\":\"ok\"}"};
	w->http.reply[TELL_ONLINE] = (struct reply){.body = ""};
	w->target.base.ops = &fake_target_ops;
	timer_init(&w->target.t, fake_applied);
	timer_init(&w->end, world_end);
	w->conf = (struct sync_node_conf){
		.tag = "test",
		.dialect = &dialect_v2sp,
		.panel = {.host = "http://panel.test/node",
			  .key = "s3cr3t",
			  .node_id = "7",
			  .enable_vless = -1},
		.report_min_kib = -1,
		.online_min_kb = -1,
		.cache_max_age_s = 86400,
	};
}

static void world_start(struct world *w)
{
	struct sync_conf conf = {.loop = w->loop,
				 .http = &w->http.base,
				 .ledger = w->ledger,
				 .snapshot_dir = w->snapshots};

	w->conf.ledger_node = w->node;
	assert_int_equal(sync_new(&conf, &w->sync), 0);
	assert_int_equal(sync_add(w->sync, &w->conf, &w->target.base, &w->n), 0);
}

static void world_done(struct world *w)
{
	sync_free(w->sync);
	timer_stop(&w->end);
	timer_stop(&w->target.t);
	ledger_close(w->ledger);
	assert_int_equal(w->http.in_flight, 0);
	for (size_t i = 0; i < w->http.n; i++)
		free(w->http.log[i].body);
	free(w->http.log);
	loop_free(w->loop);
}

/* How often `what` was asked since entry `from`. */
static UNUSED size_t times_asked(const struct world *w, enum ask what, size_t from)
{
	size_t n = 0;

	for (size_t i = from; i < w->http.n; i++)
		n += w->http.log[i].what == what;
	return n;
}

/* The n-th request of a kind, from 0. */
static UNUSED const struct asked *asked_nth(const struct world *w, enum ask what, size_t nth)
{
	for (size_t i = 0; i < w->http.n; i++) {
		if (w->http.log[i].what == what && nth-- == 0)
			return &w->http.log[i];
	}
	fail_msg("%s was not asked that often", ask_name(what));
	return NULL;
}

static UNUSED enum sync_phase phase_of(const struct world *w)
{
	struct sync_status st;

	sync_node_status(w->n, &st);
	return st.phase;
}

static UNUSED void on_stopped_world(void *arg)
{
	((struct world *)arg)->stopped = true;
}

#endif
