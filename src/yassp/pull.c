/* pull.c - asking the panel for the list (D14-D17, C3, C5, SC7-SC9).
 *
 * A validator is remembered when its list has been applied, not before.  What was applied last is
 * also kept in a file, for a start while the panel is away; a panel that says no gets no such start.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "yassp/yassp_impl.h"

#define TIMEOUT	     (10 * NSEC_SEC)
#define TRIES	     3
#define SNAPSHOT_AGE (24 * 3600)

static const nsec_t pauses[TRIES - 1] = {500 * NSEC_MS, 1500 * NSEC_MS};

static void ask(struct yassp *y);

/* ---- the file ---------------------------------------------------------------------------- */

static void from_snapshot(struct yassp *y)
{
	char why[PROFILE_WHY_MAX];
	struct yassp_list list;
	struct job *j;
	char *body;
	size_t len;

	if (!y->env.snapshot_dir || y->stopping ||
	    snapshot_load_config(y->env.snapshot_dir, y->name, loop_wall(y->env.loop), SNAPSHOT_AGE,
				 &body, &len))
		return;
	if (list_parse(y, body, len, &list, why) == 0) {
		j = job_new(y);
		if (j) {
			yassp_log(y, LOG_WARN,
				  "serving the last good list until the panel answers");
			j->list = list;
			apply_queue(y, j);
		} else {
			yassp_list_done(&list);
		}
	}
	explicit_bzero(body, len);
	free(body);
}

/* ---- an answer --------------------------------------------------------------------------- */

/* How the panel's failure is told; only a change of it. */
static void failed(struct yassp *y, const char *why)
{
	const struct http_call *c = &y->get;
	int status = c->err ? 0 : c->status;

	if (!complaint_is_new(&y->pull_complaint, status, c->err))
		return;
	if (status == 401 || status == 403)
		yassp_log(y, LOG_ERROR, "the panel refuses this host (%d): %s", status,
			  "hostname or psk is wrong; the ports stay as they are");
	else
		yassp_log(y, LOG_ERROR, "the list cannot be had: %s; the ports stay as they are",
			  why);
}

static void well(struct yassp *y)
{
	unsigned times = complaint_over(&y->pull_complaint);

	if (times)
		yassp_log(y, LOG_INFO, "the panel answers again, after %u failures", times);
}

static void take_list(struct yassp *y)
{
	struct http_call *c = &y->get;
	char why[PROFILE_WHY_MAX];
	struct yassp_list list;
	struct job *j;
	int err = list_parse(y, c->answer, c->answer_len, &list, why);

	if (err) {
		failed(y, why);
		return;
	}
	j = job_new(y);
	if (!j) {
		yassp_list_done(&list);
		return;
	}
	well(y);
	j->list = list;
	memcpy(j->validators.etag, c->etag, sizeof(j->validators.etag));
	memcpy(j->validators.modified, c->modified, sizeof(j->validators.modified));
	j->body = c->answer;
	j->body_len = c->answer_len;
	c->answer = NULL;
	c->answer_len = 0;
	apply_queue(y, j);
}

/* 304 to who has nothing: our validators are of another life.  Once more without them. */
static void not_changed(struct yassp *y)
{
	bool have = *y->applied.etag || *y->applied.modified;

	if (y->known && have && !y->plain) {
		well(y);
		return;
	}
	if (!y->plain) {
		memset(&y->applied, 0, sizeof(y->applied));
		y->plain = true;
		ask(y);
		return;
	}
	failed(y, "304, to a question without condition");
}

static void judge(struct yassp *y)
{
	const struct http_call *c = &y->get;
	char why[ANSWER_MESSAGE_MAX + 32], message[ANSWER_MESSAGE_MAX];

	if (c->err) {
		failed(y, *c->detail ? c->detail : err_text(c->err));
	} else if (c->status == 304) {
		not_changed(y);
	} else if (c->status == 204) {
		well(y);
	} else if (c->status == 200) {
		take_list(y);
	} else {
		answer_message(c->answer, c->answer_len, message);
		snprintf(why, sizeof(why), "status %d%s%s", c->status, *message ? ": " : "",
			 message);
		failed(y, why);
	}
}

