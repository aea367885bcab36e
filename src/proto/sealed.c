#include "proto/sealed.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"

/* What is read and sealed in one go.  The size of one read or write decides what a byte costs. */
#define READ_MIN  16384
#define READ_MAX  (256 * 1024)
#define BURST_MIN 16384u
#define BURST_MAX (256 * 1024u)

static void wake(struct sealed *l, struct waiter **slot)
{
	struct waiter *w = *slot;

	*slot = NULL;
	if (w)
		loop_queue(l->s.loop, w);
}

void sealed_wake(struct sealed *l)
{
	wake(l, &l->up_rd);
	wake(l, &l->up_wr);
}

int sealed_flush(struct sealed *l)
{
	while (!bufq_empty(&l->wq)) {
		ssize_t n = stream_push(l->lower, &l->wq);

		if (n == -EAGAIN) {
			stream_want(l->lower, STREAM_WR, &l->run);
			return -EAGAIN;
		}
		if (n < 0) {
			l->werr = (int16_t)n;
			bufq_done(&l->wq);
			return (int)n;
		}
	}
	return 0;
}

static void on_run(struct waiter *w)
{
	struct sealed *l = container_of(w, struct sealed, run);
	int err = l->held ? 0 : sealed_flush(l);

	wake(l, &l->up_rd);
	if (err != -EAGAIN)
		wake(l, &l->up_wr);
}

/* Both heads are through? */
static void settle(struct sealed *l)
{
	if (l->head && !l->head_in && !l->head_out) {
		l->ops->free_head(l);
		l->head = NULL;
	}
}

/* ---- outwards ---------------------------------------------------------------------------- */

/* The head with what of `src` goes along.  How much; -ENOMEM: nothing happened; others are sticky. */
static ssize_t write_head(struct sealed *l, struct bufq *src)
{
	ssize_t n = l->ops->write_head(l, src);

	if (n < 0) {
		l->werr = n == -ENOMEM ? 0 : (int16_t)n;
		return n;
	}
	l->head_out = false;
	settle(l);
	return n;
}

/* What has to go first goes to wq without payload. */
static int begin(struct sealed *l)
{
	struct bufq none;
	ssize_t n = l->werr;

	bufq_init(&none, loop_pool(l->s.loop), 0);
	if (!n && l->head_out)
		n = write_head(l, &none);
	l->held = false;
	return (int)n;
}

/* How many bytes; less, which may be 0, when memory ran out; others are sticky. */
static ssize_t seal(struct sealed *l, struct bufq *src)
{
	ssize_t n;

	if (l->head_out) {
		n = write_head(l, src);
		return n == -ENOMEM ? 0 : n;
	}
	n = l->ops->seal(l, src);
	if (n < 0)
		l->werr = (int16_t)n;
	return n;
}

ssize_t sealed_push(struct stream *s, struct bufq *src)
{
	struct sealed *l = sealed_of(s);
	size_t taken = 0;
	ssize_t n;
	int err;

	if (l->strange)
		return stream_push(l->lower, src);
	if (l->werr)
		return l->werr;
	if (!l->ready)
		return -EAGAIN;
	err = l->held ? 0 : sealed_flush(l);
	while (!err && !bufq_empty(src)) {
		n = seal(l, src);
		if (n < 0)
			return n;
		if (n == 0 && bufq_empty(&l->wq))
			return taken ? (ssize_t)taken : -ENOMEM;
		taken += (size_t)n;
		l->held = false;
		err = sealed_flush(l);
		/* A reader that keeps up gets everything in one write; for one that does not,
		 * little is sealed ahead: what waits here, waits in memory. */
		l->burst = err ? MAX(l->burst / 2, BURST_MIN) : MIN(l->burst * 2, BURST_MAX);
	}
	if (err && err != -EAGAIN)
		return err;
	return taken ? (ssize_t)taken : -EAGAIN;
}

/* What is on its way goes first, and who has not been let in gets no word of ours. */
int sealed_shut(struct stream *s)
{
	struct sealed *l = sealed_of(s);
	int err = l->werr;

	if (!err && l->ready && !l->ended && (l->ops->client || l->ops->end)) {
		err = begin(l);
		if (!err && l->ops->end)
			err = l->ops->end(l);
		l->ended = !err;
	}
	l->held = false;
	if (!err)
		err = sealed_flush(l);
	return err ? err : stream_shut(l->lower);
}

