#include "proto/vmess/vmess_layer.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "proto/vmess/vmess_seal.h"

/* What is read and sealed in one go.  The size of one read or write decides what a byte costs. */
#define READ_MIN  16384
#define READ_MAX  (256 * 1024)
#define BURST_MIN 16384u
#define BURST_MAX (256 * 1024u)

static void wake(struct vmess_layer *l, struct waiter **slot)
{
	struct waiter *w = *slot;

	*slot = NULL;
	if (w)
		loop_queue(l->s.loop, w);
}

/* Hand `wq` down.  0: it is empty.  -EAGAIN: the rest goes by itself.  Others are sticky. */
static int flush(struct vmess_layer *l)
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
	struct vmess_layer *l = container_of(w, struct vmess_layer, run);
	int err = flush(l);

	wake(l, &l->up_rd);
	if (err != -EAGAIN)
		wake(l, &l->up_wr);
}

/* Both heads are through? */
static void settle(struct vmess_layer *l)
{
	if (l->head && !l->head_in && !l->head_out) {
		l->role->free_head(l->head);
		l->head = NULL;
	}
}

/* ---- inwards ----------------------------------------------------------------------------- */

int vmess_layer_fill(struct vmess_layer *l, size_t max)
{
	size_t have = bufq_len(&l->rq), need = vmess_chunk_need(&l->in), want;
	ssize_t n;

	max = MIN(max, (size_t)READ_MAX);
	want = max + (max / READ_MIN + 1) * VMESS_MORE;
	want = MAX(want, need > have ? need - have : 1);
	want = MAX(want, (size_t)READ_MIN);
	n = stream_pull(l->lower, &l->rq, MIN(want, (size_t)READ_MAX));
	if (n > 0)
		return 0;
	return n == 0 ? -ERR_TRUNCATED : (int)n;
}

/* One chunk, at most `max` bytes of it to `dst`; the rest is un-read. */
static ssize_t open_one(struct vmess_layer *l, struct bufq *dst, size_t max)
{
	struct bufq over;
	ssize_t n;

	if (max > UINT16_MAX)
		return vmess_chunk_open(&l->in, &l->rq, dst);
	bufq_init(&over, dst->pool, SIZE_MAX);
	n = vmess_chunk_open(&l->in, &l->rq, &over);
	if (n > 0)
		n = (ssize_t)bufq_move(dst, &over, max);
	if (n == 0 && !bufq_empty(&over))
		n = -ENOMEM; /* what was opened waits */
	stream_unread(&l->s, &over);
	return n;
}

/* As many chunks as are there and fit: their bytes; 0 at the end of the direction; -ERR_MORE; or what
 * is wrong with the first. */
static ssize_t open_chunks(struct vmess_layer *l, struct bufq *dst, size_t max)
{
	size_t done = 0;
	ssize_t n = 1;

	while (n > 0 && done < max && bufq_empty(&l->s.unread)) {
		n = open_one(l, dst, max - done);
		done += n > 0 ? (size_t)n : 0;
	}
	l->eof |= n == 0;
	if (n < 0 && n != -ERR_MORE && n != -ENOMEM)
		l->rerr = (int16_t)n;
	return done ? (ssize_t)done : n;
}

/* Without chunks the bytes are the lower stream's. */
static ssize_t pass(struct vmess_layer *l, struct bufq *dst, size_t max)
{
	size_t n;

	if (bufq_empty(&l->rq))
		return stream_pull(l->lower, dst, max);
	n = bufq_move(dst, &l->rq, max);
	return n ? (ssize_t)n : -ENOMEM;
}

/* sing-box ends with the stream below, between two chunks; within one it is a cut. */
static ssize_t ended(struct vmess_layer *l)
{
	l->eof = !l->head_in && bufq_empty(&l->rq) && !l->in.met;
	if (l->eof)
		return 0;
	l->rerr = -ERR_TRUNCATED;
	return l->rerr;
}

static ssize_t read_head(struct vmess_layer *l)
{
	int err = l->role->read_head(l);

	if (err && err != -ERR_MORE && err != -ENOMEM)
		l->rerr = (int16_t)err;
	if (err)
		return err;
	l->head_in = false;
	settle(l);
	return 0;
}

