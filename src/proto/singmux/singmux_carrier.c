#include "proto/singmux/singmux_carrier.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"

#define SKIP_MAX 4096 /* bytes of padding read at once */

struct carrier {
	struct stream s;
	struct stream *lower;
	struct bufq in; /* a hello or a head that is not whole yet; padding on its way to nowhere */
	struct bufq out;   /* ours, until it is on its way */
	struct bufq first; /* waits for the first push */
	struct waiter run;
	struct waiter *up_rd, *up_wr;
	struct singmux_hello hello;
	uint16_t data, pad;    /* of the frame being read: what is still to come */
	uint8_t read, written; /* frames, up to SINGMUX_PADDED */
	bool client, lower_open;
	bool greeted; /* the hello has been read, or written */
	bool ready;   /* and the padding behind it is through */
	int16_t err;  /* of open() */
};

static struct carrier *of(const struct stream *s)
{
	return container_of(s, struct carrier, s);
}

static uint16_t pad_size(struct carrier *c)
{
	uint32_t r;

	loop_random(c->s.loop, &r, sizeof(r));
	return (uint16_t)(SINGMUX_PAD_MIN + r % (SINGMUX_PAD_MAX - SINGMUX_PAD_MIN + 1));
}

/* ---- reading ----------------------------------------------------------------------------- */

/* Pass over what is left of the padding: 0, -EAGAIN, or <0 broken. */
static int pass_over(struct carrier *c)
{
	while (c->pad) {
		ssize_t n = stream_pull(c->lower, &c->in, MIN(c->pad, SKIP_MAX));

		if (n <= 0)
			return n ? (int)n : -ERR_TRUNCATED;
		bufq_drain(&c->in, (size_t)n);
		c->pad = (uint16_t)(c->pad - n);
	}
	return 0;
}

/* Bytes of the hello that are still to come, as far as those that are here tell: the first two say
 * whether there are more, with the third its length is known.
 */
static size_t hello_lacks(size_t have)
{
	if (have < 2)
		return 2 - have;
	return have < 3 ? 1 : SINGMUX_HELLO_MAX - have;
}

/* The hello, byte by byte as it were: nothing behind it is touched.  0, -EAGAIN, or <0 broken. */
static int hear(struct carrier *c)
{
	uint8_t mem[SINGMUX_HELLO_MAX];
	int err = -ERR_MORE;

	while (err == -ERR_MORE) {
		ssize_t n = stream_pull(c->lower, &c->in, hello_lacks(bufq_len(&c->in)));
		struct rd r;

		if (n <= 0)
			return n ? (int)n : -ERR_TRUNCATED;
		r = rd_of(mem, bufq_peek(&c->in, 0, mem, sizeof(mem)));
		err = singmux_hello_parse(&r, &c->hello);
	}
	bufq_done(&c->in);
	if (err)
		return err;
	c->pad = c->hello.pad;
	c->greeted = true;
	return 0;
}

/* The head of the next frame: 1, 0 at an orderly end, -EAGAIN, or <0 broken. */
static int next_frame(struct carrier *c)
{
	struct singmux_pad_head h = {0};
	uint8_t mem[SINGMUX_PAD_HEAD];
	struct rd r;
	int err;

	while (bufq_len(&c->in) < SINGMUX_PAD_HEAD) {
		ssize_t n = stream_pull(c->lower, &c->in, SINGMUX_PAD_HEAD - bufq_len(&c->in));

		if (n == 0)
			return bufq_empty(&c->in) ? 0 : -ERR_TRUNCATED;
		if (n < 0)
			return (int)n;
	}
	r = rd_of(mem, bufq_take(&c->in, mem, sizeof(mem)));
	err = singmux_pad_parse(&r, &h);
	c->data = h.data;
	c->pad = h.pad;
	c->read++;
	return err ? err : 1;
}

static ssize_t carrier_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct carrier *c = of(s);
	ssize_t n;

	if (!c->hello.padding)
		return stream_pull(c->lower, dst, max);
	while (!c->data) {
		int err = pass_over(c);

		if (err)
			return err;
		if (c->read == SINGMUX_PADDED)
			return stream_pull(c->lower, dst, max);
		err = next_frame(c);
		if (err <= 0)
			return err;
	}
	n = stream_pull(c->lower, dst, MIN(max, (size_t)c->data));
	if (n == 0)
		return -ERR_TRUNCATED;
	if (n > 0)
		c->data = (uint16_t)(c->data - n);
	return n;
}

/* ---- writing ----------------------------------------------------------------------------- */

static int flush(struct carrier *c)
{
	while (!bufq_empty(&c->out)) {
		ssize_t n = stream_push(c->lower, &c->out);

		if (n == -EAGAIN)
			stream_want(c->lower, STREAM_WR, &c->run);
		if (n < 0)
			return (int)n;
	}
	return 0;
}

static void wake_one(struct carrier *c, struct waiter **slot)
{
	struct waiter *w = *slot;

	*slot = NULL;
	if (w)
		loop_queue(c->s.loop, w);
}

static void on_run(struct waiter *w)
{
	struct carrier *c = container_of(w, struct carrier, run);
	int err = flush(c); /* what broke is found again by whoever pushes */

	wake_one(c, &c->up_rd);
	if (err != -EAGAIN)
		wake_one(c, &c->up_wr);
}

