#include "yassp/yassp_impl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define GRACE  (200 * NSEC_MS) /* of connections at the end, at the least */
#define BUDGET (10 * NSEC_SEC)

nsec_t yassp_now(const struct yassp *y)
{
	return loop_now(y->env.loop);
}

void yassp_log(struct yassp *y, enum log_level level, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_msg(level, "yassp", "%s: %s", y->env.tag, text);
}

bool complaint_is_new(struct complaint *c, int status, int err)
{
	bool is_new = !c->times || c->status != status || c->err != err;

	c->times++;
	c->status = status;
	c->err = err;
	return is_new;
}

unsigned complaint_over(struct complaint *c)
{
	unsigned times = c->times;

	*c = (struct complaint){0};
	return times;
}

/* ---- the end ----------------------------------------------------------------------------- */

static void on_gone(struct waiter *w)
{
	struct yassp *y = container_of(w, struct yassp, gone);

	y->stopped(y->stopped_arg);
}

void yassp_drained(struct yassp *y)
{
	timer_stop(&y->budget);
	loop_queue(y->env.loop, &y->gone);
}

static void on_budget_over(struct timer *t)
{
	struct yassp *y = container_of(t, struct yassp, budget);

	yassp_log(y, LOG_WARN,
		  "the panel has not taken the last report; it waits for the next start");
	upload_call_off(y);
	yassp_drained(y);
}

static void engine_is_down(void *arg)
{
	struct yassp *y = arg;

	if (y->hurried) {
		yassp_drained(y);
		return;
	}
	y->draining = true;
	timer_set(y->env.loop, &y->budget, yassp_now(y) + BUDGET);
	upload_last(y);
}

void yassp_stop(struct yassp *y, nsec_t grace, void (*stopped)(void *arg), void *arg)
{
	y->stopped = stopped;
	y->stopped_arg = arg;
	y->stopping = true;
	timer_stop(&y->check);
	pull_call_off(y);
	apply_done(y);
	engine_stop(y->env.engine, MAX(grace, GRACE), engine_is_down, y);
}

void yassp_hasten(struct yassp *y)
{
	if (!y->draining)
		engine_hasten(y->env.engine);
}

void yassp_hurry(struct yassp *y)
{
	y->hurried = true;
	if (!y->draining) {
		engine_stop(y->env.engine, 0, engine_is_down, y);
		return;
	}
	upload_call_off(y);
	yassp_drained(y);
}

/* ---- the beginning ----------------------------------------------------------------------- */

static int copy_allow(struct yassp *y)
{
	const struct json_list *allow = &y->conf->plugin_allow;

	y->allow = calloc(allow->count + 1, sizeof(*y->allow));
	if (!y->allow)
		return -ENOMEM;
	for (size_t i = 0; i < allow->count; i++)
		y->allow[i] = allow->items[i];
	return 0;
}

int yassp_new(const struct yassp_env *env, struct yassp **out)
{
	struct yassp *y = calloc(1, sizeof(*y));
	int err;

	if (!y)
		return -ENOMEM;
	y->env = *env;
	y->conf = env->conf;
	list_init(&y->jobs);
	timer_init(&y->budget, on_budget_over);
	waiter_init(&y->gone, on_gone);
	pull_init(y);
	upload_init(y);
	err = copy_allow(y);
	if (!err)
		err = snapshot_name(y->conf->url, y->conf->hostname, "yassp", y->name);
	if (err) {
		yassp_free(y);
		return err;
	}
	pull_now(y);
	upload_soon(y, 0); /* what an earlier process has left */
	*out = y;
	return 0;
}

void yassp_free(struct yassp *y)
{
	if (!y)
		return;
	pull_done(y);
	upload_done(y);
	apply_done(y);
	timer_stop(&y->budget);
	waiter_cancel(&y->gone);
	yassp_list_done(&y->list);
	free(y->generations);
	free(y->allow);
	free(y);
}
