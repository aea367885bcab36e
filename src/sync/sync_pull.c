/* sync_pull.c - configuration, users, devices elsewhere: ask, judge, apply.
 *
 * The one rule that everything here serves is C5: a validator (ETag, hash) is remembered only when
 * the document behind it has been applied.  Until then it travels in `offered`, and whatever goes
 * wrong on the way drops it, so that the next round asks for the whole document again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/hash.h"
#include "sync/sync_impl.h"

#define CONFIG_MAX	((size_t)4 << 20)
#define ALIVE_MAX	((size_t)32 << 20)
#define USERS_MAX	((size_t)256 << 20)
#define REPEATS		2
#define ALIVE_KEPT	(300 * NSEC_SEC)
#define FORBIDDEN_LIMIT 3
#define QUIET		(3600 * NSEC_SEC)

static void ask_now(struct sync_node *n);

/* --- validators ------------------------------------------------------------------------------ */

void validator_clear(struct validator *v)
{
	free(v->etag);
	*v = (struct validator){0};
}

static void validator_move(struct validator *to, struct validator *from)
{
	validator_clear(to);
	*to = *from;
	*from = (struct validator){0};
}

/* What the answer said of the document in hand.  No ETag clears an old one (C7). */
static void validator_offer(struct sync_node *n, enum ask a, const uint8_t hash_of[SYNC_HASH_LEN])
{
	struct validator *v = &n->offered[a];

	validator_clear(v);
	v->etag = *n->call.etag ? strdup(n->call.etag) : NULL;
	memcpy(v->hash, hash_of, SYNC_HASH_LEN);
	v->set = true;
}

/* The very bytes that are applied already (C4): only the ETag may be new. */
static bool is_unchanged(struct sync_node *n, enum ask a, const uint8_t hash_of[SYNC_HASH_LEN])
{
	struct validator *v = &n->applied[a];

	if (!v->set || memcmp(v->hash, hash_of, SYNC_HASH_LEN) != 0)
		return false;
	free(v->etag);
	v->etag = *n->call.etag ? strdup(n->call.etag) : NULL;
	return true;
}

/* --- judging --------------------------------------------------------------------------------- */

static enum answer_class read_config(struct sync_node *n, struct notes *notes)
{
	struct node_info *info = NULL;
	uint8_t digest[SYNC_HASH_LEN];
	enum answer_class class;

	if (hash(HASH_SHA256, n->call.answer, n->call.answer_len, digest)) {
		notes_why(notes, "no memory");
		return ANSWER_VALID;
	}
	if (is_unchanged(n, ASK_CONFIG, digest))
		return ANSWER_OK;
	class = n->conf.dialect->config(n->panel, n->call.answer, n->call.answer_len, &info, notes);
	if (class != ANSWER_OK)
		return class;
	node_info_put(n->new_info);
	n->new_info = info;
	n->panel->learned = info->type;
	free(n->new_body);
	n->new_body = n->call.answer; /* for the snapshot */
	n->new_body_len = n->call.answer_len;
	n->call.answer = NULL;
	n->call.answer_len = 0;
	validator_offer(n, ASK_CONFIG, digest);
	return class;
}

static enum answer_class read_users(struct sync_node *n, struct notes *notes)
{
	uint8_t digest[SYNC_HASH_LEN];
	struct user_list list;
	enum answer_class class;

	if (users_reader_hash(&n->reader, digest)) {
		notes_why(notes, "no memory");
		return ANSWER_VALID;
	}
	if (is_unchanged(n, ASK_USERS, digest))
		return ANSWER_OK;
	class = users_reader_end(&n->reader, &list, notes);
	if (class != ANSWER_OK)
		return class;
	user_list_done(&n->new_users);
	n->new_users = list;
	n->have_new_users = true;
	validator_offer(n, ASK_USERS, digest);
	return class;
}

static enum answer_class read_alive(struct sync_node *n, struct notes *notes)
{
	struct alive_list list;
	enum answer_class class;

