/* The life of a node: what its control source may ask for besides an apply (node_apply.c), files
 * that change under it, and its end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "node/inbound_tls.h"
#include "node/node_impl.h"

#define REOPEN_EVERY (5 * NSEC_SEC)
#define FORCE_AFTER  NSEC_SEC
#define POLL_EVERY   (20 * NSEC_MS)
#define CERTS_EVERY  (60 * NSEC_SEC)
#define SAY_EVERY    (3600 * NSEC_SEC)

const char *node_state_name(enum node_state s)
{
	static const char *const names[] = {"new", "serving", "suspended", "draining", "gone"};

	return names[s];
}

void node_set_state(struct node *n, enum node_state s)
{
	if (n->state != s)
		log_msg(LOG_INFO, "node", "%s: %s", n->tag, node_state_name(s));
	n->state = s;
}

/* ---- files ------------------------------------------------------------------------------- */

/* Certificate files that changed (config G7) are served without a reload. */
static void on_certs(struct timer *t)
{
	struct node *n = container_of(t, struct node, certs);
	uint64_t stamp;

	timer_set(node_loop(n), t, loop_now(node_loop(n)) + CERTS_EVERY);
	node_plugin_report(n);
	if (!n->info || n->state != NODE_SERVING)
		return;
	stamp = node_cert_stamp(n);
	if (stamp == n->cert_stamp && !n->stale)
		return;
	node_refresh(n);
	if (!n->stale && stamp != n->cert_stamp)
		log_msg(LOG_INFO, "cert", "%s: certificate files have changed, serving them",
			n->tag);
}

int node_set_conf(struct node *n, const struct config *file, const struct config_node *conf,
		  bool changed)
{
	int err;

	n->file = file;
	n->conf = conf;
	if (changed)
		node_limits_set(n);
	node_plugin_revive(n);
	if (n->state != NODE_SERVING)
		return 0;
	if (!changed) { /* who renews a certificate asks for a reload and not for patience */
		on_certs(&n->certs);
		return 0;
	}
	err = node_rebuild(n);
	n->stale = err != 0;
	node_plugin_settle(n); /* also when nothing else changes: it may have been forbidden */
	return err == -EAGAIN ? 0 : err; /* under way: the end of that begins this */
}

void node_strangers(const struct node *n, uint64_t out[2])
{
	for (int dir = 0; dir < 2; dir++) {
		out[dir] = 0;
		for (unsigned i = 0; i < n->env.workers->n; i++)
			out[dir] += atomic_load_explicit(&n->seats[i].strangers[dir],
							 memory_order_relaxed);
	}
}

/* Nobody is billed for it, and the machine's own counters do not say whose it was. */
static void say_strangers(struct node *n)
{
	uint64_t now[2], *told = n->strangers_told;

	node_strangers(n, now);
	if (now[RELAY_UP] != told[RELAY_UP] || now[RELAY_DOWN] != told[RELAY_DOWN])
		log_msg(LOG_INFO, "node",
			"%s: strangers have sent %llu bytes and got %llu since this was last said",
			n->tag, (unsigned long long)(now[RELAY_UP] - told[RELAY_UP]),
			(unsigned long long)(now[RELAY_DOWN] - told[RELAY_DOWN]));
	memcpy(told, now, sizeof(now));
}

static void on_hourly(struct timer *t)
{
	struct node *n = container_of(t, struct node, hourly);

	say_strangers(n);
	timer_set(node_loop(n), t, loop_now(node_loop(n)) + SAY_EVERY);
}

/* ---- the rest of the target -------------------------------------------------------------- */

static void node_alive(struct node_target *t, const struct user_alive *v, size_t count)
{
	struct node *n = node_of(t);

	if (n->users)
		user_registry_set_alive(n->users, v, count, loop_now(node_loop(n)));
}

static void node_online(struct node_target *t, uint64_t min_bytes, user_online *each, void *arg)
{
	struct node *n = node_of(t);

	if (n->users)
		user_registry_report_online(n->users, min_bytes, n->conf->report_offline,
					    loop_now(node_loop(n)), each, arg);
}

static void close_seat(struct node_worker *w, void *arg)
{
	struct node *n = arg;

	seat_close(&n->seats[w->index], atomic_load(&n->grace));
}

/* What is being installed is installed first, and closed then. */
static int close_listeners(struct node *n)
{
	int err = workers_each(n->env.workers, close_seat, NULL, n);

	if (err)
		return err;
	n->nlistening = 0;
	node_apply_overtaken(n);
	return 0;
}

/* The panel lets us again.  It says so once: what fails now is tried again. */
static void on_reopen(struct timer *t)
{
	struct node *n = container_of(t, struct node, reopen);

	if (n->state == NODE_SUSPENDED && node_rebuild(n))
		timer_set(node_loop(n), t, loop_now(node_loop(n)) + REOPEN_EVERY);
}

static void node_suspend(struct node_target *t, bool on)
{
	struct node *n = node_of(t);

	if (on == (n->state == NODE_SUSPENDED) || !n->in)
		return;
	if (!on) {
		on_reopen(&n->reopen);
		return;
	}
	timer_stop(&n->reopen);
	atomic_store(&n->grace, -1);
	if (close_listeners(n))
		return;
	node_set_state(n, NODE_SUSPENDED);
	node_plugin_settle(n);
}

