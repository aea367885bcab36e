#include "node/seat.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "node/session_log.h"
#include "stream/mux.h"
#include "stream/proxied.h"
#include "stream/tcp.h"
#include "tls/reality_learn.h"

#define COMPLAIN_EVERY (60 * NSEC_SEC)
#define STUCK	       (10 * NSEC_SEC)

struct generation {
	struct session_inbound si;
	struct list_node link;
	struct seat *seat;
	struct inbound *in;
	struct direct direct, trusted;
	struct half_open half_open;
	struct waiter reap; /* the last session of a retired generation has ended */
	struct timer deadline;
	struct reality_learn *learn; /* on the first worker, where there is a target to ask */
	bool retired;
};

static struct generation *of(struct session_inbound *si)
{
	return container_of(si, struct generation, si);
}

/* Going home: the reference that this worker held. */
struct farewell {
	struct message m;
	struct inbound *in;
	void (*let_go)(struct inbound *in);
};

static void on_control(struct message *m)
{
	struct farewell *f = container_of(m, struct farewell, m);

	f->let_go(f->in);
	free(f);
}

static void free_port(struct generation *g)
{
	if (g->in->proto->port_free)
		g->in->proto->port_free(g->si.proto.port);
}

static void generation_free(struct generation *g, struct loop *control)
{
	struct farewell *f = calloc(1, sizeof(*f));

	timer_stop(&g->deadline);
	waiter_cancel(&g->reap);
	list_del(&g->link);
	free_port(g);
	if (f) { /* without memory the configuration object stays: a few KiB, once */
		f->m.run = on_control;
		f->in = g->in;
		f->let_go = g->seat->let_go;
		loop_post(control, &f->m);
	}
	loop_free_later(g->si.loop, g);
}

static void on_reap(struct waiter *w)
{
	struct generation *g = container_of(w, struct generation, reap);

	if (g->retired && g->si.nsessions == 0)
		generation_free(g, g->seat->worker->control);
}

static void on_drained(struct timer *t)
{
	struct generation *g = container_of(t, struct generation, deadline);

	session_end_all(&g->si);
	loop_queue(g->si.loop, &g->reap);
}

/* Who is shut out may be a user, whose request nobody has read: the operator must be able to know. */
static void warn_of_limit(struct generation *g, const struct session_report *r)
{
	static const char one[] =
		"newcomers are refused: StrangerLimitPerIP connections of their source "
		"are there; users behind one relay or carrier's NAT are one source",
			  all[] = "StrangerLimit connections are no user's: the oldest go";
	struct log_limit *l = r->crowded ? &g->seat->crowded : &g->seat->full;
	char peer[ADDR_TEXT_MAX] = "-";
	struct log_line line;
	unsigned missed;

	if (!log_allow(l, loop_now(g->si.loop), COMPLAIN_EVERY, &missed) ||
	    !log_begin(&line, LOG_WARN, "node", r->crowded ? one : all))
		return;
	if (r->peer)
		addr_format(r->peer, peer);
	log_num(&line, "port", g->in->nlisten ? addr_port(&g->in->listen[0]) : 0);
	log_str(&line, "peer", peer);
	log_num(&line, "more", missed);
	log_end(&line);
}

static void on_ended(struct session_inbound *si, const struct session_report *r)
{
	struct generation *g = of(si);

	g->seat->worker->moves++;
	atomic_fetch_sub_explicit(&g->seat->sessions, 1, memory_order_relaxed);
	session_log(r, g->seat->tag, 0);
	if (r->err == -ERR_LIMIT && !r->user)
		warn_of_limit(g, r);
	if (g->retired)
		loop_queue(si->loop, &g->reap);
}

/* One more, out of a connection that is here already. */
static bool on_child(struct session_inbound *si)
{
	struct generation *g = of(si);

	if (node_worker_full(g->seat->worker))
		return false;
	g->seat->worker->moves++;
	atomic_fetch_add_explicit(&g->seat->sessions, 1, memory_order_relaxed);
	return true;
}

static struct stream *build_stack(struct session_inbound *si, struct stream *s)
{
	struct generation *g = of(si);
	const struct inbound *in = g->in;

