#include "client/lazy.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"

struct lazy {
	struct stream s;
	struct dialer *dialer;
	struct dest *to;
	struct dial *dial;
	struct stream *lower; /* NULL until connected */
	int err;
	struct waiter dialled;
	struct waiter *rd, *wr; /* who waits meanwhile */
};

static struct lazy *of(const struct stream *s)
{
	return container_of(s, struct lazy, s);
}

/* Whoever waits for either event: the connection is there, or will not be. */
static void wake_up(struct lazy *z)
{
	struct waiter *rd = z->rd, *wr = z->wr;

	z->rd = z->wr = NULL;
	if (rd)
		loop_queue(z->s.loop, rd);
	if (wr)
		loop_queue(z->s.loop, wr);
}

static void on_dialled(struct waiter *w)
{
	wake_up(container_of(w, struct lazy, dialled));
}

static int lazy_open(struct stream *s)
{
	struct lazy *z = of(s);
	int err;

	if (z->lower || z->err)
		return z->lower ? stream_open(z->lower) : z->err;
	if (!z->dial) {
		z->dial = dialer_dial(z->dialer, s->loop, z->to, &z->dialled);
		return z->dial ? -EAGAIN : -ENOMEM;
	}
	err = dial_result(z->dial, &z->lower);
	if (err == -EAGAIN)
		return err;
	z->dial = NULL;
	z->err = err;
	/* The one who asks may be there for the other direction: who waits for this one is told. */
	wake_up(z);
	return err ? err : stream_open(z->lower);
}

static ssize_t lazy_pull(struct stream *s, struct bufq *dst, size_t max)
{
	int err = lazy_open(s);

	return err ? err : stream_pull(of(s)->lower, dst, max);
}

static ssize_t lazy_push(struct stream *s, struct bufq *src)
{
	int err = lazy_open(s);

	return err ? err : stream_push(of(s)->lower, src);
}

static void lazy_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct lazy *z = of(s);

	if (z->lower) {
		stream_want(z->lower, ev, w);
		return;
	}
	if (ev & STREAM_RD)
		z->rd = w;
	if (ev & STREAM_WR)
		z->wr = w;
	if (z->err)
		loop_queue(s->loop, w);
}

static int lazy_shut(struct stream *s)
{
	int err = lazy_open(s);

	return err ? err : stream_shut(of(s)->lower);
}

static void lazy_free(struct stream *s)
{
	struct lazy *z = of(s);

	waiter_cancel(&z->dialled);
	dial_cancel(z->dial);
	stream_free(z->lower);
	free(z->to);
	stream_done(s);
	loop_free_later(s->loop, z);
}

static int lazy_splice(struct stream *s, enum stream_dir dir, struct stream_raw *out)
{
	return of(s)->lower ? stream_splice(of(s)->lower, dir, out) : -EAGAIN;
}

static int lazy_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	return of(s)->lower ? stream_query(of(s)->lower, attr, out) : -ENOTSUP;
}

static int lazy_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	return of(s)->lower ? stream_set(of(s)->lower, attr, v) : -ENOTSUP;
}

static const struct stream_ops lazy_ops = {
	.name = "dial",
	.open = lazy_open,
	.pull = lazy_pull,
	.push = lazy_push,
	.want = lazy_want,
	.shut = lazy_shut,
	.free = lazy_free,
	.splice = lazy_splice,
	.query = lazy_query,
	.set = lazy_set,
};

struct stream *lazy_new(struct loop *l, struct dialer *dialer, const struct dest *to)
{
	struct lazy *z = calloc(1, sizeof(*z));

	if (!z || !(z->to = dest_dup(to))) {
		free(z);
		return NULL;
	}
	stream_init(&z->s, &lazy_ops, l);
	z->dialer = dialer;
	waiter_init(&z->dialled, on_dialled);
	return &z->s;
}
