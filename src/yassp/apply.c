/* apply.c - a list becomes what the engine serves (D9-D12, D20, D21).
 *
 * One list at a time: a push and a pull that come together are applied one after the other, in the
 * order in which they came.  Identical profiles are not touched.  A changed password or method ends
 * an account: the port goes on under a new generation, and what the old one has left is reported at
 * once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "yassp/yassp_impl.h"

#define SETTLED_AFTER (1500 * NSEC_MS) /* the engine ends connections within a second */

/* One answer of the engine. */
struct order {
	struct job *job;
	uint16_t port;
	bool removal;
};

struct job *job_new(struct yassp *y)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->y = y;
	list_init(&j->link);
	return j;
}

void job_free(struct job *j)
{
	if (!j)
		return;
	list_del(&j->link);
	yassp_list_done(&j->list);
	if (j->body)
		explicit_bzero(j->body, j->body_len);
	free(j->body);
	free(j);
}

static void on_remark(void *arg, const char *what)
{
	yassp_log(arg, LOG_WARN, "%s", what);
}

int list_parse(struct yassp *y, const char *body, size_t len, struct yassp_list *out,
	       char why[PROFILE_WHY_MAX])
{
	const struct yassp_rules rules = {.allow = y->allow, .remark = on_remark, .arg = y};

	return yassp_list_parse(body, len, &rules, out, why);
}

/* ---- the end of a job -------------------------------------------------------------------- */

static void begin_next(struct yassp *y);

/* Validators only of a list that was applied; a push makes the next pull ask for all of it. */
static void job_over(struct job *j)
{
	struct yassp *y = j->y;
	yassp_pushed *done = j->done;
	void *arg = j->arg;

	if (y) {
		y->applied = j->validators;
		y->known = true;
		y->current = NULL;
		if (j->body && y->env.snapshot_dir &&
		    snapshot_save_config(y->env.snapshot_dir, y->name, loop_wall(y->env.loop),
					 j->body, j->body_len))
			yassp_log(y, LOG_WARN, "the list cannot be saved for the next start");
	}
	job_free(j);
	if (y && done)
		done(arg);
	if (y)
		begin_next(y);
}

static void answered(struct job *j)
{
	if (--j->pending == 0)
		job_over(j);
}

/* The engine has logged what it does about it; which entry of the list that was, only we know. */
static void on_order(void *arg, int err, const char *why)
{
	struct order *o = arg;
	struct job *j = o->job;

	if (err && j->y)
		yassp_log(j->y, LOG_ERROR, "port %u cannot be %s: %s%s%s", o->port,
			  o->removal ? "removed" : "served", err_text(err), why && *why ? ": " : "",
			  why ? why : "");
	free(o);
	answered(j);
}

static struct order *order_new(struct job *j, uint16_t port, bool removal)
{
	struct order *o = malloc(sizeof(*o));

	if (!o) {
		yassp_log(j->y, LOG_ERROR, "port %u: no memory", port);
		return NULL;
	}
	*o = (struct order){j, port, removal};
	j->pending++;
	return o;
}

/* ---- the difference ---------------------------------------------------------------------- */

static void remove_missing(struct yassp *y, struct job *j)
{
	for (size_t i = 0; i < y->list.n; i++) {
		uint16_t port = y->list.v[i]->port;
		struct order *o;

		if (yassp_list_find(&j->list, port))
			continue;
		o = order_new(j, port, true);
		if (o)
			engine_remove(y->env.engine, port, on_order, o);
	}
}

static void put(struct yassp *y, struct job *j, const struct profile *p, uint32_t generation)
{
	const struct engine_put what = {.profile = p, .generation = generation, .keep = true};
	struct order *o = order_new(j, p->port, false);

	if (o)
		engine_put(y->env.engine, &what, on_order, o);
}

/* The generation under which this profile is served; *same: nothing is to be done. */
static uint32_t generation_of(struct yassp *y, const struct profile *p, bool *same)
{
	size_t at = yassp_list_at(&y->list, p->port);
	const struct profile *old = at < y->list.n ? y->list.v[at] : NULL;

	*same = false;
	if (!old || old->port != p->port || !profile_same_secret(old, p))
		return ++y->next_generation;
	*same = profile_equal(old, p);
	return y->generations[at];
}

static void begin(struct yassp *y, struct job *j)
{
	struct yassp_list list = j->list;
	uint32_t *generations = calloc(list.n + 1, sizeof(*generations));
	bool *same = calloc(list.n + 1, sizeof(*same));
	size_t changed = 0, gone = 0;

	j->pending = 1; /* until all orders are given: answers may come at once */
	if (!generations || !same) {
		yassp_log(y, LOG_ERROR, "no memory to apply the list");
		free(generations);
		free(same);
		memset(&j->validators, 0, sizeof(j->validators));
		answered(j);
		return;
	}
	for (size_t i = 0; i < list.n; i++) {
		generations[i] = generation_of(y, list.v[i], &same[i]);
		changed += !same[i];
	}
	for (size_t i = 0; i < y->list.n; i++)
		gone += !yassp_list_find(&list, y->list.v[i]->port);
	if (changed || gone || !y->known)
		yassp_log(y, LOG_INFO, "%zu ports: %zu new or changed, %zu gone, %zu invalid",
			  list.n, changed, gone, list.invalid);
	remove_missing(y, j);
	for (size_t i = 0; i < list.n; i++) {
		if (!same[i])
			put(y, j, list.v[i], generations[i]);
	}
	free(same);
	yassp_list_done(&y->list);
	free(y->generations);
	y->list = list;
	y->generations = generations;
	j->list = (struct yassp_list){0};
	if (changed || gone)
		upload_soon(y, SETTLED_AFTER);
	answered(j);
}

static void begin_next(struct yassp *y)
{
	struct list_node *n;

	if (y->current || y->stopping || !(n = list_pop(&y->jobs)))
		return;
	y->current = container_of(n, struct job, link);
	begin(y, y->current);
}

void apply_queue(struct yassp *y, struct job *j)
{
	list_add_tail(&y->jobs, &j->link);
	begin_next(y);
}

int yassp_push(struct yassp *y, const char *body, size_t len, yassp_pushed *done, void *arg,
	       char why[PROFILE_WHY_MAX])
{
	struct yassp_list list;
	struct job *j;
	int err = list_parse(y, body, len, &list, why);

	if (err)
		return err;
	j = job_new(y);
	if (!j) {
		yassp_list_done(&list);
		return -ENOMEM;
	}
	j->list = list;
	j->done = done;
	j->arg = arg;
	pull_call_off(y); /* an answer under way may be older than this list */
	pull_later(y);
	apply_queue(y, j);
	return 0;
}

static void forget_done(struct job *j, const void *arg)
{
	if (j && j->arg == arg)
		j->done = NULL;
}

void yassp_push_forget(struct yassp *y, void *arg)
{
	forget_done(y->current, arg);
	for (struct list_node *n = y->jobs.next; n != &y->jobs; n = n->next)
		forget_done(container_of(n, struct job, link), arg);
}

/* Answers of the engine may still come for the list that it is at. */
void apply_done(struct yassp *y)
{
	struct list_node *n;

	while ((n = list_pop(&y->jobs)))
		job_free(container_of(n, struct job, link));
	if (y->current)
		y->current->y = NULL;
	y->current = NULL;
}
