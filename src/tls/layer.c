#include "tls/layer.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* What is read and sealed in one go.  The size of one read or write decides what a byte costs. */
#define READ_MIN  16384
#define READ_MAX  (256 * 1024)
#define BURST_MIN 16384u
#define BURST_MAX (256 * 1024u)

#define BIT(dir) (1u << (dir))

static struct tls *tls_of(const struct stream *s)
{
	return container_of(s, struct tls, base);
}

static bool is_ready(const struct tls *t)
{
	return t->state >= TLS_STATE_RECORDS;
}

/* Both directions: nothing is sealed or opened any more. */
static bool goes_by(const struct tls *t)
{
	return t->bypass == (BIT(STREAM_IN) | BIT(STREAM_OUT));
}

static void wake(struct tls *t, struct waiter **w)
{
	struct waiter *up = *w;

	*w = NULL;
	if (up)
		loop_queue(t->base.loop, up);
}

/* ---- what goes down ---------------------------------------------------------------------- */

static int flush(struct tls *t)
{
	while (!bufq_empty(&t->wq)) {
		ssize_t n = stream_push(t->lower, &t->wq);

		if (n == -EAGAIN) {
			stream_want(t->lower, STREAM_WR, &t->wr);
			return -EAGAIN;
		}
		if (n < 0) {
			t->werr = (int)n;
			bufq_done(&t->wq);
			return (int)n;
		}
	}
	t->answering = false;
	return 0;
}

int tls_flush(struct tls *t)
{
	return flush(t);
}

void tls_wake(struct tls *t)
{
	wake(t, &t->up_rd);
	wake(t, &t->up_wr);
}

static void wake_wr(struct waiter *w)
{
	struct tls *t = container_of(w, struct tls, wr);

	if (flush(t) == -EAGAIN)
		return;
	if (t->state == TLS_STATE_LOWER || t->werr)
		wake(t, &t->up_rd);
	wake(t, &t->up_wr);
}

static void wake_rd(struct waiter *w)
{
	struct tls *t = container_of(w, struct tls, rd);

	if (!is_ready(t))
		wake(t, &t->up_wr);
	wake(t, &t->up_rd);
}

/* The peer broke a rule: tell it which, and be done with both directions. */
static void fail(struct tls *t, uint8_t alert)
{
	uint8_t body[2] = {2, alert};

	t->rerr = -ERR_TLS;
	if (t->bypass & BIT(STREAM_OUT)) /* nothing of ours may follow what is raw */
		return;
	if (!t->werr && !t->shut && !tls_records_put(&t->rec, TLS_ALERT, body, 2, &t->wq))
		(void)flush(t);
	t->werr = t->werr ? t->werr : -ERR_TLS;
}

/* The peer wants our keys changed as well.  Once is enough for all it asked until that is sent
 * (RFC 8446 §4.6.3), so that asking again and again fills no memory. */
static void answer_update(struct tls *t)
{
	int err;

	if (t->answering || t->werr || t->shut || t->bypass & BIT(STREAM_OUT))
		return;
	err = tls_records_rekey(&t->rec, &t->wq);
	if (err) {
		t->rerr = t->werr = err;
		return;
	}
	t->answering = true;
	(void)flush(t);
}

/* ---- what comes up ----------------------------------------------------------------------- */

/* More bytes into `rq`, for a caller that wants `max`.  0, -EAGAIN, -ERR_TRUNCATED, or what broke.
 */
static int fill(struct tls *t, size_t max)
{
	size_t have = bufq_len(&t->rq), need = tls_records_need(&t->rq);
	size_t missing = need > have ? need - have : 1, want;
	ssize_t n;

	if (t->record_mode & BIT(STREAM_IN)) {
		want = missing;
	} else {
		max = MIN(max, (size_t)READ_MAX);
		want = max + (max / TLS_PLAIN_MAX + 1) * TLS_OVERHEAD;
		want = MAX(want, missing);
		want = MAX(want, (size_t)READ_MIN);
		want = MIN(want, (size_t)READ_MAX);
	}
	n = stream_pull(t->lower, &t->rq, want);
	if (n > 0)
		return 0;
	if (n == 0)
		n = -ERR_TRUNCATED; /* it ends with close_notify or it was cut */
	if (n != -EAGAIN && n != -ENOMEM)
		t->rerr = (int)n;
	return (int)n;
}

/* What a record means besides its payload.  `behind` payload of the same pull, whatever ends the
 * conversation waits for the next pull: the bytes before it are answered first.
 */
