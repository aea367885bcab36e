#include "proto/vlessenc/vlessenc_layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"

/* What is read and sealed in one go.  The size of one read or write decides what a byte costs. */
#define READ_MIN  16384
#define READ_MAX  (256 * 1024)
#define BURST_MIN 16384u
#define BURST_MAX (256 * 1024u)

#define BIT(dir) (1u << (dir))

static void wake(struct vlessenc_layer *l, struct waiter **slot)
{
	struct waiter *w = *slot;

	*slot = NULL;
	if (w)
		loop_queue(l->s.loop, w);
}

/* Hand `wq` down.  0: it is empty.  -EAGAIN: the rest goes by itself.  Others are sticky. */
static int flush(struct vlessenc_layer *l)
{
	while (!bufq_empty(&l->wq)) {
		ssize_t n = stream_push(l->lower, &l->wq);

		if (n == -EAGAIN) {
			stream_want(l->lower, STREAM_WR, &l->wr);
			return -EAGAIN;
		}
		if (n < 0) {
			l->werr = (int16_t)n;
			bufq_done(&l->wq);
			return (int)n;
		}
	}
	return 0;
}

static void on_wr(struct waiter *w)
{
	struct vlessenc_layer *l = container_of(w, struct vlessenc_layer, wr);

	if (l->lower_open && !l->held && flush(l) == -EAGAIN)
		return;
	if (!l->ready || l->werr)
		wake(l, &l->up_rd);
	wake(l, &l->up_wr);
}

static void on_rd(struct waiter *w)
{
	struct vlessenc_layer *l = container_of(w, struct vlessenc_layer, rd);

	if (!l->ready)
		wake(l, &l->up_wr);
	wake(l, &l->up_rd);
}

/* ---- the hello --------------------------------------------------------------------------- */

void vlessenc_send_pieces(struct vlessenc_layer *l)
{
	struct vlessenc_pieces *p = &l->hs->out;

	while (p->bytes && p->i < p->n) {
		unsigned i = p->i;

		if (p->len[i] > 0 && bufq_append(&l->wq, p->bytes + p->at, p->len[i])) {
			l->werr = -ENOMEM;
			break;
		}
		p->at += p->len[i];
		p->i++;
		if (flush(l) < 0 && l->werr)
			break;
		if (p->gap_ms[i] > 0) {
			timer_set(l->s.loop, &l->hs->pause,
				  loop_now(l->s.loop) + p->gap_ms[i] * NSEC_MS);
			return;
		}
	}
	free(p->bytes);
	p->bytes = NULL;
}

static void on_pause(struct timer *t)
{
	struct vlessenc_layer *l = container_of(t, struct vlessenc_handshake, pause)->layer;

	vlessenc_send_pieces(l);
	wake(l, &l->up_rd);
	wake(l, &l->up_wr);
}

int vlessenc_take_box(struct vlessenc_layer *l, struct vlessenc_aead *a, size_t len, uint8_t *out,
		      size_t keep)
{
	uint8_t *mem;
	int err;

	if (bufq_len(&l->rq) < len)
		return -EAGAIN;
	if (len < AEAD_TAG)
		return -ERR_AUTH;
	mem = malloc(len);
	if (!mem)
		return -ENOMEM;
	bufq_take(&l->rq, mem, len);
	err = vlessenc_open(a, mem, len, mem);
	if (!err && keep)
		memcpy(out, mem, keep);
	cleanse(mem, len);
	free(mem);
	return err;
}

int vlessenc_set_masks(struct vlessenc_layer *l, const uint8_t *iv_in, const uint8_t *iv_out)
{
	int err = 0;

	if (l->conf->mode != VLESSENC_RANDOM)
		return 0;
	if (iv_in)
		err = vlessenc_dir_mask(&l->in, l->hs->united, iv_in);
	if (!err && iv_out)
		err = vlessenc_dir_mask(&l->out, l->hs->united, iv_out);
	return err;
}

static void handshake_free(struct vlessenc_layer *l)
{
	struct vlessenc_handshake *hs = l->hs;

	if (!hs)
		return;
	timer_stop(&hs->pause);
	free(hs->out.bytes);
	if (hs->kem)
		mlkem768_key_clear(hs->kem);
	free(hs->kem);
	free(hs->half);
	vlessenc_aead_clear(&hs->nfs);
	cleanse(hs, sizeof(*hs));
	free(hs);
	l->hs = NULL;
}

/* Ready when the handshake is through and all of the hello is on its way. */
static int settle(struct vlessenc_layer *l)
{
	if (l->werr)
		return l->werr;
	if (l->hs->out.bytes)
		return -EAGAIN; /* the pause wakes */
	l->ready = true;
	if (!l->ahead)
		handshake_free(l);
	return 0;
}