static int put_zeros(struct bufq *q, size_t n)
{
	static const uint8_t zeros[SINGMUX_PAD_MAX];

	return bufq_append(q, zeros, n);
}

static ssize_t put_frame(struct carrier *c, struct bufq *src)
{
	struct singmux_pad_head h = {
		.data = (uint16_t)MIN(bufq_len(src), (size_t)BUF_PAYLOAD),
		.pad = pad_size(c),
	};
	uint8_t mem[SINGMUX_PAD_HEAD];
	struct wr w = wr_of(mem, sizeof(mem));
	int err;

	singmux_pad_emit(&w, &h);
	err = bufq_append(&c->out, mem, w.len);
	if (!err && bufq_move(&c->out, src, h.data) < h.data)
		err = -ENOMEM;
	if (!err)
		err = put_zeros(&c->out, h.pad);
	if (err)
		return err;
	c->written++;
	err = flush(c);
	return err && err != -EAGAIN ? err : h.data;
}

static ssize_t carrier_push(struct stream *s, struct bufq *src)
{
	struct carrier *c = of(s);
	int err;

	bufq_move(&c->out, &c->first, SIZE_MAX);
	err = flush(c);
	if (err)
		return err;
	if (c->hello.padding && c->written < SINGMUX_PADDED)
		return put_frame(c, src);
	return stream_push(c->lower, src);
}

static int greet(struct carrier *c)
{
	uint8_t mem[SINGMUX_HELLO_MAX];
	struct wr w = wr_of(mem, sizeof(mem));
	int err;

	c->hello.pad = c->hello.padding ? pad_size(c) : 0;
	singmux_hello_emit(&w, &c->hello);
	err = bufq_append(&c->out, mem, w.len);
	c->greeted = !err;
	return err ? err : put_zeros(&c->out, c->hello.pad);
}

/* ---- the rest ---------------------------------------------------------------------------- */

static int open_now(struct carrier *c)
{
	int err = c->lower_open ? 0 : stream_open(c->lower);

	if (err)
		return err;
	c->lower_open = true;
	if (!c->greeted)
		err = c->client ? greet(c) : hear(c);
	if (!err && !c->client)
		err = pass_over(c);
	if (!err && c->client)
		err = flush(c);
	return c->client && err == -EAGAIN ? 0 : err;
}

static int carrier_open(struct stream *s)
{
	struct carrier *c = of(s);
	int err = c->ready ? 0 : c->err ? c->err : open_now(c);

	if (!err)
		c->ready = true;
	else if (err != -EAGAIN)
		c->err = (int16_t)err;
	return err;
}

/* Once the frames are through, nothing is kept here and those above wait below.  While the hello is
 * read, nothing but bytes helps.
 */
static void carrier_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct carrier *c = of(s);
	bool ours = !bufq_empty(&c->out);

	if (!c->client && c->lower_open && !c->ready)
		ev = STREAM_RD;
	if (ev & STREAM_RD)
		c->up_rd = ours ? w : NULL;
	if (ev & STREAM_WR)
		c->up_wr = ours ? w : NULL;
	stream_want(c->lower, ev, ours ? &c->run : w);
}

static int carrier_shut(struct stream *s)
{
	struct carrier *c = of(s);
	int err = flush(c);

	return err ? err : stream_shut(c->lower);
}

static void carrier_free(struct stream *s)
{
	struct carrier *c = of(s);

	waiter_cancel(&c->run);
	stream_free(c->lower);
	bufq_done(&c->in);
	bufq_done(&c->out);
	bufq_done(&c->first);
	stream_done(s);
	loop_free_later(s->loop, c);
}

static int carrier_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	return stream_query(of(s)->lower, attr, out);
}

static int carrier_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	return attr == STREAM_RECORD_MODE ? -ENOTSUP : stream_set(of(s)->lower, attr, v);
}

static const struct stream_ops carrier_ops = {
	.name = "singmux",
	.open = carrier_open,
	.pull = carrier_pull,
	.push = carrier_push,
	.want = carrier_want,
	.shut = carrier_shut,
	.free = carrier_free,
	.query = carrier_query,
	.set = carrier_set,
};

static struct stream *carrier_new(struct stream *lower, const struct singmux_hello *hello)
{
	struct carrier *c = calloc(1, sizeof(*c));

	if (!c) {
		stream_free(lower);
		return NULL;
	}
	stream_init(&c->s, &carrier_ops, lower->loop);
	waiter_init(&c->run, on_run);
	bufq_init(&c->in, loop_pool(lower->loop), SKIP_MAX);
	bufq_init(&c->out, loop_pool(lower->loop), SIZE_MAX);
	bufq_init(&c->first, loop_pool(lower->loop), SIZE_MAX);
	c->lower = lower;
	if (hello) {
		c->client = true;
		c->hello = *hello;
	}
	return &c->s;
}

struct stream *singmux_carrier_server(struct stream *lower, struct bufq *first)
{
	struct stream *s = carrier_new(lower, NULL);

	if (s && first)
		bufq_move(&of(s)->first, first, SIZE_MAX);
	return s;
}

struct stream *singmux_carrier_client(struct stream *lower, const struct singmux_hello *hello)
{
	return carrier_new(lower, hello);
}

const struct singmux_hello *singmux_carrier_hello(const struct stream *s)
{
	return &of(s)->hello;
}
