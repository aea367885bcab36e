#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PACK_SMALL 1024	 /* bytes that are cheaper copied than carried in a chunk of their own */
#define PACK_LONG  65536 /* bytes that wait: nobody is in a hurry */

void buf_pool_init(struct buf_pool *p, size_t keep, size_t max)
{
	*p = (struct buf_pool){.keep = keep, .max = max};
}

void buf_pool_trim(struct buf_pool *p)
{
	struct buf *b;

	while ((b = p->free)) {
		p->free = b->next;
		free(b);
	}
	p->nfree = 0;
}

void buf_pool_done(struct buf_pool *p)
{
	assert(p->nused == 0);
	buf_pool_trim(p);
}

bool buf_pool_hold(struct buf_pool *p, size_t n)
{
	if (p->max && p->nused + n > p->max)
		return false;
	p->nused += n;
	return true;
}

void buf_pool_let_go(struct buf_pool *p, size_t n)
{
	assert(n <= p->nused);
	p->nused -= n;
}

struct buf *buf_new(struct buf_pool *p)
{
	struct buf *b = p->free;

	if (p->max && p->nused >= p->max)
		return NULL;
	if (b) {
		p->free = b->next;
		p->nfree--;
	} else {
		b = aligned_alloc(_Alignof(struct buf), sizeof(*b));
		if (!b)
			return NULL;
		b->pool = p;
	}
	p->nused++;
	b->next = NULL;
	b->start = b->end = BUF_FRONT;
	return b;
}

void buf_free(struct buf *b)
{
	struct buf_pool *p;

	if (!b)
		return;
	p = b->pool;
	p->nused--;
	if (p->nfree >= p->keep) {
		free(b);
		return;
	}
	b->next = p->free;
	p->free = b;
	p->nfree++;
}

void bufq_init(struct bufq *q, struct buf_pool *pool, size_t limit)
{
	*q = (struct bufq){.pool = pool, .limit = (uint32_t)MIN(limit, (size_t)UINT32_MAX)};
}

void bufq_done(struct bufq *q)
{
	struct buf *b;

	while ((b = bufq_shift(q)))
		buf_free(b);
}

void bufq_push(struct bufq *q, struct buf *b)
{
	if (buf_len(b) == 0) {
		buf_free(b);
		return;
	}
	b->next = NULL;
	if (q->tail)
		q->tail->next = b;
	else
		q->head = b;
	q->tail = b;
	q->len += (uint32_t)buf_len(b);
}

void bufq_pack(struct bufq *q, struct buf *b)
{
	size_t n = buf_len(b);
	bool worth = n <= PACK_SMALL || q->len >= PACK_LONG;

	if (!worth || !q->tail || buf_room(q->tail) < n) {
		bufq_push(q, b);
		return;
	}
	memcpy(q->tail->data + q->tail->end, buf_head(b), n);
	bufq_commit(q, n);
	buf_free(b);
}

void bufq_unshift(struct bufq *q, struct buf *b)
{
	if (buf_len(b) == 0) {
		buf_free(b);
		return;
	}
	b->next = q->head;
	q->head = b;
	if (!q->tail)
		q->tail = b;
	q->len += (uint32_t)buf_len(b);
}

struct buf *bufq_shift(struct bufq *q)
{
	struct buf *b = q->head;

	if (!b)
		return NULL;
	q->head = b->next;
	if (!q->head)
		q->tail = NULL;
	q->len -= (uint32_t)buf_len(b);
	b->next = NULL;
	return b;
}

struct buf *bufq_tail_room(struct bufq *q, size_t want)
{
	struct buf *b = q->tail;

	assert(want >= 1 && want <= BUF_PAYLOAD);
	if (b && buf_room(b) >= want)
		return b;
	b = buf_new(q->pool);
	if (!b)
		return NULL;
	if (q->tail)
		q->tail->next = b;
	else
		q->head = b;
	q->tail = b;
	return b;
}

/* The tail may be a fresh chunk that nothing was written to: find its predecessor and cut it off.
 */
static void drop_empty_tail(struct bufq *q)
{
	struct buf *b = q->tail, *prev = q->head;

	if (prev == b) {
		q->head = q->tail = NULL;
	} else {
		while (prev->next != b)
			prev = prev->next;
		prev->next = NULL;
		q->tail = prev;
	}
	buf_free(b);
}

void bufq_commit(struct bufq *q, size_t n)
{
	if (!q->tail)
		return;
	assert(q->tail->end + n <= BUF_SIZE);
	q->tail->end += (uint32_t)n;
	q->len += (uint32_t)n;
	if (buf_len(q->tail) == 0)
		drop_empty_tail(q);
}