static void opened(struct tls *t, enum tls_got got, bool behind)
{
	if (behind && (got == TLS_GOT_ALERT || got == TLS_GOT_FAIL)) {
		t->ending = (uint8_t)got;
		return;
	}
	switch (got) {
	case TLS_GOT_ASKED:
		answer_update(t);
		break;
	case TLS_GOT_CLOSE:
		t->closed = true;
		bufq_done(&t->rq); /* what follows is nothing */
		break;
	case TLS_GOT_ALERT:
		t->rerr = -ERR_TLS;
		if (!(t->bypass & BIT(STREAM_OUT)))
			t->werr = -ERR_TLS;
		break;
	case TLS_GOT_FAIL:
		fail(t, t->rec.alert);
		break;
	default:
		break;
	}
}

/* Open one record and append at most `max` of its bytes; the rest is un-read. */
static enum tls_got open_one(struct tls *t, struct bufq *dst, size_t max)
{
	struct bufq over;
	enum tls_got got;

	if (tls_records_need(&t->rq) <= max + TLS_OVERHEAD)
		return tls_records_open(&t->rec, &t->rq, dst);
	bufq_init(&over, dst->pool, SIZE_MAX);
	got = tls_records_open(&t->rec, &t->rq, &over);
	bufq_move(dst, &over, max);
	stream_unread(&t->base, &over);
	return got;
}

/* As many records as are there and fit.  Where memory has run out before all of one was moved, the rest is
 * un-read already, and comes before the next. */
static ssize_t open_records(struct tls *t, struct bufq *dst, size_t max)
{
	size_t before = bufq_len(dst), n = 0;
	enum tls_got got = TLS_GOT_RECORD;

	if (t->ending)
		opened(t, t->ending, false);
	while (!t->rerr && !t->closed && n < max && bufq_empty(&t->base.unread)) {
		got = open_one(t, dst, max - n);
		opened(t, got, n > 0);
		n = bufq_len(dst) - before;
		if (got == TLS_GOT_MORE || got == TLS_GOT_NOMEM || t->ending)
			break;
		if (n > 0 && t->record_mode & BIT(STREAM_IN))
			break;
	}
	if (n > 0)
		return (ssize_t)n;
	if (t->rerr)
		return t->rerr;
	if (t->closed)
		return 0;
	return got == TLS_GOT_NOMEM || !bufq_empty(&t->base.unread) ? -ENOMEM : -EAGAIN;
}

/* Vision: from here on the bytes below are the payload; those already here come first. */
static ssize_t pull_raw(struct tls *t, struct bufq *dst, size_t max)
{
	size_t n = bufq_move(dst, &t->rq, max);

	if (n > 0)
		return (ssize_t)n;
	return bufq_empty(&t->rq) ? stream_pull(t->lower, dst, max) : -ENOMEM;
}

static ssize_t tls_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct tls *t = tls_of(s);
	ssize_t n;
	int err;

	if (!is_ready(t))
		return t->rerr ? t->rerr : -EAGAIN;
	if (t->bypass & BIT(STREAM_IN))
		return pull_raw(t, dst, max);
	for (;;) {
		if (t->hs) {
			n = t->hs->ops->open(t, dst, max);
			if (!bufq_empty(&t->wq))
				(void)flush(t);
		} else {
			n = open_records(t, dst, max);
		}
		if (n != -EAGAIN)
			return n;
		err = fill(t, max);
		if (err)
			return err;
	}
}

/* ---- the rest of the interface ----------------------------------------------------------- */

static int handshake(struct tls *t)
{
	int err, sent;

	do {
		err = t->hs->ops->run(t);
		sent = flush(t);
		if (err == -EAGAIN && sent < 0 && sent != -EAGAIN)
			return sent;
		if (err != -EAGAIN || t->hs->ops->want)
			return err;
		err = fill(t, READ_MIN);
	} while (!err);
	return err;
}

static int tls_open(struct stream *s)
{
	struct tls *t = tls_of(s);
	int err;

	if (is_ready(t))
		return 0;
	if (t->rerr)
		return t->rerr;
	if (t->state == TLS_STATE_LOWER) {
		err = stream_open(t->lower);
		if (!err)
			t->state = TLS_STATE_HANDSHAKE;
	} else {
		err = 0;
	}
	if (!err)
		err = handshake(t);
	if (err) {
		if (err != -EAGAIN)
			t->rerr = t->werr = err;
		return err;
	}
	if (t->state == TLS_STATE_RECORDS) {
		t->hs->ops->free(t->hs);
		t->hs = NULL;
	} else {
		t->state = TLS_STATE_STAYED;
	}
	return 0;
}

