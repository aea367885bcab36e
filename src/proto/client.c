#include "proto/client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define ANSWER_MAX 512

struct client_stream {
	struct stream s;
	struct stream *lower;
	struct bufq out; /* the request, until it is on its way */
	struct bufq in;	 /* the answer, until it is whole */
	client_answer answer;
	struct waiter run; /* while the request is not all gone (S5) */
	struct waiter *rd, *wr;
	bool opening;
};

static struct client_stream *of(const struct stream *s)
{
	return container_of(s, struct client_stream, s);
}

static int client_open(struct stream *s)
{
	int err = stream_open(of(s)->lower);

	of(s)->opening = err == -EAGAIN;
	return err;
}

/* 0: the request has gone; -EAGAIN: it will, without further calls; <0. */
static int send_request(struct client_stream *c)
{
	ssize_t n;

	while (!bufq_empty(&c->out)) {
		n = stream_push(c->lower, &c->out);
		if (n == -EAGAIN)
			stream_want(c->lower, STREAM_WR, &c->run);
		if (n < 0)
			return (int)n;
	}
	return 0;
}

static void wake_one(struct client_stream *c, struct waiter **slot)
{
	struct waiter *w = *slot;

	*slot = NULL;
	if (w)
		loop_queue(c->s.loop, w);
}

/* Whoever waits to push takes the request along; otherwise it goes alone.  An error of that is
 * found again by whoever is woken.
 */
static void client_wake(struct waiter *w)
{
	struct client_stream *c = container_of(w, struct client_stream, run);
	bool pushes = c->wr != NULL;

	wake_one(c, &c->rd);
	wake_one(c, &c->wr);
	if (!pushes && !c->opening)
		send_request(c);
}

static int skip_answer(struct client_stream *c)
{
	const uint8_t *bytes;
	struct rd r;
	ssize_t n;
	size_t got;
	int err = -ERR_MORE;

	while (c->answer && err == -ERR_MORE) {
		if (bufq_len(&c->in) >= ANSWER_MAX)
			return -ERR_MALFORMED;
		n = stream_pull(c->lower, &c->in, ANSWER_MAX - bufq_len(&c->in));
		if (n <= 0)
			return n == 0 ? -ERR_TRUNCATED : (int)n;
		bytes = bufq_linear(&c->in, ANSWER_MAX, &got);
		if (!bytes)
			return -ENOMEM;
		r = rd_of(bytes, got);
		err = c->answer(&r);
		if (err && err != -ERR_MORE)
			return err;
		if (!err) {
			bufq_drain(&c->in, r.pos);
			stream_unread(c->lower, &c->in);
			c->answer = NULL;
		}
	}
	return 0;
}

static ssize_t client_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct client_stream *c = of(s);
	int err;

	err = send_request(c);
	if (err && err != -EAGAIN)
		return err;
	err = skip_answer(c);
	if (err)
		return err;
	return stream_pull(c->lower, dst, max);
}

/* The request rides in front of the caller's bytes, in one write.  What the lower layer left of it
 * is taken off `src` again: nothing of ours stays in the caller's queue (S6).  How much that is says
 * the queue: a layer that breaks has perhaps taken some.  Returns the bytes of the caller's that
 * went, 0: none.
 */
static ssize_t push_joined(struct client_stream *c, struct bufq *src)
{
	uint8_t head[CLIENT_REQUEST_MAX];
	size_t len = bufq_peek(&c->out, 0, head, sizeof(head)), before, left;
	ssize_t n;

	if (bufq_prepend(src, head, len))
		return -ENOMEM;
	before = bufq_len(src);
	n = stream_push(c->lower, src);
	left = len - MIN(len, before - bufq_len(src));
	bufq_drain(src, left);
	bufq_drain(&c->out, len - left);
	if (n < 0)
		return n;
	return (size_t)n > len ? n - (ssize_t)len : 0;
}

static ssize_t client_push(struct stream *s, struct bufq *src)
{
	struct client_stream *c = of(s);
	ssize_t n = 0;

	while (n == 0 && !bufq_empty(&c->out))
		n = push_joined(c, src);
	return n ? n : stream_push(c->lower, src);
}

static void client_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct client_stream *c = of(s);
	bool ours = !bufq_empty(&c->out);

	if (ev & STREAM_RD)
		c->rd = ours ? w : NULL;
	if (ev & STREAM_WR)
		c->wr = ours ? w : NULL;
	stream_want(c->lower, ev, ours ? &c->run : w);
}

static int client_shut(struct stream *s)
{
	int err = send_request(of(s));

	return err ? err : stream_shut(of(s)->lower);
}

static void client_free(struct stream *s)
{
	struct client_stream *c = of(s);

	waiter_cancel(&c->run);
	bufq_done(&c->out);
	bufq_done(&c->in);
	stream_free(c->lower);
	stream_done(&c->s);
	loop_free_later(s->loop, c);
}

/* The header of this direction has gone by: what follows is the lower stream's. */
static bool is_through(const struct client_stream *c, enum stream_dir dir)
{
	return dir == STREAM_IN ? !c->answer : bufq_empty(&c->out);
}

static int client_bypass(struct stream *s, enum stream_dir dir)
{
	struct client_stream *c = of(s);

	return is_through(c, dir) ? stream_bypass(c->lower, dir) : -EAGAIN;
}

static int client_splice(struct stream *s, enum stream_dir dir, struct stream_raw *out)
{
	struct client_stream *c = of(s);

	return is_through(c, dir) ? stream_splice(c->lower, dir, out) : -EAGAIN;
}

static int client_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	return stream_query(of(s)->lower, attr, out);
}

static int client_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	return stream_set(of(s)->lower, attr, v);
}

static const struct stream_ops client_ops = {
	.name = "client",
	.open = client_open,
	.pull = client_pull,
	.push = client_push,
	.want = client_want,
	.shut = client_shut,
	.free = client_free,
	.bypass = client_bypass,
	.splice = client_splice,
	.query = client_query,
	.set = client_set,
};

struct stream *client_stream_new(struct stream *lower, const void *request, size_t len,
				 client_answer answer)
{
	struct client_stream *c = calloc(1, sizeof(*c));

	if (!c) {
		stream_free(lower);
		return NULL;
	}
	assert(len <= CLIENT_REQUEST_MAX);
	stream_init(&c->s, &client_ops, lower->loop);
	c->lower = lower;
	c->answer = answer;
	waiter_init(&c->run, client_wake);
	bufq_init(&c->out, loop_pool(lower->loop), SIZE_MAX);
	bufq_init(&c->in, loop_pool(lower->loop), ANSWER_MAX);
	if (bufq_append(&c->out, request, len)) {
		client_free(&c->s);
		return NULL;
	}
	return &c->s;
}