	class = alive_decode(n->call.answer, n->call.answer_len, &list, notes);
	if (class != ANSWER_OK)
		return class;
	alive_list_done(&n->alive);
	n->alive_at = node_now(n);
	n->alive_known = true;
	if (n->served) {
		n->target->ops->alive(n->target, list.v, list.n);
		alive_list_done(&list);
	} else {
		n->alive = list;
	}
	return class;
}

static enum answer_class judge_not_modified(struct sync_node *n, struct notes *notes)
{
	if (n->ask <= ASK_USERS && n->applied[n->ask].set && !n->asked_plain)
		return ANSWER_SAME;
	notes_why(notes, "the panel says \"not modified\" of what we do not have");
	return ANSWER_HTTP;
}

static enum answer_class judge(struct sync_node *n, struct notes *notes)
{
	struct http_call *c = &n->call;

	if (c->err && !n->reader_err) {
		notes_why(notes, "%s", *c->detail ? c->detail : err_text(c->err));
		return ANSWER_NET;
	}
	if (c->status == 304)
		return judge_not_modified(n, notes);
	if (c->status < 200 || c->status >= 300) {
		char message[ANSWER_MESSAGE_MAX];

		answer_message(c->answer, c->answer_len, message);
		notes_why(notes, "%s", message);
		return ANSWER_HTTP;
	}
	switch (n->ask) {
	case ASK_CONFIG:
		return read_config(n, notes);
	case ASK_USERS:
		return read_users(n, notes);
	default:
		return read_alive(n, notes);
	}
}

/* --- what an answer means beyond its content -------------------------------------------------- */

/* SuspendOnForbidden, by the configuration's answers alone: they come once a round. */
static void watch_forbidden(struct sync_node *n, enum answer_class class)
{
	bool no = class == ANSWER_HTTP && (n->call.status == 403 || n->call.status == 404);

	n->forbidden = no ? n->forbidden + 1 : 0;
	if (n->conf.suspend_on_forbidden && !n->suspended && n->served &&
	    n->forbidden >= FORBIDDEN_LIMIT) {
		node_log(n, LOG_ERROR, "refused %u times: closing the listeners", n->forbidden);
		n->suspended = true;
		n->phase = SYNC_SUSPENDED;
		n->target->ops->suspend(n->target, true);
	} else if (n->suspended && (class == ANSWER_OK || class == ANSWER_SAME)) {
		node_log(n, LOG_INFO, "the panel allows the node again");
		n->suspended = false;
		n->phase = SYNC_RUNNING;
		n->target->ops->suspend(n->target, false);
	}
}

/* For TR5: does the panel as a whole fail? */
static void watch_round(struct sync_node *n, enum answer_class class)
{
	bool failed = class == ANSWER_NET || (class == ANSWER_HTTP && n->call.status >= 500);

	if (n->ask > ASK_USERS)
		return;
	if (n->ask == ASK_CONFIG)
		n->round_failed = n->round_ok = false;
	n->round_failed |= failed;
	n->round_ok |= !failed;
	if (n->ask == ASK_USERS || (n->phase == SYNC_STARTING && failed))
		push_round_over(n);
}

void pull_alive_age(struct sync_node *n)
{
	if (!n->alive_known || !n->failures[ASK_ALIVE] || node_now(n) - n->alive_at < ALIVE_KEPT)
		return;
	n->alive_known = false;
	alive_list_done(&n->alive);
	node_log(n, LOG_WARN,
		 "devices on other nodes are unknown for 5 minutes: only our own count");
	if (n->served)
		n->target->ops->alive(n->target, NULL, 0);
}

void pull_optional(struct sync_node *n, enum ask a)
{
	int status = n->call.status;
	bool lacks = !n->call.err && (status == 404 || status == 405 || status == 500);

	if (!n->conf.dialect->may_lack_alive || (a != ASK_ALIVE && a != TELL_ONLINE))
		return;
	n->optional[a].failed = lacks ? n->optional[a].failed + 1 : 0;
	if (n->optional[a].failed < 2)
		return;
	n->optional[a].failed = 0;
	n->optional[a].quiet_until = node_now(n) + QUIET;
	if (node_first_time(n, ask_name(a), strlen(ask_name(a))))
		node_log(n, LOG_INFO, "the panel has no %s: asking again in an hour", ask_name(a));
}

