/* How a node changes.  An apply takes three steps, the middle one on the workers:
 *
 *   prepare   on control: build the generation, bind what is missing, compute the users' new table.
 *             Anything that fails here leaves the node exactly as it was.
 *   install   on every worker: users first, then the generation and its listeners
 *   finish    on control: acknowledge the table, let go of the old generation, tell who asked
 */
#include "node/node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "node/inbound_tls.h"

#define TAG_MAX	     96
#define REAP_EVERY   NSEC_SEC
#define REOPEN_EVERY (5 * NSEC_SEC)
#define FORCE_AFTER  NSEC_SEC
#define POLL_EVERY   (20 * NSEC_MS)
#define CERTS_EVERY  (60 * NSEC_SEC)

struct apply {
	struct inbound *in;	      /* NULL: the present one stays */
	int *fds;		      /* [worker][listen]; -1: the seat has it */
	struct user_publication *pub; /* NULL: the table stays */
	const struct user_table *table;
	struct node_info *info;
	uint64_t cert_stamp; /* of the files as `in` read them */
	bool overtaken;	     /* the listeners have been closed since it was sent out */
	_Atomic int err;
	int64_t began_us; /* offered; for the log */
	node_applied *done;
	void *arg;
};

struct node {
	struct node_target target;
	struct node_world env;
	const struct config *file;
	const struct config_node *conf;
	uint8_t ticket_key[TLS_TICKET_KEY_LEN];
	uint64_t cert_stamp;
	struct timer certs; /* look whether the files have changed */
	bool stale;	    /* what runs is not what the file says: to be built anew */
	bool looking;	    /* closing: a count of lodgers is under way... */
	bool look_again;    /* ...and workers have got messages since */
	char tag[TAG_MAX];
	enum node_state state;
	uint32_t ledger_node;
	const struct proto *proto; /* of the first good configuration */
	struct user_registry *users;
	struct seat *seats; /* one per worker */
	struct inbound *in; /* what the seats have */
	struct node_info *info;
	struct addr listening[INBOUND_LISTEN_MAX];
	unsigned nlistening;
	struct apply *apply; /* under way */
	struct timer reap;
	struct timer reopen; /* after a suspension */
	struct timer poll;   /* closing: have the sessions ended? */
	/* Of the sessions when listeners close; < 0: they stay.  The newest counts, also for a message that
	 * is still on its way to a worker. */
	_Atomic nsec_t grace;
	nsec_t close_by;
	_Atomic unsigned lodgers; /* seats that still have generations */
	void (*closed)(void *arg);
	void *closed_arg;
};

static struct node *of(struct node_target *t)
{
	return container_of(t, struct node, target);
}

static struct loop *loop_of(const struct node *n)
{
	return n->env.workers->control;
}

const char *node_state_name(enum node_state s)
{
	static const char *const names[] = {"new",	 "ready",    "serving",
					    "suspended", "draining", "gone"};

	return names[s];
}

static void set_state(struct node *n, enum node_state s)
{
	if (n->state != s)
		log_msg(LOG_INFO, "node", "%s: %s", n->tag, node_state_name(s));
	n->state = s;
}

/* ---- users ------------------------------------------------------------------------------- */

static int derive(void *arg, const char *credential, size_t len, uint8_t *key, uint8_t *secret)
{
	const struct proto *proto = arg;

	return proto->user_key(credential, len, key);
}

static int make_registry(struct node *n, const struct node_info *info)
{
	struct user_registry_conf conf = {
		.node = n->ledger_node,
		.counters = n->env.counters,
		.derive = derive,
	};
	const struct proto *proto = proto_find(node_type_name(info->type));

	if (!proto)
		return -ERR_UNSUPPORTED;
	inbound_user_rules(n->conf, info, &conf.rules);
	if (n->users) {
		if (proto == n->proto)
			user_registry_set_rules(n->users, &conf.rules);
		return proto == n->proto ? 0 : -ERR_CONFIG;
	}
	conf.key_len = proto->key_len;
	conf.derive_arg = (void *)(uintptr_t)proto;
	n->proto = proto;
	return user_registry_new(&conf, &n->users);
}

static void on_reap(struct timer *t)
{
	struct node *n = container_of(t, struct node, reap);

	if (n->users && user_registry_reap(n->users, n->env.settle, n->env.settle_arg) != 0)
		timer_set(loop_of(n), &n->reap, loop_now(loop_of(n)) + REAP_EVERY);
}

