/* mux_stream.c - a child of a multiplexer that is a stream. */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "stream/mux_core.h"

#define SHORT_MAX   32768	 /* of one child, when memory is short */
#define SHORT_TOTAL (512 * 1024) /* of all */
#define COST_MIN    4096	 /* what a queue with a byte in it counts for: it holds a chunk */

static struct mux_stream *of(const struct stream *s)
{
	return container_of(s, struct mux_stream, s);
}

static bool is_gone(const struct mux_stream *ms)
{
	return ms->c.m->gone;
}

static void child_lost(struct mux_child *c, int err)
{
	struct mux_stream *ms = container_of(c, struct mux_stream, c);

	if (!ms->err && !ms->eof)
		ms->err = err ? err : -ECONNRESET;
	mux_child_wake(c, STREAM_RD | STREAM_WR);
}

struct mux_stream *mux_stream_of(struct mux_child *c)
{
	return c->lost == child_lost ? container_of(c, struct mux_stream, c) : NULL;
}

/* ---- what the peer sends ------------------------------------------------------------------- */

/* The queue has changed. */
static void recount(struct mux_stream *ms)
{
	size_t len = bufq_len(&ms->in), cost = len ? MAX(len, (size_t)COST_MIN) : 0;

	ms->c.m->held += cost - ms->cost;
	ms->cost = cost;
}

static size_t total_max(const struct mux_core *m)
{
	return buf_pool_short(loop_pool(m->mux.loop)) ? SHORT_TOTAL : MUX_TOTAL_MAX;
}

size_t mux_stream_room(const struct mux_stream *ms)
{
	const struct mux_core *m = ms->c.m;
	size_t cap = buf_pool_short(loop_pool(m->mux.loop)) ? SHORT_MAX : MUX_CHILD_MAX;
	size_t len = bufq_len(&ms->in), total = total_max(m);

	if (len >= cap || m->held >= total)
		return 0;
	return MIN(cap - len, total - m->held);
}

/* Whatever it comes in, what waits takes about twice its bytes: nothing is handed over in a chunk of its
 * own that has room behind what waits already. */
static int enqueue(struct bufq *to, struct bufq *q, size_t n)
{
	while (n > 0) {
		size_t piece = MIN(n, buf_len(q->head));
		bool fits = to->tail && buf_room(to->tail) >= piece;

		if (fits && bufq_append(to, buf_head(q->head), piece))
			return -ENOMEM;
		if (fits)
			bufq_drain(q, piece);
		else if (bufq_move(to, q, piece) != piece)
			return -ENOMEM;
		n -= piece;
	}
	return 0;
}

int mux_stream_feed(struct mux_stream *ms, struct bufq *q, size_t n)
{
	int err;

	if (bufq_empty(&ms->in))
		ms->progress = loop_now(ms->s.loop);
	err = enqueue(&ms->in, q, n);
	recount(ms);
	if (err)
		return err;
	mux_child_wake(&ms->c, STREAM_RD);
	return 0;
}

int mux_stream_append(struct mux_stream *ms, const void *data, size_t n)
{
	if (bufq_empty(&ms->in))
		ms->progress = loop_now(ms->s.loop);
	if (bufq_append(&ms->in, data, n))
		return -ENOMEM;
	recount(ms);
	mux_child_wake(&ms->c, STREAM_RD);
	return 0;
}

void mux_stream_end(struct mux_stream *ms, int err)
{
	if (ms->eof || ms->err) {
		if (err) /* a reset behind an end: who waits to say something need not */
			mux_child_wake(&ms->c, STREAM_WR);
		return;
	}
	ms->eof = !err;
	ms->err = err;
	mux_child_wake(&ms->c, STREAM_RD | STREAM_WR);
}

/* ---- one that takes nothing ---------------------------------------------------------------- */

void mux_stall(struct mux_stream *ms)
{
	struct mux_core *m = ms->c.m;

	if (!m->stalled)
		m->stalled_since = loop_now(m->mux.loop);
	m->stalled = &ms->c;
}