/* --- the question ---------------------------------------------------------------------------- */

static void answered(struct sync_node *n, enum answer_class class)
{
	enum ask a = n->ask;

	watch_round(n, class);
	pull_optional(n, a);
	if (a == ASK_ALIVE)
		pull_alive_age(n);
	if (a == ASK_CONFIG)
		watch_forbidden(n, class);
	if (n->phase == SYNC_STARTING || n->phase == SYNC_CACHED)
		start_answered(n, a, class);
	else if (n->new_info || n->have_new_users)
		pull_offer(n);
	else
		node_idle(n);
}

static void let_go(struct sync_node *n)
{
	if (n->reading)
		users_reader_done(&n->reader);
	n->reading = false;
}

/* SC7.  What our own limits or memory ended would end again. */
static bool worth_repeating(const struct sync_node *n, enum answer_class class)
{
	return class == ANSWER_NET && n->tries < REPEATS && n->call.err != -ERR_TOO_BIG &&
	       n->call.err != -ENOMEM && n->call.err != -EINVAL;
}

static void on_answer(struct http_call *c)
{
	struct sync_node *n = container_of(c, struct sync_node, call);
	struct notes notes = {0};
	enum answer_class class;

	node_received(n);
	class = judge(n, &notes);
	if (worth_repeating(n, class)) {
		let_go(n);
		n->tries++;
		timer_set(n->s->conf.loop, &n->retry,
			  node_now(n) + (n->tries == 1 ? 500 : 1500) * NSEC_MS);
		return;
	}
	if (c->status == 304 && class == ANSWER_HTTP && !n->asked_plain) { /* C3 */
		let_go(n);
		if (n->ask <= ASK_USERS)
			validator_clear(&n->applied[n->ask]);
		n->asked_plain = true;
		ask_now(n);
		return;
	}
	node_remarks(n, &notes);
	node_answered(n, n->ask, class, notes.why);
	let_go(n);
	answered(n, class);
}

/* What has passed inside this turn, which the loop's clock does not tell. */
static nsec_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_SEC + ts.tv_nsec;
}

static int on_user_bytes(struct http_call *c, const void *bytes, size_t len)
{
	struct sync_node *n = container_of(c, struct sync_node, call);
	nsec_t began = clock_ns();

	n->reader_err = users_reader_feed(&n->reader, bytes, len);
	n->reader_ns += clock_ns() - began;
	return n->reader_err;
}

static size_t limit_of(enum ask a)
{
	return a == ASK_CONFIG ? CONFIG_MAX : a == ASK_USERS ? USERS_MAX : ALIVE_MAX;
}

static void ask_now(struct sync_node *n)
{
	struct http_call *c = &n->call;
	enum ask a = n->ask;

	http_call_reset(c);
	text_done(&n->url);
	n->conf.dialect->url(n->panel, a, &n->url);
	c->method = HTTP_GET;
	c->body = NULL;
	c->body_len = 0;
	c->once = false;
	c->n_fields = 0;
	c->max_answer = limit_of(a);
	c->sink = NULL;
	n->reader_err = 0;
	if (a <= ASK_USERS && n->conf.dialect->conditional && !n->asked_plain && n->applied[a].etag)
		c->fields[c->n_fields++] = (struct http_field){"If-None-Match", n->applied[a].etag};
	if (a == ASK_USERS) {
		let_go(n);
		n->reader_ns = 0;
		n->reading = true;
		c->sink = on_user_bytes;
		if (users_reader_init(&n->reader,
				      n->conf.dialect)) /* the hash; reading will fail */
			n->url.err = -ENOMEM;
	}
	node_send(n, on_answer);
}

void pull_begin(struct sync_node *n, enum ask a)
{
	n->ask = a;
	n->tries = 0;
	n->asked_plain = false;
	ask_now(n);
}

void pull_repeat(struct timer *t)
{
	struct sync_node *n = container_of(t, struct sync_node, retry);

	ask_now(n);
}

/* --- applying -------------------------------------------------------------------------------- */