/* ---- inwards ----------------------------------------------------------------------------- */

int sealed_fill(struct sealed *l, size_t max)
{
	size_t have = bufq_len(&l->rq), need = l->ops->need(l), want;
	ssize_t n;

	want = need > have ? need - have : 1;
	if (!l->single) {
		max = MIN(max, (size_t)READ_MAX);
		want = MAX(want, max + (max / READ_MIN + 1) * l->ops->more);
		want = MAX(want, (size_t)READ_MIN);
		want = MIN(want, (size_t)READ_MAX);
	}
	n = stream_pull(l->lower, &l->rq, want);
	if (n > 0)
		return 0;
	return n == 0 ? -ERR_TRUNCATED : (int)n;
}

ssize_t sealed_pass(struct sealed *l, struct bufq *dst, size_t max)
{
	size_t n;

	if (bufq_empty(&l->rq))
		return stream_pull(l->lower, dst, max);
	n = bufq_move(dst, &l->rq, max);
	return n ? (ssize_t)n : -ENOMEM;
}

static int broken(struct sealed *l, int err)
{
	if (err == -ERR_MORE || err == -ENOMEM)
		return err;
	if (l->ops->broken)
		return l->ops->broken(l, err);
	l->rerr = (int16_t)err;
	return err;
}

/* Up to `max` bytes of what has been opened; the rest is un-read. */
static ssize_t give(struct sealed *l, struct bufq *opened, struct bufq *dst, size_t max)
{
	ssize_t n = (ssize_t)bufq_move(dst, opened, max);

	if (n == 0 && !bufq_empty(opened))
		n = -ENOMEM; /* what was opened waits */
	stream_unread(&l->s, opened);
	return n;
}

static ssize_t open_one(struct sealed *l, struct bufq *dst, size_t max)
{
	struct bufq over;
	ssize_t n;

	if (max >= l->most)
		return l->ops->open(l, dst);
	bufq_init(&over, dst->pool, SIZE_MAX);
	n = l->ops->open(l, &over);
	if (n > 0)
		return give(l, &over, dst, max);
	bufq_done(&over);
	return n;
}

/* As many records as are there and fit: their bytes; 0 at the end of the direction; -ERR_MORE; or what
 * is wrong with the first. */
static ssize_t open_records(struct sealed *l, struct bufq *dst, size_t max)
{
	size_t done = 0;
	ssize_t n = 1;

	while (n > 0 && done < max && bufq_empty(&l->s.unread) && !(l->single && done)) {
		n = open_one(l, dst, max - done);
		done += n > 0 ? (size_t)n : 0;
	}
	l->eof |= n == 0;
	if (n < 0)
		n = broken(l, (int)n);
	return done ? (ssize_t)done : n;
}

/* The same of what the head carries. */
static ssize_t read_head(struct sealed *l, struct bufq *dst, size_t max)
{
	struct bufq first;
	int err;

	bufq_init(&first, dst->pool, SIZE_MAX);
	err = l->ops->read_head(l, &first);
	if (err) {
		bufq_done(&first);
		return broken(l, err);
	}
	l->head_in = false;
	settle(l);
	return give(l, &first, dst, max);
}

static ssize_t read_on(struct sealed *l, struct bufq *dst, size_t max)
{
	ssize_t n = l->head_in ? read_head(l, dst, max) : 0;

	if (n)
		return n;
	return l->plain ? sealed_pass(l, dst, max) : open_records(l, dst, max);
}

/* An end between two records is orderly; within one it is a cut. */
static ssize_t ended(struct sealed *l)
{
	l->eof = !l->head_in && bufq_empty(&l->rq) && !l->ops->within(l);
	if (!l->eof)
		l->rerr = -ERR_TRUNCATED;
	return l->rerr;
}

/* Who only listens, or has nothing to say, must be asked for all the same. */
static int ask(struct sealed *l)
{
	int err;

	if (!l->ops->client || (!l->head_out && !l->held))
		return 0;
	err = begin(l);
	if (!err)
		err = sealed_flush(l);
	return err == -EAGAIN ? 0 : err;
}

