#include "proto/shadowsocks/ss_layer.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"

/* What is read and sealed in one go.  The size of one read or write decides what a byte costs. */
#define READ_MIN  16384
#define READ_MAX  (256 * 1024)
#define BURST_MIN 16384u
#define BURST_MAX (256 * 1024u)

static void wake(struct ss_layer *l, struct waiter **slot)
{
	struct waiter *w = *slot;

	*slot = NULL;
	if (w)
		loop_queue(l->s.loop, w);
}

/* Hand `wq` down.  0: it is empty.  -EAGAIN: the rest goes by itself.  Others are sticky. */
static int flush(struct ss_layer *l)
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
	struct ss_layer *l = container_of(w, struct ss_layer, run);
	int err = flush(l);

	wake(l, &l->up_rd);
	if (err != -EAGAIN)
		wake(l, &l->up_wr);
}

/* Both heads are done? */
static void settle(struct ss_layer *l)
{
	if (l->head && !l->head_in && !l->head_out) {
		l->role->free_head(l);
		l->head = NULL;
	}
}

/* ---- inwards ----------------------------------------------------------------------------- */

int ss_layer_fill(struct ss_layer *l, size_t max)
{
	size_t have = bufq_len(&l->rq), need = ss_need(&l->in), want;
	ssize_t n;

	max = MIN(max, (size_t)READ_MAX);
	want = max + (max / READ_MIN + 1) * SS_MORE;
	want = MAX(want, need > have ? need - have : 1);
	want = MAX(want, (size_t)READ_MIN);
	n = stream_pull(l->lower, &l->rq, MIN(want, (size_t)READ_MAX));
	if (n > 0)
		return 0;
	return n == 0 ? -ERR_TRUNCATED : (int)n;
}

/* One chunk, at most `max` bytes of it to `dst`; the rest is un-read. */
static ssize_t open_one(struct ss_layer *l, struct bufq *dst, size_t max)
{
	struct bufq over;
	ssize_t n;

	if (max >= l->in.max)
		return ss_open_chunk(&l->in, &l->rq, dst);
	bufq_init(&over, dst->pool, SIZE_MAX);
	n = ss_open_chunk(&l->in, &l->rq, &over);
	if (n > 0)
		n = (ssize_t)bufq_move(dst, &over, max);
	if (n == 0 && !bufq_empty(&over))
		n = -ENOMEM; /* what was opened waits */
	stream_unread(&l->s, &over);
	return n;
}

/* As many chunks as are there and fit: their bytes; -ERR_MORE; or what is wrong with the first. */
static ssize_t open_chunks(struct ss_layer *l, struct bufq *dst, size_t max)
{
	size_t done = 0;
	ssize_t n = 1;

	while (n > 0 && done < max && bufq_empty(&l->s.unread)) {
		n = open_one(l, dst, max - done);
		done += n > 0 ? (size_t)n : 0;
	}
	if (n < 0 && n != -ERR_MORE && n != -ENOMEM)
		l->rerr = (int16_t)n;
	return done ? (ssize_t)done : n;
}

/* The same of what the head carries. */
static ssize_t read_head(struct ss_layer *l, struct bufq *dst, size_t max)
{
	struct bufq first;
	ssize_t n;
	int err;

	bufq_init(&first, dst->pool, SIZE_MAX);
	err = l->role->read_head(l, &first);
	if (err) {
		bufq_done(&first);
		if (err != -ERR_MORE && err != -ENOMEM)
			l->rerr = (int16_t)err;
		return err;
	}
	l->head_in = false;
	settle(l);
	n = (ssize_t)bufq_move(dst, &first, max);
	if (n == 0 && !bufq_empty(&first))
		n = -ENOMEM;
	stream_unread(&l->s, &first);
	return n;
}

/* An end between two chunks is orderly: the protocol has no other. */
static ssize_t ended(struct ss_layer *l)
{
	l->eof = !l->head_in && bufq_empty(&l->rq) && !l->in.begun;
	if (l->eof)
		return 0;
	l->rerr = -ERR_TRUNCATED;
	return l->rerr;
}

ssize_t ss_layer_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct ss_layer *l = ss_layer_of(s);
	ssize_t n;
	int err;

	if (l->strange)
		return stream_pull(l->lower, dst, max);
	if (!l->ready)
		return l->rerr ? l->rerr : -EAGAIN;
	for (;;) {
		if (l->rerr)
			return l->rerr;
		if (l->eof)
			return 0;
		n = l->head_in ? read_head(l, dst, max) : open_chunks(l, dst, max);
		if (n > 0 || (n < 0 && n != -ERR_MORE))
			return n;
		err = n == 0 ? 0 : ss_layer_fill(l, max);
		if (err == -ERR_TRUNCATED)
			return ended(l);
		if (err) {
			if (err != -EAGAIN && err != -ENOMEM)
				l->rerr = (int16_t)err;
			return err;
		}
	}
}

