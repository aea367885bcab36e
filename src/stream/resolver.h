/* resolver.h - names to addresses, as those who dial see it.  dns/ implements it; node wires them.
 *
 * Threads: a resolver belongs to one loop.
 */
#ifndef WEIR_STREAM_RESOLVER_H
#define WEIR_STREAM_RESOLVER_H

#include "event/loop.h"
#include "net/addr.h"

#define RESOLVE_MAX 8

struct resolver;

/* One question, embedded in whoever asks. */
struct resolve {
	struct waiter *waiter; /* queued once, when the answer is here */
	void *query;	       /* the resolver's own; NULL: nothing under way */
	/* 0: addrs[0..n) with n > 0; else -ERR_RESOLVE, -ERR_NO_ADDRESS, -ENOMEM */
	int err;
	int n;
	struct addr addrs[RESOLVE_MAX]; /* port 0; in the order to try them */
};

struct resolver_ops {
	int (*start)(struct resolver *r, struct resolve *q, const char *name);
	void (*cancel)(struct resolver *r, struct resolve *q);
};

struct resolver {
	const struct resolver_ops *ops;
};

/* 0: answered at once, in q.  -EAGAIN: `w` will be queued. */
static inline int resolver_start(struct resolver *r, struct resolve *q, const char *name,
				 struct waiter *w)
{
	*q = (struct resolve){.waiter = w};
	return r->ops->start(r, q, name);
}

static inline void resolver_cancel(struct resolver *r, struct resolve *q)
{
	if (q->query)
		r->ops->cancel(r, q);
}

#endif
