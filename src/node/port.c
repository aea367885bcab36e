#include "node/port.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "net/sock.h"
#include "node/session_log.h"
#include "stream/tcp.h"

#define COMPLAIN_EVERY (60 * NSEC_SEC)
#define STUCK	       (10 * NSEC_SEC) /* as a node's seat has it */

/* What all ports of one worker share. */
struct ports_worker {
	struct user_worker users; /* of the world's counters, which need not be the workers' */
	struct direct direct;
	nsec_t complained;
	bool ready;
};

/* Few ports have times of their own. */
struct shared_times {
	struct shared_times *next;
	struct session_times times;
};

struct ports {
	struct shared_times *times;
	struct workers *workers;
	struct counters *counters;
	uint32_t ledger_node;
	struct direct_conf direct;
	unsigned next; /* round robin */
	struct ports_worker worker[];
};

struct port_listener {
	struct listener l;
	struct port *port;
	int fd; /* control's note of it, for who inherits; -1 once control has closed it */
};

struct port {
	struct session_inbound si;
	struct ports *ports;
	struct node_worker *worker;
	struct port_service *service;
	struct user_table *users;
	struct traffic base; /* what the users' slots held before */
	struct message open, shut, hurry, home, lame;
	struct waiter idle; /* the last session has ended */
	struct timer deadline;
	nsec_t grace;
	void (*closed)(void *arg);
	void *closed_arg;
	_Atomic uint64_t sessions;
	int err;		  /* of the first socket that the worker could not take over */
	int udp[PORT_LISTEN_MAX]; /* bound, on their way to the worker */
	uint16_t bound;		  /* of the first socket */
	uint16_t chosen;	  /* by the kernel, for those that were asked for with 0 */
	uint8_t nlisten, nudp;
	uint8_t lost; /* bits: what the worker could not take over, of listen[], then of udp[] */
	bool closing, hurried, echoed; /* control's */
	bool shutting;		       /* the worker's */
	bool homeward;
	struct port_listener listen[];
};

static struct port *of(struct session_inbound *si)
{
	return container_of(si, struct port, si);
}

/* ---- on the worker ----------------------------------------------------------------------- */

static void on_ended(struct session_inbound *si, const struct session_report *r)
{
	struct port *p = of(si);

	p->worker->moves++;
	atomic_fetch_sub_explicit(&p->sessions, 1, memory_order_relaxed);
	session_log(r, NULL, p->bound);
	if (p->shutting)
		loop_queue(si->loop, &p->idle);
}

/* One more, out of a connection that is here already. */
static bool on_child(struct session_inbound *si)
{
	struct port *p = of(si);

	if (node_worker_full(p->worker))
		return false;
	p->worker->moves++;
	atomic_fetch_add_explicit(&p->sessions, 1, memory_order_relaxed);
	return true;
}

static struct stream *build_stack(struct session_inbound *si, struct stream *s)
{
	struct port *p = of(si);

	return p->service->server(p->service, s, &si->proto);
}

static void on_accept(struct listener *l, int fd, const struct addr *peer)
{
	struct port *p = container_of(l, struct port_listener, l)->port;
	struct stream *leaf;

	leaf = tcp_stream_new(p->worker->loop, fd, peer);
	if (!leaf)
		return;
	p->worker->moves++;
	atomic_fetch_add_explicit(&p->sessions, 1, memory_order_relaxed);
	session_start(&p->si, leaf);
}

/* Once a minute for all ports of a worker: when descriptors run out, they run out for all. */
static void on_accept_failed(struct listener *l, int err)
{
	struct port *p = container_of(l, struct port_listener, l)->port;
	struct ports_worker *w = &p->ports->worker[p->worker->index];
	nsec_t now = loop_now(l->loop);

	if (w->complained && now - w->complained < COMPLAIN_EVERY)
		return;
	w->complained = now;
	log_msg(LOG_WARN, "port", "cannot accept on port %u: %s", p->bound,
		err == -ENOBUFS ? "connections hold all the memory they may" : err_text(err));
}

/* As in seat.c: who lets bytes lie goes before nobody new can come. */
static bool is_full(struct listener *l)
{
	struct port *p = container_of(l, struct port_listener, l)->port;

	if (!node_worker_full(p->worker))
		return false;
	session_end_stuck(&p->si, STUCK);
	return true;
}

