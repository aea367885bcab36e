/* How a node changes.  An apply takes three steps, the middle one on the workers:
 *
 *   prepare   on control: build the generation, bind what is missing, compute the users' new table.
 *             Anything that fails here leaves the node exactly as it was; the users come last, and
 *             behind them nothing can fail.
 *   install   on every worker: users first, then the generation and its listeners.  A worker that
 *             has no memory for it is asked again; until all have it the node is not said to serve it.
 *   finish    on control: acknowledge the table, let go of the old generation, tell who asked
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/log.h"
#include "node/inbound_plugin.h"
#include "node/inbound_tls.h"
#include "node/node_apply.h"

#define AGAIN_AFTER (500 * NSEC_MS)

/* ---- install ----------------------------------------------------------------------------- */

/* On a worker. */
static void install(struct node_worker *w, void *arg)
{
	struct node *n = arg;
	struct apply *a = n->apply;
	struct seat *s = &n->seats[w->index];
	int err;

	if (a->table)
		seat_set_users(s, a->table);
	if (!a->in || a->placed[w->index])
		return;
	err = seat_install(s, a->in, apply_fd(a, w->index, 0));
	if (err) {
		atomic_store(&a->err, err);
		return;
	}
	a->placed[w->index] = true;
	for (unsigned i = 0; i < INBOUND_FDS; i++)
		*apply_fd(a, w->index, i) = -1; /* the seat's now */
}

/* ---- finish ------------------------------------------------------------------------------ */

static void take_inbound(struct node *n, struct apply *a)
{
	inbound_put(n->in);
	n->in = a->in;
	n->cert_stamp = a->cert_stamp;
	if (a->overtaken)
		return;
	n->stale = n->stale || a->in->partial;
	if (a->in->plugin)
		n->inner = a->in->listen[a->in->plugin->inner];
	memcpy(n->listening, a->in->listen, sizeof(n->listening));
	memcpy(n->kinds, a->in->kind, sizeof(n->kinds));
	n->nlistening = a->in->nlisten;
	node_set_state(n, NODE_SERVING);
}

/* Its listeners have been closed before all workers had it: those that did not get it give back
 * their references, and what was there before counts.
 */
static void give_up_inbound(struct node *n, struct apply *a)
{
	for (unsigned w = 0; w < n->env.workers->n; w++)
		a->in->refs -= !a->placed[w];
	inbound_put(a->in);
}

/* The loop's clock stands still during a turn, and this is about how long one takes. */
static int64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Limits change live, whether or not the inbound does. */
static void set_rules(struct node *n)
{
	struct user_rules rules;

	inbound_user_rules(n->conf, n->info, &rules);
	user_registry_set_rules(n->users, &rules);
}

/* Whoever blocks something at the panel is not to believe that it is blocked here. */
static void tell_routes(struct node *n)
{
	size_t routes =
		n->info->routes.n + !!n->info->custom_routes + !!n->info->custom_route_rules;

	if (routes && routes != n->routes_told)
		log_msg(LOG_WARN, "node",
			"%s: not in this build yet: %zu routes of the panel are not applied",
			n->tag, routes);
	n->routes_told = routes;
}

static void finish(struct node *n, struct apply *a, int err)
{
	n->apply = NULL;
	if (a->in && err)
		give_up_inbound(n, a);
	else if (a->in)
		take_inbound(n, a);
	if (a->info && !err) {
		node_info_put(n->info);
		n->info = a->info;
		set_rules(n);
		tell_routes(n);
	} else {
		node_info_put(a->info);
	}
	log_msg(LOG_DEBUG, "node", "%s: on all workers after %lld us", n->tag,
		(long long)(clock_us() - a->began_us));
	node_bind_close(n, a);
	if (a->done)
		a->done(a->arg, err);
	free(a->fds);
	free(a);
	/* what lacks something that the plugin holds is built again when that has gone */
	if (n->stale && !n->apply && !(n->plugin && n->in && n->in->partial))
		node_refresh(n);
	node_plugin_settle(n);
}

static void installed(void *arg)
{
	struct node *n = arg;
	struct apply *a = n->apply;
	int err = atomic_exchange(&a->err, 0);

	if (a->pub) { /* the table is on all of them in any case */
		user_publication_ack(a->pub);
		a->pub = NULL;
		timer_set(node_loop(n), &n->reap, loop_now(node_loop(n)));
	}
	if (!err || a->overtaken) {
		finish(n, a, err);
		return;
	}
	if (!a->complained)
		log_msg(LOG_ERROR, "node",
			"%s: a worker cannot serve the new configuration: %s; trying on", n->tag,
			err_text(err));
	a->complained = true;
	timer_set(node_loop(n), &n->again, loop_now(node_loop(n)) + AGAIN_AFTER);
}

