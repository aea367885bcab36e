/* mux.h - a multiplexer: one stream, the carrier, that carries many children.
 *
 * Its owner gives it the carrier and a sink; each child goes to the sink as a stream or a dgram of
 * which query(STREAM_REQUEST) says what it is for, once open() has returned 0.  Rules:
 *
 * M1   The mux owns the wire; a child its receive queue and its window.
 * M2   The owner frees the mux at will; children outlive it, with -ECONNRESET.
 * M3   Freeing an unfinished child resets it, and nobody else.
 * M4   Credit returns when the consumer pulls, not when bytes arrive.
 * M5   One output limit per mux, deficit round robin, chunks of at most 16 KiB.
 * M6   Names: h2c is the connection, h2s one stream of it.
 * M7   drain(): no more children where the peer can be told, but for those that cross with it on the
 *      way; over when the last one has gone, and none has come for a while.
 * M8   Client muxes with room are pooled (mux_pool.h).
 * M9   Glitches (resets, empty frames, pings) are counted per second, and too many end the mux.
 *
 * Threads: the carrier's loop.
 */
#ifndef WEIR_STREAM_MUX_H
#define WEIR_STREAM_MUX_H

#include "stream/sink.h"

struct mux;

struct mux_ops {
	const char *name;
	void (*drain)(struct mux *m, nsec_t quiet);
	void (*free)(struct mux *m); /* the carrier too; any time, from any wake; none follows */
};

/* `ended` is set ahead of sink->closed(), once: nothing more will come, and free() is due.  Freeing it
 * earlier is fine, and then closed() does not come.  */
struct mux {
	const struct mux_ops *ops;
	struct loop *loop;
	int result; /* once ended; 0: in order */
	bool ended;
};

/* What a server mux is given with its carrier. */
struct mux_terms {
	struct sink *sink; /* outlives the mux; called from the loop, never from within a call */
	struct user *user; /* whose every request is; the owner of the mux holds him */
	const void
		*realm; /* whose rules its children follow: what one leaves behind another finds in
			     * the same only */
	struct bufq *first; /* goes out with the first of us, or at the end; emptied; may be NULL */
	_Atomic nsec_t *active; /* when it last did something; outlives the mux; may be NULL */
	bool udp_only;		/* a child that is no UDP is ended, or ends the mux */
};

/* A kind of multiplexer, as a server: carriers.h in proto/ knows them by the name that is asked for. */
struct mux_kind {
	const char *name;
	const char *host; /* the destination that stands for it; exact, whatever the port */
	/* `carrier` is open, and passes.  NULL: no memory, it is freed. */
	struct mux *(*serve)(struct stream *carrier, const struct mux_terms *terms);
};

/* The same as a client: whoever holds it asks it for children, and the pool does (mux_pool.h). */
struct mux_client_kind {
	const char *name;
	bool whole_end; /* a stream's end is that of both directions: no STREAM_HALF_CLOSE */
	/* `carrier` passes, and opens when the loop runs; of `sink` only closed() is called.  `padding`
	 * where the protocol has any.  NULL: no memory, the carrier is freed. */
	struct mux *(*start)(struct stream *carrier, struct sink *sink, bool padding);
	/* A child to `to`: its open() waits for the carrier's.  NULL: no memory. */
	struct stream *(*stream)(struct mux *m, const struct dest *to);
	/* An association; `first` may have no port when it is not known yet.  `id` names it to a server
	 * that remembers some.  NULL: no memory. */
	struct dgram *(*packets)(struct mux *m, const struct dest *first, const uint8_t id[8]);
};

#define MUX_FULL SIZE_MAX

/* How many children speak; MUX_FULL: no more are welcome, for it is full, drained, over, stands still, or
 * has not been heard since it was asked something. */
size_t mux_load(const struct mux *m);

/* Longer than Xray's client keeps a carrier that it does not need: so it is the client who ends it, and
 * nothing of his is on its way then. */
#define MUX_QUIET (40 * NSEC_SEC)

/* Who is never quiet keeps what is drained no longer than that for children that are still to come: a
 * goodbye is said to whoever knows the word, and else a pause of two seconds is enough. */
#define MUX_DRAIN_MAX (10 * 60 * NSEC_SEC)

/* What still comes is served where the peer cannot be told: it is over when it has had no child for
 * `quiet`, at once with 0.  Again: the shorter of the two. */
static inline void mux_drain(struct mux *m, nsec_t quiet)
{
	m->ops->drain(m, quiet);
}

static inline void mux_free(struct mux *m)
{
	if (m)
		m->ops->free(m);
}

#endif
