/* mux_pool.h - client multiplexers with room are pooled (M8).
 *
 * A child goes to a carrier that has room for it; where none has, another carrier is made.  One that is
 * drained, over, stands still, or owes an answer for MUX_SILENCE is not picked; one without children ends by
 * itself, and one that breaks takes its own children along and nobody else's.
 *
 * An association of packets outlives its carrier: the next packet takes it to another one, under the id it
 * had, so that a server that remembers ids finds its socket.  Only a carrier that cannot be opened ends it.
 *
 * Threads: one per loop.
 */
#ifndef WEIR_STREAM_MUX_POOL_H
#define WEIR_STREAM_MUX_POOL_H

#include "base/list.h"
#include "stream/mux.h"

struct mux_pool_conf {
	const struct mux_client_kind *kind;
	bool padding;
	/* Children of one carrier; 0: as many as it takes. */
	unsigned streams;
	/* Carriers, 0: as many as it takes.  Where set, a child goes to the least busy one, a new one is
	 * made when each has `min_streams`, and `streams` means nothing. */
	unsigned carriers, min_streams;
	bool no_quic; /* packets to port 443 are dropped, so that browsers take TCP */
};

struct mux_pool {
	const struct mux_pool_conf *conf;
	/* A stream that asks for the kind's carrier, opening.  NULL: no memory. */
	struct stream *(*carrier)(void *arg, struct loop *l);
	void *arg;
	struct list_node carriers;
	size_t ncarriers;
};

/* `conf` and `arg` outlive it. */
void mux_pool_init(struct mux_pool *p, const struct mux_pool_conf *conf,
		   struct stream *(*carrier)(void *arg, struct loop *l), void *arg);
/* Ends all carriers (M2); fine on one that is zero-filled. */
void mux_pool_done(struct mux_pool *p);

/* A child to `to`: open() waits for its carrier, and says why that cannot be opened.  NULL: no memory. */
struct stream *mux_pool_stream(struct mux_pool *p, struct loop *l, const struct dest *to);
/* An association, which the pool outlives.  `first` may have no port.  NULL: no memory. */
struct dgram *mux_pool_packets(struct mux_pool *p, struct loop *l, const struct dest *first);

#endif
