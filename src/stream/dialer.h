/* dialer.h - how streams are obtained: direct (with happy eyeballs), through a proxy, never
 * (block).
 *
 * A dial is one attempt to reach one destination.  Start it, wait on its waiter, ask for the
 * result:
 *
 *     d = dialer_dial(dialer, loop, &dest, &self->waiter);      NULL: no memory
 *     ... in the wake: err = dial_result(d, &stream);           -EAGAIN: spurious, keep waiting
 *
 * dial_result() returning anything but -EAGAIN ends the dial; dial_cancel() ends it at any time.
 * The stream obtained is open(): ready to push.
 */
#ifndef WEIR_STREAM_DIALER_H
#define WEIR_STREAM_DIALER_H

#include "stream/dgram.h"
#include "stream/stream.h"

struct dial;
struct dialer;

struct dial_ops {
	int (*result)(struct dial *d, struct stream **out);
	void (*cancel)(struct dial *d);
};

struct dial {
	const struct dial_ops *ops;
};

struct dialer_ops {
	const char *name; /* "direct", "block", "socks" */
	struct dial *(*dial)(struct dialer *d, struct loop *l, const struct dest *to,
			     struct waiter *w);
	/* A datagram association; each packet names its own destination.  0 or <0. */
	int (*dgram)(struct dialer *d, struct loop *l, const struct dest *first,
		     struct dgram **out);
};

/* Immutable after construction, shared by threads or one per worker: the owner says which. */
struct dialer {
	const struct dialer_ops *ops;
};

static inline struct dial *dialer_dial(struct dialer *d, struct loop *l, const struct dest *to,
				       struct waiter *w)
{
	return d->ops->dial(d, l, to, w);
}

static inline int dialer_dgram(struct dialer *d, struct loop *l, const struct dest *first,
			       struct dgram **out)
{
	return d->ops->dgram(d, l, first, out);
}

static inline int dial_result(struct dial *d, struct stream **out)
{
	return d->ops->result(d, out);
}

static inline void dial_cancel(struct dial *d)
{
	if (d)
		d->ops->cancel(d);
}

#endif
