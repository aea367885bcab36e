/* buf.h - a chunk of bytes, and the queue that every byte in the program travels in.
 *
 * A chunk holds 16 KiB of payload with room before and behind, so that a whole TLS, Shadowsocks or
 * VMess record is framed and sealed where it lies.  A chunk has one owner; moving bytes between
 * queues is pointer work where it can be.  An empty queue owns no chunk: idle costs nothing.
 *
 * Chunks come from a pool.  Each loop owns one; tests make their own.  A pool keeps a free list up
 * to `keep` chunks and counts what is out, against `max` (0: no limit).  What connections hold in
 * other places (a handshake in libssl, a pipe) is counted with it, so that `max` bounds it all.
 *
 * Threads: a pool, its chunks and the queues over it belong to one thread.
 */
#ifndef WEIR_BUF_H
#define WEIR_BUF_H

#include <sys/uio.h>

#include "base/base.h"

#define BUF_PAYLOAD 16384 /* what one chunk carries */
#define BUF_FRONT   256	  /* room before the payload, for headers */
#define BUF_REAR    256	  /* room behind it, for tags and padding */
#define BUF_SIZE    (BUF_FRONT + BUF_PAYLOAD + BUF_REAR)

struct buf_pool;

struct buf {
	struct buf *next;
	struct buf_pool *pool;
	uint32_t start, end;		     /* the bytes are data[start..end) */
	_Alignas(64) uint8_t data[BUF_SIZE]; /* whole cache lines: copies are a tenth cheaper */
};

struct buf_pool {
	struct buf *free;
	size_t nfree, nused; /* chunks on the free list; chunks out, and what is held elsewhere */
	size_t keep, max;
};

void buf_pool_init(struct buf_pool *p, size_t keep, size_t max);
void buf_pool_done(struct buf_pool *p); /* every chunk must be back */
void buf_pool_trim(struct buf_pool *p); /* give the free list back to the heap */

/* Memory that is taken elsewhere, about `n` chunks of it. False: over `max`, nothing is counted. */
MUST_CHECK bool buf_pool_hold(struct buf_pool *p, size_t n);
void buf_pool_let_go(struct buf_pool *p, size_t n);

/* Three quarters are out: whoever could take much takes little. */
static inline bool buf_pool_short(const struct buf_pool *p)
{
	return p->max && p->nused > p->max / 4 * 3;
}

/* An empty chunk with start = end = BUF_FRONT, or NULL: out of memory or over `max`. */
struct buf *buf_new(struct buf_pool *p);
void buf_free(struct buf *b); /* NULL is fine */

static inline size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}

static inline uint8_t *buf_head(struct buf *b)
{
	return b->data + b->start;
}

/* Free room behind the payload, BUF_REAR kept back for the layer that frames it. */
static inline size_t buf_room(const struct buf *b)
{
	return b->end < BUF_FRONT + BUF_PAYLOAD ? BUF_FRONT + BUF_PAYLOAD - b->end : 0;
}

/* A queue of chunks.  No chunk in it is empty. */
struct bufq {
	struct buf *head, *tail;
	struct buf_pool *pool;
	uint32_t len; /* bytes in all chunks */
	/* bufq_space() counts down from here; appending beyond is the caller's bug */
	uint32_t limit;
};

void bufq_init(struct bufq *q, struct buf_pool *pool, size_t limit);
void bufq_done(struct bufq *q); /* frees what is left; the queue stays usable */

static inline size_t bufq_len(const struct bufq *q)
{
	return q->len;
}

static inline bool bufq_empty(const struct bufq *q)
{
	return q->len == 0;
}

static inline size_t bufq_space(const struct bufq *q)
{
	return q->len < q->limit ? q->limit - q->len : 0;
}

/* Copy `len` bytes to the end. 0, or -ENOMEM with nothing appended. Does not look at the limit. */
MUST_CHECK int bufq_append(struct bufq *q, const void *data, size_t len);

/* Copy `len` bytes to the front.  0, or -ENOMEM with nothing changed. */
MUST_CHECK int bufq_prepend(struct bufq *q, const void *data, size_t len);

/* Hand a chunk over to the end (the front) of the queue.  An empty one is freed. */
void bufq_push(struct bufq *q, struct buf *b);
void bufq_unshift(struct bufq *q, struct buf *b);

/* Hand a chunk over to the end, as bufq_push() does, where many small ones may have to wait: its bytes
 * are copied behind the last ones when they fit there and are few, or when the queue has grown long. So
 * what waits takes about twice its bytes, whatever it came in.
 */
void bufq_pack(struct bufq *q, struct buf *b);

/* Take the first chunk out, or NULL. */
struct buf *bufq_shift(struct bufq *q);

/* Move up to `max` bytes from the front of `src` to the end of `dst`.  Whole chunks move by
 * pointer when both queues share a pool, the rest is copied.  Returns how many moved; fewer than
 * min(max, len) only when memory ran out.
 */
size_t bufq_move(struct bufq *dst, struct bufq *src, size_t max);

/* Drop `n` (<= len) bytes from the front. */
void bufq_drain(struct bufq *q, size_t n);

/* Copy up to `len` bytes from offset `off`, without taking them.  Returns how many. */
size_t bufq_peek(const struct bufq *q, size_t off, void *dst, size_t len);

/* Take up to `len` bytes from the front into `dst`.  Returns how many. */
size_t bufq_take(struct bufq *q, void *dst, size_t len);

/* The first min(len, n) bytes in one piece, gathered into the first chunk where they are not
 * already (n <= BUF_PAYLOAD).  NULL when memory ran out or the queue is empty.  *got is how many.
 */
const uint8_t *bufq_linear(struct bufq *q, size_t n, size_t *got);

/* Fill up to `max` iovecs with the bytes from the front, up to `bytes`. Returns the number used. */
int bufq_iov(const struct bufq *q, struct iovec *iov, int max, size_t bytes);

/* A chunk at the end with at least `want` (1..BUF_PAYLOAD) bytes of room: the caller writes at
 * data + end, then calls bufq_commit() with how many.  NULL when memory ran out.  A fresh chunk
 * that receives no commit is freed by bufq_commit(q, 0).
 */
struct buf *bufq_tail_room(struct bufq *q, size_t want);
void bufq_commit(struct bufq *q, size_t n);

#endif
