/* stream.c - what every layer gets for nothing: un-read bytes come first, and what a layer leaves
 * out has one answer.
 */
#include "stream/stream.h"

#include <assert.h>
#include <errno.h>

void stream_init(struct stream *s, const struct stream_ops *ops, struct loop *loop)
{
	s->ops = ops;
	s->loop = loop;
	bufq_init(&s->unread, loop_pool(loop), SIZE_MAX);
}

void stream_done(struct stream *s)
{
	bufq_done(&s->unread);
}

int stream_open(struct stream *s)
{
	return s->ops->open(s);
}

ssize_t stream_pull(struct stream *s, struct bufq *dst, size_t max)
{
	size_t n;

	assert(max > 0);
	if (bufq_empty(&s->unread))
		return s->ops->pull(s, dst, max);
	n = bufq_move(dst, &s->unread, max);
	return n > 0 ? (ssize_t)n : -ENOMEM;
}

ssize_t stream_push(struct stream *s, struct bufq *src)
{
	ssize_t n;

	assert(!bufq_empty(src));
	n = s->ops->push(s, src);
	assert(n != 0); /* "nothing taken" is -EAGAIN: whoever flushes in a loop relies on it */
	return n;
}

void stream_want(struct stream *s, unsigned ev, struct waiter *w)
{
	/* Un-read after the layer said -EAGAIN: the layer knows nothing of these bytes. */
	if ((ev & STREAM_RD) && !bufq_empty(&s->unread)) {
		loop_queue(s->loop, w);
		return;
	}
	s->ops->want(s, ev, w);
}

int stream_shut(struct stream *s)
{
	return s->ops->shut(s);
}

void stream_free(struct stream *s)
{
	if (s)
		s->ops->free(s);
}

/* By hand, because it must not fail: chunks know their own pool, so whose queue they came from does
 * not matter.
 */
void stream_unread(struct stream *s, struct bufq *q)
{
	struct bufq *u = &s->unread;

	if (!q->head)
		return;
	q->tail->next = u->head;
	if (!u->head)
		u->tail = q->tail;
	u->head = q->head;
	u->len += q->len;
	q->head = q->tail = NULL;
	q->len = 0;
}

struct stream *stream_peel(struct stream *s, struct bufq *first)
{
	return s->ops->peel ? s->ops->peel(s, first) : NULL;
}

int stream_bypass(struct stream *s, enum stream_dir dir)
{
	return s->ops->bypass ? s->ops->bypass(s, dir) : -ENOTSUP;
}

int stream_splice(struct stream *s, enum stream_dir dir, struct stream_raw *out)
{
	if (!s->ops->splice)
		return -ENOTSUP;
	if (dir == STREAM_IN && !bufq_empty(&s->unread))
		return -EAGAIN;
	return s->ops->splice(s, dir, out);
}

int stream_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	int err = s->ops->query ? s->ops->query(s, attr, out) : -ENOTSUP;

	if (err == -ENOTSUP && attr == STREAM_HALF_CLOSE) {
		out->num = 1;
		return 0;
	}
	return err;
}

int stream_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	return s->ops->set ? s->ops->set(s, attr, v) : -ENOTSUP;
}

static bool query_addr(const struct stream *s, enum stream_attr attr, struct addr *out)
{
	union stream_value v;

	if (stream_query(s, attr, &v))
		return false;
	*out = *v.addr;
	return true;
}

bool stream_peer(const struct stream *s, struct addr *out)
{
	return query_addr(s, STREAM_PEER, out);
}

bool stream_local(const struct stream *s, struct addr *out)
{
	return query_addr(s, STREAM_LOCAL, out);
}

const char *stream_text(const struct stream *s, enum stream_attr attr)
{
	union stream_value v;

	return stream_query(s, attr, &v) ? "" : v.text;
}