static void drop_queue(struct mux_stream *ms)
{
	bufq_done(&ms->in);
	recount(ms);
}

/* It is not the one that is full who has to go where all are too full together. */
static struct mux_stream *idlest(struct mux_core *m)
{
	struct mux_stream *worst = container_of(m->stalled, struct mux_stream, c);
	struct list_node *pos;

	if (m->held < total_max(m))
		return worst;
	list_for_each(pos, &m->streams) {
		struct mux_stream *ms = list_entry(pos, struct mux_stream, link);

		if (!bufq_empty(&ms->in) &&
		    (bufq_empty(&worst->in) || ms->progress < worst->progress))
			worst = ms;
	}
	return worst;
}

/* What a server has not read yet may begin another one, or end this one, which nobody can tell: that waits
 * for it, and the first is not lost for what may be nobody.  But not for ever: however much it says
 * itself meanwhile, what waits is lost otherwise. */
static bool may_stall(const struct mux_stream *ms, nsec_t now)
{
	return ms->c.m->nchildren == 1 && ms->c.attached && now - ms->progress < MUX_STALL_ALONE;
}

void mux_stalled(struct mux_core *m, nsec_t now)
{
	struct mux_stream *ms = idlest(m);
	int err;

	/* Memory that is short no more wakes nobody. */
	if (mux_stream_room(container_of(m->stalled, struct mux_stream, c))) {
		m->stalled = NULL;
		mux_kick(m);
		return;
	}
	if (may_stall(ms, now)) {
		m->stalled_since = now;
		return;
	}
	if (now - ms->progress < MUX_STALL) {
		m->stalled_since = ms->progress;
		return;
	}
	err = ms->c.attached ? m->codec->reset(m, &ms->c) : 0;
	if (err)
		mux_fail(m, err);
	drop_queue(ms);
	ms->err = -ERR_TIMEOUT;
	ms->eof = false;
	mux_child_detach(&ms->c);
	m->stalled = NULL;
	mux_child_wake(&ms->c, STREAM_RD | STREAM_WR);
	mux_kick(m);
}

/* ---- the stream ---------------------------------------------------------------------------- */

static int child_open(struct stream *s)
{
	const struct mux_stream *ms = of(s);

	if (is_gone(ms))
		return ms->err ? ms->err : -ECONNRESET;
	return ms->c.m->open ? 0 : -EAGAIN;
}

static ssize_t child_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct mux_stream *ms = of(s);
	struct mux_core *m = ms->c.m;
	size_t n;
	int err;

	if (bufq_empty(&ms->in))
		return ms->err ? ms->err : ms->eof ? 0 : -EAGAIN;
	n = bufq_move(dst, &ms->in, max);
	if (n == 0)
		return -ENOMEM;
	recount(ms);
	ms->progress = loop_now(s->loop);
	err = m->codec->pulled && ms->c.attached ? m->codec->pulled(m, &ms->c, n) : 0;
	if (err)
		mux_fail(m, err);
	if (m->stalled)
		mux_kick(m);
	return (ssize_t)n;
}

/* 0, or why nothing can be sent. */
static int cannot_send(const struct mux_stream *ms)
{
	if (ms->err)
		return ms->err;
	if (is_gone(ms) && !ms->eof)
		return -ECONNRESET;
	return ms->fin || !ms->c.attached ? -EPIPE : 0;
}

static ssize_t child_push(struct stream *s, struct bufq *src)
{
	struct mux_stream *ms = of(s);
	struct mux_core *m = ms->c.m;
	int err = cannot_send(ms);
	size_t n, done = 0;

	if (err)
		return err;
	n = mux_child_turn(&ms->c, bufq_len(src));
	if (n == 0)
		return -EAGAIN;
	while (!err && done < n) {
		size_t k = MIN(n - done, m->codec->frame_max);

		err = m->codec->data(m, &ms->c, src, k);
		done += k;
	}
	if (err) {
		mux_fail(m, err);
		return err;
	}
	ms->spoken = true;
	mux_child_sent(&ms->c, n);
	return (ssize_t)n;
}