static int fail(struct vlessenc_layer *l, int err)
{
	if (l->conf->server && err == -ERR_AUTH) {
		l->strange = true;
		bufq_done(&l->rq);
	}
	handshake_free(l);
	l->rerr = (int16_t)err;
	if (!l->strange)
		l->werr = (int16_t)err;
	return err;
}

/* Something has come, so this is not who just hangs up: the reject policy decides. */
static int ended_early(struct vlessenc_layer *l)
{
	bool silent = l->hs->step == 0 && bufq_empty(&l->rq);

	return l->conf->server && !silent ? -ERR_AUTH : -ERR_TRUNCATED;
}

static int handshake(struct vlessenc_layer *l)
{
	ssize_t n;
	int err;

	for (;;) {
		err = l->role->run(l);
		l->hs->done = err == 0;
		if (!err)
			return settle(l);
		if (err != -EAGAIN)
			return err;
		if (l->werr)
			return l->werr;
		n = stream_pull(l->lower, &l->rq, READ_MIN);
		l->starved = n == -EAGAIN;
		if (n == 0)
			return ended_early(l);
		if (n < 0)
			return (int)n;
	}
}

static int layer_open(struct stream *s)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);
	int err = 0;

	if (l->ready)
		return 0;
	if (l->rerr)
		return l->rerr;
	if (!l->lower_open) {
		err = stream_open(l->lower);
		l->lower_open = err == 0;
	}
	if (!err)
		err = l->hs->done ? settle(l) : handshake(l);
	if (err && err != -EAGAIN)
		return fail(l, err);
	return err;
}

/* ---- inwards ----------------------------------------------------------------------------- */

/* More bytes into `rq`, for a caller that wants `max`.  0; -EAGAIN; -ERR_TRUNCATED at the end. */
static int fill(struct vlessenc_layer *l, size_t max)
{
	size_t need = l->ahead ? l->hs->body : vlessenc_record_need(&l->in);
	size_t have = bufq_len(&l->rq), want;
	ssize_t n;

	want = need > have ? need - have : 1;
	if (!(l->record_mode & BIT(STREAM_IN))) {
		max = MIN(max, (size_t)READ_MAX);
		want = MAX(want, max + (max / READ_MIN + 1) * VLESSENC_OVERHEAD);
		want = MAX(want, (size_t)READ_MIN);
		want = MIN(want, (size_t)READ_MAX);
	}
	n = stream_pull(l->lower, &l->rq, want);
	if (n > 0)
		return 0;
	return n == 0 ? -ERR_TRUNCATED : (int)n;
}

/* One record, at most `max` bytes of it to `dst`; the rest is un-read. */
static ssize_t open_one(struct vlessenc_layer *l, struct bufq *dst, size_t max)
{
	struct bufq over;
	ssize_t n;

	if (max >= VLESSENC_LEN_MAX)
		return vlessenc_record_open(&l->in, &l->rq, dst);
	bufq_init(&over, dst->pool, SIZE_MAX);
	n = vlessenc_record_open(&l->in, &l->rq, &over);
	if (n > 0)
		n = (ssize_t)bufq_move(dst, &over, max);
	if (n == 0 && !bufq_empty(&over)) {
		l->known = true;
		n = -ENOMEM; /* what was opened waits */
	}
	stream_unread(&l->s, &over);
	return n;
}

/* Before its first good record a peer may be a stranger who knows no more than the public key. */
static int broken(struct vlessenc_layer *l, int err)
{
	if (l->conf->server && !l->known) {
		l->strange = true;
		bufq_done(&l->rq);
		if (l->held) /* our hello, which he shall not see */
			bufq_done(&l->wq);
		l->held = false;
		return -ERR_AUTH;
	}
	l->rerr = (int16_t)(err == -ERR_AUTH || err == -ERR_MALFORMED ? -ERR_PROTOCOL : err);
	return l->rerr;
}

/* As many records as are there and fit: their bytes; -ERR_MORE; or what is wrong with the first. */
static ssize_t open_records(struct vlessenc_layer *l, struct bufq *dst, size_t max)
{
	size_t done = 0;
	ssize_t n = 1;

	while (n > 0 && done < max && bufq_empty(&l->s.unread)) {
		n = open_one(l, dst, max - done);
		done += n > 0 ? (size_t)n : 0;
		if (n > 0 && l->record_mode & BIT(STREAM_IN))
			break;
	}
	l->known |= done > 0;
	if (done > 0 && n < 0 && n != -ERR_MORE && n != -ENOMEM)
		(void)broken(l, (int)n);
	return done ? (ssize_t)done : n;
}