static void node_settle(struct node_target *t)
{
	node_reap(node_of(t));
}

static const char *node_protection(const struct node_target *t, const struct node_info *info)
{
	const struct node *n = container_of(t, const struct node, target);

	return node_protection_name(info, inbound_tls_in_clear(n->conf, info) ? SECURITY_NONE
									      : info->security);
}

static const struct node_target_ops target_ops = {
	.apply = node_apply,
	.alive = node_alive,
	.online = node_online,
	.suspend = node_suspend,
	.settle = node_settle,
	.protection = node_protection,
};

/* ---- life -------------------------------------------------------------------------------- */

static void on_poll(struct timer *t);

int node_new(const struct node_world *env, const struct config *file,
	     const struct config_node *conf, uint32_t ledger_node, struct node **out)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->seats = calloc(env->workers->n, sizeof(*n->seats));
	if (!n->seats) {
		free(n);
		return -ENOMEM;
	}
	n->target.ops = &target_ops;
	n->env = *env;
	n->file = file;
	n->conf = conf;
	n->ledger_node = ledger_node;
	snprintf(n->tag, sizeof(n->tag), "%s", conf->name);
	loop_random(node_loop(n), n->ticket_key, sizeof(n->ticket_key));
	for (unsigned i = 0; i < env->workers->n; i++)
		seat_init(&n->seats[i], &env->workers->v[i], n->tag, inbound_put);
	node_apply_init(n);
	node_limits_init(n);
	node_plugin_init(n);
	timer_init(&n->certs, on_certs);
	timer_init(&n->hourly, on_hourly);
	timer_set(node_loop(n), &n->hourly, loop_now(node_loop(n)) + SAY_EVERY);
	timer_init(&n->reopen, on_reopen);
	timer_init(&n->poll, on_poll);
	timer_set(node_loop(n), &n->certs, loop_now(node_loop(n)) + CERTS_EVERY);
	*out = n;
	return 0;
}

struct node_target *node_target(struct node *n)
{
	return &n->target;
}

const char *node_tag(const struct node *n)
{
	return n->tag;
}

enum node_state node_state(const struct node *n)
{
	return n->state;
}

bool node_listening(const struct node *n, struct addr *out)
{
	if (n->state != NODE_SERVING || n->nlistening == 0)
		return false;
	*out = n->listening[0];
	return true;
}

uint64_t node_sessions(const struct node *n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n->env.workers->n; i++)
		sum += atomic_load_explicit(&n->seats[i].sessions, memory_order_relaxed);
	return sum;
}

static void force_seat(struct node_worker *w, void *arg)
{
	struct node *n = arg;

	seat_close(&n->seats[w->index], 0);
}

static void are_they_home(void *arg)
{
	struct node *n = arg;

	n->looking = false;
	if (atomic_load(&n->lodgers) || n->look_again) {
		n->look_again = false;
		timer_set(node_loop(n), &n->poll, loop_now(node_loop(n)) + POLL_EVERY);
		return;
	}
	timer_stop(&n->poll);
	timer_stop(&n->hourly);
	say_strangers(n);
	inbound_put(n->in);
	inbound_put(n->keyed);
	n->in = n->keyed = NULL;
	node_set_state(n, NODE_GONE);
	n->closed(n->closed_arg);
}

/* The last session has ended, but its generation goes a turn later. */
static void count_lodgers(struct node_worker *w, void *arg)
{
	struct node *n = arg;

	if (!seat_empty(&n->seats[w->index]))
		atomic_fetch_add(&n->lodgers, 1);
}

static void on_poll(struct timer *t)
{
	struct node *n = container_of(t, struct node, poll);
	nsec_t now = loop_now(node_loop(n));

	if (n->looking)
		return; /* the answer goes on from there */
	atomic_store(&n->lodgers, 0);
	n->looking = !n->apply && !n->plugin && node_sessions(n) == 0 &&
		     !workers_each(n->env.workers, count_lodgers, are_they_home, n);
	if (n->looking)
		return;
	if (now >= n->close_by && !workers_each(n->env.workers, force_seat, NULL, n))
		n->close_by = now + FORCE_AFTER;
	timer_set(node_loop(n), &n->poll, now + POLL_EVERY);
}

void node_close(struct node *n, nsec_t grace, void (*done)(void *arg), void *arg)
{
	nsec_t now = loop_now(node_loop(n));

	n->closed = done;
	n->closed_arg = arg;
	atomic_store(&n->grace, grace);
	n->look_again = n->looking;
	n->close_by = now + grace + FORCE_AFTER;
	node_set_state(n, NODE_DRAINING);
	timer_stop(&n->certs);
	timer_stop(&n->reopen);
	if (close_listeners(n))
		n->close_by = now; /* no memory: the poll tries again */
	node_plugin_settle(n);
	timer_set(node_loop(n), &n->poll, now + POLL_EVERY);
}

void node_free(struct node *n)
{
	if (!n)
		return;
	timer_stop(&n->again);
	node_limits_done(n);
	timer_stop(&n->poll);
	timer_stop(&n->hourly);
	timer_stop(&n->certs);
	timer_stop(&n->reopen);
	timer_stop(&n->retry);
	node_plugin_done(n);
	node_users_done(n);
	node_info_put(n->info);
	free(n->seats);
	free(n);
}
