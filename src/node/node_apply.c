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
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "crypto/ct.h"
#include "net/sock.h"
#include "node/inbound_plugin.h"
#include "node/inbound_tls.h"
#include "node/node_impl.h"
#include "proto/shadowsocks/ss_known.h"
#include "proto/shadowsocks/ss_sessions.h"

#define REAP_EVERY  NSEC_SEC
#define AGAIN_AFTER (500 * NSEC_MS)

struct apply {
	struct inbound *in;	      /* NULL: the present one stays */
	int *fds;		      /* [worker][listen]; -1: the seat has it */
	struct user_publication *pub; /* NULL: the table stays */
	const struct user_table *table;
	struct node_info *info;
	struct workers_call *call; /* made before anything that cannot be undone */
	uint64_t cert_stamp;	   /* of the files as `in` read them */
	bool overtaken;		   /* the listeners have been closed since it was sent out */
	bool complained;
	_Atomic int err;  /* of a worker that could not */
	int64_t began_us; /* offered; for the log */
	node_applied *done;
	void *arg;
	bool placed[]; /* [worker]: it has `in` */
};

/* ---- users ------------------------------------------------------------------------------- */

/* A 2022 method without identity headers has one key, the server's, and one user. */
static bool ss_shares_key(const struct ss_conf *c)
{
	return c->method->class == SS_2022 && !c->named;
}

static int derive(void *arg, const char *credential, size_t len, uint8_t *key, uint8_t *secret)
{
	const struct node *n = arg;

	if (!n->ss.method) {
		int err = n->proto->user_key(credential, len, key);

		return err || !n->proto->secret_len ? err : n->proto->user_secret(key, secret);
	}
	if (ss_shares_key(&n->ss))
		return ss_user_of_psk(n->ss.method, n->ss.psk, key, secret);
	return ss_user_derive(n->ss.method, SS_CREDENTIAL_TEXT, credential, len, key, secret);
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
	conf.secret_len = proto->secret_len;
	conf.pack = proto->pack;
	conf.derive_arg = n;
	n->proto = proto;
	return user_registry_new(&conf, &n->users);
}

void node_reap(struct node *n)
{
	if (n->users && user_registry_reap(n->users, n->env.settle, n->env.settle_arg) != 0)
		timer_set(node_loop(n), &n->reap, loop_now(node_loop(n)) + REAP_EVERY);
}

static void on_reap(struct timer *t)
{
	node_reap(container_of(t, struct node, reap));
}

