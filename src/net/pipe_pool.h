/* pipe_pool.h - pipes for splice(), kept per loop.
 *
 * A pipe holds 1 MiB where the kernel agrees (what is spliced at once decides the cost per byte),
 * what the kernel gives by default otherwise.  Making one costs three system calls, so a few empty
 * ones are kept.  A pipe that may still hold bytes is closed, never kept.
 *
 * The pool comes into being with the first pipe and goes with the loop.
 */
#ifndef WEIR_NET_PIPE_POOL_H
#define WEIR_NET_PIPE_POOL_H

#include "event/loop.h"

#define PIPE_SIZE (1024 * 1024)
#define PIPE_KEEP 32 /* free pipes kept per loop */

struct pipe_pair {
	int r, w;
	uint32_t size; /* bytes it can hold: PIPE_SIZE, or less */
	struct pipe_pair *next;
};

/* Non-blocking, empty.  NULL: no descriptors, no pipe memory left for this user, or no memory; copy
 * instead.
 */
struct pipe_pair *pipe_get(struct loop *l);

/* `dirty`: bytes may be left in it.  NULL is fine. */
void pipe_put(struct loop *l, struct pipe_pair *p, bool dirty);

#endif