/* Drop the last `n` bytes: the way back out of a half-done append. */
static void cut_tail(struct bufq *q, size_t n)
{
	while (n > 0) {
		size_t take = MIN(n, buf_len(q->tail));

		q->tail->end -= (uint32_t)take;
		q->len -= (uint32_t)take;
		n -= take;
		if (buf_len(q->tail) == 0)
			drop_empty_tail(q);
	}
}

int bufq_append(struct bufq *q, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t done = 0;

	while (done < len) {
		struct buf *b = bufq_tail_room(q, 1);
		size_t n;

		if (!b) {
			cut_tail(q, done);
			return -ENOMEM;
		}
		n = MIN(len - done, buf_room(b));
		memcpy(b->data + b->end, p + done, n);
		bufq_commit(q, n);
		done += n;
	}
	return 0;
}

int bufq_prepend(struct bufq *q, const void *data, size_t len)
{
	struct bufq front;
	struct buf *b = q->head;

	if (b && b->start >= len) {
		b->start -= (uint32_t)len;
		q->len += (uint32_t)len;
		memcpy(buf_head(b), data, len);
		return 0;
	}
	bufq_init(&front, q->pool, len);
	if (bufq_append(&front, data, len))
		return -ENOMEM;
	if (!front.head)
		return 0;
	front.tail->next = q->head;
	if (!q->tail)
		q->tail = front.tail;
	q->head = front.head;
	q->len += front.len;
	return 0;
}

/* Copy up to `n` bytes of the first chunk of `src`; 0 when memory ran out. */
static size_t move_copy(struct bufq *dst, struct bufq *src, size_t n)
{
	struct buf *to = bufq_tail_room(dst, 1);

	if (!to)
		return 0;
	n = MIN(n, buf_room(to));
	memcpy(to->data + to->end, buf_head(src->head), n);
	bufq_commit(dst, n);
	bufq_drain(src, n);
	return n;
}

size_t bufq_move(struct bufq *dst, struct bufq *src, size_t max)
{
	size_t moved = 0;

	while (src->head && moved < max) {
		struct buf *from = src->head;
		size_t n = MIN(buf_len(from), max - moved);
		bool fits = dst->tail && buf_room(dst->tail) >= n;

		/* A short piece that fits behind what is there is cheaper copied: chunks stay full.
		 */
		if (n == buf_len(from) && dst->pool == src->pool && !(fits && n <= PACK_SMALL)) {
			bufq_push(dst, bufq_shift(src));
		} else {
			n = move_copy(dst, src, n);
			if (n == 0)
				break;
		}
		moved += n;
	}
	return moved;
}

void bufq_drain(struct bufq *q, size_t n)
{
	assert(n <= q->len);
	while (n > 0) {
		struct buf *b = q->head;
		size_t take = MIN(n, buf_len(b));

		if (take == buf_len(b)) {
			buf_free(bufq_shift(q));
		} else {
			b->start += (uint32_t)take;
			q->len -= (uint32_t)take;
		}
		n -= take;
	}
}

size_t bufq_peek(const struct bufq *q, size_t off, void *dst, size_t len)
{
	const struct buf *b;
	uint8_t *out = dst;
	size_t done = 0;

	for (b = q->head; b && done < len; b = b->next) {
		size_t have = buf_len(b), n;

		if (off >= have) {
			off -= have;
			continue;
		}
		n = MIN(have - off, len - done);
		memcpy(out + done, b->data + b->start + off, n);
		done += n;
		off = 0;
	}
	return done;
}

size_t bufq_take(struct bufq *q, void *dst, size_t len)
{
	size_t n = bufq_peek(q, 0, dst, len);

	bufq_drain(q, n);
	return n;
}

const uint8_t *bufq_linear(struct bufq *q, size_t n, size_t *got)
{
	struct buf *b;
	size_t len;

	assert(n <= BUF_PAYLOAD);
	n = MIN(n, (size_t)q->len);
	if (n == 0)
		return NULL;
	if (buf_len(q->head) < n) {
		b = buf_new(q->pool);
		if (!b)
			return NULL;
		len = bufq_take(q, b->data + b->start, n);
		b->end += (uint32_t)len;
		bufq_unshift(q, b);
	}
	*got = n;
	return buf_head(q->head);
}

int bufq_iov(const struct bufq *q, struct iovec *iov, int max, size_t bytes)
{
	struct buf *b;
	int n = 0;

	for (b = q->head; b && n < max && bytes > 0; b = b->next, n++) {
		iov[n].iov_base = buf_head(b);
		iov[n].iov_len = MIN(buf_len(b), bytes);
		bytes -= iov[n].iov_len;
	}
	return n;
}