static ssize_t push_raw(struct tls *t, struct bufq *src)
{
	int err = flush(t);

	return err ? err : stream_push(t->lower, src);
}

/* Seal one burst.  How many bytes of `src` were taken, 0 when memory ran out. */
static ssize_t seal(struct tls *t, struct bufq *src)
{
	size_t max = t->burst;
	bool whole = t->record_mode & BIT(STREAM_OUT);

	if (t->hs)
		return t->hs->ops->seal(t, src, max);
	return tls_records_seal(&t->rec, src, max, whole, &t->wq);
}

static ssize_t tls_push(struct stream *s, struct bufq *src)
{
	struct tls *t = tls_of(s);
	size_t taken = 0;
	ssize_t n;
	int err;

	assert(!t->shut);
	if (t->werr)
		return t->werr;
	if (!is_ready(t))
		return -EAGAIN;
	if (t->bypass & BIT(STREAM_OUT))
		return push_raw(t, src);
	err = flush(t);
	while (!err && !bufq_empty(src)) {
		n = seal(t, src);
		if (n < 0)
			return t->werr = (int)n;
		if (n == 0 && bufq_empty(&t->wq))
			return taken ? (ssize_t)taken : -ENOMEM;
		taken += (size_t)n;
		err = flush(t);
		/* A reader that keeps up gets everything in one write; for one that does not,
		 * little is sealed ahead: what waits here, waits in memory. */
		t->burst = err ? MAX(t->burst / 2, BURST_MIN) : MIN(t->burst * 2, BURST_MAX);
	}
	if (err && err != -EAGAIN)
		return err;
	return taken ? (ssize_t)taken : -EAGAIN;
}

static void tls_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct tls *t = tls_of(s);

	if (goes_by(t) && bufq_empty(&t->wq) && bufq_empty(&t->rq)) {
		stream_want(t->lower, ev, w);
		return;
	}
	if (ev & STREAM_RD)
		t->up_rd = w;
	if (ev & STREAM_WR)
		t->up_wr = w;
	if (!is_ready(t) && t->hs->ops->want) {
		if (t->state == TLS_STATE_LOWER)
			stream_want(t->lower, ev, w);
		else
			t->hs->ops->want(t);
		return;
	}
	if ((ev & STREAM_RD) || !is_ready(t))
		stream_want(t->lower, STREAM_RD, &t->rd);
	if (is_ready(t) ? (ev & STREAM_WR) != 0
			: t->state == TLS_STATE_LOWER || !bufq_empty(&t->wq))
		stream_want(t->lower, STREAM_WR, &t->wr);
}

static int queue_close_notify(struct tls *t)
{
	static const uint8_t body[2] = {1, TLS_CLOSE_NOTIFY};

	if (t->bypass & BIT(STREAM_OUT))
		return 0;
	if (t->hs)
		return t->hs->ops->close(t);
	return tls_records_put(&t->rec, TLS_ALERT, body, 2, &t->wq);
}

static int tls_shut(struct stream *s)
{
	struct tls *t = tls_of(s);
	int err;

	if (t->werr)
		return t->werr;
	if (!is_ready(t))
		return stream_shut(t->lower);
	if (!t->shut) {
		err = queue_close_notify(t);
		if (err)
			return err;
		t->shut = true;
	}
	err = flush(t);
	return err ? err : stream_shut(t->lower);
}

static void tls_free(struct stream *s)
{
	struct tls *t = tls_of(s);

	stream_free(t->lower);
	waiter_cancel(&t->rd);
	waiter_cancel(&t->wr);
	if (t->hs)
		t->hs->ops->free(t->hs);
	tls_records_clear(&t->rec);
	bufq_done(&t->rq);
	bufq_done(&t->wq);
	free(t->names);
	stream_done(s);
	loop_free_later(s->loop, t);
}

/* Only out of a handshake that has let go. */
static struct stream *tls_peel(struct stream *s, struct bufq *first)
{
	struct tls *t = tls_of(s);
	struct stream *lower = t->lower;

	if (!t->rejected)
		return NULL;
	t->lower = NULL;
	tls_free(s);
	return lower;
}

static int reject(struct tls *t, struct stream **target)
{
	int err;

	if (t->state != TLS_STATE_HANDSHAKE || !t->hs->ops->reject || t->rejected)
		return -ENOTSUP;
	err = t->hs->ops->reject(t, target);
	t->rejected = !err;
	if (!err)
		t->rerr = t->werr = -ERR_REJECTED;
	return err;
}

