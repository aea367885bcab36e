#include "stream/framed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define READ_MAX  65536
#define OUT_LIMIT (256 * 1024)
#define FILLS	  4 /* reads that yield no packet, before somebody else has a turn */

struct framed {
	struct dgram d;
	struct stream *lower;
	const struct framing *framing;
	struct framed_state st;
	struct bufq in, out;
	size_t skip; /* payload bytes still to be thrown away */
	bool ended;
	bool open;	   /* what is below has opened */
	bool early;	   /* recv() stopped before the lower stream was empty */
	int err;	   /* of the last flush */
	struct waiter run; /* on the lower stream, for both events (S5) */
	struct waiter *rd, *wr;
};

/* A client's carrier opens with its first use: 0, -EAGAIN with a wake to come, or <0. */
static int open_lower(struct framed *f)
{
	int err = f->open ? 0 : stream_open(f->lower);

	if (err == -EAGAIN)
		stream_want(f->lower, STREAM_RD | STREAM_WR, &f->run);
	f->open |= !err;
	return err;
}

static void flush(struct framed *f)
{
	int err = open_lower(f);
	ssize_t n;

	if (err) {
		f->err = err == -EAGAIN ? 0 : err;
		return;
	}

	while (!bufq_empty(&f->out) && !f->err) {
		n = stream_push(f->lower, &f->out);
		if (n == -EAGAIN) {
			stream_want(f->lower, STREAM_WR, &f->run);
			return;
		}
		if (n < 0)
			f->err = (int)n;
	}
}

static void wake_one(struct framed *f, struct waiter **w)
{
	struct waiter *who = *w;

	*w = NULL;
	if (who)
		loop_queue(f->d.loop, who);
}

static void framed_wake(struct waiter *w)
{
	struct framed *f = container_of(w, struct framed, run);

	flush(f);
	wake_one(f, &f->rd);
	if (f->err || bufq_space(&f->out) > 0)
		wake_one(f, &f->wr);
}

static void framed_want(struct dgram *d, unsigned ev, struct waiter *w)
{
	struct framed *f = container_of(d, struct framed, d);

	if (ev & STREAM_RD)
		f->rd = w;
	if (ev & STREAM_WR)
		f->wr = w;
	if ((ev & STREAM_RD) && f->early)
		loop_queue(d->loop, &f->run);
	else
		stream_want(f->lower, f->open ? ev : STREAM_RD | STREAM_WR, &f->run);
}

/* Read more: 1, or what pull() said; end in the middle of a packet is a truncation. */
static int fill(struct framed *f)
{
	int err = open_lower(f);
	ssize_t n = err ? err : stream_pull(f->lower, &f->in, READ_MAX);

	if (n > 0)
		return 1;
	if (n == 0 && (!bufq_empty(&f->in) || f->skip))
		return -ERR_TRUNCATED;
	return (int)n;
}

static void drain_skip(struct framed *f)
{
	size_t n = MIN(f->skip, bufq_len(&f->in));

	bufq_drain(&f->in, n);
	f->skip -= n;
}

/* Where the header lies in one piece, as most do, it is parsed there. */
static int parse_head(struct framed *f, struct framed_head *h, size_t *used)
{
	struct buf *b = f->in.head;
	struct rd r = rd_of(buf_head(b), buf_len(b));
	int err = f->framing->parse(&f->st, &r, h);
	const uint8_t *bytes;
	size_t got;

	if (err == -ERR_MORE && r.len < bufq_len(&f->in)) {
		bytes = bufq_linear(&f->in, FRAMED_HEAD_MAX, &got);
		if (!bytes)
			return -ENOMEM;
		r = rd_of(bytes, got);
		err = f->framing->parse(&f->st, &r, h);
	}
	*used = r.pos;
	return err;
}

/* 1: p holds a packet. 0: something else was consumed, look again. -ERR_MORE: bytes are missing. */
static int parse_one(struct framed *f, struct packet *p)
{
	struct framed_head h = {0};
	size_t head;
	int err;

	drain_skip(f);
	if (bufq_empty(&f->in))
		return -ERR_MORE;
	err = parse_head(f, &h, &head);
	if (err)
		return err;
	if (h.skip || h.end || h.len > BUF_PAYLOAD) {
		if (!h.skip && !h.end)
			f->d.dropped++;
		f->ended |= h.end;
		f->skip = h.len;
		bufq_drain(&f->in, head);
		return 0;
	}
	if (bufq_len(&f->in) < head + h.len)
		return -ERR_MORE;
	p->buf = buf_new(f->in.pool);
	if (!p->buf)
		return -ENOMEM;
	bufq_drain(&f->in, head);
	p->buf->end += (uint32_t)bufq_take(&f->in, buf_head(p->buf), h.len);
	if (h.dest.type == DEST_NONE && f->st.fixed)
		dest_copy(&p->dest, f->st.fixed);
	else
		dest_copy(&p->dest, &h.dest);
	return 1;
}