/* What the server sends ahead of its records, then records. */
static ssize_t open_some(struct vlessenc_layer *l, struct bufq *dst, size_t max)
{
	int err = l->ahead ? l->role->first(l) : 0;
	ssize_t n;

	if (err)
		return err;
	l->ahead = false;
	n = open_records(l, dst, max);
	if (l->hs && (n > 0 || n == -ERR_MALFORMED))
		vlessenc_client_first_record(l, n > 0);
	if (l->hs && n > 0)
		handshake_free(l);
	return n;
}

/* An end between two records is orderly: the protocol has no other. */
static ssize_t ended(struct vlessenc_layer *l)
{
	l->eof = bufq_empty(&l->rq) && l->in.next == 0 && !l->ahead;
	if (l->eof)
		return 0;
	l->rerr = -ERR_TRUNCATED;
	return l->rerr;
}

static ssize_t pull_raw(struct vlessenc_layer *l, struct bufq *dst, size_t max)
{
	size_t before = bufq_len(dst), n = bufq_move(dst, &l->rq, max);
	ssize_t got = (ssize_t)n;
	int err;

	if (n == 0)
		got = bufq_empty(&l->rq) ? stream_pull(l->lower, dst, max) : -ENOMEM;
	if (got <= 0)
		return got;
	err = vlessenc_walk(&l->in, dst, before, false);
	return err ? err : got;
}

static ssize_t layer_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);
	ssize_t n;
	int err;

	if (l->strange)
		return stream_pull(l->lower, dst, max);
	if (!l->ready)
		return l->rerr ? l->rerr : -EAGAIN;
	if (l->held && !l->conf->server) {
		l->held = false;
		(void)flush(l);
	}
	if (l->bypass & BIT(STREAM_IN))
		return pull_raw(l, dst, max);
	for (;;) {
		if (l->rerr)
			return l->rerr;
		if (l->eof)
			return 0;
		n = open_some(l, dst, max);
		if (n > 0 || n == -ENOMEM)
			return n;
		if (n < 0 && n != -ERR_MORE)
			return broken(l, (int)n);
		err = n == 0 ? 0 : fill(l, max);
		if (err == -ERR_TRUNCATED)
			return ended(l);
		if (err) {
			if (err != -EAGAIN && err != -ENOMEM)
				l->rerr = (int16_t)err;
			return err;
		}
	}
}

/* ---- outwards ---------------------------------------------------------------------------- */

static ssize_t push_raw(struct vlessenc_layer *l, struct bufq *src)
{
	int err = flush(l);
	size_t n;

	if (err)
		return err;
	if (!l->out.mask)
		return stream_push(l->lower, src);
	n = bufq_move(&l->wq, src, READ_MAX);
	if (n == 0)
		return -ENOMEM;
	err = vlessenc_walk(&l->out, &l->wq, 0, true);
	if (err)
		return l->werr = (int16_t)err;
	err = flush(l);
	return err && err != -EAGAIN ? err : (ssize_t)n;
}

static ssize_t layer_push(struct stream *s, struct bufq *src)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);
	bool whole = l->record_mode & BIT(STREAM_OUT);
	size_t taken = 0;
	ssize_t n;
	int err;

	if (l->strange)
		return stream_push(l->lower, src);
	if (l->werr)
		return l->werr;
	if (!l->ready)
		return -EAGAIN;
	if (l->bypass & BIT(STREAM_OUT))
		return push_raw(l, src);
	err = l->held ? 0 : flush(l);
	while (!err && !bufq_empty(src)) {
		n = vlessenc_record_seal(&l->out, src, l->burst, whole, &l->wq);
		if (n < 0)
			return l->werr = (int16_t)n;
		if (n == 0)
			return taken ? (ssize_t)taken : -ENOMEM;
		taken += (size_t)n;
		l->held = false;
		err = flush(l);
		/* A reader that keeps up gets everything in one write; for one that does not,
		 * little is sealed ahead: what waits here, waits in memory. */
		l->burst = err ? MAX(l->burst / 2, BURST_MIN) : MIN(l->burst * 2, BURST_MAX);
	}
	if (err && err != -EAGAIN)
		return err;
	return taken ? (ssize_t)taken : -EAGAIN;
}

static void layer_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);

	if (!l->lower_open && !l->strange) {
		/* Nothing is held here yet, and who peels must not leave a waiter of ours below. */
		stream_want(l->lower, STREAM_RD | STREAM_WR, w);
		return;
	}
	if (ev & STREAM_RD)
		l->up_rd = w;
	if (ev & STREAM_WR)
		l->up_wr = w;
	if (l->strange || l->ready) {
		if (ev & STREAM_RD)
			stream_want(l->lower, STREAM_RD, &l->rd);
		if (ev & STREAM_WR)
			stream_want(l->lower, STREAM_WR, &l->wr);
	} else if (l->starved) {
		/* Nothing but bytes helps; a hello that is being sent has waiters of its own. */
		stream_want(l->lower, STREAM_RD, &l->rd);
	}
}