static int prepare_users(struct node *n, const struct user_list *list, struct apply *a)
{
	struct user_changes c;
	int err;

	if (!list)
		return 0;
	err = user_registry_apply(n->users, list, &c, &a->pub);
	if (err)
		return err;
	a->table = user_registry_table(n->users);
	if (c.added || c.removed || c.rekeyed || c.changed)
		log_msg(LOG_INFO, "node",
			"%s: users: %u added, %u removed, %u re-keyed, %u changed, %u kept", n->tag,
			c.added, c.removed, c.rekeyed, c.changed, c.kept);
	if (c.invalid || c.duplicates)
		log_msg(LOG_WARN, "node", "%s: users left out: %u invalid, %u duplicate", n->tag,
			c.invalid, c.duplicates);
	return 0;
}

/* ---- listeners --------------------------------------------------------------------------- */

static bool listens_at(const struct node *n, const struct addr *at)
{
	for (unsigned i = 0; i < n->nlistening; i++) {
		if (addr_equal(&n->listening[i], at))
			return true;
	}
	return false;
}

static int *fd_of(const struct apply *a, unsigned worker, unsigned i)
{
	return &a->fds[worker * INBOUND_LISTEN_MAX + i];
}

static void close_fds(struct node *n, struct apply *a)
{
	for (unsigned w = 0; w < n->env.workers->n && a->fds; w++) {
		for (unsigned i = 0; i < INBOUND_LISTEN_MAX; i++) {
			if (*fd_of(a, w, i) >= 0)
				close(*fd_of(a, w, i));
		}
	}
}

/* The workers share the port by SO_REUSEPORT, which would also let another node, or another program
 * of ours, share it: half of the clients would land there.  Without it the kernel says who is there.
 */
static int probe(const struct addr *at)
{
	const struct listener_conf alone = {0};
	int fd, err = listener_bind(at, &alone, &fd);

	if (!err)
		close(fd);
	return err;
}

static int bind_one(struct node *n, struct apply *a, unsigned i)
{
	struct inbound *in = a->in;
	int err = probe(&in->listen[i]);

	for (unsigned w = 0; w < n->env.workers->n && !err; w++)
		err = listener_bind(&in->listen[i], &in->listener, fd_of(a, w, i));
	if (err) {
		char text[ADDR_TEXT_MAX];

		log_msg(LOG_ERROR, "node", "%s: cannot listen on %s: %s", n->tag,
			addr_format(&in->listen[i], text), err_text(err));
	}
	return err;
}

static int bind_missing(struct node *n, struct apply *a)
{
	unsigned total = n->env.workers->n * INBOUND_LISTEN_MAX;
	int err = 0;

	a->fds = malloc(total * sizeof(*a->fds));
	if (!a->fds)
		return -ENOMEM;
	for (unsigned i = 0; i < total; i++)
		a->fds[i] = -1;
	for (unsigned i = 0; i < a->in->nlisten && !err; i++) {
		if (!listens_at(n, &a->in->listen[i]))
			err = bind_one(n, a, i);
	}
	return err;
}

/* ---- apply ------------------------------------------------------------------------------- */

static void let_go(struct inbound *in)
{
	inbound_put(in);
}

static void node_refresh(struct node *n);

/* On a worker. */
static void install(struct node_worker *w, void *arg)
{
	struct node *n = arg;
	struct apply *a = n->apply;
	struct seat *s = &n->seats[w->index];
	int err;

	if (a->table)
		seat_set_users(s, a->table);
	if (!a->in)
		return;
	err = seat_install(s, a->in, fd_of(a, w->index, 0));
	if (err) {
		atomic_store(&a->err, err);
		return;
	}
	for (unsigned i = 0; i < INBOUND_LISTEN_MAX; i++)
		*fd_of(a, w->index, i) = -1; /* the seat's now */
}

