/* One UDP association: unconnected sockets, every packet names its destination (udp.md).
 *
 * A name keeps the one address it resolved to for the life of the association, and what that
 * address sends is labelled with the name again, so that the client recognises it.  Beyond
 * NAMES_MAX the name that was longest not used is forgotten.  What waits for answers is bounded in
 * all: a chunk each, whatever its size, and names that never resolve cost their sender nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "net/sock.h"
#include "proto/direct/direct_dial.h"
#include "stream/udp.h"

#define NAMES_MAX 64 /* names of one association */
#define HELD_MAX  8  /* packets that wait for one name... */
#define HELD_ALL  32 /* ...and for all of them */

struct name {
	struct name *next;
	struct dest *dest; /* the name with its port */
	struct addr addr;  /* len 0 until resolved */
	bool asking;	   /* the answer has not been looked at */
	struct resolve q;
	struct waiter wake;
	struct direct_dgram *owner;
	struct buf *held[HELD_MAX];
	int nheld;
};

struct direct_dgram {
	struct dgram d;
	struct direct *direct;
	struct dgram *udp;
	struct name *names; /* the one used last first */
	int nnames, nheld;
};

static struct direct_dgram *of(const struct dgram *d)
{
	return container_of(d, struct direct_dgram, d);
}

static void drop(struct direct_dgram *g, struct buf *b)
{
	g->d.dropped++;
	buf_free(b);
}

static void send_to(struct direct_dgram *g, struct buf *b, const struct addr *to)
{
	struct packet p = {.buf = b};

	dest_set_addr(&p.dest, to);
	if (dgram_send(g->udp, &p, 1) < 1)
		drop(g, b);
}

/* The kernel knows a way there: connecting a UDP socket asks it, and sends nothing. */
static bool has_way(const struct addr *a)
{
	int fd;
	bool ok;

	if (sock_new(a->sa.sa_family, SOCK_DGRAM, &fd))
		return false;
	ok = connect(fd, &a->sa, a->len) == 0;
	close(fd);
	return ok;
}

/* Packets have no handshake that would tell which family works: IPv4 where there is one, unless the
 * configuration prefers the other; and of two families never the one that this host cannot reach.
 */
static const struct addr *choose(const struct direct *d, const struct addr *v, int n)
{
	const struct addr *first = &v[0], *other = NULL;

	for (int i = 1; i < n && !other; i++) {
		if (v[i].sa.sa_family != first->sa.sa_family)
			other = &v[i];
	}
	if (!other)
		return first;
	if (d->conf->family == DIRECT_ANY && other->sa.sa_family == AF_INET) {
		first = other;
		other = &v[0];
	}
	return has_way(first) || !has_way(other) ? first : other;
}

/* The answer is here: choose one address, and let the packets go that waited for it. */
static void name_resolved(struct name *n)
{
	struct direct_dgram *g = n->owner;
	int left = n->q.err;

	n->asking = false;
	if (!left)
		left = direct_select(g->direct, n->q.addrs, n->q.n, n->dest->port);
	if (left > 0)
		n->addr = *choose(g->direct, n->q.addrs, left);
	for (int i = 0; i < n->nheld; i++) {
		if (n->addr.len)
			send_to(g, n->held[i], &n->addr);
		else
			drop(g, n->held[i]);
	}
	g->nheld -= n->nheld;
	n->nheld = 0;
}

static void name_wake(struct waiter *w)
{
	name_resolved(container_of(w, struct name, wake));
}

static void name_free(struct direct_dgram *g, struct name *n)
{
	resolver_cancel(g->direct->resolver, &n->q);
	waiter_cancel(&n->wake);
	g->nheld -= n->nheld;
	while (n->nheld > 0)
		buf_free(n->held[--n->nheld]);
	free(n->dest);
	loop_free_later(g->d.loop, n);
	g->nnames--;
}

/* Of those that nobody waits for the one that was used longest ago. */
static void forget_one(struct direct_dgram *g)
{
	struct name **oldest = NULL;

	for (struct name **at = &g->names; *at; at = &(*at)->next) {
		if (!(*at)->asking)
			oldest = at;
	}
	if (oldest) {
		struct name *n = *oldest;

		*oldest = n->next;
		name_free(g, n);
	}
}

static struct name *name_add(struct direct_dgram *g, const struct dest *dest)
{
	struct name *n;

	if (g->nnames >= NAMES_MAX)
		forget_one(g);
	if (g->nnames >= NAMES_MAX)
		return NULL;
	n = calloc(1, sizeof(*n));
	if (!n || !(n->dest = dest_dup(dest))) {
		free(n);
		return NULL;
	}
	n->owner = g;
	waiter_init(&n->wake, name_wake);
	n->next = g->names;
	g->names = n;
	g->nnames++;
	return n;
}

static void name_ask(struct direct_dgram *g, struct name *n)
{
	const char *text = (const char *)n->dest->bytes;

	n->asking = true;
	if (resolver_start(g->direct->resolver, &n->q, text, &n->wake) != -EAGAIN)
		name_resolved(n);
}