static void on_echo(struct message *m)
{
	struct port *p = container_of(m, struct port, open);

	loop_post(p->worker->control, &p->home);
}

/* On control.  A hurry that crossed this message on its way is still in the worker's mailbox: what
 * is sent behind it comes back after it.
 */
static void on_home(struct message *m)
{
	struct port *p = container_of(m, struct port, home);

	if (!p->hurried || p->echoed) {
		p->closed(p->closed_arg);
		return;
	}
	p->echoed = true;
	p->open.run = on_echo;
	loop_post(p->worker->loop, &p->open);
}

/* Nobody has a pointer into this port any more, but for memory that goes at the end of this turn
 * and that nobody reads.
 */
static void go_home(struct port *p)
{
	if (p->homeward)
		return;
	p->homeward = true;
	timer_stop(&p->deadline);
	waiter_cancel(&p->idle);
	loop_post(p->worker->control, &p->home);
}

static void on_idle(struct waiter *w)
{
	struct port *p = container_of(w, struct port, idle);

	if (p->shutting && p->si.nsessions == 0)
		go_home(p);
}

static void on_deadline(struct timer *t)
{
	struct port *p = container_of(t, struct port, deadline);

	session_end_all(&p->si);
	loop_queue(p->worker->loop, &p->idle);
}

static void start_worker(struct ports *ps, struct node_worker *w)
{
	struct ports_worker *pw = &ps->worker[w->index];

	if (pw->ready)
		return;
	direct_init(&pw->direct, dns_resolver(w->dns), &ps->direct, w->own);
	pw->ready = true;
}

void port_take_udp(struct session_inbound *in, struct dgram *client,
		   const struct stream_request *request, const struct addr *peer)
{
	struct port *p = of(in);

	if (node_worker_full(p->worker)) {
		dgram_free(client);
		return;
	}
	p->worker->moves++;
	atomic_fetch_add_explicit(&p->sessions, 1, memory_order_relaxed);
	session_start_udp(in, client, request, peer);
}

/* On control, which may be about to duplicate one of them for a successor: closed by the worker,
 * its number could be another socket's by then.
 */
static void on_lame(struct message *m)
{
	struct port *p = container_of(m, struct port, lame);

	for (unsigned i = 0; i < PORT_LISTEN_MAX; i++) {
		if (p->lost & 1U << i) {
			close(p->listen[i].fd);
			p->listen[i].fd = -1;
		}
		if (p->lost & 1U << (PORT_LISTEN_MAX + i)) {
			close(p->udp[i]);
			p->udp[i] = -1;
		}
	}
	if (p->service->failed)
		p->service->failed(p->service, p->err);
}

/* Which is closed, and control told, once all have been tried. */
static void give_up_socket(struct port *p, unsigned bit, const char *what, int err)
{
	log_msg(LOG_ERROR, "port", "port %u: no %s: %s", p->bound, what, err_text(err));
	if (!p->lost)
		p->err = err;
	p->lost |= (uint8_t)(1U << bit);
}

static void start_udp(struct port *p)
{
	for (unsigned i = 0; i < p->nudp; i++) {
		int err = p->service->udp_start(p->service, p->udp[i], &p->si);

		if (err)
			give_up_socket(p, PORT_LISTEN_MAX + i, "UDP", err);
	}
}

static void on_open(struct message *m)
{
	struct port *p = container_of(m, struct port, open);
	struct node_worker *w = p->worker;

	start_worker(p->ports, w);
	p->si.loop = w->loop;
	p->si.user_worker = &p->ports->worker[w->index].users;
	p->si.outbound = p->si.fallback_dialer = &p->ports->worker[w->index].direct.dialer;
	if (p->service->settle_in)
		p->service->settle_in(p->service, &p->si);
	for (unsigned i = 0; i < p->nlisten; i++) {
		struct listener *l = &p->listen[i].l;
		int err;

		listener_init(l, w->loop, on_accept);
		l->failed = on_accept_failed;
		l->busy = is_full;
		err = listener_adopt(l, p->listen[i].fd);
		if (err)
			give_up_socket(p, i, "TCP", err);
	}
	start_udp(p);
	if (p->lost)
		loop_post(w->control, &p->lame);
}

