#include "stream/mux_pool.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"

#define HTTPS 443

struct pooled {
	struct list_node link;
	struct mux_pool *pool;
	struct sink sink;
	struct mux *mux;
};

/* ---- carriers ------------------------------------------------------------------------------ */

static void pooled_free(struct pooled *x)
{
	struct loop *l = x->mux->loop;

	list_del(&x->link);
	x->pool->ncarriers--;
	mux_free(x->mux);
	loop_free_later(l, x);
}

static void on_closed(struct sink *k)
{
	pooled_free(container_of(k, struct pooled, sink));
}

static struct pooled *pooled_new(struct mux_pool *p, struct loop *l)
{
	struct stream *carrier = p->carrier(p->arg, l);
	struct pooled *x = carrier ? calloc(1, sizeof(*x)) : NULL;

	if (!x) {
		stream_free(carrier);
		return NULL;
	}
	x->pool = p;
	x->sink.closed = on_closed;
	x->mux = p->conf->kind->start(carrier, &x->sink, p->conf->padding);
	if (!x->mux) {
		free(x);
		return NULL;
	}
	list_add_tail(&p->carriers, &x->link);
	p->ncarriers++;
	return x;
}

/* The first that has room, so that others empty themselves; of a given number of carriers the least busy
 * one.
 */
static struct pooled *with_room(const struct mux_pool *p)
{
	const struct mux_pool_conf *conf = p->conf;
	size_t least = MUX_FULL, usable = 0;
	struct pooled *best = NULL;
	struct list_node *pos;

	list_for_each(pos, &p->carriers) {
		struct pooled *x = list_entry(pos, struct pooled, link);
		size_t load = mux_load(x->mux);

		if (load == MUX_FULL)
			continue;
		usable++;
		if (!conf->carriers && (!conf->streams || load < conf->streams))
			return x;
		if (conf->carriers && load < least) {
			least = load;
			best = x;
		}
	}
	return least == 0 || usable >= conf->carriers || least < conf->min_streams ? best : NULL;
}

static struct pooled *pick(struct mux_pool *p, struct loop *l)
{
	struct pooled *x = with_room(p);

	return x ? x : pooled_new(p, l);
}

struct stream *mux_pool_stream(struct mux_pool *p, struct loop *l, const struct dest *to)
{
	struct pooled *x = pick(p, l);

	return x ? p->conf->kind->stream(x->mux, to) : NULL;
}

void mux_pool_init(struct mux_pool *p, const struct mux_pool_conf *conf,
		   struct stream *(*carrier)(void *arg, struct loop *l), void *arg)
{
	*p = (struct mux_pool){.conf = conf, .carrier = carrier, .arg = arg};
	list_init(&p->carriers);
}

void mux_pool_done(struct mux_pool *p)
{
	struct list_node *pos, *tmp;

	if (!p->conf)
		return;
	list_for_each_safe(pos, tmp, &p->carriers)
		pooled_free(list_entry(pos, struct pooled, link));
}

/* ---- associations -------------------------------------------------------------------------- */

struct roamer {
	struct dgram d;
	struct mux_pool *pool;
	struct dgram *now;  /* in its present carrier; NULL: in none */
	struct dest *first; /* a dest_dup() */
	struct waiter *rd;  /* who waits to receive, wherever he waits */
	uint8_t id[8];
};

static struct roamer *of(const struct dgram *d)
{
	return container_of(d, struct roamer, d);
}

/* Its carrier has gone, or its server is done with it, be it within a message: it may begin anew. */
static bool is_lost(int n)
{
	return n == 0 || n == -EPIPE || n == -ECONNRESET || n == -ERR_TRUNCATED;
}

static void leave(struct roamer *r)
{
	if (r->now)
		r->d.dropped += r->now->dropped;
	dgram_free(r->now);
	r->now = NULL;
}

/* A server may look at where the first packet goes.  Whoever waits to receive has to wait there. */
static int move_on(struct roamer *r, const struct dest *to)
{
	struct pooled *x = pick(r->pool, r->d.loop);

	if (to->type == DEST_NONE)
		to = r->first;
	r->now = x ? r->pool->conf->kind->packets(x->mux, to, r->id) : NULL;
	if (!r->now)
		return -ENOMEM;
	if (r->rd)
		loop_queue(r->d.loop, r->rd);
	r->rd = NULL;
	return 0;
}

static int roamer_recv(struct dgram *d, struct packet *p, int max)
{
	struct roamer *r = of(d);
	int n = r->now ? dgram_recv(r->now, p, max) : -EAGAIN;

	if (!is_lost(n))
		return n;
	leave(r);
	return -EAGAIN;
}

/* How many at the front may go, or, negative, are to be dropped. */
static int run_of(const struct roamer *r, const struct packet *p, int n)
{
	bool drop = r->pool->conf->no_quic && p->dest.port == HTTPS;
	int i = 1;

	while (i < n && r->pool->conf->no_quic && (p[i].dest.port == HTTPS) == drop)
		i++;
	if (!r->pool->conf->no_quic)
		return n;
	return drop ? -i : i;
}

static int send_run(struct roamer *r, struct packet *p, int n)
{
	int sent = -EPIPE;

	if (r->now)
		sent = dgram_send(r->now, p, n);
	if (!is_lost(sent))
		return sent;
	leave(r);
	sent = move_on(r, &p->dest);
	return sent ? sent : dgram_send(r->now, p, n);
}

static int roamer_send(struct dgram *d, struct packet *p, int n)
{
	struct roamer *r = of(d);
	int run = run_of(r, p, n);

	if (run > 0)
		return send_run(r, p, run);
	for (int i = 0; i < -run; i++) {
		buf_free(p[i].buf);
		p[i].buf = NULL;
	}
	r->d.dropped += (uint64_t)-run;
	return -run;
}

static void roamer_want(struct dgram *d, unsigned ev, struct waiter *w)
{
	struct roamer *r = of(d);

	if (ev & STREAM_RD)
		r->rd = w;
	if (r->now)
		dgram_want(r->now, ev, w);
	else if (ev & STREAM_WR)
		loop_queue(d->loop, w);
}

static void roamer_free(struct dgram *d)
{
	struct roamer *r = of(d);

	leave(r);
	free(r->first);
	loop_free_later(d->loop, r);
}

static const struct dgram_ops roamer_ops = {
	.name = "mux",
	.recv = roamer_recv,
	.send = roamer_send,
	.want = roamer_want,
	.free = roamer_free,
};

struct dgram *mux_pool_packets(struct mux_pool *p, struct loop *l, const struct dest *first)
{
	struct roamer *r = calloc(1, sizeof(*r));

	if (!r || !(r->first = dest_dup(first))) {
		free(r);
		return NULL;
	}
	r->d = (struct dgram){.ops = &roamer_ops, .loop = l};
	r->pool = p;
	loop_random(l, r->id, sizeof(r->id));
	r->id[0] |= 1; /* zero is no id */
	return &r->d;
}