static int apply_users(struct node *n, const struct user_list *list, struct apply *a)
{
	struct user_changes c;
	int err;

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

static bool same_keys(const struct ss_conf *a, const struct ss_conf *b)
{
	if (a->method != b->method || !a->method || !ss_shares_key(a))
		return a->method == b->method;
	return ct_equal(a->psk, b->psk, sizeof(a->psk));
}

/* With another cipher everybody has another key: they come anew, with the list that there is. */
static int change_keys(struct node *n, const struct user_list *list, struct apply *a)
{
	const struct ss_conf before = n->ss;
	struct user_list mine;
	int err = 0;

	user_list_init(&mine);
	if (!list)
		err = user_registry_list(n->users, &mine);
	n->ss = a->in->ss;
	if (!err) {
		user_registry_renew(n->users, true);
		err = apply_users(n, list ? list : &mine, a);
		user_registry_renew(n->users, false);
	}
	if (err)
		n->ss = before;
	user_list_done(&mine);
	return err;
}

static int prepare_users(struct node *n, const struct user_list *list, struct apply *a)
{
	if (a->in && !same_keys(&a->in->ss, &n->ss))
		return change_keys(n, list, a);
	return list ? apply_users(n, list, a) : 0;
}

/* ---- listeners --------------------------------------------------------------------------- */

static bool listens_at(const struct node *n, const struct addr *at, uint8_t kind)
{
	for (unsigned i = 0; i < n->nlistening; i++) {
		if (addr_equal(&n->listening[i], at) && n->kinds[i] == kind)
			return true;
	}
	return false;
}

/* In a row of any kind. */
static bool holds(const struct node *n, const struct addr *at, bool udp)
{
	for (unsigned i = 0; i < n->nlistening; i++) {
		if (addr_equal(&n->listening[i], at) &&
		    inbound_serves(n->in, (enum inbound_kind)n->kinds[i], udp))
			return true;
	}
	return false;
}

static int *fd_of(const struct apply *a, unsigned worker, unsigned i)
{
	return &a->fds[worker * INBOUND_FDS + i];
}

static void close_fds(struct node *n, struct apply *a)
{
	for (unsigned w = 0; w < n->env.workers->n && a->fds; w++) {
		for (unsigned i = 0; i < INBOUND_FDS; i++) {
			if (*fd_of(a, w, i) >= 0)
				close(*fd_of(a, w, i));
		}
	}
}

/* The workers share the port by SO_REUSEPORT, which would also let another node, or another program
 * of ours, share it: half of the clients would land there.  Without it the kernel says who is
 * there.
 */
static int probe(const struct addr *at, bool udp)
{
	const struct listener_conf alone = {0};
	int fd, err = udp ? sock_udp_open(at, false, &fd) : listener_bind(at, &alone, &fd);

	if (!err)
		close(fd);
	return err;
}

static int bind_one(struct node *n, struct apply *a, unsigned i, bool udp)
{
	struct inbound *in = a->in;
	int err = holds(n, &in->listen[i], udp) ? 0 : probe(&in->listen[i], udp);

	for (unsigned w = 0; w < n->env.workers->n && !err; w++) {
		if (udp)
			err = sock_udp_open(&in->listen[i], true,
					    fd_of(a, w, INBOUND_LISTEN_MAX + i));
		else
			err = listener_bind(&in->listen[i], &in->listener, fd_of(a, w, i));
	}
	return err;
}

static void close_row(struct node *n, struct apply *a, unsigned i)
{
	for (unsigned w = 0; w < n->env.workers->n; w++) {
		int *both[] = {fd_of(a, w, i), fd_of(a, w, INBOUND_LISTEN_MAX + i)};

		for (int k = 0; k < 2; k++) {
			if (*both[k] >= 0)
				close(*both[k]);
			*both[k] = -1;
		}
	}
}

/* *udp: how far it came. */
static int bind_row(struct node *n, struct apply *a, unsigned i, bool *udp)
{
	enum inbound_kind kind = (enum inbound_kind)a->in->kind[i];
	int err = 0;

	*udp = false;
	if (inbound_serves(a->in, kind, false))
		err = bind_one(n, a, i, false);
	if (!err && inbound_serves(a->in, kind, true)) {
		*udp = true;
		err = bind_one(n, a, i, true);
	}
	return err;
}

/* A number that is free for TCP and UDP; whoever takes it meanwhile makes us choose again. */
static int bind_any(struct node *n, struct apply *a, unsigned i, bool *udp)
{
	struct addr *at = &a->in->listen[i], any = *at;
	int err = -EADDRINUSE;

	for (int tries = 0; tries < 20 && err == -EADDRINUSE; tries++) {
		uint16_t port;

		*at = any;
		err = plugin_free_port(PLUGIN_TCP_AND_UDP, &port);
		if (err)
			break;
		addr_set_port(at, port);
		err = bind_row(n, a, i, udp);
		if (err)
			close_row(n, a, i);
	}
	return err;
}

static int bind_missing(struct node *n, struct apply *a)
{
	unsigned total = n->env.workers->n * INBOUND_FDS;
	int err = 0;

	a->fds = malloc(total * sizeof(*a->fds));
	if (!a->fds)
		return -ENOMEM;
	for (unsigned i = 0; i < total; i++)
		a->fds[i] = -1;
	for (unsigned i = 0; i < a->in->nlisten && !err; i++) {
		struct addr *at = &a->in->listen[i];
		char text[ADDR_TEXT_MAX];
		bool udp = false;

		if (listens_at(n, at, a->in->kind[i]))
			continue;
		/* only the plugin needs to know this number */
		err = a->in->plugin && a->in->plugin->inner == i ? bind_any(n, a, i, &udp)
								 : bind_row(n, a, i, &udp);
		if (err)
			log_msg(LOG_ERROR, "node", "%s: cannot listen on %s%s: %s", n->tag,
				addr_format(at, text), udp ? " (UDP)" : "", err_text(err));
	}
	return err;
}

/* ---- apply ------------------------------------------------------------------------------- */

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
	err = seat_install(s, a->in, fd_of(a, w->index, 0));
	if (err) {
		atomic_store(&a->err, err);
		return;
	}
	a->placed[w->index] = true;
	for (unsigned i = 0; i < INBOUND_FDS; i++)
		*fd_of(a, w->index, i) = -1; /* the seat's now */
}

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
	close_fds(n, a);
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
	close_fds(n, a);
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
		.replay = {n->replay[0], n->replay[1]},
		.packets = n->replay[2],
		.auth_ids = n->auth_ids,
		.sessions = n->sessions,
		.known = n->known,
		.tickets = n->tickets,
		.workers = n->env.workers->n,
	};
}