static ssize_t read_on(struct vmess_layer *l, struct bufq *dst, size_t max)
{
	ssize_t n = l->head_in ? read_head(l) : 0;

	if (n)
		return n;
	return l->in.raw ? pass(l, dst, max) : open_chunks(l, dst, max);
}

ssize_t vmess_layer_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct vmess_layer *l = vmess_layer_of(s);
	ssize_t n;
	int err;

	if (l->strange)
		return stream_pull(l->lower, dst, max);
	if (!l->ready)
		return l->rerr ? l->rerr : -EAGAIN;
	while (!l->rerr && !l->eof) {
		n = read_on(l, dst, max);
		if (n != -ERR_MORE)
			return n;
		err = vmess_layer_fill(l, max);
		if (err == -ERR_TRUNCATED)
			return ended(l);
		if (err && err != -EAGAIN && err != -ENOMEM)
			l->rerr = (int16_t)err;
		if (err)
			return err;
	}
	return l->rerr;
}

/* ---- outwards ---------------------------------------------------------------------------- */

/* The head to wq.  0; -ENOMEM: nothing happened; others are sticky. */
static int write_head(struct vmess_layer *l)
{
	struct buf *b;
	struct wr w;
	int err;

	if (!l->head_out)
		return 0;
	b = bufq_tail_room(&l->wq, VMESS_HEAD_MAX);
	if (!b)
		return -ENOMEM;
	w = wr_of(b->data + b->end, VMESS_HEAD_MAX);
	err = l->role->write_head(l, &w);
	bufq_commit(&l->wq, err ? 0 : w.len);
	if (err) {
		l->werr = (int16_t)err;
		return err;
	}
	l->head_out = false;
	settle(l);
	return 0;
}

int vmess_layer_begin(struct vmess_layer *l)
{
	int err = l->werr ? l->werr : write_head(l);

	return err ? err : flush(l);
}

ssize_t vmess_layer_push(struct stream *s, struct bufq *src)
{
	struct vmess_layer *l = vmess_layer_of(s);
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
	if (!err)
		err = write_head(l);
	while (!err && !bufq_empty(src)) {
		n = vmess_seal(&l->out, src, l->burst, &l->wq);
		if (n < 0)
			return l->werr = (int16_t)n;
		if (n == 0)
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

void vmess_layer_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct vmess_layer *l = vmess_layer_of(s);
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

int vmess_layer_shut(struct stream *s)
{
	struct vmess_layer *l = vmess_layer_of(s);
	int err;

	if (!l->ready)
		return l->werr ? l->werr : -EAGAIN;
	err = vmess_layer_begin(l);
	if (!err && !l->ended) {
		err = vmess_seal_end(&l->out, &l->wq);
		if (err)
			return err;
		l->ended = true;
		err = flush(l);
	}
	return err ? err : stream_shut(l->lower);
}

void vmess_layer_free(struct stream *s)
{
	struct vmess_layer *l = vmess_layer_of(s);

	waiter_cancel(&l->run);
	stream_free(l->lower);
	if (l->head)
		l->role->free_head(l->head);
	vmess_dir_clear(&l->in);
	vmess_dir_clear(&l->out);
	bufq_done(&l->rq);
	bufq_done(&l->wq);
	stream_done(&l->s);
	loop_free_later(s->loop, l);
}

/* Without chunks, and with the head gone by, a direction is the lower stream's. */
int vmess_layer_splice(struct stream *s, enum stream_dir dir, struct stream_raw *out)
{
	struct vmess_layer *l = vmess_layer_of(s);
	bool in = dir == STREAM_IN;

	if (!l->ready || (in ? l->head_in : l->head_out))
		return -EAGAIN;
	if (!(in ? l->in.raw : l->out.raw))
		return -ENOTSUP;
	if (!bufq_empty(in ? &l->rq : &l->wq))
		return -EAGAIN;
	return stream_splice(l->lower, dir, out);
}

int vmess_layer_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	return stream_set(vmess_layer_of(s)->lower, attr, v);
}

struct vmess_layer *vmess_layer_new(struct stream *lower, const struct stream_ops *ops,
				    const struct vmess_role *role, void *head)
{
	struct vmess_layer *l = calloc(1, sizeof(*l));

	if (!l) {
		stream_free(lower);
		role->free_head(head);
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
