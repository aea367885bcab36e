#include "proto/shadowsocks/ss_cipher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/stream_cipher.h"

#define BURST (64 * 1024) /* enciphered ahead of what the lower stream has taken */

struct ss_cipher {
	struct stream s;
	struct stream *lower;
	const struct ss_method *m;
	struct stream_cipher *in, *out; /* NULL: its IV is still to come */
	struct bufq rq, wq;		/* the IV that is coming; what is enciphered already */
	struct waiter run;
	struct waiter *up_rd, *up_wr;
	int16_t rerr, werr;
	uint8_t key[SS_KEY_MAX];
};

static struct ss_cipher *of(const struct stream *s)
{
	return container_of(s, struct ss_cipher, s);
}

struct stream_cipher *ss_cipher_make(const struct ss_method *m, const uint8_t *key,
				     const uint8_t *iv, bool encrypt)
{
	uint8_t joined[16];
	struct iovec iov[2] = {{(void *)key, m->key_len}, {(void *)iv, m->salt_len}};

	if (m->alg != STREAM_RC4)
		return stream_cipher_new(m->alg, key, m->key_len, iv, encrypt);
	if (hash_iov(HASH_MD5, iov, 2, joined))
		return NULL;
	return stream_cipher_new(STREAM_RC4, joined, sizeof(joined), NULL, encrypt);
}

static int run_over(struct stream_cipher *cipher, struct bufq *q)
{
	int err = 0;

	for (struct buf *b = q->head; b && !err; b = b->next)
		err = stream_cipher_run(cipher, buf_head(b), buf_len(b), buf_head(b));
	return err;
}

/* ---- inwards ----------------------------------------------------------------------------- */

/* 0: the cipher is there, and c->rq empty again. */
static int read_iv(struct ss_cipher *c)
{
	uint8_t iv[SS_SALT_MAX];
	ssize_t n;

	while (bufq_len(&c->rq) < c->m->salt_len) {
		n = stream_pull(c->lower, &c->rq, c->m->salt_len - bufq_len(&c->rq));
		if (n == 0)
			return bufq_empty(&c->rq) ? -ERR_TRUNCATED : -ERR_AUTH;
		if (n < 0)
			return (int)n;
	}
	bufq_take(&c->rq, iv, c->m->salt_len);
	c->in = ss_cipher_make(c->m, c->key, iv, false);
	return c->in ? 0 : -ERR_CRYPTO;
}

static ssize_t cipher_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct ss_cipher *c = of(s);
	struct bufq fresh;
	ssize_t n;
	int err = c->rerr ? c->rerr : c->in ? 0 : read_iv(c);

	if (err)
		return err;
	bufq_init(&fresh, dst->pool, SIZE_MAX);
	n = stream_pull(c->lower, &fresh, max);
	if (n > 0)
		c->rerr = (int16_t)run_over(c->in, &fresh);
	if (n > 0 && bufq_move(dst, &fresh, (size_t)n) < (size_t)n)
		c->rerr = -ENOMEM; /* a byte that is lost cannot be found again */
	bufq_done(&fresh);
	return c->rerr ? c->rerr : n;
}

/* ---- outwards ---------------------------------------------------------------------------- */

static int flush(struct ss_cipher *c)
{
	while (!bufq_empty(&c->wq)) {
		ssize_t n = stream_push(c->lower, &c->wq);

		if (n == -EAGAIN)
			stream_want(c->lower, STREAM_WR, &c->run);
		else if (n < 0)
			c->werr = (int16_t)n;
		if (n < 0)
			return (int)n;
	}
	return 0;
}

static int write_iv(struct ss_cipher *c)
{
	uint8_t iv[SS_SALT_MAX];

	random_bytes(iv, c->m->salt_len);
	c->out = ss_cipher_make(c->m, c->key, iv, true);
	if (!c->out)
		return -ERR_CRYPTO;
	return bufq_append(&c->wq, iv, c->m->salt_len);
}

static ssize_t cipher_push(struct stream *s, struct bufq *src)
{
	struct ss_cipher *c = of(s);
	struct bufq fresh;
	size_t n;
	int err = c->werr ? c->werr : flush(c);

	if (err)
		return err;
	if (!c->out && (err = write_iv(c)))
		return c->werr = (int16_t)err;
	bufq_init(&fresh, c->wq.pool, SIZE_MAX);
	n = bufq_move(&fresh, src, BURST);
	if (n == 0)
		return -ENOMEM;
	err = run_over(c->out, &fresh);
	if (!err && bufq_move(&c->wq, &fresh, n) < n)
		err = -ENOMEM;
	bufq_done(&fresh);
	if (err)
		return c->werr = (int16_t)err;
	err = flush(c);
	return err && err != -EAGAIN ? err : (ssize_t)n;
}

static void wake_one(struct ss_cipher *c, struct waiter **slot)
{
	struct waiter *w = *slot;

	*slot = NULL;
	if (w)
		loop_queue(c->s.loop, w);
}

static void on_run(struct waiter *w)
{
	struct ss_cipher *c = container_of(w, struct ss_cipher, run);
	int err = flush(c);

	wake_one(c, &c->up_rd);
	if (err != -EAGAIN)
		wake_one(c, &c->up_wr);
}

static void cipher_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct ss_cipher *c = of(s);

	if (ev & STREAM_RD)
		c->up_rd = w;
	if (ev & STREAM_WR)
		c->up_wr = w;
	stream_want(c->lower, ev, &c->run);
}

/* ---- the rest of the interface ----------------------------------------------------------- */

static int cipher_open(struct stream *s)
{
	return stream_open(of(s)->lower);
}

static int cipher_shut(struct stream *s)
{
	struct ss_cipher *c = of(s);
	int err = c->werr ? c->werr : flush(c);

	return err ? err : stream_shut(c->lower);
}

static void cipher_free(struct stream *s)
{
	struct ss_cipher *c = of(s);

	waiter_cancel(&c->run);
	stream_free(c->lower);
	stream_cipher_free(c->in);
	stream_cipher_free(c->out);
	bufq_done(&c->rq);
	bufq_done(&c->wq);
	cleanse(c->key, sizeof(c->key));
	stream_done(s);
	loop_free_later(s->loop, c);
}

static int cipher_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	return stream_query(of(s)->lower, attr, out);
}

static int cipher_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	return stream_set(of(s)->lower, attr, v);
}

static const struct stream_ops cipher_ops = {
	.name = "ss-cipher",
	.open = cipher_open,
	.pull = cipher_pull,
	.push = cipher_push,
	.want = cipher_want,
	.shut = cipher_shut,
	.free = cipher_free,
	.query = cipher_query,
	.set = cipher_set,
};

struct stream *ss_cipher_new(struct stream *lower, const struct ss_method *m, const uint8_t *key)
{
	struct ss_cipher *c = calloc(1, sizeof(*c));

	if (!c) {
		stream_free(lower);
		return NULL;
	}
	stream_init(&c->s, &cipher_ops, lower->loop);
	waiter_init(&c->run, on_run);
	bufq_init(&c->rq, loop_pool(lower->loop), SS_SALT_MAX);
	bufq_init(&c->wq, loop_pool(lower->loop), SIZE_MAX);
	c->lower = lower;
	c->m = m;
	memcpy(c->key, key, m->key_len);
	return &c->s;
}
