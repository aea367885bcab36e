/* sync_push.c - traffic and online addresses to the panel (TR2-TR10, A.8, A.9).
 *
 * A tick freezes what is pending into batches and then tries every waiting batch once, oldest
 * first. A batch leaves the ledger when the panel has it, or when it is given up by rule; what
 * happens to one does not hold up the next.
 *
 * Where a repeat would bill twice (policy drop), an answer that leaves the fate open is not decided
 * on the spot: the batch is set aside until the next configuration and users are asked for.  If
 * those fail like a panel that is down, it never looked at the batch, which is kept; otherwise it
 * is dropped.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "sync/sync_impl.h"

#define LIST_MAX     1024
#define ANSWER_MAX   (1 << 20)
#define REFUSALS_MAX 3

static struct ledger *ledger_of(const struct sync_node *n)
{
	return n->s->conf.ledger;
}

static bool drops(const struct sync_node *n)
{
	if (n->conf.ambiguous == SYNC_AMBIGUOUS_DEFAULT)
		return !n->conf.dialect->whole_push;
	return n->conf.ambiguous == SYNC_AMBIGUOUS_DROP;
}

static void ledger_trouble(struct sync_node *n, const char *what, int err)
{
	if (node_first_time(n, what, strlen(what)))
		node_log(n, LOG_ERROR, "the ledger: %s: %s: %s", what, err_text(err),
			 ledger_error(ledger_of(n)));
}

/* --- freezing -------------------------------------------------------------------------------- */

/* base_config counts in kB, ReportMinTraffic in KiB. */
static uint64_t threshold_of(const struct sync_node *n)
{
	const struct node_info *i = n->info;

	if (i && i->report_min_kb >= 0)
		return (uint64_t)i->report_min_kb * 1000;
	if (n->conf.report_min_kib >= 0)
		return (uint64_t)n->conf.report_min_kib * 1024;
	return i && i->remote.set & REMOTE_REPORT_MIN ? (uint64_t)i->remote.report_min_kib * 1024
						      : 0;
}

static uint64_t online_min_of(const struct sync_node *n)
{
	const struct node_info *i = n->info;

	if (i && i->online_min_kb >= 0)
		return (uint64_t)i->online_min_kb * 1000;
	if (n->conf.online_min_kb >= 0)
		return (uint64_t)n->conf.online_min_kb * 1000;
	return i && i->remote.set & REMOTE_ONLINE_MIN ? (uint64_t)i->remote.online_min_kb * 1000
						      : 0;
}

static void freeze(struct sync_node *n, bool always)
{
	uint32_t users = n->conf.push_batch_users;
	struct ledger_freeze how = {.threshold = always ? 0 : threshold_of(n),
				    .batch_users = users ? users : n->conf.dialect->batch_users,
				    .always = always};
	int err;

	if (n->target->ops->settle)
		n->target->ops->settle(n->target);
	ledger_adopt(ledger_of(n));
	err = ledger_freeze(ledger_of(n), n->conf.ledger_node, &how);
	if (err < 0)
		ledger_trouble(n, "freezing", err);
}

static void forget_list(struct sync_node *n)
{
	free(n->batches);
	n->batches = NULL;
	n->n_batches = n->at_batch = 0;
}

void push_tick(struct sync_node *n)
{
	if (n->served)
		n->todo |= BIT(TELL_ONLINE);
	if (!ledger_of(n))
		return;
	freeze(n, false);
	if (n->conf.enforce_quota && n->served)
		n->todo |= BIT(CHECK_QUOTA);
	n->push_again = n->listed;
	n->todo |= BIT(TELL_TRAFFIC);
}

void push_final(struct sync_node *n)
{
	if (!ledger_of(n))
		return;
	freeze(n, true);
	forget_list(n); /* what failed in this tick gets another chance */
	n->listed = n->push_again = false;
}

/* --- the batches of a tick -------------------------------------------------------------------- */

static bool is_undecided(const struct sync_node *n, int64_t seq)
{
	for (size_t i = 0; i < n->n_undecided; i++) {
		if (n->undecided[i] == seq)
			return true;
	}
	return false;
}

/* Those newer than `after`.  Returns whether there are any. */
static bool list_batches(struct sync_node *n, int64_t after)
{
	struct ledger_batch *all = calloc(LIST_MAX, sizeof(*all));
	int count =
		all ? ledger_batches(ledger_of(n), n->conf.ledger_node, all, LIST_MAX) : -ENOMEM;

	forget_list(n);
	if (count < 0)
		ledger_trouble(n, "listing", count);
	if (count > 0)
		n->batches = calloc((size_t)count, sizeof(*n->batches));
	for (int i = 0; n->batches && i < count; i++) {
		if (all[i].seq > after && !is_undecided(n, all[i].seq))
			n->batches[n->n_batches++] = all[i].seq;
	}
	free(all);
	return n->n_batches > 0;
}