	if (in->tls)
		s = tls_server_new(s, in->tls);
	else if (in->reality)
		s = reality_server_new(s, in->reality, &g->trusted.dialer);
	if (s && in->obfs)
		s = httpobfs_server_new(s, in->obfs);
	return s ? in->proto->server(s, &si->proto) : NULL;
}

static bool trusted(const struct inbound *in, const struct addr *peer)
{
	for (unsigned i = 0; i < in->nproxies; i++) {
		if (cidr_match(&in->proxies[i], peer))
			return true;
	}
	return in->nproxies == 0 && addr_is_private(peer);
}

static void on_accept(struct listener *l, int fd, const struct addr *peer)
{
	static const struct addr unknown;
	struct seat *s = container_of(l, struct seat_listener, l)->seat;
	struct generation *g = s->current;
	struct stream *leaf;

	if (!g) {
		close(fd);
		return;
	}
	leaf = tcp_stream_new(s->worker->loop, fd, g->in->hidden_tcp ? &unknown : peer);
	if (leaf && g->in->proxy_protocol && !g->in->hidden_tcp && trusted(g->in, peer))
		leaf = proxied_new(leaf);
	if (!leaf)
		return;
	s->worker->moves++;
	atomic_fetch_add_explicit(&s->sessions, 1, memory_order_relaxed);
	session_start(&g->si, leaf);
}

/* Once a minute: it comes again with every rest of the listener. */
static void on_accept_failed(struct listener *l, int err)
{
	struct seat_listener *sl = container_of(l, struct seat_listener, l);
	nsec_t now = loop_now(l->loop);
	char text[ADDR_TEXT_MAX];

	if (sl->complained && now - sl->complained < COMPLAIN_EVERY)
		return;
	sl->complained = now;
	log_msg(LOG_WARN, "node", "cannot accept on %s: %s", addr_format(&sl->at, text),
		err == -ENOBUFS ? "connections hold all of MemoryLimit" : err_text(err));
}

/* Memory has run out: nobody new, and those who let their bytes lie go first.  Without the latter a
 * few readers that never read would keep everybody out until they are idle.
 */
static bool is_full(struct listener *l)
{
	struct seat *s = container_of(l, struct seat_listener, l)->seat;
	struct list_node *pos;

	if (!node_worker_full(s->worker))
		return false;
	list_for_each(pos, &s->generations)
		session_end_stuck(&list_entry(pos, struct generation, link)->si, STUCK);
	return true;
}

void seat_init(struct seat *s, struct node_worker *w, const char *tag,
	       void (*let_go)(struct inbound *in))
{
	*s = (struct seat){.worker = w, .tag = tag, .let_go = let_go};
	list_init(&s->generations);
}

/* What the protocol keeps on this worker. */
static int make_port(struct generation *g)
{
	const struct inbound *in = g->in;

	if (!in->proto->port_new)
		return 0;
	return in->proto->port_new(in->conf, in->memory, in->workers, &g->si.proto.port);
}

static struct session_inbound session_inbound_of(struct generation *g)
{
	const struct inbound *in = g->in;
	struct seat *s = g->seat;

	return (struct session_inbound){
		.proto.users = s->users,
		.proto.conf = in->conf,
		.proto.first_pull_decides = in->reject == REJECT_FALLBACK,
		.proto.singmux = in->singmux,
		.loop = s->worker->loop,
		.user_worker = &s->worker->users,
		.stack = build_stack,
		.outbound = &g->direct.dialer,
		.fallback_dialer = &g->trusted.dialer,
		.fallbacks = in->fallbacks,
		.times = &in->times,
		.reject = in->reject,
		.cap = in->cap,
		.strangers = s->strangers,
		.throttle = in->throttle,
		.ended = on_ended,
		.child = on_child,
	};
}

static struct generation *generation_new(struct seat *s, struct inbound *in)
{
	struct node_worker *w = s->worker;
	struct generation *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	direct_init(&g->direct, dns_resolver(w->dns), &in->direct, w->own);
	direct_init(&g->trusted, dns_resolver(w->dns), &in->trusted, w->own);
	g->seat = s;
	g->in = in;
	g->si = session_inbound_of(g);
	list_init(&g->si.sessions);
	list_init(&g->half_open.sessions);
	g->half_open.sources = in->strangers;
	g->half_open.max = in->strangers_max;
	if (in->strangers)
		g->si.half_open = &g->half_open;
	waiter_init(&g->reap, on_reap);
	timer_init(&g->deadline, on_drained);
	if (make_port(g)) {
		free(g);
		return NULL;
	}
	return g;
}

