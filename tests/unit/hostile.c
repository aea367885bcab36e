#include "unit.h"

#include <errno.h>

#include "base/err.h"
#include "hostile.h"

/* ---- dribble ----------------------------------------------------------------------------- */

struct dribble {
	struct stream base;
	struct stream *lower;
	struct dribble_conf conf;
	uint64_t prng;
	int64_t in, out;      /* bytes so far */
	unsigned failed;      /* events that a call has failed for since it last moved something */
	unsigned forced;      /* of these, the failures that we made up */
	struct waiter *up[2]; /* rd, wr */
	struct waiter w;
	struct timer later;
};

static struct dribble *dribble_of(const struct stream *s)
{
	return container_of(s, struct dribble, base);
}

static unsigned roll(struct dribble *d, unsigned sides)
{
	d->prng ^= d->prng << 13;
	d->prng ^= d->prng >> 7;
	d->prng ^= d->prng << 17;
	return (unsigned)(d->prng >> 11) % sides;
}

static int say_again(struct dribble *d, unsigned ev, bool forced)
{
	d->failed |= ev;
	if (forced)
		d->forced |= ev;
	else
		d->forced &= ~ev;
	return -EAGAIN;
}

static bool refuses(struct dribble *d)
{
	return roll(d, 100) < d->conf.again;
}

static int dribble_open(struct stream *s)
{
	struct dribble *d = dribble_of(s);
	int err;

	if (refuses(d))
		return say_again(d, STREAM_RD | STREAM_WR, true);
	err = stream_open(d->lower);
	return err == -EAGAIN ? say_again(d, STREAM_RD | STREAM_WR, false) : err;
}

static ssize_t dribble_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct dribble *d = dribble_of(s);
	size_t want = 1 + roll(d, d->conf.max);
	ssize_t n;

	if (refuses(d))
		return say_again(d, STREAM_RD, true);
	if (d->conf.cut_in >= 0) {
		if (d->in >= d->conf.cut_in)
			return d->conf.cut_in_err;
		want = MIN(want, (size_t)(d->conf.cut_in - d->in));
	}
	n = stream_pull(d->lower, dst, MIN(max, want));
	if (n == -EAGAIN)
		return say_again(d, STREAM_RD, false);
	d->failed &= ~(unsigned)STREAM_RD;
	if (n > 0)
		d->in += n;
	return n;
}

static ssize_t push_some(struct dribble *d, struct bufq *src, size_t want)
{
	uint8_t bytes[64];
	struct bufq q;
	ssize_t n;

	bufq_init(&q, src->pool, SIZE_MAX);
	want = bufq_peek(src, 0, bytes, MIN(want, sizeof(bytes)));
	if (bufq_append(&q, bytes, want))
		return -ENOMEM;
	n = stream_push(d->lower, &q);
	if (n > 0) {
		assert_int_equal(bufq_len(&q), want - (size_t)n);
		bufq_drain(src, (size_t)n);
	}
	bufq_done(&q);
	return n;
}

static ssize_t dribble_push(struct stream *s, struct bufq *src)
{
	struct dribble *d = dribble_of(s);
	size_t want = 1 + roll(d, d->conf.max);
	ssize_t n;

	if (refuses(d))
		return say_again(d, STREAM_WR, true);
	if (d->conf.cut_out >= 0) {
		if (d->out >= d->conf.cut_out) {
			/* What a broken layer has taken, it has taken. */
			bufq_drain(src, MIN(bufq_len(src), roll(d, d->conf.max)));
			return d->conf.cut_out_err;
		}
		want = MIN(want, (size_t)(d->conf.cut_out - d->out));
	}
	n = push_some(d, src, want);
	if (n == -EAGAIN)
		return say_again(d, STREAM_WR, false);
	d->failed &= ~(unsigned)STREAM_WR;
	if (n > 0)
		d->out += n;
	return n;
}

static void dribble_wake(struct waiter *w)
{
	struct dribble *d = container_of(w, struct dribble, w);

	for (int i = 0; i < 2; i++) {
		struct waiter *up = d->up[i];

		d->up[i] = NULL;
		if (up)
			loop_queue(d->base.loop, up);
	}
}

static void dribble_later(struct timer *t)
{
	struct dribble *d = container_of(t, struct dribble, later);

	loop_queue(d->base.loop, &d->w);
}

