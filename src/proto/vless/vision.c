/* Vision between what is above (plain bytes) and what is below (records).
 *
 * Inwards one pull takes one record: behind the block that says DIRECT the bytes below are the
 * payload, and what is below must not have tried to open them.  Outwards one push is one block is
 * one record; no block is made before the one in front of it has been taken, and the switch follows
 * the last one in the same queue, so that nothing raw overtakes it.
 */
#include "proto/vless/vision.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/vless/vision_wire.h"

#define CAMOUFLAGE  (500 * NSEC_MS) /* a client that has nothing to say for so long pads anyway */
#define RECORDS_MAX 16		    /* of nothing but padding in one call */

struct vision {
	struct stream s;
	struct stream *lower;
	struct vision_filter filter;
	struct vision_in in;
	struct vision_out out;
	struct vision_track in_track;
	struct bufq rq; /* from below, not looked at yet */
	size_t owed;	/* content at the front of `rq`: its block knows of it, dst had no room */
	struct bufq wq; /* a block on its way */
	struct waiter rd, wr;
	struct waiter *up_rd, *up_wr;
	uint8_t id[VLESS_ID_LEN];
	bool client;
	bool answer;	      /* the server's is still to be sent */
	bool ready;	      /* open() has returned 0 */
	bool switched;	      /* our last block has gone: what follows is not ours */
	bool held;	      /* the last pull() stopped though what is below had not failed */
	int err;	      /* sticky */
	struct timer silence; /* the client's: nothing has been sent yet */
};

static struct vision *of(const struct stream *s)
{
	return container_of(s, struct vision, s);
}

static void wake(struct vision *v, struct waiter **slot)
{
	struct waiter *w = *slot;

	*slot = NULL;
	if (w)
		loop_queue(v->s.loop, w);
}

static bool in_is_padded(const struct vision *v)
{
	return v->in.state < VISION_IN_PLAIN;
}

/* ---- the switches ------------------------------------------------------------------------ */

static unsigned record_bits(const struct vision *v)
{
	return (in_is_padded(v) ? 1u << STREAM_IN : 0) | (!v->switched ? 1u << STREAM_OUT : 0);
}

/* A direction has left its blocks. */
static int leave(struct vision *v, enum stream_dir dir, bool direct)
{
	union stream_value bits = {.num = record_bits(v)};
	int err = stream_set(v->lower, STREAM_RECORD_MODE, bits);

	if (!err && direct)
		err = stream_bypass(v->lower, dir);
	return err ? (v->err = err) : 0;
}

int vision_set_records(struct stream *s)
{
	union stream_value both = {.num = 1 << STREAM_IN | 1 << STREAM_OUT};

	return stream_set(s, STREAM_RECORD_MODE, both);
}

/* ---- outwards ---------------------------------------------------------------------------- */

/* 0: no block is on its way.  -EAGAIN: it goes by itself. */
static int flush(struct vision *v)
{
	while (!bufq_empty(&v->wq)) {
		ssize_t n = stream_push(v->lower, &v->wq);

		if (n == -EAGAIN)
			stream_want(v->lower, STREAM_WR, &v->wr);
		else if (n < 0)
			v->err = (int)n;
		if (n < 0)
			return (int)n;
	}
	if (!v->out.ended || v->switched)
		return 0;
	v->switched = true;
	return leave(v, STREAM_OUT, v->out.direct);
}

static void wake_wr(struct waiter *w)
{
	struct vision *v = container_of(w, struct vision, wr);

	if (flush(v) == -EAGAIN)
		return;
	if (v->err)
		wake(v, &v->up_rd);
	wake(v, &v->up_wr);
}

/* A block in front of which nothing is on its way: at most VISION_CONTENT bytes off `src`. */
static void put_block(struct vision *v, struct buf *room, struct bufq *src,
		      const struct vision_block *b)
{
	struct wr w = wr_of(room->data + room->end, VISION_BLOCK_MAX + 2);
	uint32_t dice;
	uint16_t padding;
	uint8_t *p;

	loop_random(v->s.loop, &dice, sizeof(dice));
	padding = vision_padding(b->content, b->roomy, dice);
	if (v->answer)
		vless_response_emit(&w);
	v->answer = false;
	vision_block_emit(&w, v->out.started ? NULL : v->id, b, padding);
	if (!v->out.started) /* who waits for an answer could not before the question */
		wake(v, &v->up_rd);
	v->out.started = true;
	p = wr_room(&w, b->content);
	if (b->content)
		bufq_take(src, p, b->content);
	p = wr_room(&w, padding);
	memset(p, 0, padding);
	assert(!w.err);
	bufq_commit(&v->wq, w.len);
}

static bool may_end(const struct vision *v)
{
	return v->client || v->in_track.data || !in_is_padded(v);
}

/* How many bytes were taken, or -ENOMEM. */
static ssize_t make_block(struct vision *v, struct bufq *src)
{
	struct buf *room = bufq_tail_room(&v->wq, VISION_BLOCK_MAX + 2);
	uint8_t mem[VISION_PIECE];
	struct vision_block b;

	if (!room)
		return -ENOMEM;
	bufq_peek(src, 0, mem, sizeof(mem));
	b = vision_next(&v->out, &v->filter, mem, bufq_len(src), may_end(v));
	put_block(v, room, src, &b);
	timer_stop(&v->silence);
	return b.content;
}

