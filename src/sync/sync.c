/* sync.c - nodes, their clocks, and the gates that requests go through. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/sync_impl.h"

#define TIMEOUT_DEFAULT	 30
#define TIMEOUT_NEGATIVE 5
#define INTERVAL_DEFAULT 60
#define JITTER_MAX	 (5 * NSEC_SEC)
#define JITTER_PART	 20 /* 5 % */

static void node_next(struct waiter *w);

nsec_t node_now(const struct sync_node *n)
{
	return loop_now(n->s->conf.loop);
}

void node_kick(struct sync_node *n)
{
	loop_queue(n->s->conf.loop, &n->next);
}

void node_idle(struct sync_node *n)
{
	n->busy = false;
	node_kick(n);
}

/* --- the clock ------------------------------------------------------------------------------- */

int64_t node_pull_interval(const struct sync_node *n)
{
	if (n->conf.pull_interval_s > 0)
		return n->conf.pull_interval_s;
	return n->info ? n->info->pull_interval_s : INTERVAL_DEFAULT;
}

int64_t node_push_interval(const struct sync_node *n)
{
	if (n->conf.push_interval_s > 0)
		return n->conf.push_interval_s;
	return n->info ? n->info->push_interval_s : INTERVAL_DEFAULT;
}

/* Up to 5 % and 5 s, so that many nodes do not come together (SC4). */
static nsec_t jitter(struct sync_node *n, nsec_t interval)
{
	nsec_t most = MIN(interval / JITTER_PART, JITTER_MAX);
	uint32_t r;

	loop_random(n->s->conf.loop, &r, sizeof(r));
	return (nsec_t)((double)most * r / UINT32_MAX);
}

/* One interval after the last tick; at once when that has passed, and then once (SC3, SC6). */
static void set_tick(struct sync_node *n, struct timer *t, nsec_t last, int64_t interval_s)
{
	nsec_t interval = interval_s * NSEC_SEC;

	timer_set(n->s->conf.loop, t, MAX(last + interval + jitter(n, interval), node_now(n)));
}

void node_schedule(struct sync_node *n)
{
	if (n->phase == SYNC_STOPPING || n->phase == SYNC_STOPPED)
		return;
	set_tick(n, &n->push, n->pushed_at, node_push_interval(n));
	if (n->phase == SYNC_RUNNING || n->phase == SYNC_SUSPENDED)
		set_tick(n, &n->pull, n->pulled_at, node_pull_interval(n));
}

void node_pull_in(struct sync_node *n, nsec_t delay)
{
	timer_set(n->s->conf.loop, &n->pull, node_now(n) + delay);
}

static void on_pull_tick(struct timer *t)
{
	struct sync_node *n = container_of(t, struct sync_node, pull);

	n->pulled_at = node_now(n);
	n->todo |= n->phase == SYNC_STARTING ? BIT(ASK_CONFIG) : PULLS;
	pull_alive_age(n);
	node_schedule(n);
	node_kick(n);
}

static void on_push_tick(struct timer *t)
{
	struct sync_node *n = container_of(t, struct sync_node, push);

	n->pushed_at = node_now(n);
	push_tick(n);
	node_schedule(n);
	node_kick(n);
}

void sync_pull(struct sync_node *n)
{
	if (n->phase == SYNC_STOPPING || n->phase == SYNC_STOPPED)
		return;
	n->pulled_at = node_now(n);
	n->todo |= n->phase == SYNC_STARTING ? BIT(ASK_CONFIG) : PULLS;
	node_kick(n);
}

/* --- what comes next ------------------------------------------------------------------------- */

static bool is_gated(struct sync_node *n)
{
	if (n->gate->open_at <= node_now(n))
		return false;
	timer_set(n->s->conf.loop, &n->gated, n->gate->open_at);
	return true;
}

static void on_gate_open(struct timer *t)
{
	node_kick(container_of(t, struct sync_node, gated));
}

static bool is_quiet(const struct sync_node *n, enum ask a)
{
	return n->optional[a].quiet_until > node_now(n);
}