static void dribble_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct dribble *d = dribble_of(s);

	if (ev & ~d->failed)
		fail_msg("S1: want(%u) though only %u has failed", ev, d->failed);
	if (ev & STREAM_RD)
		d->up[0] = w;
	if (ev & STREAM_WR)
		d->up[1] = w;
	if ((ev & d->forced) && roll(d, 2))
		timer_set(s->loop, &d->later, loop_now(s->loop) + (1 + roll(d, 3)) * NSEC_MS);
	else if ((ev & d->forced) || roll(d, 100) < d->conf.spurious)
		loop_queue(s->loop, &d->w);
	if (ev & ~d->forced)
		stream_want(d->lower, ev & ~d->forced, &d->w);
}

static int dribble_shut(struct stream *s)
{
	struct dribble *d = dribble_of(s);
	int err;

	if (refuses(d))
		return say_again(d, STREAM_WR, true);
	if (d->conf.cut_out >= 0 && d->out >= d->conf.cut_out)
		return d->conf.cut_out_err;
	err = stream_shut(d->lower);
	return err == -EAGAIN ? say_again(d, STREAM_WR, false) : err;
}

static void dribble_free(struct stream *s)
{
	struct dribble *d = dribble_of(s);

	waiter_cancel(&d->w);
	timer_stop(&d->later);
	stream_free(d->lower);
	stream_done(s);
	loop_free_later(s->loop, d);
}

static int dribble_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	return stream_query(dribble_of(s)->lower, attr, out);
}

static int dribble_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	return stream_set(dribble_of(s)->lower, attr, v);
}

static const struct stream_ops dribble_ops = {
	.name = "dribble",
	.open = dribble_open,
	.pull = dribble_pull,
	.push = dribble_push,
	.want = dribble_want,
	.shut = dribble_shut,
	.free = dribble_free,
	.query = dribble_query,
	.set = dribble_set,
};

struct stream *dribble_new(struct stream *lower, const struct dribble_conf *conf)
{
	struct dribble *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	assert_true(conf->max >= 1);
	assert_true(conf->again < 100);
	stream_init(&d->base, &dribble_ops, lower->loop);
	d->lower = lower;
	d->conf = *conf;
	d->prng = conf->seed * 0x9e3779b97f4a7c15u + 1;
	waiter_init(&d->w, dribble_wake);
	timer_init(&d->later, dribble_later);
	return &d->base;
}

/* ---- talker ------------------------------------------------------------------------------ */

uint8_t pattern_byte(uint8_t pattern, size_t offset)
{
	return (uint8_t)(pattern + offset * 131 + (offset >> 8) * 29);
}

static void put_pattern(struct bufq *q, uint8_t pattern, size_t from, size_t n)
{
	uint8_t block[4096];

	while (n > 0) {
		size_t k = MIN(n, sizeof(block));

		for (size_t i = 0; i < k; i++)
			block[i] = pattern_byte(pattern, from + i);
		assert_int_equal(bufq_append(q, block, k), 0);
		from += k;
		n -= k;
	}
}

static int talker_send(struct talker *t)
{
	size_t n = MIN(t->total - t->sent, t->burst ? t->burst : 1000);
	struct bufq q;
	ssize_t k;

	if (n == 0) {
		if (t->keep_open)
			return 0;
		k = stream_shut(t->s);
		t->shut = k == 0;
		return (int)k;
	}
	bufq_init(&q, loop_pool(t->s->loop), SIZE_MAX);
	put_pattern(&q, t->tx, t->sent, n);
	k = stream_push(t->s, &q);
	if (k > 0) {
		assert_int_equal(bufq_len(&q), n - (size_t)k); /* S6 */
		t->sent += (size_t)k;
	}
	bufq_done(&q);
	return k > 0 ? 1 : (int)k;
}

static int talker_receive(struct talker *t)
{
	uint8_t block[4096];
	struct bufq q;
	size_t k;
	ssize_t n;

	bufq_init(&q, loop_pool(t->s->loop), SIZE_MAX);
	n = stream_pull(t->s, &q, t->appetite ? t->appetite : 16384);
	assert_int_equal(bufq_len(&q), n > 0 ? n : 0);
	while ((k = bufq_take(&q, block, sizeof(block))) > 0) {
		for (size_t i = 0; i < k; i++, t->received++) {
			if (block[i] != pattern_byte(t->rx, t->received))
				fail_msg("byte %zu is %u, not %u", t->received, block[i],
					 pattern_byte(t->rx, t->received));
		}
	}
	t->eof |= n == 0;
	return n > 0 ? 1 : (int)n;
}