static ssize_t vision_push(struct stream *s, struct bufq *src)
{
	struct vision *v = of(s);
	size_t taken = 0;
	ssize_t n = v->err ? v->err : flush(v);

	while (n >= 0 && !v->switched && !bufq_empty(src)) {
		n = make_block(v, src);
		if (n > 0)
			taken += (size_t)n;
		if (n >= 0)
			n = flush(v);
	}
	if (n >= 0 && !bufq_empty(src)) {
		n = stream_push(v->lower, src);
		if (n > 0)
			taken += (size_t)n;
	}
	return taken ? (ssize_t)taken : n;
}

/* A block of padding alone. */
static int put_padding(struct vision *v)
{
	struct vision_block b = {.command = VISION_CONTINUE, .roomy = true};
	struct buf *room = bufq_tail_room(&v->wq, VISION_BLOCK_MAX + 2);

	if (!room)
		return -ENOMEM;
	put_block(v, room, NULL, &b);
	return 0;
}

static void on_silence(struct timer *t)
{
	struct vision *v = container_of(t, struct vision, silence);
	int err = put_padding(v);

	if (err)
		v->err = err;
	else
		(void)flush(v);
	wake(v, &v->up_rd);
}

/* ---- inwards ----------------------------------------------------------------------------- */

/* What was taken for the id was payload. */
static int put_id_back(struct vision *v)
{
	size_t n = v->in.have;

	v->in.have = 0;
	return n && bufq_prepend(&v->rq, v->id, n) ? v->err = -ENOMEM : 0;
}

/* Content, and what was owed before it, up to `max`. */
static size_t give(struct vision *v, struct bufq *dst, size_t content, size_t max)
{
	size_t n;

	v->owed += content;
	n = bufq_move(dst, &v->rq, MIN(v->owed, max));
	v->owed -= n;
	return n;
}

/* The last block is through. */
static int end_blocks(struct vision *v)
{
	int err = v->in.state == VISION_IN_PLAIN ? put_id_back(v) : 0;

	return err ? err : leave(v, STREAM_IN, v->in.state == VISION_IN_DIRECT);
}

/* Out of `rq` what is content, up to `max`.  0: there was none.  -ENOMEM: no room for any, later. */
static ssize_t unpad(struct vision *v, struct bufq *dst, size_t max)
{
	size_t got = give(v, dst, 0, max);
	int err = 0;

	while (in_is_padded(v) && !v->owed && got < max && !bufq_empty(&v->rq)) {
		struct buf *b = v->rq.head;
		bool content;
		ssize_t n = vision_unpad(&v->in, v->id, buf_head(b), MIN(buf_len(b), max - got),
					 &content);

		if (n < 0)
			return v->err = (int)n;
		if (content)
			got += give(v, dst, (size_t)n, (size_t)n);
		else
			bufq_drain(&v->rq, (size_t)n);
		if (!in_is_padded(v))
			err = end_blocks(v);
		if (err)
			return err;
	}
	if (!in_is_padded(v))
		got += give(v, dst, bufq_len(&v->rq) - v->owed, max - got);
	return got || !v->owed ? (ssize_t)got : -ENOMEM;
}

/* The filter and the track see what came in. */
static void look(struct vision *v, const struct bufq *dst, size_t from)
{
	uint8_t mem[VISION_PIECE];
	size_t n;

	if (v->filter.left == 0 && (v->client || v->in_track.data))
		return;
	n = bufq_peek(dst, from, mem, sizeof(mem));
	vision_filter_feed(&v->filter, mem, n);
	for (; n > 0; n = bufq_peek(dst, from += n, mem, sizeof(mem)))
		vision_track_feed(&v->in_track, mem, n);
}

/* One record from below. */
static ssize_t fetch(struct vision *v, size_t max)
{
	ssize_t n = stream_pull(v->lower, &v->rq, max);

	if (n == 0 && vision_in_block(&v->in))
		return -ERR_TRUNCATED;
	return n;
}

static ssize_t pull_padded(struct vision *v, struct bufq *dst, size_t max)
{
	size_t before = bufq_len(dst);
	ssize_t n;

	for (int records = 0; records < RECORDS_MAX; records++) {
		if (bufq_empty(&v->rq)) {
			n = fetch(v, max);
			if (n <= 0)
				return n;
		}
		n = unpad(v, dst, max);
		if (n > 0)
			look(v, dst, before);
		if (n)
			return n;
		if (!in_is_padded(v))
			return stream_pull(v->lower, dst, max);
	}
	v->held = true;
	return -EAGAIN;
}

static ssize_t vision_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct vision *v = of(s);
	size_t n;

	if (v->err)
		return v->err;
	v->held = v->client && !v->out.started; /* no answer before the question */
	if (v->held)
		return -EAGAIN;
	if (in_is_padded(v))
		return pull_padded(v, dst, max);
	if (bufq_empty(&v->rq))
		return stream_pull(v->lower, dst, max);
	n = bufq_move(dst, &v->rq, max);
	return n > 0 ? (ssize_t)n : -ENOMEM;
}