static bool next_batch(struct sync_node *n, int64_t *seq)
{
	if (n->at_batch == n->n_batches) {
		bool more = !n->listed || n->push_again;

		n->push_again = false;
		if (!more || !list_batches(n, n->listed ? n->last_tried : 0)) {
			forget_list(n);
			n->listed = false;
			return false;
		}
		n->listed = true;
	}
	*seq = n->last_tried = n->batches[n->at_batch++];
	return true;
}

/* --- giving up -------------------------------------------------------------------------------- */

static void drop(struct sync_node *n, const struct ledger_batch *b, const char *why)
{
	int err = ledger_bury(ledger_of(n), b->seq, why);

	if (err) {
		ledger_trouble(n, "dropping", err);
		return;
	}
	n->status.dropped_up += b->total.up;
	n->status.dropped_down += b->total.down;
	node_log(n, LOG_ERROR,
		 "a report of %" PRIu32 " users, %" PRIu64 " bytes up and %" PRIu64
		 " down, was dropped: %s",
		 b->n, b->total.up, b->total.down, why);
}

static void set_aside(struct sync_node *n, int64_t seq)
{
	int64_t *v = realloc(n->undecided, (n->n_undecided + 1) * sizeof(*v));

	if (!v) /* stays in flight in the ledger: decided after a restart */
		return;
	v[n->n_undecided++] = seq;
	n->undecided = v;
}

static void decide(struct sync_node *n, int64_t seq)
{
	struct ledger_batch b;
	int err;

	if (n->panel_down) {
		err = ledger_failed(ledger_of(n), seq);
		if (err)
			ledger_trouble(n, "keeping", err);
		return;
	}
	if (ledger_load(ledger_of(n), seq, &b))
		return;
	drop(n, &b, "the panel may have it already");
	ledger_batch_done(&b);
}

void push_round_over(struct sync_node *n)
{
	n->panel_down = n->round_failed && !n->round_ok;
	n->round_at = node_now(n);
	for (size_t i = 0; i < n->n_undecided; i++)
		decide(n, n->undecided[i]);
	n->n_undecided = 0;
}

/* The round that was heard of last still stands for the present. */
static bool panel_is_down(const struct sync_node *n)
{
	return n->panel_down && node_now(n) - n->round_at <= node_pull_interval(n) * NSEC_SEC;
}

/* --- answers ---------------------------------------------------------------------------------- */

static void ambiguous(struct sync_node *n)
{
	if (!drops(n))
		return; /* stays in flight, and goes again as it is */
	if (panel_is_down(n)) {
		int err = ledger_failed(ledger_of(n), n->sending.seq);

		if (err)
			ledger_trouble(n, "keeping", err);
	} else {
		set_aside(n, n->sending.seq);
	}
}

/* TR7: the panel dislikes this very batch.  Too large is a fact, the rest may pass. */
static void refused(struct sync_node *n)
{
	int times = ledger_refused(ledger_of(n), n->sending.seq), err = 0;
	bool alone = n->sending.n <= 1;

	if (times < 0) {
		ledger_trouble(n, "refused", times);
	} else if (alone && times >= REFUSALS_MAX) {
		drop(n, &n->sending, "refused by the panel");
	} else if (!alone && (n->call.status == 413 || times >= REFUSALS_MAX)) {
		err = ledger_split(ledger_of(n), n->sending.seq);
		if (err)
			ledger_trouble(n, "splitting", err);
		else
			node_log(n, LOG_WARN,
				 "a report of %" PRIu32 " users was refused (%d): trying halves",
				 n->sending.n, n->call.status);
	}
}

static void failed(struct sync_node *n)
{
	int status = n->call.err ? 0 : n->call.status, err;

	if (status == 413 || status == 400 || status == 422) {
		refused(n);
		return;
	}
	err = ledger_failed(ledger_of(n), n->sending.seq);
	if (err)
		ledger_trouble(n, "keeping", err);
}

static void done_with(struct sync_node *n)
{
	int err = ledger_ack(ledger_of(n), n->sending.seq);

	if (err) { /* it goes again, with the same id */
		ledger_trouble(n, "acknowledging", err);
		return;
	}
	quota_acked(n, &n->sending);
	n->status.pushed_up += n->sending.total.up;
	n->status.pushed_down += n->sending.total.down;
}