/* For the life of the node: a salt that came before a change of configuration came before. */
static int make_replay(struct node *n, struct inbound_plan *plan)
{
	int err = 0;

	for (int i = 0; i < 3 && !err; i++) {
		if (n->replay[i])
			continue;
		err = ss_replay_new(i == 1, &n->replay[i]);
		if (!err && i == 2)
			ss_replay_set_min(n->replay[i], SS_REPLAY_PACKETS);
	}
	plan->replay[0] = n->replay[0];
	plan->replay[1] = n->replay[1];
	plan->packets = n->replay[2];
	if (!err && !n->sessions)
		err = ss_sessions_new(&n->sessions);
	if (!err && !n->known)
		err = ss_known_new(&n->known);
	plan->sessions = n->sessions;
	plan->known = n->known;
	return err;
}

/* Likewise: a ticket is good whatever else has changed. */
static int make_tickets(struct node *n, struct inbound_plan *plan)
{
	int err = n->tickets ? 0 : vlessenc_tickets_new(&n->tickets);

	plan->tickets = n->tickets;
	return err;
}

/* The same for VMess. */
static int make_auth_ids(struct node *n, struct inbound_plan *plan)
{
	int err = 0;

	if (!n->auth_ids)
		err = ss_replay_new_for(VMESS_REPLAY_KEEP, &n->auth_ids);
	if (!err && !n->known)
		err = ss_known_new(&n->known);
	plan->auth_ids = n->auth_ids;
	plan->known = n->known;
	return err;
}

/* Why there is no registry of its users. */
static void type_why(const struct node *n, const struct node_info *info, int err,
		     char why[INBOUND_WHY_MAX])
{
	if (err == -ERR_UNSUPPORTED)
		snprintf(why, INBOUND_WHY_MAX, "node type %s is not in this build",
			 node_type_name(info->type));
	else if (err == -ERR_CONFIG)
		snprintf(why, INBOUND_WHY_MAX, "its type was %s and is now %s: restart weir",
			 n->proto->name, node_type_name(info->type));
}

static int build(struct node *n, const struct node_info *info, struct apply *a)
{
	struct inbound_plan plan = plan_of(n, info);
	char why[INBOUND_WHY_MAX] = "";
	int err;

	a->cert_stamp = inbound_tls_stamp(&plan);
	err = make_registry(n, info);
	if (err)
		type_why(n, info, err, why);
	if (!err && info->type == NODE_SHADOWSOCKS)
		err = make_replay(n, &plan);
	if (!err && inbound_wants_encryption(info))
		err = make_tickets(n, &plan);
	if (!err && info->type == NODE_VMESS)
		err = make_auth_ids(n, &plan);
	if (!err)
		err = inbound_build(&plan, &a->in, why);
	if (err) {
		log_msg(LOG_ERROR, "node", "%s: cannot serve this configuration: %s", n->tag,
			*why ? why : err_text(err));
		return err;
	}
	if (n->in)
		reality_conf_inherit(a->in->reality, n->in->reality);
	return bind_missing(n, a);
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
		err = prepare_users(n, users, a); /* the last that can fail */
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
	timer_init(&n->reap, on_reap);
	timer_init(&n->again, on_again);
}

void node_forget_asker(struct node *n)
{
	if (n->apply)
		n->apply->done = NULL;
}