/* Up to `max` packets of what has been read; none: 0 at the end, -ERR_MORE, or <0 broken.  An error
 * waits for those in front of it to go up, and is found again by the next call.
 */
static int parse_some(struct framed *f, struct packet *p, int max)
{
	int n = 0, err = 0;

	while (n < max && !f->ended && err >= 0) {
		err = parse_one(f, &p[n]);
		n += err > 0;
	}
	return n > 0 || err >= 0 ? n : err;
}

static int framed_recv(struct dgram *d, struct packet *p, int max)
{
	struct framed *f = container_of(d, struct framed, d);
	int n;

	f->early = false;
	for (int fills = 0; fills < FILLS; fills++) {
		n = parse_some(f, p, max);
		if (n != -ERR_MORE)
			return n;
		n = fill(f);
		if (n <= 0)
			return n;
	}
	n = parse_some(f, p, max);
	if (n != -ERR_MORE)
		return n;
	f->early = true; /* S2: the rest at the next turn */
	return -EAGAIN;
}

/* Header into the chunk's front room where it fits, else in a chunk of its own.  Who does not read makes
 * us wait with many packets, and they may have a byte each. */
static void queue_packet(struct framed *f, struct packet *p)
{
	uint8_t head[FRAMED_HEAD_MAX];
	struct wr w = wr_of(head, sizeof(head));
	struct buf *b = p->buf;

	p->buf = NULL;
	if (buf_len(b) > f->framing->max ||
	    f->framing->emit(&f->st, &w, &p->dest, buf_len(b)) < 0 || w.err) {
		f->d.dropped++;
		buf_free(b);
		return;
	}
	if (b->start >= w.len) {
		b->start -= (uint32_t)w.len;
		memcpy(buf_head(b), head, w.len);
	} else if (bufq_append(&f->out, head, w.len)) {
		f->d.dropped++;
		buf_free(b);
		return;
	}
	bufq_pack(&f->out, b);
}

static int framed_send(struct dgram *d, struct packet *p, int n)
{
	struct framed *f = container_of(d, struct framed, d);
	int i;

	if (f->err)
		return f->err;
	if (bufq_space(&f->out) == 0)
		return -EAGAIN;
	for (i = 0; i < n && bufq_space(&f->out) > 0; i++)
		queue_packet(f, &p[i]);
	flush(f);
	return i;
}

static void framed_free(struct dgram *d)
{
	struct framed *f = container_of(d, struct framed, d);

	/* A head that no packet has carried goes alone, before the end: without it the peer would
	 * take the end for an error. */
	if (f->open || !f->st.client)
		flush(f);
	waiter_cancel(&f->run);
	bufq_done(&f->in);
	bufq_done(&f->out);
	stream_free(f->lower);
	free(f->st.fixed);
	loop_free_later(d->loop, f);
}

static int framed_query(const struct dgram *d, enum stream_attr attr, union stream_value *out)
{
	return stream_query(container_of(d, const struct framed, d)->lower, attr, out);
}

static const struct dgram_ops framed_ops = {
	.name = "framed",
	.recv = framed_recv,
	.send = framed_send,
	.want = framed_want,
	.free = framed_free,
	.query = framed_query,
};

struct dgram *framed_new(struct stream *lower, const struct framing *framing, bool client,
			 const struct dest *fixed, struct bufq *first)
{
	struct framed *f = calloc(1, sizeof(*f));

	if (!f || (fixed && !(f->st.fixed = dest_dup(fixed)))) {
		free(f);
		stream_free(lower);
		if (first)
			bufq_done(first);
		return NULL;
	}
	f->d = (struct dgram){.ops = &framed_ops, .loop = lower->loop};
	f->lower = lower;
	f->framing = framing;
	f->st.client = client;
	waiter_init(&f->run, framed_wake);
	bufq_init(&f->in, loop_pool(lower->loop), READ_MAX);
	bufq_init(&f->out, loop_pool(lower->loop), OUT_LIMIT);
	if (first) {
		bufq_move(&f->out, first, SIZE_MAX);
		bufq_done(first);
	}
	return &f->d;
}
