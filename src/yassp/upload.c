/* upload.c - what was counted to the panel (D23-D28, TR3-TR7).
 *
 * Every min(30, timeout) seconds what is due is frozen into a batch, and every batch that waits is
 * sent once, oldest first.  A batch goes under its own id again and again until the
 * panel has it: YaSSP promises to take a repeat for one, so nothing that is in doubt is dropped.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/hex.h"
#include "yassp/body.h"
#include "yassp/yassp_impl.h"

#define TIMEOUT	     (10 * NSEC_SEC)
#define CHECK_S	     30
#define BUSY	     (500 * NSEC_MS) /* a check while reports leave waits so long */
#define ANSWER_MAX   (1 << 20)
#define REFUSALS_MAX 3
#define LOOK_AT	     64 /* batches, in search of the next */

static void trouble(struct yassp *y, const char *what, int err)
{
	if (!y->ledger_complained)
		yassp_log(y, LOG_ERROR, "the ledger: %s: %s: %s", what, err_text(err),
			  ledger_error(y->env.ledger));
	y->ledger_complained = true;
}

/* ---- freezing ---------------------------------------------------------------------------- */

static bool is_due(void *arg, int64_t id, uint64_t bytes)
{
	return yassp_due(arg, id, bytes);
}

static void freeze(struct yassp *y, bool all)
{
	struct ledger_freeze how = {.always = all};
	int err;

	engine_settle(y->env.engine);
	ledger_adopt(y->env.ledger);
	yassp_due_begin(&y->due, yassp_now(y));
	if (!all) {
		how.due = is_due;
		how.due_arg = &y->due;
	}
	err = ledger_freeze(y->env.ledger, y->env.ledger_node, &how);
	yassp_due_end(&y->due, err >= 0);
	if (err < 0)
		trouble(y, "freezing", err);
	else
		y->ledger_complained = false;
}

/* ---- answers ----------------------------------------------------------------------------- */

static void send_next(struct yassp *y);

/* TR7: the panel dislikes this very batch. */
static int refused(struct yassp *y)
{
	struct ledger *l = y->env.ledger;
	const struct ledger_batch *b = &y->sending;
	int times = ledger_refused(l, b->seq);

	if (times < 0)
		return times;
	if (b->n > 1 && (y->post.status == 413 || times >= REFUSALS_MAX))
		return ledger_split(l, b->seq);
	if (times < REFUSALS_MAX || b->n > 1)
		return 0;
	yassp_log(y, LOG_ERROR, "the panel refuses a report of %" PRIu64 " bytes for good: dropped",
		  b->total.up + b->total.down);
	return ledger_bury(l, b->seq, "refused by the panel");
}

/* TR4, TR5: what got an answer did nothing; what got none may have, and stays in flight. */
static int not_taken(struct yassp *y)
{
	const struct http_call *c = &y->post;

	if (c->err)
		return c->body_sent ? 0 : ledger_failed(y->env.ledger, y->sending.seq);
	if (c->status == 413 || c->status == 400 || c->status == 422)
		return refused(y);
	return ledger_failed(y->env.ledger, y->sending.seq);
}

static void tell_failure(struct yassp *y)
{
	const struct http_call *c = &y->post;
	char message[ANSWER_MESSAGE_MAX] = "";

	if (!complaint_is_new(&y->post_complaint, c->err ? 0 : c->status, c->err))
		return;
	if (c->err) {
		yassp_log(y, LOG_WARN, "a report was not taken: %s; it is sent again",
			  *c->detail ? c->detail : err_text(c->err));
		return;
	}
	answer_message(c->answer, c->answer_len, message);
	yassp_log(y, LOG_WARN, "a report was not taken: status %d%s%s; it is sent again", c->status,
		  *message ? ": " : "", message);
}

static void forget_sending(struct yassp *y)
{
	ledger_batch_done(&y->sending);
	y->sending = (struct ledger_batch){0};
}

static void check_later(struct yassp *y);