static bool begin_one(struct sync_node *n, enum ask a)
{
	if (a == TELL_TRAFFIC) { /* due until there is nothing left to send */
		if (push_begin(n))
			return true;
		n->todo &= ~BIT(a);
		return false;
	}
	n->todo &= ~BIT(a);
	if (is_quiet(n, a))
		return false;
	if (a == TELL_ONLINE)
		return online_begin(n);
	pull_begin(n, a);
	return true;
}

/* In turns, after what came last: a question that fails for longer than its own interval, repeats
 * included, must starve neither the others nor the reports (SC5).  Returns whether something began.
 */
static bool begin(struct sync_node *n)
{
	for (unsigned i = 1; i <= ASKS; i++) {
		enum ask a = (enum ask)((n->turn + i) % ASKS);

		if (!(n->todo & BIT(a)))
			continue;
		if (begin_one(n, a)) {
			n->turn = a;
			return true;
		}
	}
	if (n->todo & BIT(CHECK_QUOTA)) {
		n->todo &= ~BIT(CHECK_QUOTA);
		quota_begin(n);
		return true;
	}
	return false;
}

static void finish_stop(struct sync_node *n)
{
	if (n->phase != SYNC_STOPPING)
		return;
	n->phase = SYNC_STOPPED;
	timer_stop(&n->budget);
	push_forget(n);
	loop_queue(n->s->conf.loop, &n->stopped_later);
}

static void node_next(struct waiter *w)
{
	struct sync_node *n = container_of(w, struct sync_node, next);
	struct sync *s = n->s;

	if (n->busy || n->phase == SYNC_STOPPED)
		return;
	if (!n->todo) {
		finish_stop(n);
		return;
	}
	if (is_gated(n)) { /* a node that stops does not wait for that */
		finish_stop(n);
		return;
	}
	if (s->in_flight >= SYNC_IN_FLIGHT_MAX) {
		if (!list_linked(&n->in_waiting))
			list_add_tail(&s->waiting, &n->in_waiting);
		return;
	}
	list_del(&n->in_waiting);
	if (!begin(n))
		finish_stop(n);
}

/* --- requests -------------------------------------------------------------------------------- */

static nsec_t timeout_of(const struct sync_node_conf *c)
{
	int64_t s = c->timeout_s == 0  ? TIMEOUT_DEFAULT
		    : c->timeout_s < 0 ? TIMEOUT_NEGATIVE
				       : c->timeout_s;

	return s * NSEC_SEC;
}

void node_send(struct sync_node *n, void (*done)(struct http_call *c))
{
	int err;

	n->call.url = n->url.s;
	n->call.timeout = timeout_of(&n->conf);
	n->call.send_ip = n->conf.send_ip;
	n->call.insecure = n->conf.insecure;
	n->call.done = done;
	n->busy = true;
	err = n->url.err ? n->url.err : http_start(n->s->conf.http, &n->call);
	if (!err) {
		n->called = true;
		n->s->in_flight++;
		return;
	}
	n->call.err = err;
	n->call.answer = n->call.answer ? n->call.answer : strdup("");
	done(&n->call);
}

static void land(struct sync_node *n)
{
	struct sync *s = n->s;
	struct list_node *first;

	if (!n->called)
		return;
	n->called = false;
	s->in_flight--;
	first = list_pop(&s->waiting);
	if (first)
		node_kick(list_entry(first, struct sync_node, in_waiting));
}

void node_received(struct sync_node *n)
{
	struct http_call *c = &n->call;
	int64_t wait;

	land(n);
	if (c->err || (c->status != 429 && c->status != 503))
		return;
	wait = answer_retry_after(c->retry_after, c->date, loop_wall(n->s->conf.loop));
	if (wait > 0) {
		n->gate->open_at = MAX(n->gate->open_at, node_now(n) + wait * NSEC_SEC);
		node_log(n, LOG_INFO, "the panel asks to be left alone for %lld s",
			 (long long)wait);
	}
}

void node_call_off(struct sync_node *n)
{
	if (n->called)
		http_cancel(n->s->conf.http, &n->call);
	land(n);
	timer_stop(&n->retry);
	if (n->reading)
		users_reader_done(&n->reader);
	n->reading = false;
	http_call_reset(&n->call);
}

/* --- gates ----------------------------------------------------------------------------------- */