static int tls_bypass(struct stream *s, enum stream_dir dir)
{
	struct tls *t = tls_of(s);

	if (t->state != TLS_STATE_RECORDS)
		return -ENOTSUP;
	t->bypass |= BIT(dir);
	if (goes_by(t)) /* the keys have done their work */
		tls_records_clear(&t->rec);
	return 0;
}

static int tls_splice(struct stream *s, enum stream_dir dir, struct stream_raw *out)
{
	struct tls *t = tls_of(s);

	if (!(t->bypass & BIT(dir)))
		return -ENOTSUP;
	if (!bufq_empty(dir == STREAM_IN ? &t->rq : &t->wq))
		return -EAGAIN;
	return stream_splice(t->lower, dir, out);
}

static int tls_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	struct tls *t = tls_of(s);

	switch (attr) {
	case STREAM_REJECT:
		return reject(t, &out->stream);
	case STREAM_SNI:
		out->text = t->names ? t->names : "";
		return 0;
	case STREAM_ALPN:
		out->text = t->names ? t->names + strlen(t->names) + 1 : "";
		return 0;
	case STREAM_TLS_VERSION:
		if (!is_ready(t))
			return -ENOTSUP;
		out->num = t->version;
		return 0;
	default:
		return stream_query(t->lower, attr, out);
	}
}

static int tls_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	struct tls *t = tls_of(s);

	if (attr != STREAM_RECORD_MODE)
		return stream_set(t->lower, attr, v);
	if (t->state != TLS_STATE_RECORDS)
		return -ENOTSUP;
	t->record_mode = (uint8_t)v.num;
	return 0;
}

static const struct stream_ops tls_ops = {
	.name = "tls",
	.open = tls_open,
	.pull = tls_pull,
	.push = tls_push,
	.want = tls_want,
	.shut = tls_shut,
	.free = tls_free,
	.peel = tls_peel,
	.bypass = tls_bypass,
	.splice = tls_splice,
	.query = tls_query,
	.set = tls_set,
};

struct stream *tls_layer_new(struct stream *lower, struct tls_handshake *hs, bool client)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (!t) {
		hs->ops->free(hs);
		stream_free(lower);
		return NULL;
	}
	stream_init(&t->base, &tls_ops, lower->loop);
	bufq_init(&t->rq, loop_pool(lower->loop), SIZE_MAX);
	bufq_init(&t->wq, loop_pool(lower->loop), SIZE_MAX);
	waiter_init(&t->rd, wake_rd);
	waiter_init(&t->wr, wake_wr);
	tls_records_init(&t->rec, client);
	t->lower = lower;
	t->hs = hs;
	t->burst = BURST_MIN;
	return &t->base;
}

int tls_hand_over(struct tls *t, const struct tls_secrets *s)
{
	int err = 0;

	if (s)
		err = tls_dir_set(&t->rec.in, s->suite, s->in, s->in_seq);
	if (s && !err)
		err = tls_dir_set(&t->rec.out, s->suite, s->out, s->out_seq);
	if (err)
		return err;
	t->version = 0x0304;
	t->state = TLS_STATE_RECORDS;
	return 0;
}

int tls_look_at_hello(struct tls *t, struct rd *in, struct tls_hello *out)
{
	uint8_t *scratch = loop_scratch(t->base.loop);
	const uint8_t *p;
	struct rd r;
	size_t n;
	int err;

	if (bufq_empty(&t->rq))
		return -ERR_MORE;
	p = bufq_linear(&t->rq, TLS_HELLO_MAX, &n);
	if (!p || !scratch)
		return -ENOMEM;
	r = rd_of(p, n);
	err = tls_hello_read(&r, scratch, out);
	if (!err)
		*in = r;
	return err;
}

int tls_set_names(struct tls *t, const char *sni, const void *alpn, size_t alpnlen)
{
	size_t n = strlen(sni);
	char *names = NULL;

	if (n + alpnlen > 0) {
		names = malloc(n + 1 + alpnlen + 1);
		if (!names)
			return -ENOMEM;
		for (size_t i = 0; i <= n; i++)
			names[i] = (char)tolower((unsigned char)sni[i]);
		if (alpnlen > 0)
			memcpy(names + n + 1, alpn, alpnlen);
		names[n + 1 + alpnlen] = '\0';
	}
	free(t->names);
	t->names = names;
	return 0;
}
