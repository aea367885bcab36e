#include "proto/sealed_server.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"

#define FIRST_READ 16384

static struct sealed_hello *hello_of(const struct sealed *l)
{
	return l->head;
}

/* A fallback has to see what came, and steps take it off `rq`. */
static int keep(struct sealed *l, size_t from)
{
	size_t len = bufq_len(&l->rq) - from;
	uint8_t *mem = loop_scratch(l->s.loop);

	if (!mem || len > LOOP_SCRATCH)
		return -ENOMEM;
	return bufq_append(&hello_of(l)->raw, mem, bufq_peek(&l->rq, from, mem, len));
}

/* Where a fallback stands behind, who is known to nobody by the first read goes there. */
static int wait_for_more(struct sealed *l)
{
	const struct sealed_hello *h = hello_of(l);
	size_t have = bufq_len(&l->rq);
	int err;

	if (h->inbound->first_pull_decides && !h->known && have > 0)
		return -ERR_AUTH;
	err = sealed_fill(l, FIRST_READ);
	return err || !h->inbound->first_pull_decides ? err : keep(l, have);
}

static int read_request(struct sealed *l)
{
	struct sealed_hello *h = hello_of(l);
	int err = 0;

	while (!err && !h->done) {
		err = h->step(l);
		if (err == -ERR_MORE)
			err = wait_for_more(l);
	}
	return err;
}

/* Which of them it was is nobody's business. */
static int verdict(const struct sealed *l, int err)
{
	switch (err) {
	case -ERR_MALFORMED:
	case -ERR_REPLAY:
	case -ERR_TOO_BIG:
		return -ERR_AUTH;
	case -ERR_TRUNCATED:
		return !hello_of(l)->known && bufq_empty(&l->rq) ? err : -ERR_AUTH;
	default:
		return err;
	}
}

/* From here on everything passes as it came, from its first byte where a fallback may want that. */
static int refuse(struct sealed *l, int err)
{
	struct sealed_hello *h = hello_of(l);

	l->rerr = (int16_t)err;
	l->strange = true;
	stream_unread(&l->s, h->inbound->first_pull_decides ? &h->raw : &l->rq);
	bufq_done(&l->rq);
	bufq_done(&h->raw);
	bufq_done(&h->text);
	return err;
}

int sealed_server_open(struct stream *s)
{
	struct sealed *l = sealed_of(s);
	int err = 0;

	if (l->ready || l->strange)
		return l->strange ? l->rerr : 0;
	if (!l->lower_open) {
		err = stream_open(l->lower);
		l->lower_open = err == 0;
	}
	if (!err)
		err = verdict(l, read_request(l));
	if (err == -EAGAIN)
		return err;
	if (err)
		return refuse(l, err);
	l->head_in = false;
	stream_unread(&l->s, &hello_of(l)->text);
	bufq_done(&hello_of(l)->raw);
	sealed_ready(l);
	return 0;
}

int sealed_server_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	const struct sealed *l = sealed_of(s);

	if (attr != STREAM_REQUEST)
		return stream_query(l->lower, attr, out);
	if (!l->ready || !l->head)
		return -ENOTSUP;
	out->request = &hello_of(l)->request;
	return 0;
}

/* Of a stranger, and of who has not said enough when the deadline comes: what is below has all that he
 * sent. */
struct stream *sealed_server_peel(struct stream *s, struct bufq *first)
{
	struct sealed *l = sealed_of(s);

	if (l->ready)
		return NULL;
	if (!l->strange)
		(void)refuse(l, -ERR_AUTH);
	return sealed_leave(l);
}

void sealed_hello_done(struct sealed_hello *h)
{
	bufq_done(&h->text);
	bufq_done(&h->raw);
}

struct stream *sealed_server_new(size_t size, struct stream *lower, const struct stream_ops *stream,
				 const struct sealed_ops *ops, struct sealed_hello *h,
				 const struct proto_inbound *inbound, int (*step)(struct sealed *l))
{
	struct sealed *l;

	if (!h) {
		stream_free(lower);
		return NULL;
	}
	h->inbound = inbound;
	h->step = step;
	bufq_init(&h->text, loop_pool(lower->loop), SIZE_MAX);
	bufq_init(&h->raw, loop_pool(lower->loop), SIZE_MAX);
	l = sealed_new(size, lower, stream, ops, h);
	return l ? &l->s : NULL;
}