static struct gate *gate_get(struct sync *s, const char *host)
{
	struct text origin = {0};
	struct list_node *pos;
	struct gate *g = NULL;

	url_origin(&origin, host);
	if (origin.err || !origin.s)
		goto out;
	list_for_each(pos, &s->gates) {
		g = list_entry(pos, struct gate, link);
		if (!strcmp(g->origin, origin.s)) {
			g->refs++;
			goto out;
		}
	}
	g = calloc(1, sizeof(*g) + origin.len + 1);
	if (g) {
		memcpy(g->origin, origin.s, origin.len + 1);
		g->refs = 1;
		list_add_tail(&s->gates, &g->link);
	}
out:
	text_done(&origin);
	return g;
}

static void gate_put(struct gate *g)
{
	if (!g || --g->refs)
		return;
	list_del(&g->link);
	free(g);
}

/* --- nodes ----------------------------------------------------------------------------------- */

static int own_text(const char **s)
{
	if (*s && !(*s = strdup(*s)))
		return -ENOMEM;
	return 0;
}

static int own_texts(struct sync_node_conf *c)
{
	const char **all[] = {&c->tag, &c->panel.host, &c->panel.key, &c->panel.node_id,
			      &c->send_ip};
	size_t i, done = 0;

	for (i = 0; i < ARRAY_LEN(all) && !own_text(all[i]); i++)
		done++;
	for (; i < ARRAY_LEN(all); i++)
		*all[i] = NULL;
	return done == ARRAY_LEN(all) ? 0 : -ENOMEM;
}

static void free_texts(struct sync_node_conf *c)
{
	if (c->panel.key)
		explicit_bzero((char *)c->panel.key, strlen(c->panel.key));
	free((char *)c->tag);
	free((char *)c->panel.host);
	free((char *)c->panel.key);
	free((char *)c->panel.node_id);
	free((char *)c->send_ip);
}

static void on_budget(struct timer *t)
{
	struct sync_node *n = container_of(t, struct sync_node, budget);

	node_call_off(n);
	n->busy = false;
	n->todo = 0;
	finish_stop(n);
}

static void on_stopped(struct waiter *w)
{
	struct sync_node *n = container_of(w, struct sync_node, stopped_later);

	if (n->stopped)
		n->stopped(n->stopped_arg);
}

static void init_timers(struct sync_node *n)
{
	waiter_init(&n->next, node_next);
	waiter_init(&n->stopped_later, on_stopped);
	timer_init(&n->pull, on_pull_tick);
	timer_init(&n->push, on_push_tick);
	timer_init(&n->retry, pull_repeat);
	timer_init(&n->gated, on_gate_open);
	timer_init(&n->budget, on_budget);
}

int sync_add(struct sync *s, const struct sync_node_conf *conf, struct node_target *target,
	     struct sync_node **out)
{
	struct sync_node *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->s = s;
	n->conf = *conf;
	n->target = target;
	n->turn = TELL_ONLINE; /* a first round begins with the questions */
	n->panel = &n->conf.panel;
	n->panel->learned = NODE_TYPE_NONE;
	n->panel->path = NULL;
	list_init(&n->in_waiting);
	list_add_tail(&s->nodes, &n->link);
	init_timers(n);
	user_list_init(&n->new_users);
	if (own_texts(&n->conf) || !(n->gate = gate_get(s, n->conf.panel.host))) {
		sync_node_free(n);
		return -ENOMEM;
	}
	if (conf->insecure)
		node_log(n, LOG_WARN, "ApiInsecure: the panel's certificate is not verified");
	n->pulled_at = n->pushed_at = node_now(n);
	n->todo = BIT(ASK_CONFIG);
	node_schedule(n);
	node_kick(n);
	*out = n;
	return 0;
}

void sync_node_free(struct sync_node *n)
{
	if (!n)
		return;
	node_call_off(n);
	timer_stop(&n->pull);
	timer_stop(&n->push);
	timer_stop(&n->gated);
	timer_stop(&n->budget);
	waiter_cancel(&n->next);
	waiter_cancel(&n->stopped_later);
	list_del(&n->in_waiting);
	list_del(&n->link);
	pull_forget(n);
	push_forget(n);
	quota_forget(n);
	alive_list_done(&n->alive);
	for (int i = 0; i < 2; i++)
		validator_clear(&n->applied[i]);
	node_info_put(n->info);
	gate_put(n->gate);
	text_done(&n->url);
	text_done(&n->body);
	free_texts(&n->conf);
	free(n->undecided);
	free(n);
}

