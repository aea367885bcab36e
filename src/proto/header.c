#include "proto/header.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_READ 8192 /* like the reference servers: the first flight of a client fits */

static struct header_server *of(const struct stream *s)
{
	return container_of(s, struct header_server, s);
}

/* Everything that was read and not used goes back below. */
static void put_back(struct header_server *h)
{
	stream_unread(h->lower, &h->in);
}

/* 0: whole.  -EAGAIN: read on.  <0: failed. */
static int look(struct header_server *h)
{
	const uint8_t *bytes;
	struct rd r;
	size_t got;
	int err;

	bytes = bufq_linear(&h->in, FIRST_READ, &got);
	if (!bytes)
		return -ENOMEM;
	r = rd_of(bytes, got);
	err = h->ops->parse(h, &r);
	if (err == -ERR_MORE) {
		if (!h->known && h->inbound->first_pull_decides)
			return -ERR_AUTH;
		return got >= h->ops->max ? -ERR_AUTH : -EAGAIN;
	}
	if (!err)
		bufq_drain(&h->in, r.pos);
	return err;
}

static int read_request(struct header_server *h)
{
	ssize_t n;
	int err = -EAGAIN;

	while (err == -EAGAIN) {
		n = stream_pull(h->lower, &h->in, FIRST_READ - bufq_len(&h->in));
		if (n == 0)
			return bufq_empty(&h->in) ? -ERR_TRUNCATED : -ERR_AUTH;
		if (n < 0)
			return (int)n;
		err = look(h);
	}
	return err;
}

static void reading(struct header_server *h, bool on)
{
	if (h->reading == on)
		return;
	h->reading = on;
	if (h->ops->reading)
		h->ops->reading(h, on);
}

int header_open(struct stream *s)
{
	struct header_server *h = of(s);
	int err;

	if (h->state)
		return h->state < 0 ? h->state : 0;
	err = stream_open(h->lower);
	if (!err && !h->reading)
		reading(h, true);
	if (!err)
		err = read_request(h);
	if (err == -EAGAIN)
		return err;
	reading(h, false);
	put_back(h);
	h->state = err ? err : 1;
	return err;
}

ssize_t header_pull(struct stream *s, struct bufq *dst, size_t max)
{
	return stream_pull(of(s)->lower, dst, max);
}

ssize_t header_push(struct stream *s, struct bufq *src)
{
	return stream_push(of(s)->lower, src);
}

/* While the request is read, nothing but bytes helps: a socket can nearly always be written to, and
 * a wake for that would come again and again.
 */
void header_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct header_server *h = of(s);

	if (h->reading)
		ev = STREAM_RD;
	stream_want(h->lower, ev, w);
}

int header_shut(struct stream *s)
{
	return stream_shut(of(s)->lower);
}

static void header_gone(struct header_server *h)
{
	stream_free(h->over);
	bufq_done(&h->in);
	stream_done(&h->s);
	loop_free_later(h->s.loop, h);
}

void header_free(struct stream *s)
{
	stream_free(of(s)->lower);
	header_gone(of(s));
}

struct stream *header_peel(struct stream *s, struct bufq *first)
{
	struct header_server *h = of(s);
	struct stream *lower = h->lower;

	reading(h, false);
	put_back(h);
	stream_unread(lower, &s->unread);
	if (h->over) {
		h->ops->put_on(h->over, lower);
		lower = h->over;
		h->over = NULL;
	} else if (h->state > 0 && h->ops->answer) {
		h->ops->answer(first);
	}
	header_gone(h);
	return lower;
}

int header_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	struct header_server *h = of(s);

	if (attr != STREAM_REQUEST)
		return stream_query(h->lower, attr, out);
	if (h->state <= 0)
		return -ENOTSUP;
	out->request = &h->request;
	return 0;
}

int header_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	return stream_set(of(s)->lower, attr, v);
}

struct stream *header_server_new(struct stream *lower, const struct header_ops *ops,
				 const struct proto_inbound *inbound)
{
	struct header_server *h = calloc(1, sizeof(*h));

	if (!h) {
		stream_free(lower);
		return NULL;
	}
	stream_init(&h->s, &ops->stream, lower->loop);
	h->lower = lower;
	h->ops = ops;
	h->inbound = inbound;
	bufq_init(&h->in, loop_pool(lower->loop), FIRST_READ);
	return &h->s;
}
