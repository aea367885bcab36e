/* mux_session.h - what smux, yamux and h2mux have in common: the client opens streams, one after the
 * other, and at the server each is handed to whoever stands above with nothing read of it.
 *
 * Threads: the carrier's loop.
 */
#ifndef WEIR_TRANSPORT_MUX_SESSION_H
#define WEIR_TRANSPORT_MUX_SESSION_H

#include "stream/mux_core.h"

struct h2mux;

struct mux_session {
	struct mux_core core;
	/* Of a server: a stream has been opened; it passes.  Called while a codec looks at its input:
	 * nothing is pulled or pushed within.  NULL: we are the client. */
	void (*opened)(struct mux_session *s, struct mux_stream *ms);
	/* Of a client, set by the codec: a new stream.  NULL: no memory, or no number. */
	struct mux_stream *(*open)(struct mux_session *s);
	uint32_t number; /* of the next stream of ours */
	/* of the frame being read: whose data it is, and how much of it is still to come */
	uint32_t stream, left;
	struct h2mux *h2; /* of h2mux alone */
};

/* A child of any of the three. */
struct mux_session_child {
	struct mux_stream ms;
	bool spoken; /* we have said something in it: a client's peer knows of it */
};

static inline struct mux_session *mux_session_of(struct mux_core *m)
{
	return container_of(m, struct mux_session, core);
}

/* Move what has come of the frame's data to its stream, or to nowhere when that has gone.  0: all of
 * it, when `left` is 0, or all that is there.  -EAGAIN: no room.  Others: broken. */
MUST_CHECK int mux_session_body(struct mux_session *s);

/* A new child, handed to `opened`; *out is NULL when that has let it go at once, and its reset has been
 * said.  False: there is none, refuse it. */
MUST_CHECK bool mux_session_accept(struct mux_session *s, uint32_t id,
				   struct mux_session_child **out);

static inline struct mux_session_child *mux_session_find(struct mux_session *s, uint32_t id)
{
	struct mux_child *c = mux_find(&s->core, id);

	return c ? container_of(c, struct mux_session_child, ms.c) : NULL;
}

/* A client's stream, by the next number; the numbers are odd.  NULL: no memory. */
struct mux_session_child *mux_session_open(struct mux_session *s);

/* The peer has given a stream up: a glitch when we had not said anything in it yet (M9). */
MUST_CHECK int mux_session_given_up(struct mux_session *s, const struct mux_session_child *c);

/* Begin to speak one of them over the core's carrier, which has neither seen nor sent a byte of it: as
 * the server where `opened` is set, else as the client; `core.codec` is set.  0 or <0. */
MUST_CHECK int smux_begin(struct mux_session *s);
MUST_CHECK int yamux_begin(struct mux_session *s);
MUST_CHECK int h2mux_begin(struct mux_session *s);

/* By the number that sing-box's hello has for them; it is one of the three. */
MUST_CHECK int mux_session_begin(struct mux_session *s, uint8_t protocol);

static inline bool mux_session_is_client(const struct mux_session *s)
{
	return !s->opened;
}

#define MUX_SESSION_IDLE (300 * NSEC_SEC) /* a carrier without streams is kept so long */
#define MUX_CLIENT_IDLE	 (20 * NSEC_SEC)  /* by a client: less than by any server */

#endif