static struct name *name_get(struct direct_dgram *g, const struct dest *dest)
{
	for (struct name **at = &g->names; *at; at = &(*at)->next) {
		struct name *n = *at;

		if (!dest_equal(n->dest, dest))
			continue;
		*at = n->next;
		n->next = g->names;
		g->names = n;
		return n;
	}
	return name_add(g, dest);
}

static void hold(struct direct_dgram *g, struct name *n, struct buf *b)
{
	n->held[n->nheld++] = b;
	g->nheld++;
}

/* A name that failed is asked for again by its next packet: the resolver remembers failures for a
 * while, and an association may live for hours.  True: `p` has an address now, and goes there.
 */
static bool aim_at_name(struct direct_dgram *g, struct packet *p)
{
	struct name *n = name_get(g, &p->dest);

	if (n && !n->addr.len && !n->asking)
		name_ask(g, n);
	if (n && n->addr.len) {
		dest_set_addr(&p->dest, &n->addr);
		return true;
	}
	if (n && n->asking && n->nheld < HELD_MAX && g->nheld < HELD_ALL)
		hold(g, n, p->buf);
	else
		drop(g, p->buf);
	return false;
}

/* True: `p` may go where it says.  Else it has been dealt with. */
static bool aim(struct direct_dgram *g, struct packet *p)
{
	struct addr to;

	if (p->dest.type == DEST_NAME)
		return aim_at_name(g, p);
	if (!dest_addr(&p->dest, &to) && !direct_check(g->direct, &to))
		return true;
	drop(g, p->buf);
	return false;
}

/* What the socket does not take now is lost: UDP may drop, so nothing ever waits here. */
static void send_run(struct direct_dgram *g, struct packet *p, int n)
{
	int done = 0, sent = 0;

	while (done < n && (sent = dgram_send(g->udp, p + done, n - done)) > 0)
		done += sent;
	while (done < n)
		drop(g, p[done++].buf);
}

/* Neighbours that have an address leave in one call. */
static int direct_send(struct dgram *d, struct packet *p, int n)
{
	struct direct_dgram *g = of(d);
	int from = 0;

	for (int i = 0; i < n; i++) {
		if (aim(g, &p[i]))
			continue;
		send_run(g, p + from, i - from);
		from = i + 1;
	}
	send_run(g, p + from, n - from);
	for (int i = 0; i < n; i++)
		p[i].buf = NULL;
	return n;
}

static void relabel(struct direct_dgram *g, struct packet *p)
{
	struct addr from;

	if (!g->names || dest_addr(&p->dest, &from))
		return;
	for (struct name *n = g->names; n; n = n->next) {
		if (n->addr.len && addr_equal(&n->addr, &from)) {
			dest_copy(&p->dest, n->dest);
			return;
		}
	}
}

/* What may not be sent to may not answer either (udp.md, section 2). */
static bool welcome(struct direct_dgram *g, const struct packet *p)
{
	struct addr from;

	return !dest_addr(&p->dest, &from) && !direct_check(g->direct, &from);
}

static int recv_batch(struct direct_dgram *g, struct packet *p, int max)
{
	int n = dgram_recv(g->udp, p, max), kept = 0;

	for (int i = 0; i < n; i++) {
		if (!welcome(g, &p[i])) {
			drop(g, p[i].buf);
			continue;
		}
		relabel(g, &p[i]);
		if (kept != i)
			p[kept] = p[i];
		kept++;
	}
	return n > 0 ? kept : n;
}

static int direct_recv(struct dgram *d, struct packet *p, int max)
{
	int n = 0;

	while (n == 0) /* a batch of which nothing was kept does not end the association */
		n = recv_batch(of(d), p, max);
	return n;
}

static void direct_want(struct dgram *d, unsigned ev, struct waiter *w)
{
	dgram_want(of(d)->udp, ev, w);
}

static void direct_free(struct dgram *d)
{
	struct direct_dgram *g = of(d);
	struct name *n;

	while ((n = g->names)) {
		g->names = n->next;
		name_free(g, n);
	}
	dgram_free(g->udp);
	loop_free_later(d->loop, g);
}

static const struct dgram_ops direct_dgram_ops = {
	.name = "direct",
	.recv = direct_recv,
	.send = direct_send,
	.want = direct_want,
	.free = direct_free,
};

int direct_dgram(struct dialer *dialer, struct loop *l, const struct dest *first,
		 struct dgram **out)
{
	struct direct *direct = container_of(dialer, struct direct, dialer);
	struct direct_dgram *g = calloc(1, sizeof(*g));
	const struct addr *source = direct->conf->source.len ? &direct->conf->source : NULL;
	int family = first->type == DEST_IP6 ? AF_INET6 : AF_INET, err;

	if (!g)
		return -ENOMEM;
	g->d = (struct dgram){.ops = &direct_dgram_ops, .loop = l};
	g->direct = direct;
	err = udp_dgram_new(l, family, source, &g->udp);
	if (err == -EAFNOSUPPORT) /* the other family's packets are dropped, one by one */
		err = udp_dgram_new(l, family == AF_INET6 ? AF_INET : AF_INET6, source, &g->udp);
	if (err) {
		free(g);
		return err;
	}
	*out = &g->d;
	return 0;
}