static int layer_shut(struct stream *s)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);
	int err;

	if (l->werr)
		return l->werr;
	l->held = false;
	err = flush(l);
	return err ? err : stream_shut(l->lower);
}

/* ---- the rest of the interface ----------------------------------------------------------- */

static void layer_free(struct stream *s)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);

	stream_free(l->lower);
	waiter_cancel(&l->rd);
	waiter_cancel(&l->wr);
	handshake_free(l);
	vlessenc_dir_clear(&l->in);
	vlessenc_dir_clear(&l->out);
	bufq_done(&l->rq);
	bufq_done(&l->wq);
	stream_done(s);
	loop_free_later(s->loop, l);
}

/* Only while what is below has not opened: it may have let go of its peer, and nothing of what he
 * has sent has come as far as this.
 */
static struct stream *layer_peel(struct stream *s, struct bufq *first)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);
	struct stream *lower = l->lower;

	if (l->lower_open)
		return NULL;
	stream_unread(lower, &s->unread);
	l->lower = NULL;
	layer_free(s);
	return lower;
}

/* A header that has been read already belongs to whoever reads on. */
static int unread_header(struct vlessenc_layer *l)
{
	uint8_t h[VLESSENC_HEADER] = {0x17, 3, 3, (uint8_t)(l->in.next >> 8), (uint8_t)l->in.next};
	struct bufq q;
	int err;

	bufq_init(&q, loop_pool(l->s.loop), SIZE_MAX);
	err = bufq_append(&q, h, sizeof(h));
	if (err)
		return err;
	stream_unread(&l->s, &q);
	l->in.skip = l->in.next;
	l->in.next = 0;
	return 0;
}

static int layer_bypass(struct stream *s, enum stream_dir dir)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);
	int err = 0;

	if (!l->ready || l->strange || (dir == STREAM_IN && l->ahead))
		return -ENOTSUP;
	if (dir == STREAM_IN && l->in.next)
		err = unread_header(l);
	if (!err)
		l->bypass |= (uint8_t)BIT(dir);
	return err;
}

static int layer_splice(struct stream *s, enum stream_dir dir, struct stream_raw *out)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);

	if (!(l->bypass & BIT(dir)) || l->conf->mode == VLESSENC_RANDOM)
		return -ENOTSUP;
	if (!bufq_empty(dir == STREAM_IN ? &l->rq : &l->wq))
		return -EAGAIN;
	return stream_splice(l->lower, dir, out);
}

static int layer_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);

	if (attr == STREAM_TLS_VERSION && l->ready) {
		out->num = 0x0304;
		return 0;
	}
	return stream_query(l->lower, attr, out);
}

static int layer_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);

	if (attr != STREAM_RECORD_MODE)
		return stream_set(l->lower, attr, v);
	l->record_mode = (uint8_t)v.num;
	return 0;
}

static const struct stream_ops layer_ops = {
	.name = "vlessenc",
	.open = layer_open,
	.pull = layer_pull,
	.push = layer_push,
	.want = layer_want,
	.shut = layer_shut,
	.free = layer_free,
	.peel = layer_peel,
	.bypass = layer_bypass,
	.splice = layer_splice,
	.query = layer_query,
	.set = layer_set,
};

static struct stream *layer_new(struct stream *lower, const struct vlessenc_conf *conf,
				const struct vlessenc_role *role)
{
	struct vlessenc_layer *l = calloc(1, sizeof(*l));
	struct vlessenc_handshake *hs = l ? calloc(1, sizeof(*hs)) : NULL;

	if (!hs) {
		free(l);
		stream_free(lower);
		return NULL;
	}
	stream_init(&l->s, &layer_ops, lower->loop);
	waiter_init(&l->rd, on_rd);
	waiter_init(&l->wr, on_wr);
	timer_init(&hs->pause, on_pause);
	bufq_init(&l->rq, loop_pool(lower->loop), SIZE_MAX);
	bufq_init(&l->wq, loop_pool(lower->loop), SIZE_MAX);
	hs->layer = l;
	hs->alg = aead_has_hw_aes() ? AEAD_AES_256_GCM : AEAD_CHACHA20_POLY1305;
	l->lower = lower;
	l->conf = conf;
	l->role = role;
	l->hs = hs;
	l->burst = BURST_MIN;
	return &l->s;
}

struct stream *vlessenc_server_new(struct stream *lower, const struct vlessenc_conf *conf)
{
	return layer_new(lower, conf, &vlessenc_server_role);
}

struct stream *vlessenc_client_new(struct stream *lower, const struct vlessenc_conf *conf)
{
	return layer_new(lower, conf, &vlessenc_client_role);
}