void sync_node_stop(struct sync_node *n, nsec_t budget, sync_stopped *done, void *arg)
{
	n->stopped = done;
	n->stopped_arg = arg;
	if (n->phase == SYNC_STOPPED) {
		loop_queue(n->s->conf.loop, &n->stopped_later);
		return;
	}
	n->phase = SYNC_STOPPING;
	timer_stop(&n->pull);
	timer_stop(&n->push);
	if (n->busy && n->ask != TELL_TRAFFIC) { /* a push under way is let finish */
		node_call_off(n);
		n->busy = false;
	}
	n->applying = false;
	pull_forget(n);
	push_final(n);
	n->todo = BIT(TELL_TRAFFIC);
	timer_set(n->s->conf.loop, &n->budget, node_now(n) + budget);
	node_kick(n);
}

/* --- all of them ----------------------------------------------------------------------------- */

static void on_nothing_to_stop(struct waiter *w)
{
	struct sync *s = container_of(w, struct sync, nothing_to_stop);

	s->stopped(s->stopped_arg);
}

int sync_new(const struct sync_conf *conf, struct sync **out)
{
	struct sync *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->conf = *conf;
	if (conf->snapshot_dir && !(s->snapshot_dir = strdup(conf->snapshot_dir))) {
		free(s);
		return -ENOMEM;
	}
	s->conf.snapshot_dir = s->snapshot_dir;
	list_init(&s->nodes);
	list_init(&s->waiting);
	list_init(&s->gates);
	waiter_init(&s->nothing_to_stop, on_nothing_to_stop);
	*out = s;
	return 0;
}

void sync_free(struct sync *s)
{
	if (!s)
		return;
	while (!list_empty(&s->nodes))
		sync_node_free(list_entry(s->nodes.next, struct sync_node, link));
	waiter_cancel(&s->nothing_to_stop);
	free(s->snapshot_dir);
	free(s);
}

static void one_stopped(void *arg)
{
	struct sync *s = arg;

	if (--s->stopping == 0)
		s->stopped(s->stopped_arg);
}

void sync_stop(struct sync *s, nsec_t budget, sync_stopped *done, void *arg)
{
	struct list_node *pos;

	s->stopped = done;
	s->stopped_arg = arg;
	s->stopping = 0;
	list_for_each(pos, &s->nodes)
		s->stopping++;
	list_for_each(pos, &s->nodes)
		sync_node_stop(list_entry(pos, struct sync_node, link), budget, one_stopped, s);
	if (!s->stopping)
		loop_queue(s->conf.loop, &s->nothing_to_stop);
}

/* --- questions ------------------------------------------------------------------------------- */

void sync_node_status(const struct sync_node *n, struct sync_status *out)
{
	*out = n->status;
	out->phase = n->phase;
	out->tag = n->conf.tag;
	out->type = n->info ? n->info->type : n->panel->type;
}

const char *sync_phase_name(enum sync_phase p)
{
	static const char *const names[] = {
		[SYNC_STARTING] = "starting", [SYNC_CACHED] = "cached",
		[SYNC_RUNNING] = "running",   [SYNC_SUSPENDED] = "suspended",
		[SYNC_STOPPING] = "stopping", [SYNC_STOPPED] = "stopped",
	};

	return (unsigned)p < ARRAY_LEN(names) ? names[p] : "?";
}

const struct node_info *sync_node_info(const struct sync_node *n)
{
	return n->info;
}

struct sync_node *sync_first(const struct sync *s)
{
	return list_empty(&s->nodes) ? NULL : list_entry(s->nodes.next, struct sync_node, link);
}

struct sync_node *sync_next(const struct sync_node *n)
{
	return n->link.next == &n->s->nodes ? NULL
					    : list_entry(n->link.next, struct sync_node, link);
}
