#include "stream/pair.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct dgram_end {
	struct dgram base;
	struct dgram_end *other; /* NULL: freed */
	struct waiter *rd, *wr;
	bool blocking;
	unsigned first, count, size; /* the ring of what has arrived */
	struct packet ring[];
};

static const struct dgram_ops pair_dgram_ops;

static struct dgram_end *end_of(struct dgram *d)
{
	assert(d->ops == &pair_dgram_ops);
	return container_of(d, struct dgram_end, base);
}

static void wake(struct dgram_end *e, struct waiter **slot)
{
	struct waiter *w = *slot;

	*slot = NULL;
	if (w)
		loop_queue(e->base.loop, w);
}

static int pair_recv(struct dgram *d, struct packet *p, int max)
{
	struct dgram_end *e = end_of(d);
	int n = 0;

	while (n < max && e->count > 0) {
		p[n++] = e->ring[e->first];
		e->first = (e->first + 1) % e->size;
		e->count--;
	}
	if (n == 0)
		return e->other ? -EAGAIN : 0;
	if (e->other)
		wake(e->other, &e->other->wr);
	return n;
}

static int pair_send(struct dgram *d, struct packet *p, int n)
{
	struct dgram_end *e = end_of(d), *to = e->other;
	int i;

	if (!to)
		return -EPIPE;
	for (i = 0; i < n; i++) {
		if (to->count < to->size) {
			to->ring[(to->first + to->count++) % to->size] = p[i];
		} else if (e->blocking) {
			break;
		} else {
			buf_free(p[i].buf);
			d->dropped++;
		}
	}
	wake(to, &to->rd);
	return i > 0 ? i : -EAGAIN;
}

static void pair_want(struct dgram *d, unsigned ev, struct waiter *w)
{
	struct dgram_end *e = end_of(d);
	bool writable = !e->other || e->other->count < e->other->size;

	if (((ev & STREAM_RD) && (e->count > 0 || !e->other)) || ((ev & STREAM_WR) && writable)) {
		loop_queue(d->loop, w);
		return;
	}
	if (ev & STREAM_RD)
		e->rd = w;
	if (ev & STREAM_WR)
		e->wr = w;
}

static void pair_free(struct dgram *d)
{
	struct dgram_end *e = end_of(d);
	struct packet p;

	while (pair_recv(d, &p, 1) > 0)
		buf_free(p.buf);
	if (e->other) {
		e->other->other = NULL;
		wake(e->other, &e->other->rd);
		wake(e->other, &e->other->wr);
	}
	loop_free_later(d->loop, e);
}

static const struct dgram_ops pair_dgram_ops = {
	.name = "pair",
	.recv = pair_recv,
	.send = pair_send,
	.want = pair_want,
	.free = pair_free,
};

static struct dgram_end *end_new(struct loop *l, unsigned packets)
{
	struct dgram_end *e = calloc(1, sizeof(*e) + packets * sizeof(e->ring[0]));

	if (!e)
		return NULL;
	e->base.ops = &pair_dgram_ops;
	e->base.loop = l;
	e->size = packets;
	return e;
}

int pair_dgram_new(struct loop *l, unsigned packets, struct dgram **a, struct dgram **b)
{
	struct dgram_end *x = end_new(l, packets), *y = end_new(l, packets);

	assert(packets > 0);
	if (!x || !y) {
		free(x);
		free(y);
		return -ENOMEM;
	}
	x->other = y;
	y->other = x;
	*a = &x->base;
	*b = &y->base;
	return 0;
}

void pair_dgram_set_blocking(struct dgram *end)
{
	end_of(end)->blocking = true;
}