/* ---- outwards ---------------------------------------------------------------------------- */

static ssize_t seal(struct ss_layer *l, struct bufq *src)
{
	ssize_t n;

	if (!l->head_out)
		return ss_seal(&l->out, src, l->burst, &l->wq);
	n = l->role->write_head(l, src);
	if (n == -ENOMEM)
		return 0;
	if (n >= 0) {
		l->head_out = false;
		settle(l);
	}
	return n;
}

int ss_layer_begin(struct ss_layer *l)
{
	struct bufq none;
	ssize_t n = 0;

	if (l->werr)
		return l->werr;
	if (l->head_out) {
		bufq_init(&none, loop_pool(l->s.loop), 0);
		n = l->role->write_head(l, &none);
	}
	if (n < 0) {
		l->werr = n == -ENOMEM ? 0 : (int16_t)n;
		return (int)n;
	}
	l->head_out = false;
	settle(l);
	return flush(l);
}

ssize_t ss_layer_push(struct stream *s, struct bufq *src)
{
	struct ss_layer *l = ss_layer_of(s);
	size_t taken = 0;
	ssize_t n;
	int err;

	if (l->strange)
		return stream_push(l->lower, src);
	if (l->werr)
		return l->werr;
	if (!l->ready)
		return -EAGAIN;
	err = flush(l);
	while (!err && !bufq_empty(src)) {
		n = seal(l, src);
		if (n < 0)
			return l->werr = (int16_t)n;
		if (n == 0 && bufq_empty(&l->wq))
			return taken ? (ssize_t)taken : -ENOMEM;
		taken += (size_t)n;
		err = flush(l);
		/* A reader that keeps up gets everything in one write; for one that does not,
		 * little is sealed ahead: what waits here, waits in memory. */
		l->burst = err ? MAX(l->burst / 2, BURST_MIN) : MIN(l->burst * 2, BURST_MAX);
	}
	if (err && err != -EAGAIN)
		return err;
	return taken ? (ssize_t)taken : -EAGAIN;
}

void ss_layer_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct ss_layer *l = ss_layer_of(s);
	unsigned below;

	if (ev & STREAM_RD)
		l->up_rd = w;
	if (ev & STREAM_WR)
		l->up_wr = w;
	if (l->again) {
		loop_queue(l->s.loop, &l->run);
		return;
	}
	/* While a request is read nothing but bytes helps: a socket can nearly always be written to,
	 * and a wake for that would come again and again. */
	if (l->ready || l->strange)
		below = ev;
	else
		below = l->lower_open ? STREAM_RD : STREAM_RD | STREAM_WR;
	stream_want(l->lower, below, &l->run);
}

int ss_layer_shut(struct stream *s)
{
	struct ss_layer *l = ss_layer_of(s);
	int err;

	if (l->strange)
		return stream_shut(l->lower);
	if (l->werr)
		return l->werr;
	err = flush(l);
	return err ? err : stream_shut(l->lower);
}

void ss_layer_free(struct stream *s)
{
	struct ss_layer *l = ss_layer_of(s);

	waiter_cancel(&l->run);
	stream_free(l->lower);
	if (l->head)
		l->role->free_head(l);
	ss_dir_clear(&l->in);
	ss_dir_clear(&l->out);
	bufq_done(&l->rq);
	bufq_done(&l->wq);
	stream_done(&l->s);
	loop_free_later(s->loop, l);
}

int ss_layer_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	return stream_set(ss_layer_of(s)->lower, attr, v);
}

struct ss_layer *ss_layer_new(struct stream *lower, const struct stream_ops *ops,
			      const struct ss_role *role, void *head)
{
	struct ss_layer *l = calloc(1, sizeof(*l));

	if (!l) {
		stream_free(lower);
		return NULL;
	}
	stream_init(&l->s, ops, lower->loop);
	waiter_init(&l->run, on_run);
	bufq_init(&l->rq, loop_pool(lower->loop), SIZE_MAX);
	bufq_init(&l->wq, loop_pool(lower->loop), SIZE_MAX);
	l->lower = lower;
	l->role = role;
	l->head = head;
	l->burst = BURST_MIN;
	l->head_in = l->head_out = true;
	return l;
}