static enum answer_class class_of(const struct http_call *c, enum post_fate fate)
{
	if (fate == POST_DONE)
		return ANSWER_OK;
	if (c->err)
		return ANSWER_NET;
	if (c->status < 200 || c->status >= 300)
		return ANSWER_HTTP;
	return fate == POST_AMBIGUOUS ? ANSWER_PARSE : ANSWER_APP;
}

static void tell_post(struct sync_node *n, enum post_fate fate, const char *message)
{
	const struct http_call *c = &n->call;
	const char *why = message;

	if (c->err)
		why = *c->detail ? c->detail : err_text(c->err);
	else if (fate == POST_AMBIGUOUS && !*message)
		why = "the answer does not tell whether it was taken";
	node_answered(n, n->ask, class_of(c, fate), why);
}

static void on_pushed(struct http_call *c)
{
	struct sync_node *n = container_of(c, struct sync_node, call);
	char message[ANSWER_MESSAGE_MAX];
	enum post_fate fate;

	node_received(n);
	fate = answer_post_fate(c, n->conf.dialect->whole_push, message);
	tell_post(n, fate, message);
	switch (fate) {
	case POST_DONE:
		done_with(n);
		break;
	case POST_FAILED:
		failed(n);
		break;
	case POST_AMBIGUOUS:
		ambiguous(n);
		break;
	}
	ledger_batch_done(&n->sending);
	n->sending = (struct ledger_batch){0};
	node_idle(n);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void set_post(struct sync_node *n, enum ask a)
{
	struct http_call *c = &n->call;

	n->ask = a;
	http_call_reset(c);
	text_done(&n->url);
	n->conf.dialect->url(n->panel, a, &n->url);
	c->method = HTTP_POST;
	c->body = n->body.s;
	c->body_len = n->body.len;
	c->max_answer = ANSWER_MAX;
	c->sink = NULL;
	c->n_fields = 0;
	c->once = a == TELL_TRAFFIC;
}

/* Whether it is on its way; false: the next one. */
static bool send_batch(struct sync_node *n, int64_t seq)
{
	struct ledger_batch *b = &n->sending;
	int err;

	if (ledger_load(ledger_of(n), seq, b))
		return false;
	if (b->in_flight && drops(n)) { /* sent by a process that did not live to hear the answer */
		drop(n, b, "it was under way when the program ended");
		goto skip;
	}
	text_done(&n->body);
	traffic_body(b->entries, b->n, &n->body);
	err = n->body.err ? n->body.err : ledger_sending(ledger_of(n), seq);
	if (err) {
		ledger_trouble(n, "sending", err);
		goto skip;
	}
	hex_format(b->report_id, LEDGER_ID_LEN, n->report_id);
	set_post(n, TELL_TRAFFIC);
	n->call.fields[n->call.n_fields++] = (struct http_field){"Idempotency-Key", n->report_id};
	node_send(n, on_pushed);
	return true;
skip:
	ledger_batch_done(b);
	*b = (struct ledger_batch){0};
	return false;
}

bool push_begin(struct sync_node *n)
{
	int64_t seq;

	while (ledger_of(n) && next_batch(n, &seq)) {
		if (send_batch(n, seq))
			return true;
	}
	return false;
}

void push_forget(struct sync_node *n)
{
	forget_list(n);
	n->listed = n->push_again = false;
	ledger_batch_done(&n->sending);
	n->sending = (struct ledger_batch){0};
}

/* --- who is online ---------------------------------------------------------------------------- */

static void on_told(struct http_call *c)
{
	struct sync_node *n = container_of(c, struct sync_node, call);
	char message[ANSWER_MESSAGE_MAX];
	enum post_fate fate;

	node_received(n);
	pull_optional(n, TELL_ONLINE);
	fate = answer_post_fate(c, true, message);
	tell_post(n, fate, message);
	node_idle(n);
}

static void add_online(void *arg, int64_t id, const struct addr *addrs, size_t count)
{
	struct sync_node *n = arg;

	online_body_add(&n->body, id, addrs, count);
}

bool online_begin(struct sync_node *n)
{
	bool quiet = n->optional[TELL_ONLINE].quiet_until > node_now(n);

	text_done(&n->body);
	online_body_begin(&n->body);
	n->target->ops->online(n->target, online_min_of(n), quiet ? NULL : add_online, n);
	if (quiet || n->body.len <= 1) /* nobody */
		return false;
	online_body_end(&n->body);
	set_post(n, TELL_ONLINE);
	if (n->body.err)
		n->url.err = n->body.err;
	node_send(n, on_told);
	return true;
}
