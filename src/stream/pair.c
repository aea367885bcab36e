#include "stream/pair.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"

struct pair_end {
	struct stream base;
	struct pair_end *other; /* NULL: freed */
	struct bufq in;		/* sent by the other, not pulled yet */
	struct waiter *rd, *wr; /* who waits at this end */
	int err;		/* broken: what pull and push say */
	int end; /* what pull says behind the last byte: 1 nothing yet, 0 orderly, <0 */
	bool shut, lossy, abort, no_half_close;
	size_t gather; /* so many wake who reads; fewer do not, while there is room for more */
	struct addr peer, local;
};

static const struct stream_ops pair_ops;

static struct pair_end *end_of(const struct stream *s)
{
	assert(s->ops == &pair_ops);
	return container_of(s, struct pair_end, base);
}

static void wake(struct pair_end *e, struct waiter **slot)
{
	struct waiter *w = *slot;

	*slot = NULL;
	if (w)
		loop_queue(e->base.loop, w);
}

static int pair_open(struct stream *s)
{
	return 0;
}

static ssize_t pair_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct pair_end *e = end_of(s);
	size_t n;

	if (e->err)
		return e->err;
	if (bufq_empty(&e->in))
		return e->end == 1 ? -EAGAIN : e->end;
	n = bufq_move(dst, &e->in, max);
	if (n > 0 && e->other)
		wake(e->other, &e->other->wr);
	return n > 0 ? (ssize_t)n : -ENOMEM;
}

static bool is_worth_a_wake(const struct pair_end *e)
{
	return !bufq_empty(&e->in) && (bufq_len(&e->in) >= e->gather || bufq_space(&e->in) == 0);
}

static ssize_t pair_push(struct stream *s, struct bufq *src)
{
	struct pair_end *e = end_of(s);
	size_t n;

	if (e->err)
		return e->err;
	if (!e->other || e->shut)
		return -EPIPE;
	if (e->lossy) {
		n = bufq_len(src);
		bufq_drain(src, n);
		return (ssize_t)n;
	}
	n = bufq_space(&e->other->in);
	if (n == 0)
		return -EAGAIN;
	n = bufq_move(&e->other->in, src, n);
	if (is_worth_a_wake(e->other))
		wake(e->other, &e->other->rd);
	return n > 0 ? (ssize_t)n : -ENOMEM;
}

static void pair_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct pair_end *e = end_of(s);
	bool readable = e->err || e->end != 1 || is_worth_a_wake(e);
	bool writable = e->err || !e->other || bufq_space(&e->other->in) > 0;

	if (((ev & STREAM_RD) && readable) || ((ev & STREAM_WR) && writable)) {
		loop_queue(s->loop, w);
		return;
	}
	if (ev & STREAM_RD)
		e->rd = w;
	if (ev & STREAM_WR)
		e->wr = w;
}

/* Nothing comes behind what is in flight to `e`. */
static void end_with(struct pair_end *e, int end)
{
	if (e->end == 1)
		e->end = end;
	wake(e, &e->rd);
}

static int pair_shut(struct stream *s)
{
	struct pair_end *e = end_of(s);

	if (e->err)
		return e->err;
	if (!e->shut && e->other)
		end_with(e->other, 0);
	e->shut = true;
	return 0;
}

static void break_end(struct pair_end *e, int err)
{
	if (!e->err)
		e->err = err;
	bufq_done(&e->in);
	wake(e, &e->rd);
	wake(e, &e->wr);
}

static void pair_free(struct stream *s)
{
	struct pair_end *e = end_of(s), *other = e->other;

	if (other) {
		other->other = NULL;
		if (e->abort || !bufq_empty(&e->in))
			break_end(other, -ECONNRESET);
		end_with(other, 0);
		wake(other, &other->wr);
	}
	bufq_done(&e->in);
	stream_done(s);
	loop_free_later(s->loop, e);
}

static int pair_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	struct pair_end *e = end_of(s);

	if (attr == STREAM_HALF_CLOSE) {
		out->num = !e->no_half_close;
		return 0;
	}
	if ((attr == STREAM_PEER || attr == STREAM_SOURCE) && e->peer.len)
		out->addr = &e->peer;
	else if (attr == STREAM_LOCAL && e->local.len)
		out->addr = &e->local;
	else
		return -ENOTSUP;
	return 0;
}

static int pair_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	struct pair_end *e = end_of(s);

	switch (attr) {
	case STREAM_ABORT:
		e->abort = v.num != 0;
		return 0;
	case STREAM_GATHER:
		e->gather = (size_t)v.num;
		if (is_worth_a_wake(e))
			wake(e, &e->rd);
		return 0;
	default:
		return -ENOTSUP;
	}
}

static const struct stream_ops pair_ops = {
	.name = "pair",
	.open = pair_open,
	.pull = pair_pull,
	.push = pair_push,
	.want = pair_want,
	.shut = pair_shut,
	.free = pair_free,
	.query = pair_query,
	.set = pair_set,
};

static struct pair_end *end_new(struct loop *l, size_t capacity)
{
	struct pair_end *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	stream_init(&e->base, &pair_ops, l);
	bufq_init(&e->in, loop_pool(l), capacity);
	e->end = 1;
	return e;
}

int pair_new(struct loop *l, size_t capacity, struct stream **a, struct stream **b)
{
	struct pair_end *x = end_new(l, capacity), *y = end_new(l, capacity);

	assert(capacity > 0);
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

void pair_reset(struct stream *end, int err)
{
	struct pair_end *e = end_of(end);

	assert(err < 0);
	if (e->other)
		break_end(e->other, err);
	break_end(e, err);
}

void pair_truncate(struct stream *end)
{
	struct pair_end *e = end_of(end);

	e->lossy = true;
	wake(e, &e->wr);
	if (e->other)
		end_with(e->other, -ERR_TRUNCATED);
}

void pair_set_addr(struct stream *end, const struct addr *peer, const struct addr *local)
{
	struct pair_end *e = end_of(end);

	if (peer)
		e->peer = *peer;
	if (local)
		e->local = *local;
}

void pair_set_half_close(struct stream *end, bool can)
{
	end_of(end)->no_half_close = !can;
}

bool pair_is_shut(const struct stream *end)
{
	return end_of(end)->shut;
}