static void child_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct mux_stream *ms = of(s);
	bool readable = !bufq_empty(&ms->in) || ms->err || ms->eof;

	if (((ev & STREAM_RD) && readable) || ((ev & STREAM_WR) && cannot_send(ms)))
		loop_queue(s->loop, w);
	else
		mux_child_want(&ms->c, ev, w);
}

static int child_shut(struct stream *s)
{
	struct mux_stream *ms = of(s);
	struct mux_core *m = ms->c.m;
	int err = 0;

	if (ms->fin)
		return 0;
	if (is_gone(ms) && !ms->eof)
		return -ECONNRESET;
	ms->fin = true;
	if (ms->c.attached)
		err = m->codec->fin(m, &ms->c);
	if (err)
		mux_fail(m, err);
	if (ms->eof)
		mux_child_detach(&ms->c);
	mux_kick(m);
	return err;
}

static void child_free(struct stream *s)
{
	struct mux_stream *ms = of(s);
	struct mux_core *m = ms->c.m;
	int err = 0;

	if (ms->c.attached && !(ms->fin && ms->eof))
		err = m->codec->reset(m, &ms->c);
	if (err)
		mux_fail(m, err);
	drop_queue(ms);
	list_del(&ms->link);
	stream_done(s);
	mux_kick(m);
	mux_child_gone(&ms->c);
	loop_free_later(s->loop, ms);
}

static int child_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	const struct mux_stream *ms = of(s);
	const struct mux_core *m = ms->c.m;

	if (attr == STREAM_REQUEST && ms->known && !is_gone(ms))
		out->request = &ms->request;
	else if (attr == STREAM_PEER && m->peer.len)
		out->addr = &m->peer;
	else if (attr == STREAM_LOCAL && m->local.len)
		out->addr = &m->local;
	else if (attr == STREAM_HALF_CLOSE)
		out->num = !m->codec->whole_end;
	else
		return -ENOTSUP;
	return 0;
}

/* In place of an answer: -ENOTSUP where there is none to give, or no room for it. */
static int refuse(struct mux_stream *ms, int why)
{
	struct mux_core *m = ms->c.m;
	uint8_t mem[256];
	struct wr w = wr_of(mem, sizeof(mem));
	struct bufq q;
	ssize_t n = -ENOTSUP;

	if (!m->refusal || ms->spoken)
		return -ENOTSUP;
	m->refusal(&w, why);
	bufq_init(&q, loop_pool(ms->s.loop), SIZE_MAX);
	if (!w.err && !bufq_append(&q, mem, w.len))
		n = child_push(&ms->s, &q);
	bufq_done(&q);
	return n == (ssize_t)w.len ? child_shut(&ms->s) : -ENOTSUP;
}

/* To be freed unfinished is to be reset (M3): nothing need be remembered. */
static int child_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	if (attr == STREAM_REFUSED)
		return refuse(of(s), (int)v.num);
	if (attr == STREAM_PARTING)
		mux_child_part(&of(s)->c);
	return attr == STREAM_ABORT || attr == STREAM_PARTING ? 0 : -ENOTSUP;
}

static const struct stream_ops child_ops = {
	.name = "mux-child",
	.open = child_open,
	.pull = child_pull,
	.push = child_push,
	.want = child_want,
	.shut = child_shut,
	.free = child_free,
	.query = child_query,
	.set = child_set,
};

struct mux_stream *mux_stream_new(struct mux_core *m, uint32_t id)
{
	struct mux_stream *ms = calloc(1, m->codec->child_size);

	if (!ms)
		return NULL;
	if (mux_child_add(m, &ms->c, id)) {
		free(ms);
		return NULL;
	}
	ms->c.lost = child_lost;
	list_add_tail(&m->streams, &ms->link);
	stream_init(&ms->s, &child_ops, m->mux.loop);
	bufq_init(&ms->in, loop_pool(m->mux.loop), MUX_CHILD_MAX);
	ms->progress = loop_now(m->mux.loop);
	ms->request.user = m->terms.user;
	return ms;
}