/* ---- UDP beside the listeners ------------------------------------------------------------ */

static void on_udp(void *arg, struct dgram *client, const struct stream_request *req,
		   const struct addr *peer)
{
	static const struct addr unknown;
	struct generation *g = arg;

	if (node_worker_full(g->seat->worker)) {
		dgram_free(client);
		return;
	}
	g->seat->worker->moves++;
	atomic_fetch_add_explicit(&g->seat->sessions, 1, memory_order_relaxed);
	session_start_udp(&g->si, client, req, g->in->hidden_udp ? &unknown : peer);
}

static struct proto_udp_service udp_service(struct generation *g)
{
	return (struct proto_udp_service){
		.inbound = &g->si.proto,
		.hidden = g->in->hidden_udp,
		.opened = on_udp,
		.arg = g,
	};
}

static void close_udp(struct seat_listener *sl)
{
	if (sl->udp)
		sl->proto->udp->close(sl->udp);
}

/* ---- listeners --------------------------------------------------------------------------- */

static struct seat_listener *listener_at(struct seat *s, const struct addr *at, uint8_t kind)
{
	for (unsigned i = 0; i < s->nlisteners; i++) {
		if (addr_equal(&s->listeners[i]->at, at) && s->listeners[i]->kind == kind)
			return s->listeners[i];
	}
	return NULL;
}

/* Without closing its socket. */
static void let_listener_go(struct seat_listener *sl)
{
	if (sl->l.fd < 0)
		return;
	listener_pause(&sl->l);
	waiter_cancel(&sl->l.ready);
	io_del(sl->l.loop, &sl->l.io);
}

/* `fd` -1: for UDP only. */
static struct seat_listener *listener_new(struct seat *s, const struct proto *proto,
					  const struct addr *at, uint8_t kind, int fd)
{
	struct seat_listener *sl = calloc(1, sizeof(*sl));

	if (!sl)
		return NULL;
	listener_init(&sl->l, s->worker->loop, on_accept);
	sl->l.failed = on_accept_failed;
	sl->l.busy = is_full;
	sl->at = *at;
	sl->kind = kind;
	sl->seat = s;
	sl->proto = proto;
	if (fd >= 0 && listener_adopt(&sl->l, fd)) {
		free(sl);
		return NULL;
	}
	return sl;
}

/* What these two sockets, where they are, have made of it.  They stay the caller's. */
static void undo_one(struct seat_listener *sl, int tcp, int udp)
{
	if (udp >= 0) {
		sl->proto->udp->let_go(sl->udp);
		sl->udp = NULL;
	}
	if (tcp >= 0 || udp >= 0) {
		let_listener_go(sl);
		free(sl);
	}
}

/* The seat's own listener where it has one. */
static int open_one(struct seat *s, struct generation *g, unsigned i, const int *fds,
		    struct seat_listener **out)
{
	const struct inbound *in = g->in;
	const struct addr *at = &in->listen[i];
	int tcp = fds[i], udp = fds[INBOUND_LISTEN_MAX + i];
	bool fresh = tcp >= 0 || udp >= 0;
	uint8_t kind = in->kind[i];
	struct seat_listener *sl =
		fresh ? listener_new(s, in->proto, at, kind, tcp) : listener_at(s, at, kind);
	const struct proto_udp_service service = udp_service(g);

	if (!sl)
		return -ENOMEM;
	if (udp >= 0 &&
	    in->proto->udp->start(g->si.loop, udp, at->sa.sa_family, &service, &sl->udp)) {
		let_listener_go(sl);
		free(sl);
		return -ENOMEM;
	}
	*out = sl;
	return 0;
}

/* Listeners for all of in->listen. */
static int open_listeners(struct seat *s, struct generation *g, const int *fds,
			  struct seat_listener **all)
{
	for (unsigned i = 0; i < g->in->nlisten; i++) {
		int err = open_one(s, g, i, fds, &all[i]);

		if (!err)
			continue;
		while (i-- > 0)
			undo_one(all[i], fds[i], fds[INBOUND_LISTEN_MAX + i]);
		return err;
	}
	return 0;
}