static void on_posted(struct http_call *c)
{
	struct yassp *y = container_of(c, struct yassp, post);
	bool taken = !c->err && ((c->status >= 200 && c->status < 300) || c->status == 304);
	int err;

	y->posting = false;
	if (taken) {
		unsigned times = complaint_over(&y->post_complaint);

		if (times)
			yassp_log(y, LOG_INFO, "reports are taken again, after %u failures", times);
		err = ledger_ack(y->env.ledger, y->sending.seq);
	} else {
		tell_failure(y);
		err = not_taken(y);
	}
	if (err < 0)
		trouble(y, taken ? "acknowledging" : "keeping", err);
	forget_sending(y);
	send_next(y);
}

/* ---- sending ----------------------------------------------------------------------------- */

/* 0: on its way. */
static int send_batch(struct yassp *y, int64_t seq)
{
	struct http_call *c = &y->post;
	int err;

	err = ledger_load(y->env.ledger, seq, &y->sending);
	if (err)
		return err;
	text_done(&y->post_body);
	yassp_body(&y->sending, &y->post_body);
	text_done(&y->post_url);
	url_join(&y->post_url, y->conf->url, "traffics/");
	err = y->post_body.err ? y->post_body.err : y->post_url.err;
	if (!err)
		err = ledger_sending(y->env.ledger, seq);
	if (err)
		return err;
	hex_format(y->sending.report_id, LEDGER_ID_LEN, y->report_id);
	http_call_reset(c);
	c->method = HTTP_POST;
	c->url = y->post_url.s;
	c->user = y->conf->hostname;
	c->password = y->conf->psk;
	c->body = y->post_body.s;
	c->body_len = y->post_body.len;
	c->max_answer = ANSWER_MAX;
	c->timeout = TIMEOUT;
	c->once = true;
	c->done = on_posted;
	c->fields[0] = (struct http_field){"Idempotency-Key", y->report_id};
	c->n_fields = 1;
	return http_start(y->env.http, c);
}

/* The oldest batch that this check has not tried.  False: none. */
static bool find_next(struct yassp *y, int64_t *seq)
{
	struct ledger_batch waiting[LOOK_AT];
	int n = ledger_batches(y->env.ledger, y->env.ledger_node, waiting, LOOK_AT);

	if (n < 0)
		trouble(y, "listing", n);
	for (int i = 0; i < n; i++) {
		if (waiting[i].seq > y->tried) {
			*seq = waiting[i].seq;
			return true;
		}
	}
	return false;
}

static void send_next(struct yassp *y)
{
	int64_t seq;
	int err;

	while (find_next(y, &seq)) {
		y->tried = seq;
		err = send_batch(y, seq);
		if (!err) {
			y->posting = true;
			return;
		}
		trouble(y, "sending", err);
		forget_sending(y);
	}
	if (y->draining)
		yassp_drained(y);
	else
		check_later(y);
}

/* ---- when -------------------------------------------------------------------------------- */

static void on_check(struct timer *t)
{
	struct yassp *y = container_of(t, struct yassp, check);

	if (y->stopping)
		return;
	if (y->posting) {
		timer_set(y->env.loop, t, yassp_now(y) + BUSY);
		return;
	}
	freeze(y, false);
	y->tried = 0;
	send_next(y);
}

static void check_later(struct yassp *y)
{
	int64_t every = MIN((int64_t)CHECK_S, MAX((int64_t)1, y->conf->timeout_s));

	upload_soon(y, every * NSEC_SEC);
}

/* Not later than what is set already. */
void upload_soon(struct yassp *y, nsec_t delay)
{
	nsec_t at = yassp_now(y) + delay;

	if (y->stopping || (timer_armed(&y->check) && y->check.at <= at))
		return;
	timer_set(y->env.loop, &y->check, at);
}

void upload_last(struct yassp *y)
{
	freeze(y, true);
	if (y->posting) /* its answer goes on from there */
		return;
	y->tried = 0;
	send_next(y);
}

void upload_call_off(struct yassp *y)
{
	timer_stop(&y->check);
	if (y->posting)
		http_cancel(y->env.http, &y->post);
	y->posting = false;
	forget_sending(y);
}

void upload_init(struct yassp *y)
{
	timer_init(&y->check, on_check);
	y->due.threshold = (uint64_t)y->conf->threshold;
	y->due.timeout = y->conf->timeout_s * NSEC_SEC;
}

void upload_done(struct yassp *y)
{
	upload_call_off(y);
	http_call_reset(&y->post);
	text_done(&y->post_url);
	text_done(&y->post_body);
	yassp_due_done(&y->due);
}
