/* loop_impl.h - what a loop consists of; for the files of this folder only. */
#ifndef WEIR_EVENT_LOOP_IMPL_H
#define WEIR_EVENT_LOOP_IMPL_H

#include <stdatomic.h>
#include <sys/epoll.h>

#include "event/loop.h"
#include "event/wheel.h"

#define LOOP_EVENTS 256		    /* descriptors reported per poll */
#define LOOP_BUDGET 256		    /* waiters run per turn */
#define LOOP_SLICE  (500 * NSEC_US) /* of a turn is for bulk, or as much as the others took */
#define LOOP_KEEP   256		    /* free chunks kept: 4 MiB */
#define LOOP_NEVER  WHEEL_NEVER

/* Memory that is let go at the end of the turn: a list through its own first bytes. */
struct loop_garbage {
	struct loop_garbage *next;
};

struct loop {
	enum loop_backend backend;
	nsec_t now;
	struct list_node runq;
	struct list_node bulk;	/* who waits for the next round */
	struct list_node round; /* who is still to come in this one */
	unsigned woken;		/* by the turn before this one */
	unsigned served, crowd; /* in this round so far; in the one before it */
	struct wheel wheel;
	struct loop_garbage *garbage;
	struct buf_pool pool;
	uint8_t *scratch; /* NULL until asked for, and again after an idle second */
	struct loop_local *locals;

	/* epoll */
	int epfd, wakefd; /* -1 in a virtual loop */
	struct epoll_event *events;
	int fired, nfired; /* watches among events[]: the next to call, and how many */

	uint8_t entropy[256];
	unsigned entropy_left;
	uint64_t prng; /* virtual */

	/* Other threads touch only these. */
	_Alignas(64) _Atomic(struct message *) mail; /* newest first */
	atomic_bool sleeping; /* the loop may be in the kernel: whoever posts writes wakefd */
	atomic_bool stop;
};

MUST_CHECK int io_backend_open(struct loop *l);
void io_backend_close(struct loop *l);

/* Sleep until `deadline` (loop time; LOOP_NEVER: for ever; not at all when it has passed), then
 * queue the waiters of what became ready and note the watches.
 */
void io_poll(struct loop *l, nsec_t deadline);
void io_wakeup(struct loop *l);	     /* any thread */
int io_fire_watches(struct loop *l); /* how many were called */

nsec_t loop_clock(void);

#endif
