/* loop.h - the event loop: one per thread, everything that happens on that thread happens from it.
 *
 * A turn: poll the descriptors -> queue the waiters of those that became ready -> due timers ->
 * mailbox -> run the queue of waiters, with a budget -> some of those who move bulk -> free what
 * was let go.
 *
 * News goes up by queue: a wake never runs inside another call.  Clock and randomness come from
 * here, so that a test owns both: LOOP_VIRTUAL has no descriptors, and its clock jumps to the next
 * timer whenever nothing else is left to do.
 *
 * Threads: everything on the loop's own thread, but loop_post() and loop_stop(), from any.
 */
#ifndef WEIR_EVENT_LOOP_H
#define WEIR_EVENT_LOOP_H

#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"

enum loop_backend {
	LOOP_EPOLL,
	LOOP_VIRTUAL,
};

struct loop;

/* NULL when descriptors or memory ran out.  `seed` feeds loop_random() of a virtual loop; an epoll
 * loop takes its randomness from the kernel.
 */
struct loop *loop_new(enum loop_backend backend, uint64_t seed);

/* On the loop's thread, or once that is gone.  Messages still in the mailbox run, timers and
 * waiters are unlinked, memory let go is freed; every chunk of the pool must be back by then.
 */
void loop_free(struct loop *l);

/* One turn, sleeping at most `max_wait` (< 0: until something happens).  Returns how many waiters,
 * timers and messages ran: 0 means nothing was left to do before the wait ended.
 */
int loop_turn(struct loop *l, nsec_t max_wait);

/* Turns until loop_stop(), which may have come first; a virtual loop also ends when nothing can
 * ever happen again.
 */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

nsec_t loop_now(const struct loop *l);	 /* the time this turn began */
int64_t loop_wall(const struct loop *l); /* seconds since 1970; virtual loops start at 1700000000 */
void loop_random(struct loop *l, void *dst, size_t n);
/* How many waiters the turn before this one woke, or a round of bulk: who else waits while one of them
 * takes its time.
 */
unsigned loop_woken(const struct loop *l);

struct buf_pool *loop_pool(struct loop *l);

/* 256 KiB (LOOP_SCRATCH) of this thread's storage, for one call at a time: nothing in it survives
 * the caller's return.  NULL when memory ran out.
 */
#define LOOP_SCRATCH (256 * 1024)
uint8_t *loop_scratch(struct loop *l);

/* ---- waiters ---------------------------------------------------------------------------------
 * Embedded in whoever waits.  Queued at most once: queueing again is a no-op.
 */
struct waiter {
	void (*wake)(struct waiter *w); /* from the run queue, never from inside another call */
	struct list_node link;
};

static inline void waiter_init(struct waiter *w, void (*wake)(struct waiter *w))
{
	w->wake = wake;
	list_init(&w->link);
}

void loop_queue(struct loop *l, struct waiter *w);

/* For who moves much at a time: after all others of a turn, as many of these as half a millisecond
 * takes, and nobody twice before each has had his turn.  Who is queued already stays where he is.
 */
void loop_queue_bulk(struct loop *l, struct waiter *w);

/* Off the run queue: no wake follows.  Whoever holds a pointer to it (an io) forgets it separately.
 */
static inline void waiter_cancel(struct waiter *w)
{
	list_del(&w->link);
}

/* ---- timers: one-shot, resolution 1-4 ms, never early ------------------------------------ */
struct timer {
	/* called by the turn; may set itself again or free its owner */
	void (*fire)(struct timer *t);
	nsec_t at;
	struct list_node link;
};

static inline void timer_init(struct timer *t, void (*fire)(struct timer *t))
{
	t->fire = fire;
	t->at = 0;
	list_init(&t->link);
}

static inline bool timer_armed(const struct timer *t)
{
	return list_linked(&t->link);
}

void timer_set(struct loop *l, struct timer *t, nsec_t at); /* also moves an armed one */
void timer_stop(struct timer *t);			    /* harmless when not armed */

/* ---- descriptors of the data path: edge-triggered, registered once for both directions --- */
enum io_event {
	IO_RD = 1,
	IO_WR = 2,
};

/* `ready` holds what the kernel said and nobody has used up: the loop sets bits, the owner clears a
 * bit when the kernel said EAGAIN, or moved less than was asked and `hup` is not set.  A new edge
 * sets it again.  Both start set.
 */
struct io {
	int fd;
	uint8_t ready; /* enum io_event bits */
	/* EPOLLRDHUP, EPOLLHUP or EPOLLERR was seen: only read() tells the truth now */
	bool hup;
	struct waiter *rd, *wr;
};

/* 0 or -errno; fd stays the caller's */
MUST_CHECK int io_add(struct loop *l, struct io *io, int fd);
/* before close(); forgets both waiters */
void io_del(struct loop *l, struct io *io);

/* Queue `w` at the next edge of `ev`, at once if one is already noted in `ready`.  One-shot. */
void io_want(struct loop *l, struct io *io, unsigned ev, struct waiter *w);

/* ---- descriptors of libraries (curl, c-ares, sqlite's none): level-triggered, any loop */
struct watch {
	int fd;
	/* ev: enum io_event bits; errors come as both */
	void (*fire)(struct watch *w, unsigned ev);
};

/* add or change; ev 0 removes */
MUST_CHECK int watch_set(struct loop *l, struct watch *w, unsigned ev);

/* ---- messages from other threads --------------------------------------------------------- */
struct message {
	struct message *next;
	/* on the receiving loop's thread; owns the message from then on */
	void (*run)(struct message *m);
};

void loop_post(struct loop *l, struct message *m); /* never fails, never blocks */

/* free() `p` after this turn: its first eight bytes are used as a link, the rest stays readable.
 * Whatever could still wake it must have been cancelled.
 */
void loop_free_later(struct loop *l, void *p);

/* ---- what a loop keeps for others ------------------------------------------------------------ */

/* One object per loop and purpose (a pipe pool, a name cache), made when first needed.  `key` is
 * the address of something static in the file that owns the purpose.  loop_free() calls `free`.
 */
struct loop_local {
	struct loop_local *next;
	const void *key;
	void (*free)(struct loop_local *local);
};

void loop_local_add(struct loop *l, struct loop_local *local);
struct loop_local *loop_local_find(struct loop *l, const void *key); /* NULL: not there yet */

#endif