static void forget_info(struct sync_node *n)
{
	node_info_put(n->new_info);
	n->new_info = NULL;
	free(n->new_body);
	n->new_body = NULL;
	n->new_body_len = 0;
	validator_clear(&n->offered[ASK_CONFIG]);
}

static void forget_users(struct sync_node *n)
{
	user_list_done(&n->new_users);
	user_list_init(&n->new_users);
	n->have_new_users = false;
	validator_clear(&n->offered[ASK_USERS]);
}

void pull_forget(struct sync_node *n)
{
	forget_info(n);
	forget_users(n);
}

static const char *protection(const struct sync_node *n, const struct node_info *i)
{
	const struct node_target_ops *ops = n->target->ops;

	return ops->protection ? ops->protection(n->target, i)
			       : node_protection_name(i, i->security);
}

static void tell_change(struct sync_node *n)
{
	const struct node_info *i = n->new_info;
	const char *field = NULL;

	if (!n->info)
		node_log(n, LOG_INFO, "%s on port %u, %s, %s", node_type_name(i->type), i->port,
			 node_network_name(i->network), protection(n, i));
	else if (node_info_diff(n->info, i, &field) == NODE_REBUILD)
		node_log(n, LOG_INFO, "new configuration (%s changed)", field);
	else if (field)
		node_log(n, LOG_INFO, "%s changed", field);
}

static void commit(struct sync_node *n)
{
	bool config = n->new_info, users = n->have_new_users;

	start_save(n, config && n->offered[ASK_CONFIG].set, users && n->offered[ASK_USERS].set);
	if (config) {
		tell_change(n);
		node_info_put(n->info);
		n->info = n->new_info;
		n->new_info = NULL;
		validator_move(&n->applied[ASK_CONFIG], &n->offered[ASK_CONFIG]);
		forget_info(n);
	}
	if (users) {
		node_log(n, LOG_DEBUG, "%zu users, read in %.1f ms", n->new_users.n,
			 (double)n->reader_ns / NSEC_MS);
		validator_move(&n->applied[ASK_USERS], &n->offered[ASK_USERS]);
		quota_keep(n, &n->new_users);
		forget_users(n);
	}
	n->served = true;
	if (config)
		node_schedule(n);
}

static void tell_failure(struct sync_node *n, int err)
{
	const char *what = n->new_info ? "the configuration" : "the users";
	bool ours = err == -ERR_UNSUPPORTED || err == -ERR_CONFIG;
	char key[96];
	int len = snprintf(key, sizeof(key), "apply %s %d", what, err);

	/* EAGAIN: the node is closing */
	if (err == -EAGAIN || !node_first_time(n, key, (size_t)len))
		return;
	if (!ours) /* else the node has said why */
		node_log(n, LOG_WARN, "%s could not be applied: %s%s", what, err_text(err),
			 n->served ? "; what ran runs on" : "");
	else if (n->served)
		node_log(n, LOG_WARN, "%s could not be applied; what ran runs on", what);
}

static void on_applied(void *arg, int err)
{
	struct sync_node *n = arg;

	if (!n->applying)
		return;
	n->applying = false;
	if (err)
		tell_failure(n, err);
	else
		commit(n);
	if (n->phase == SYNC_STARTING) {
		start_applied(n, err);
		return;
	}
	pull_forget(n);
	node_idle(n);
}

void quota_begin(struct sync_node *n)
{
	const struct user_list *users = quota_check(n);
	int err;

	if (!users) {
		node_idle(n);
		return;
	}
	n->busy = n->applying = true;
	n->ask = ASK_USERS;
	err = n->target->ops->apply(n->target, NULL, users, on_applied, n);
	if (err != -EINPROGRESS)
		on_applied(n, err);
}

void pull_offer(struct sync_node *n)
{
	const struct user_list *users = n->have_new_users ? quota_filter(n, &n->new_users) : NULL;
	struct node_info *info = n->new_info;
	int err;

	n->applying = true;
	if (info && n->info && n->served && node_info_equal(info, n->info))
		info = NULL; /* other words for the same */
	err = info || users ? n->target->ops->apply(n->target, info, users, on_applied, n) : 0;
	if (err != -EINPROGRESS)
		on_applied(n, err);
}