ssize_t sealed_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct sealed *l = sealed_of(s);
	ssize_t n;
	int err;

	if (l->strange)
		return stream_pull(l->lower, dst, max);
	if (!l->ready)
		return l->rerr ? l->rerr : -EAGAIN;
	err = ask(l);
	if (err)
		return err;
	while (!l->rerr && !l->eof) {
		n = read_on(l, dst, max);
		if (n != -ERR_MORE)
			return n;
		err = sealed_fill(l, max);
		if (err == -ERR_TRUNCATED)
			return ended(l);
		if (err && err != -EAGAIN && err != -ENOMEM)
			l->rerr = (int16_t)err;
		if (err)
			return err;
	}
	return l->rerr;
}

/* ---- the rest of the interface ----------------------------------------------------------- */

static void want_own(struct sealed *l, unsigned ev, unsigned below, struct waiter *w)
{
	if (ev & STREAM_RD)
		l->up_rd = w;
	if (ev & STREAM_WR)
		l->up_wr = w;
	if (below)
		stream_want(l->lower, below, &l->run);
}

/* Once there is a connection nothing but bytes helps: a socket can nearly always be written to, and a
 * wake for that would come again and again.  A server that has nothing to send yet may step out of the
 * stack, unless it stays, and must not leave a waiter of its own below.
 */
static void want_ready(struct sealed *l, unsigned ev, struct waiter *w)
{
	unsigned below = l->lower_open ? STREAM_RD : STREAM_RD | STREAM_WR;

	if (l->again || l->paused)
		want_own(l, ev, 0, w);
	else if (l->ops->client || !bufq_empty(&l->wq) || (l->ops->stays && l->lower_open))
		want_own(l, ev, below, w);
	else
		stream_want(l->lower, below, w);
	if (l->again) /* whoever came in between has a turn before it */
		loop_queue(l->s.loop, &l->run);
}

void sealed_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct sealed *l = sealed_of(s);

	if (l->ready || l->strange)
		want_own(l, ev, ev, w);
	else
		want_ready(l, ev, w);
}

/* Who has waited for this may be gone by the time of the next wake. */
void sealed_ready(struct sealed *l)
{
	l->ready = true;
	l->up_rd = l->up_wr = NULL;
}

int sealed_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	return stream_query(sealed_of(s)->lower, attr, out);
}

int sealed_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	return stream_set(sealed_of(s)->lower, attr, v);
}

int sealed_client_open(struct stream *s)
{
	struct sealed *l = sealed_of(s);
	int err;

	if (l->ready)
		return 0;
	err = stream_open(l->lower);
	if (err)
		return err;
	l->lower_open = true;
	sealed_ready(l);
	return 0;
}

void sealed_free(struct stream *s)
{
	struct sealed *l = sealed_of(s);

	stream_free(l->lower);
	waiter_cancel(&l->run);
	if (l->head)
		l->ops->free_head(l);
	l->ops->clear(l);
	bufq_done(&l->rq);
	bufq_done(&l->wq);
	stream_done(s);
	loop_free_later(s->loop, l);
}

struct stream *sealed_leave(struct sealed *l)
{
	struct stream *lower = l->lower;

	stream_unread(lower, &l->s.unread);
	l->lower = NULL;
	sealed_free(&l->s);
	return lower;
}

struct sealed *sealed_new(size_t size, struct stream *lower, const struct stream_ops *stream,
			  const struct sealed_ops *ops, void *head)
{
	struct sealed none = {.head = head}, *l = calloc(1, size);

	if (!l) {
		stream_free(lower);
		if (head)
			ops->free_head(&none);
		return NULL;
	}
	stream_init(&l->s, stream, lower->loop);
	waiter_init(&l->run, on_run);
	bufq_init(&l->rq, loop_pool(lower->loop), SIZE_MAX);
	bufq_init(&l->wq, loop_pool(lower->loop), SIZE_MAX);
	l->lower = lower;
	l->ops = ops;
	l->head = head;
	l->head_in = l->head_out = head != NULL;
	l->burst = BURST_MIN;
	l->most = UINT16_MAX;
	return l;
}