/* Its UDP goes on as the new generation says. */
static void renew_udp(struct seat_listener *sl, struct generation *g)
{
	const struct proto_udp_service service = udp_service(g);

	if (sl->udp)
		sl->proto->udp->use(sl->udp, &service);
}

static bool among(struct seat_listener *const *all, unsigned n, const struct seat_listener *l)
{
	for (unsigned i = 0; i < n; i++) {
		if (all[i] == l)
			return true;
	}
	return false;
}

static void on_learned(void *arg, const char *name, const char *alpn, int err)
{
	const struct inbound *in = ((struct generation *)arg)->in;
	uint16_t port = in->nlisten ? addr_port(&in->listen[0]) : 0;

	if (err == -ELOOP)
		log_msg(LOG_ERROR, "node",
			"port %u: the REALITY target is this node itself, through whatever is between: "
			"nobody is served; check tls_settings.dest",
			port);
	else if (err)
		log_msg(LOG_ERROR, "node",
			"port %u: the REALITY target does not answer as %s%s%s: %s; what it says "
			"behind a handshake cannot be imitated, and who is no client sees no web "
			"server: check tls_settings.dest",
			port, *name ? name : "nobody", *alpn ? " with ALPN " : "", alpn,
			err_text(err));
	else
		log_msg(LOG_DEBUG, "node", "port %u: the REALITY target answers as %s%s%s", port,
			*name ? name : "nobody", *alpn ? " with ALPN " : "", alpn);
}

/* One of the workers asks for all. */
static void learn(struct generation *g)
{
	struct node_worker *w = g->seat->worker;

	if (!g->in->reality || w->index > 0)
		return;
	g->learn = reality_learn_new(w->loop, g->in->reality, &g->trusted.dialer, on_learned, g);
}

static void retire(struct generation *g, nsec_t quiet)
{
	if (!g)
		return;
	reality_learn_free(g->learn);
	g->learn = NULL;
	g->retired = true;
	session_drain_carriers(&g->si, quiet);
	loop_queue(g->si.loop, &g->reap);
}

int seat_install(struct seat *s, struct inbound *in, const int *fds)
{
	struct seat_listener *all[INBOUND_LISTEN_MAX];
	struct generation *g = generation_new(s, in), *old = s->current;

	if (!g)
		return -ENOMEM;
	if (open_listeners(s, g, fds, all)) {
		free_port(g);
		free(g);
		return -ENOMEM;
	}
	list_add(&s->generations, &g->link);
	s->current = g;
	for (unsigned i = 0; i < s->nlisteners; i++) {
		if (among(all, in->nlisten, s->listeners[i]))
			continue;
		listener_drain(&s->listeners[i]->l);
		close_udp(s->listeners[i]);
		loop_free_later(s->worker->loop, s->listeners[i]);
	}
	for (unsigned i = 0; i < in->nlisten; i++) {
		s->listeners[i] = all[i];
		renew_udp(all[i], g);
	}
	s->nlisteners = in->nlisten;
	learn(g);
	retire(old, MUX_QUIET);
	return 0;
}

void seat_close(struct seat *s, nsec_t grace)
{
	nsec_t now = loop_now(s->worker->loop);
	struct list_node *pos;

	while (s->nlisteners > 0) {
		struct seat_listener *l = s->listeners[--s->nlisteners];

		listener_close(&l->l);
		close_udp(l);
		loop_free_later(s->worker->loop, l);
	}
	retire(s->current, 0);
	s->current = NULL;
	list_for_each(pos, &s->generations) {
		struct generation *g = list_entry(pos, struct generation, link);

		session_drain_carriers(&g->si, 0);
		if (grace >= 0)
			timer_set(g->si.loop, &g->deadline, now + grace);
	}
}

void seat_set_users(struct seat *s, const struct user_table *users)
{
	struct list_node *pos;

	s->users = users;
	list_for_each(pos, &s->generations)
		list_entry(pos, struct generation, link)->si.proto.users = users;
}

bool seat_empty(const struct seat *s)
{
	return list_empty(&s->generations);
}