static void on_shut(struct message *m)
{
	struct port *p = container_of(m, struct port, shut);
	struct loop *l = p->worker->loop;

	if (p->homeward)
		return;
	p->shutting = true;
	for (unsigned i = 0; i < p->nlisten; i++)
		listener_close(&p->listen[i].l);
	if (p->nudp)
		p->service->udp_stop(p->service);
	if (p->grace > 0)
		timer_set(l, &p->deadline, loop_now(l) + p->grace);
	else
		session_end_all(&p->si);
	loop_queue(l, &p->idle);
}

static void on_hurry(struct message *m)
{
	struct port *p = container_of(m, struct port, hurry);

	if (!p->homeward)
		on_deadline(&p->deadline);
}

/* ---- on control -------------------------------------------------------------------------- */

int ports_new(const struct port_world *world, struct ports **out)
{
	struct ports *ps = calloc(1, sizeof(*ps) + world->workers->n * sizeof(ps->worker[0]));

	if (!ps)
		return -ENOMEM;
	ps->workers = world->workers;
	ps->counters = world->counters;
	ps->ledger_node = world->ledger_node;
	ps->direct = *world->direct;
	for (unsigned i = 0; i < ps->workers->n; i++)
		user_worker_share(&ps->worker[i].users, &ps->workers->v[i].users, ps->counters);
	*out = ps;
	return 0;
}

void ports_free(struct ports *ps)
{
	struct shared_times *t, *next;

	if (!ps)
		return;
	for (t = ps->times; t; t = next) {
		next = t->next;
		free(t);
	}
	free(ps);
}

static bool same_times(const struct session_times *a, const struct session_times *b)
{
	return a->handshake == b->handshake && a->dial == b->dial && a->udp_idle == b->udp_idle &&
	       a->relay.idle == b->relay.idle && a->relay.linger == b->relay.linger &&
	       a->relay.splice == b->relay.splice;
}

/* NULL: no memory. */
static const struct session_times *share_times(struct ports *ps, const struct session_times *times)
{
	struct shared_times *t;

	for (t = ps->times; t; t = t->next) {
		if (same_times(&t->times, times))
			return &t->times;
	}
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->times = *times;
	t->next = ps->times;
	ps->times = t;
	return &t->times;
}

static void close_all(struct port *p)
{
	for (unsigned i = 0; i < p->nlisten; i++)
		close(p->listen[i].fd);
	for (unsigned i = 0; i < p->nudp; i++)
		close(p->udp[i]);
}

/* The public port of one side and what the kernel has chosen for the other side are different matters:
 * a plugin shall bind the first number itself where we have not.
 */
static void remember_number(struct port *p, int fd, const struct addr *asked)
{
	struct addr at;

	if (sock_local(fd, &at))
		return;
	if (!p->bound)
		p->bound = addr_port(&at);
	if (!p->chosen && !addr_port(asked))
		p->chosen = addr_port(&at);
}

/* A port of its own on each address; an IPv6 wildcard must leave the IPv4 one alone that stands
 * beside it in the list.
 */
static bool beside_ip4(const struct addr *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (v[i].sa.sa_family == AF_INET)
			return true;
	}
	return false;
}

/* A second descriptor of the same socket.  The numbers stay what they are until the old port is
 * closed, which only control asks for.
 */
static int inherited(const struct port *old, const struct addr *at, bool udp, int *out)
{
	unsigned n = !old ? 0 : udp ? old->nudp : old->nlisten;
	struct addr has;

	for (unsigned i = 0; i < n && !old->closing; i++) {
		int fd = udp ? old->udp[i] : old->listen[i].fd;

		if (sock_local(fd, &has) || !addr_equal(&has, at))
			continue;
		*out = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		return *out < 0 ? -errno : 0;
	}
	return -ENOENT;
}

static int bind_tcp(struct port *p, const struct port_conf *conf)
{
	const struct listener_conf lc = {.tfo = conf->tfo,
					 .keepalive = &sock_usual_keepalive,
					 .v6only = beside_ip4(conf->tcp, conf->ntcp)};
	int err = 0;

	for (unsigned i = 0; i < conf->ntcp && !err; i++) {
		struct addr at = conf->tcp[i];

		if (!addr_port(&at))
			addr_set_port(&at, p->chosen);
		err = inherited(conf->inherit, &at, false, &p->listen[i].fd);
		if (err)
			err = listener_bind(&at, &lc, &p->listen[i].fd);
		if (err)
			break;
		p->listen[i].port = p;
		p->nlisten++;
		remember_number(p, p->listen[i].fd, &conf->tcp[i]);
	}
	return err;
}