static void wake_rd(struct waiter *w)
{
	struct vision *v = container_of(w, struct vision, rd);

	wake(v, &v->up_rd);
}

/* ---- the rest of the interface ----------------------------------------------------------- */

static int vision_open(struct stream *s)
{
	struct vision *v = of(s);
	int err;

	if (v->ready)
		return 0;
	err = stream_open(v->lower);
	if (!err)
		err = vision_set_records(v->lower);
	if (err)
		return err;
	v->ready = true;
	timer_set(s->loop, &v->silence, loop_now(s->loop) + CAMOUFLAGE);
	return 0;
}

static void want_rd(struct vision *v, struct waiter *w)
{
	v->up_rd = w;
	if (v->client && !v->out.started && !v->err)
		return; /* the first block wakes who waits */
	if (v->err || v->held || !bufq_empty(&v->rq))
		wake(v, &v->up_rd);
	else
		stream_want(v->lower, STREAM_RD, &v->rd);
}

static void want_wr(struct vision *v, struct waiter *w)
{
	v->up_wr = w;
	stream_want(v->lower, STREAM_WR, &v->wr);
}

static void vision_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct vision *v = of(s);

	/* In between we buffer; before and after, nothing. */
	if (!v->ready ||
	    (v->switched && !in_is_padded(v) && bufq_empty(&v->rq) && !v->err && !v->held)) {
		stream_want(v->lower, ev, w);
		return;
	}
	if (ev & STREAM_RD)
		want_rd(v, w);
	if (ev & STREAM_WR)
		want_wr(v, w);
}

static int vision_shut(struct stream *s)
{
	struct vision *v = of(s);
	uint8_t head[2];
	struct wr w = wr_of(head, sizeof(head));
	int err = v->err;

	if (!err && v->answer) {
		vless_response_emit(&w);
		err = bufq_append(&v->wq, head, w.len);
		v->answer = err != 0;
	}
	if (!err && v->client && v->ready && !v->out.started) /* no answer before the question */
		err = put_padding(v);
	timer_stop(&v->silence);
	if (!err)
		err = flush(v);
	return err ? err : stream_shut(v->lower);
}

static void vision_free(struct stream *s)
{
	struct vision *v = of(s);

	waiter_cancel(&v->rd);
	waiter_cancel(&v->wr);
	timer_stop(&v->silence);
	stream_free(v->lower);
	bufq_done(&v->rq);
	bufq_done(&v->wq);
	stream_done(s);
	loop_free_later(s->loop, v);
}

static int vision_splice(struct stream *s, enum stream_dir dir, struct stream_raw *out)
{
	struct vision *v = of(s);
	bool through, direct;

	if (dir == STREAM_IN) {
		through = !in_is_padded(v) && bufq_empty(&v->rq);
		direct = v->in.state == VISION_IN_DIRECT;
	} else {
		through = v->switched;
		direct = v->out.direct;
	}
	if (!through)
		return -EAGAIN;
	return direct ? stream_splice(v->lower, dir, out) : -ENOTSUP;
}

static int vision_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	return stream_query(of(s)->lower, attr, out);
}

static int vision_set(struct stream *s, enum stream_attr attr, union stream_value val)
{
	return attr == STREAM_RECORD_MODE ? -ENOTSUP : stream_set(of(s)->lower, attr, val);
}

static const struct stream_ops vision_ops = {
	.name = "vision",
	.open = vision_open,
	.pull = vision_pull,
	.push = vision_push,
	.want = vision_want,
	.shut = vision_shut,
	.free = vision_free,
	.splice = vision_splice,
	.query = vision_query,
	.set = vision_set,
};

static struct vision *vision_new(struct loop *l, const uint8_t id[VLESS_ID_LEN])
{
	struct vision *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	stream_init(&v->s, &vision_ops, l);
	vision_filter_init(&v->filter);
	bufq_init(&v->rq, loop_pool(l), SIZE_MAX);
	bufq_init(&v->wq, loop_pool(l), SIZE_MAX);
	waiter_init(&v->rd, wake_rd);
	waiter_init(&v->wr, wake_wr);
	timer_init(&v->silence, on_silence);
	memcpy(v->id, id, VLESS_ID_LEN);
	return v;
}

struct stream *vision_server_new(struct loop *l, const uint8_t id[VLESS_ID_LEN])
{
	struct vision *v = vision_new(l, id);

	if (!v)
		return NULL;
	v->answer = v->ready = true;
	return &v->s;
}

void vision_server_put_on(struct stream *vision, struct stream *lower)
{
	of(vision)->lower = lower;
}

struct stream *vision_client_new(struct stream *lower, const uint8_t id[VLESS_ID_LEN])
{
	struct vision *v = vision_new(lower->loop, id);

	if (!v) {
		stream_free(lower);
		return NULL;
	}
	v->lower = lower;
	v->client = true;
	return &v->s;
}