static void take_inbound(struct node *n, struct apply *a)
{
	inbound_put(n->in);
	n->in = a->in;
	n->cert_stamp = a->cert_stamp;
	if (a->overtaken)
		return;
	memcpy(n->listening, a->in->listen, sizeof(n->listening));
	n->nlistening = a->in->nlisten;
	set_state(n, NODE_SERVING);
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

static void installed(void *arg)
{
	struct node *n = arg;
	struct apply *a = n->apply;
	int err = atomic_load(&a->err);

	n->apply = NULL;
	if (a->pub) {
		user_publication_ack(a->pub);
		timer_set(loop_of(n), &n->reap, loop_now(loop_of(n)));
	}
	if (a->in)
		take_inbound(n, a);
	if (a->info && !err) {
		node_info_put(n->info);
		n->info = a->info;
		set_rules(n);
	} else {
		node_info_put(a->info);
	}
	log_msg(LOG_DEBUG, "node", "%s: on all workers after %lld us", n->tag,
		(long long)(clock_us() - a->began_us));
	close_fds(n, a);
	if (a->done)
		a->done(a->arg, err);
	free(a->fds);
	free(a);
	if (n->stale && !n->apply)
		node_refresh(n);
}

static void apply_drop(struct node *n, struct apply *a)
{
	close_fds(n, a);
	inbound_put(a->in);
	node_info_put(a->info);
	free(a->fds);
	free(a);
}

static int send_out(struct node *n, struct apply *a)
{
	int err;

	if (a->in)
		a->in->refs += n->env.workers->n; /* one for each seat */
	if (a->pub)
		a->pub->acks = 1; /* one broadcast answers for all */
	n->apply = a;
	err = workers_each(n->env.workers, install, installed, n);
	if (err) {
		n->apply = NULL;
		if (a->in)
			a->in->refs -= n->env.workers->n;
	}
	return err;
}

static struct inbound_plan plan_of(const struct node *n, const struct node_info *info)
{
	return (struct inbound_plan){
		.file = n->file,
		.conf = n->conf,
		.info = info,
		.ticket_key = n->ticket_key,
	};
}

static int build(struct node *n, const struct node_info *info, struct apply *a)
{
	struct inbound_plan plan = plan_of(n, info);
	char why[INBOUND_WHY_MAX] = "";
	int err;

	a->cert_stamp = inbound_tls_stamp(&plan);
	err = make_registry(n, info);
	if (!err)
		err = inbound_build(&plan, &a->in, why);
	if (err) {
		log_msg(LOG_ERROR, "node", "%s: cannot serve this configuration: %s", n->tag,
			*why ? why : err_text(err));
		return err;
	}
	return bind_missing(n, a);
}

static int apply_new(struct node *n, struct node_info *info, const struct user_list *users,
		     bool rebuild, struct apply **out)
{
	struct apply *a = calloc(1, sizeof(*a));
	int err = 0;

	if (!a)
		return -ENOMEM;
	a->began_us = clock_us();
	if (rebuild)
		err = build(n, info, a);
	if (!err)
		err = prepare_users(n, users, a);
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

static int node_apply(struct node_target *t, struct node_info *info, const struct user_list *users,
		      node_applied *done, void *arg)
{
	struct node *n = of(t);
	struct apply *a;
	int err;

	if (n->apply || n->state >= NODE_DRAINING)
		return -EAGAIN;
	err = apply_new(n, info, users, needs_rebuild(n, info), &a);
	if (err)
		return err;
	a->done = done;
	a->arg = arg;
	err = send_out(n, a);
	if (err) {
		/* The table, if there is one, has been made: the next apply publishes it again. */
		apply_drop(n, a);
		return err;
	}
	return -EINPROGRESS;
}

/* The inbound anew from what is known: another file, a renewed certificate, a panel that lets us. */
static int rebuild(struct node *n)
{
	struct apply *a;
	int err;

	if (n->apply || n->state >= NODE_DRAINING)
		return -EAGAIN;
	err = apply_new(n, n->info, NULL, true, &a);
	if (err)
		return err;
	err = send_out(n, a);
	if (err)
		apply_drop(n, a);
	return err;
}

/* Once more, if the last time something was in the way.  A suspended node is built when it opens. */
static void node_refresh(struct node *n)
{
	if (n->state == NODE_SERVING)
		n->stale = rebuild(n) != 0;
}

void node_forget_asker(struct node *n)
{
	if (n->apply)
		n->apply->done = NULL;
}

int node_set_conf(struct node *n, const struct config *file, const struct config_node *conf,
		  bool changed)
{
	int err;

	n->file = file;
	n->conf = conf;
	if (!changed || n->state != NODE_SERVING)
		return 0;
	err = rebuild(n);
	n->stale = err != 0;
	return err == -EAGAIN ? 0 : err; /* under way: the end of that begins this */
}

/* Certificate files that changed (config G7) are served without a reload. */
static void on_certs(struct timer *t)
{
	struct node *n = container_of(t, struct node, certs);
	struct inbound_plan plan;
	uint64_t stamp;

	timer_set(loop_of(n), t, loop_now(loop_of(n)) + CERTS_EVERY);
	if (!n->info || n->state != NODE_SERVING)
		return;
	plan = plan_of(n, n->info);
	stamp = inbound_tls_stamp(&plan);
	if (stamp == n->cert_stamp && !n->stale)
		return;
	node_refresh(n);
	if (!n->stale && stamp != n->cert_stamp)
		log_msg(LOG_INFO, "cert", "%s: certificate files have changed, serving them",
			n->tag);
}

/* ---- the rest of the target -------------------------------------------------------------- */

static void node_alive(struct node_target *t, const struct user_alive *v, size_t count)
{
	struct node *n = of(t);

	if (n->users)
		user_registry_set_alive(n->users, v, count, loop_now(loop_of(n)));
}

static void node_online(struct node_target *t, uint64_t min_bytes, user_online *each, void *arg)
{
	struct node *n = of(t);

	if (n->users)
		user_registry_report_online(n->users, min_bytes, n->conf->report_offline,
					    loop_now(loop_of(n)), each, arg);
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
	if (n->apply)
		n->apply->overtaken = true;
	return 0;
}

/* The panel lets us again.  It says so once: what fails now is tried again. */
static void on_reopen(struct timer *t)
{
	struct node *n = container_of(t, struct node, reopen);

	if (n->state == NODE_SUSPENDED && rebuild(n))
		timer_set(loop_of(n), t, loop_now(loop_of(n)) + REOPEN_EVERY);
}

static void node_suspend(struct node_target *t, bool on)
{
	struct node *n = of(t);

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
	set_state(n, NODE_SUSPENDED);
}

static void node_settle(struct node_target *t)
{
	on_reap(&of(t)->reap);
}

static const struct node_target_ops target_ops = {
	.apply = node_apply,
	.alive = node_alive,
	.online = node_online,
	.suspend = node_suspend,
	.settle = node_settle,
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
	loop_random(loop_of(n), n->ticket_key, sizeof(n->ticket_key));
	for (unsigned i = 0; i < env->workers->n; i++)
		seat_init(&n->seats[i], &env->workers->v[i], let_go);
	timer_init(&n->reap, on_reap);
	timer_init(&n->certs, on_certs);
	timer_init(&n->reopen, on_reopen);
	timer_init(&n->poll, on_poll);
	timer_set(loop_of(n), &n->certs, loop_now(loop_of(n)) + CERTS_EVERY);
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
		timer_set(loop_of(n), &n->poll, loop_now(loop_of(n)) + POLL_EVERY);
		return;
	}
	timer_stop(&n->poll);
	inbound_put(n->in);
	n->in = NULL;
	set_state(n, NODE_GONE);
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
	nsec_t now = loop_now(loop_of(n));

	if (n->looking)
		return; /* the answer goes on from there */
	atomic_store(&n->lodgers, 0);
	n->looking = !n->apply && node_sessions(n) == 0 &&
		     !workers_each(n->env.workers, count_lodgers, are_they_home, n);
	if (n->looking)
		return;
	if (now >= n->close_by && !workers_each(n->env.workers, force_seat, NULL, n))
		n->close_by = now + FORCE_AFTER;
	timer_set(loop_of(n), &n->poll, now + POLL_EVERY);
}

void node_close(struct node *n, nsec_t grace, void (*done)(void *arg), void *arg)
{
	nsec_t now = loop_now(loop_of(n));

	n->closed = done;
	n->closed_arg = arg;
	atomic_store(&n->grace, grace);
	n->look_again = n->looking;
	n->close_by = now + grace + FORCE_AFTER;
	set_state(n, NODE_DRAINING);
	timer_stop(&n->certs);
	timer_stop(&n->reopen);
	if (close_listeners(n))
		n->close_by = now; /* no memory: the poll tries again */
	timer_set(loop_of(n), &n->poll, now + POLL_EVERY);
}

void node_free(struct node *n)
{
	if (!n)
		return;
	timer_stop(&n->reap);
	timer_stop(&n->poll);
	timer_stop(&n->certs);
	timer_stop(&n->reopen);
	user_registry_free(n->users);
	node_info_put(n->info);
	free(n->seats);
	free(n);
}