static int udp_socket(const struct addr *at, bool v6only, int *out)
{
	int fd, err = sock_new(at->sa.sa_family, SOCK_DGRAM, &fd);

	if (err)
		return err;
	if (at->sa.sa_family == AF_INET6)
		err = sock_set_v6only(fd, v6only);
	if (!err && bind(fd, &at->sa, at->len) < 0)
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

static int bind_udp(struct port *p, const struct port_conf *conf)
{
	bool v6only = beside_ip4(conf->udp, conf->nudp);
	int err = 0;

	for (unsigned i = 0; i < conf->nudp && !err; i++) {
		struct addr at = conf->udp[i];

		if (!addr_port(&at))
			addr_set_port(&at, p->chosen);
		err = inherited(conf->inherit, &at, true, &p->udp[i]);
		if (err)
			err = udp_socket(&at, v6only, &p->udp[i]);
		if (err)
			break;
		p->nudp++;
		remember_number(p, p->udp[i], &conf->udp[i]);
	}
	return err;
}

static int make_users(struct port *p, const struct port_conf *conf)
{
	struct user_registry_conf users = conf->users;
	int err;

	users.counters = p->ports->counters;
	users.node = p->ports->ledger_node;
	err = user_fixed_new(&users, conf->entries, conf->nentries, &p->users);
	if (!err)
		user_fixed_traffic(p->users, users.counters, &p->base);
	return err;
}

static struct port *port_new(struct ports *ps, const struct port_conf *conf)
{
	const struct session_times *times = share_times(ps, &conf->times);
	struct port *p = NULL;

	if (times)
		p = calloc(1, sizeof(*p) + conf->ntcp * sizeof(p->listen[0]));
	if (!p)
		return NULL;
	p->ports = ps;
	p->worker = &ps->workers->v[ps->next++ % ps->workers->n];
	p->service = conf->service;
	p->si.times = times;
	p->si.stack = build_stack;
	p->si.reject = REJECT_DRAIN;
	p->si.ended = on_ended;
	p->si.child = on_child;
	list_init(&p->si.sessions);
	p->open.run = on_open;
	p->shut.run = on_shut;
	p->hurry.run = on_hurry;
	p->home.run = on_home;
	p->lame.run = on_lame;
	waiter_init(&p->idle, on_idle);
	timer_init(&p->deadline, on_deadline);
	return p;
}

int port_open(struct ports *ps, const struct port_conf *conf, struct port **out)
{
	struct port *p;
	int err;

	assert(conf->ntcp <= PORT_LISTEN_MAX && conf->nudp <= PORT_LISTEN_MAX);
	p = port_new(ps, conf);
	if (!p)
		return -ENOMEM;
	err = bind_tcp(p, conf);
	if (!err)
		err = bind_udp(p, conf);
	if (!err)
		err = make_users(p, conf);
	if (err) {
		close_all(p);
		free(p);
		return err == -EADDRINUSE && conf->inherit ? -EAGAIN : err;
	}
	p->si.proto.users = p->users;
	loop_post(p->worker->loop, &p->open);
	*out = p;
	return 0;
}

void port_close(struct port *p, nsec_t grace, void (*closed)(void *arg), void *arg)
{
	p->closed = closed;
	p->closed_arg = arg;
	if (!p->closing) {
		p->grace = grace;
		loop_post(p->worker->loop, &p->shut);
	} else if (p->grace > 0 && grace <= 0 && !p->hurried) {
		p->hurried = true;
		loop_post(p->worker->loop, &p->hurry);
	}
	p->closing = true;
}

void port_free(struct port *p, bool settled)
{
	if (!p)
		return;
	if (p->service && p->service->free)
		p->service->free(p->service);
	user_fixed_free(p->users, settled ? p->ports->counters : NULL);
	free(p);
}

uint16_t port_bound(const struct port *p)
{
	return p->chosen ? p->chosen : p->bound;
}

const struct user_table *port_users(const struct port *p)
{
	return p->users;
}

void port_traffic(const struct port *p, struct traffic *out)
{
	user_fixed_traffic(p->users, p->ports->counters, out);
	out->up -= p->base.up;
	out->down -= p->base.down;
}

uint64_t port_sessions(const struct port *p)
{
	return atomic_load_explicit(&p->sessions, memory_order_relaxed);
}
