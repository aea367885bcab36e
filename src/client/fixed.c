#include "client/fixed.h"

#include <stdlib.h>

struct fixed {
	struct stream s;
	struct stream *lower;
	struct stream_request request;
};

static struct fixed *of(const struct stream *s)
{
	return container_of(s, struct fixed, s);
}

static int fixed_open(struct stream *s)
{
	return stream_open(of(s)->lower);
}

static ssize_t fixed_pull(struct stream *s, struct bufq *dst, size_t max)
{
	return stream_pull(of(s)->lower, dst, max);
}

static ssize_t fixed_push(struct stream *s, struct bufq *src)
{
	return stream_push(of(s)->lower, src);
}

static void fixed_want(struct stream *s, unsigned ev, struct waiter *w)
{
	stream_want(of(s)->lower, ev, w);
}

static int fixed_shut(struct stream *s)
{
	return stream_shut(of(s)->lower);
}

static struct stream *fixed_peel(struct stream *s, struct bufq *first)
{
	struct stream *lower = of(s)->lower;

	stream_done(s);
	loop_free_later(s->loop, of(s));
	return lower;
}

static void fixed_free(struct stream *s)
{
	stream_free(fixed_peel(s, NULL));
}

static int fixed_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	if (attr != STREAM_REQUEST)
		return stream_query(of(s)->lower, attr, out);
	out->request = &of(s)->request;
	return 0;
}

static const struct stream_ops fixed_ops = {
	.name = "forward",
	.open = fixed_open,
	.pull = fixed_pull,
	.push = fixed_push,
	.want = fixed_want,
	.shut = fixed_shut,
	.free = fixed_free,
	.peel = fixed_peel,
	.query = fixed_query,
};

struct stream *fixed_new(struct stream *lower, const struct dest *to)
{
	struct fixed *f = calloc(1, sizeof(*f));

	if (!f) {
		stream_free(lower);
		return NULL;
	}
	stream_init(&f->s, &fixed_ops, lower->loop);
	f->lower = lower;
	f->request = (struct stream_request){.network = NETWORK_TCP, .dest = *to};
	return &f->s;
}
