#include "stream/proxied.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "net/proxy_proto.h"

struct proxied {
	struct stream s;
	struct stream *lower;
	struct bufq in;
	struct proxy_header head;
	int state; /* 1: the header has been read, 0: reading, <0: failed */
	bool lower_open;
};

static struct proxied *of(const struct stream *s)
{
	return container_of(s, struct proxied, s);
}

/* 0: whole; -EAGAIN: read on; <0. */
static int look(struct proxied *p)
{
	const uint8_t *bytes;
	struct rd r;
	size_t got;
	int err;

	bytes = bufq_linear(&p->in, PROXY_MAX, &got);
	if (!bytes)
		return -ENOMEM;
	r = rd_of(bytes, got);
	err = proxy_parse(&r, &p->head);
	if (err == -ERR_MORE)
		return got >= PROXY_MAX ? -ERR_MALFORMED : -EAGAIN;
	if (!err)
		bufq_drain(&p->in, r.pos);
	return err;
}

static int proxied_open(struct stream *s)
{
	struct proxied *p = of(s);
	int err;
	ssize_t n;

	if (p->state)
		return p->state < 0 ? p->state : 0;
	err = stream_open(p->lower);
	p->lower_open = err == 0;
	if (err)
		return err;
	do {
		n = stream_pull(p->lower, &p->in, PROXY_MAX - bufq_len(&p->in));
		if (n == -EAGAIN)
			return -EAGAIN;
		err = n > 0 ? look(p) : n == 0 ? -ERR_TRUNCATED : (int)n;
	} while (err == -EAGAIN);
	stream_unread(p->lower, &p->in);
	p->state = err ? err : 1;
	return err;
}

static ssize_t proxied_pull(struct stream *s, struct bufq *dst, size_t max)
{
	return stream_pull(of(s)->lower, dst, max);
}

static ssize_t proxied_push(struct stream *s, struct bufq *src)
{
	return stream_push(of(s)->lower, src);
}

/* While the header is read, a wake for writing would come again and again. */
static void proxied_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct proxied *p = of(s);

	if (p->state == 0 && p->lower_open)
		ev = STREAM_RD;
	stream_want(p->lower, ev, w);
}

static int proxied_shut(struct stream *s)
{
	return stream_shut(of(s)->lower);
}

static void proxied_free(struct stream *s)
{
	struct proxied *p = of(s);

	bufq_done(&p->in);
	stream_free(p->lower);
	stream_done(s);
	loop_free_later(s->loop, p);
}

static int proxied_splice(struct stream *s, enum stream_dir dir, struct stream_raw *out)
{
	return stream_splice(of(s)->lower, dir, out);
}

static int proxied_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	struct proxied *p = of(s);

	if (p->state == 0 && attr == STREAM_SOURCE)
		return -ENOTSUP;
	if (p->state > 0 && !p->head.local && (attr == STREAM_PEER || attr == STREAM_SOURCE))
		out->addr = &p->head.src;
	else if (p->state > 0 && !p->head.local && attr == STREAM_LOCAL)
		out->addr = &p->head.dst;
	else
		return stream_query(p->lower, attr, out);
	return 0;
}

static int proxied_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	return stream_set(of(s)->lower, attr, v);
}

static const struct stream_ops proxied_ops = {
	.name = "proxy",
	.open = proxied_open,
	.pull = proxied_pull,
	.push = proxied_push,
	.want = proxied_want,
	.shut = proxied_shut,
	.free = proxied_free,
	.splice = proxied_splice,
	.query = proxied_query,
	.set = proxied_set,
};

struct stream *proxied_new(struct stream *lower)
{
	struct proxied *p = calloc(1, sizeof(*p));

	if (!p) {
		stream_free(lower);
		return NULL;
	}
	stream_init(&p->s, &proxied_ops, lower->loop);
	p->lower = lower;
	bufq_init(&p->in, loop_pool(lower->loop), PROXY_MAX);
	return &p->s;
}