/* >0: some of it. */
static int talker_skip(struct talker *t)
{
	struct bufq q;
	ssize_t n;

	bufq_init(&q, loop_pool(t->s->loop), SIZE_MAX);
	n = stream_pull(t->s, &q, t->skip);
	bufq_done(&q);
	if (n > 0)
		t->skip -= (size_t)n;
	return n ? (int)n : -ERR_TRUNCATED;
}

static bool sending(const struct talker *t)
{
	return !t->shut && (t->sent < t->total || !t->keep_open);
}

static void talker_wake(struct waiter *w)
{
	struct talker *t = container_of(w, struct talker, w);
	int out = 0, in = 0, err = 0;

	if (t->err)
		return;
	if (!t->opened) {
		err = stream_open(t->s);
		if (err == -EAGAIN) {
			stream_want(t->s, STREAM_RD | STREAM_WR, w);
			return;
		}
		t->opened = err == 0;
	}
	if (!err && t->skip > 0) {
		err = talker_skip(t);
		if (err > 0)
			loop_queue(t->s->loop, w);
		else if (err == -EAGAIN)
			stream_want(t->s, STREAM_RD, w);
		else
			t->err = err;
		return;
	}
	if (!err && sending(t))
		err = out = talker_send(t);
	if (out == -EAGAIN)
		stream_want(t->s, STREAM_WR, w);
	if ((err >= 0 || err == -EAGAIN) && !t->eof)
		err = in = talker_receive(t);
	if (in == -EAGAIN)
		stream_want(t->s, STREAM_RD, w);
	if (err < 0 && err != -EAGAIN)
		t->err = err;
	else if (out > 0 || in > 0)
		loop_queue(t->s->loop, w);
}

void talker_start(struct talker *t, struct stream *s, size_t total, uint8_t tx, uint8_t rx)
{
	t->s = s;
	t->total = total;
	t->tx = tx;
	t->rx = rx;
	waiter_init(&t->w, talker_wake);
	loop_queue(s->loop, &t->w);
}

bool talker_done(const struct talker *t)
{
	return t->err || (t->opened && !sending(t) && t->eof);
}

void talker_stop(struct talker *t)
{
	waiter_cancel(&t->w);
	stream_free(t->s);
	t->s = NULL;
}

bool talkers_done(void *state)
{
	struct talker *two = state;

	return talker_done(&two[0]) && talker_done(&two[1]);
}

void talkers_stop(void *state)
{
	struct talker *two = state;

	talker_stop(&two[0]);
	talker_stop(&two[1]);
}

/* ---- driving ----------------------------------------------------------------------------- */

#define TURNS_MAX 1000000

bool run_until(struct loop *l, bool (*done)(void *state), void *state)
{
	for (int i = 0; i < TURNS_MAX; i++) {
		if (done(state))
			return true;
		if (loop_turn(l, -1) == 0)
			return done(state);
	}
	return false;
}

/* One run, stopped after `turns`.  True: it was done by then. */
static bool run_and_stop(const struct scenario *sc, uint64_t seed, int turns)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, seed);
	void *state = calloc(1, sc->size);
	bool done;

	assert_non_null(l);
	assert_non_null(state);
	sc->start(l, state);
	for (int i = 0; i < turns && !sc->done(state); i++) {
		if (loop_turn(l, -1) == 0 && !sc->done(state))
			fail_msg("stalled after %d turns", i);
	}
	done = sc->done(state);
	if (done && sc->check)
		sc->check(state);
	sc->stop(state);
	if (loop_turn(l, 3600 * NSEC_SEC) != 0)
		fail_msg("something still ran after a stop at turn %d", turns);
	if (loop_pool(l)->nused != 0)
		fail_msg("%zu chunks are out after a stop at turn %d", loop_pool(l)->nused, turns);
	free(state);
	loop_free(l);
	return done;
}

int kill_at_each_turn(const struct scenario *sc, uint64_t seed)
{
	int turns = 0;

	while (!run_and_stop(sc, seed, turns)) {
		if (++turns > TURNS_MAX)
			fail_msg("not done after %d turns", turns);
	}
	return turns;
}