static void on_again(struct timer *t)
{
	struct node *n = container_of(t, struct node, again);
	struct workers_call *call;

	if (n->apply->overtaken || n->state >= NODE_DRAINING) {
		finish(n, n->apply, -ERR_CANCELED);
		return;
	}
	call = workers_call_new(n->env.workers, install, installed, n);
	if (call)
		workers_call_send(call);
	else
		timer_set(node_loop(n), t, loop_now(node_loop(n)) + AGAIN_AFTER);
}

static void apply_drop(struct node *n, struct apply *a)
{
	node_bind_close(n, a);
	workers_call_free(a->call);
	inbound_put(a->in);
	node_info_put(a->info);
	free(a->fds);
	free(a);
}

static void send_out(struct node *n, struct apply *a)
{
	if (a->in)
		a->in->refs += n->env.workers->n; /* one for each seat */
	if (a->pub)
		a->pub->acks = 1; /* one call answers for all */
	n->apply = a;
	workers_call_send(a->call);
}

/* ---- prepare ----------------------------------------------------------------------------- */

static struct inbound_plan plan_of(const struct node *n, const struct node_info *info)
{
	return (struct inbound_plan){
		.file = n->file,
		.conf = n->conf,
		.cap = (struct rate *)(uintptr_t)n->cap,
		.inner = n->inner,
		.held = n->plugged ? n->plugged->plugin : NULL,
		.info = info,
		.ticket_key = n->ticket_key,
		.memory = n->memory,
		.workers = n->env.workers->n,
	};
}

static int build(struct node *n, const struct node_info *info, struct apply *a)
{
	char why[INBOUND_WHY_MAX] = "";
	struct inbound_plan plan;
	int err;

	err = node_users_make(n, info, why);
	plan = plan_of(n, info);
	a->cert_stamp = inbound_tls_stamp(&plan);
	if (!err)
		err = inbound_build(&plan, &a->in, why);
	if (err) {
		log_msg(LOG_ERROR, "node", "%s: cannot serve this configuration: %s", n->tag,
			*why ? why : err_text(err));
		return err;
	}
	if (n->in)
		reality_conf_inherit(a->in->reality, n->in->reality);
	return node_bind(n, a);
}

static int apply_new(struct node *n, struct node_info *info, const struct user_list *users,
		     bool rebuild, struct apply **out)
{
	struct apply *a = calloc(1, sizeof(*a) + n->env.workers->n * sizeof(a->placed[0]));
	int err = 0;

	if (!a)
		return -ENOMEM;
	a->began_us = clock_us();
	a->call = workers_call_new(n->env.workers, install, installed, n);
	if (!a->call)
		err = -ENOMEM;
	if (!err && rebuild)
		err = build(n, info, a);
	if (!err)
		err = node_users_prepare(n, users, a); /* the last that can fail */
	if (err) {
		apply_drop(n, a);
		return err;
	}
	a->info = info ? node_info_get(info) : NULL;
	*out = a;
	return 0;
}

static bool needs_rebuild(struct node *n, const struct node_info *info)
{
	const char *field = NULL;

	if (!info)
		return false;
	if (!n->in || n->state == NODE_SUSPENDED) /* another asker may not know of the suspension */
		return true;
	if (node_info_diff(n->info, info, &field) != NODE_REBUILD)
		return false;
	log_msg(LOG_INFO, "node", "%s: rebuild: %s changed", n->tag, field ? field : "it");
	return true;
}

int node_apply(struct node_target *t, struct node_info *info, const struct user_list *users,
	       node_applied *done, void *arg)
{
	struct node *n = node_of(t);
	struct apply *a;
	int err;

	if (n->apply || n->state >= NODE_DRAINING)
		return -EAGAIN;
	err = apply_new(n, info, users, needs_rebuild(n, info), &a);
	if (err)
		return err;
	a->done = done;
	a->arg = arg;
	send_out(n, a);
	return -EINPROGRESS;
}

int node_rebuild(struct node *n)
{
	struct apply *a;
	int err;

	if (n->apply || n->state >= NODE_DRAINING)
		return -EAGAIN;
	err = apply_new(n, n->info, NULL, true, &a);
	if (!err)
		send_out(n, a);
	return err;
}

/* A suspended node is built when it opens. */
void node_refresh(struct node *n)
{
	if (n->state == NODE_SERVING)
		n->stale = node_rebuild(n) != 0;
}

void node_apply_overtaken(struct node *n)
{
	if (n->apply)
		n->apply->overtaken = true;
}

uint64_t node_cert_stamp(const struct node *n)
{
	struct inbound_plan plan = plan_of(n, n->info);

	return inbound_tls_stamp(&plan);
}

void node_apply_init(struct node *n)
{
	node_users_init(n);
	timer_init(&n->again, on_again);
}

void node_forget_asker(struct node *n)
{
	if (n->apply)
		n->apply->done = NULL;
}