/* Away, not unwilling. */
static bool is_away(const struct http_call *c)
{
	return c->err || c->status >= 500 || c->status == 429 || c->status == 200;
}

static void on_answer(struct http_call *c)
{
	struct yassp *y = container_of(c, struct yassp, get);
	int64_t wait = answer_retry_after(c->retry_after, c->date, loop_wall(y->env.loop));

	y->getting = false;
	if (c->err && y->tries < TRIES) {
		timer_set(y->env.loop, &y->retry, yassp_now(y) + pauses[y->tries - 1]);
		return;
	}
	if (!c->err && (c->status == 429 || c->status == 503))
		y->not_before = yassp_now(y) + wait * NSEC_SEC;
	judge(y);
	if (y->getting) /* again, at once */
		return;
	if (!y->known && !y->current && list_empty(&y->jobs) && is_away(c))
		from_snapshot(y);
	pull_later(y);
}

/* ---- asking ------------------------------------------------------------------------------ */

static void ask(struct yassp *y)
{
	struct http_call *c = &y->get;

	http_call_reset(c);
	text_done(&y->get_url);
	url_join(&y->get_url, y->conf->url, "services/");
	c->method = HTTP_GET;
	c->url = y->get_url.s;
	c->user = y->conf->hostname;
	c->password = y->conf->psk;
	c->max_answer = YASSP_LIST_MAX;
	c->timeout = TIMEOUT;
	c->done = on_answer;
	c->n_fields = 0;
	if (!y->plain && *y->applied.etag)
		c->fields[c->n_fields++] = (struct http_field){"If-None-Match", y->applied.etag};
	if (!y->plain && *y->applied.modified)
		c->fields[c->n_fields++] =
			(struct http_field){"If-Modified-Since", y->applied.modified};
	y->tries++;
	y->getting = !y->get_url.err && http_start(y->env.http, c) == 0;
	if (!y->getting) {
		yassp_log(y, LOG_ERROR, "the list cannot be asked for: no memory");
		pull_later(y);
	}
}

static void on_retry(struct timer *t)
{
	ask(container_of(t, struct yassp, retry));
}

static void on_pull(struct timer *t)
{
	struct yassp *y = container_of(t, struct yassp, pull);

	if (y->stopping || y->getting)
		return;
	/* While a list is being applied there is no telling what may be left unsaid. */
	if (y->current) {
		timer_set(y->env.loop, t, yassp_now(y) + NSEC_SEC);
		return;
	}
	y->tries = 0;
	y->plain = false;
	ask(y);
}

void pull_now(struct yassp *y)
{
	timer_set(y->env.loop, &y->pull, yassp_now(y));
}

/* With up to 5 % more, so that many hosts do not come together (SC4). */
void pull_later(struct yassp *y)
{
	nsec_t interval = y->conf->pull_interval_s * NSEC_SEC;
	nsec_t most = MIN(interval / 20, 5 * NSEC_SEC);
	uint32_t dice;

	if (y->stopping)
		return;
	loop_random(y->env.loop, &dice, sizeof(dice));
	timer_set(y->env.loop, &y->pull,
		  MAX(yassp_now(y) + interval + most * (dice % 1000) / 1000, y->not_before));
}

void pull_call_off(struct yassp *y)
{
	timer_stop(&y->pull);
	timer_stop(&y->retry);
	if (y->getting)
		http_cancel(y->env.http, &y->get);
	y->getting = false;
}

void pull_init(struct yassp *y)
{
	timer_init(&y->pull, on_pull);
	timer_init(&y->retry, on_retry);
}

void pull_done(struct yassp *y)
{
	pull_call_off(y);
	http_call_reset(&y->get);
	text_done(&y->get_url);
}
