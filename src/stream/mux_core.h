/* mux_core.h - what every multiplexer has in common: for those who write one.
 *
 * The core owns the carrier: it reads it into `in` and lets the codec look at that, writes what the
 * codec has put into `out`, keeps the children by number, and holds M1-M5, M7 and M9.  A codec knows
 * the frames of its protocol, and is told what a child wants to say.
 *
 * Backwards: when a child's queue is full (MUX_CHILD_MAX, or MUX_TOTAL_MAX of all), the codec stops
 * in front of the frame (-EAGAIN) and the carrier is not read until there is room.  A child that takes
 * nothing for MUX_STALL while there are others is ended; one that is alone holds up nobody that is known,
 * and its peer waits as he would without a multiplexer, for MUX_STALL_ALONE.  A protocol with windows
 * grants no more than there is room for, so that it never comes to that.
 *
 * Forwards: children push straight into `out`, in turn, MUX_QUANTUM each, while it has less than
 * MUX_OUT_MAX.  Frames of the codec's own (answers, pings) may exceed that a little; then the carrier
 * is not read, so that who asks without listening gets no more.
 *
 * The core outlives its owner until the last child has been freed (M2).
 */
#ifndef WEIR_STREAM_MUX_CORE_H
#define WEIR_STREAM_MUX_CORE_H

#include "base/hash.h"
#include "base/list.h"
#include "base/wr.h"
#include "stream/mux.h"

#define MUX_CHUNK     16384 /* of data in one frame, at most */
#define MUX_QUANTUM   16384 /* of one child at its turn */
#define MUX_OUT_MAX   (128 * 1024)
#define MUX_OUT_OVER  (64 * 1024) /* beyond that: nothing is read that might be answered */
#define MUX_READ_MAX  (64 * 1024) /* in `in`: a frame's head and data that are looked at together */
#define MUX_CHILD_MAX (256 * 1024) /* unread bytes of one child */
#define MUX_TOTAL_MAX (4 * 1024 * 1024)
#define MUX_CHILDREN  4096
#define MUX_STALL     (20 * NSEC_SEC)
#define MUX_STALL_ALONE \
	(5 * 60 * NSEC_SEC) /* of one that is alone: as long as any connection may be silent */
#define MUX_STRAY \
	(16 * 1024 * 1024) /* for children that have gone: what may be on its way to one */
#define MUX_GLITCHES 500   /* per second */
#define MUX_SILENCE \
	(10 * NSEC_SEC) /* a carrier that owes an answer for so long gets no more children */

struct mux_core;
struct mux_child;

struct mux_codec {
	const char *name;
	size_t child_size; /* of what mux_stream_new() makes; begins with a struct mux_stream */
	size_t frame_max;  /* of data in one frame; <= MUX_CHUNK */
	nsec_t idle;	   /* without a child for so long: over, in order; 0: never */

	/* Look at m->in: take whole frames (and parts of data) off its front.  0: nothing left to look
	 * at.  -EAGAIN: a child has no room (mux_stall() has been called).  <0: the carrier is broken. */
	int (*input)(struct mux_core *m);
	/* The first `n` (<= frame_max, > 0) bytes of `src` into m->out, as one frame.  0 or <0. */
	int (*data)(struct mux_core *m, struct mux_child *c, struct bufq *src, size_t n);
	/* No more data of ours.  0 or <0. */
	int (*fin)(struct mux_core *m, struct mux_child *c);
	/* A child goes that was not at its end (M3).  0 or <0. */
	int (*reset)(struct mux_core *m, struct mux_child *c);
	/* The consumer has pulled `n` bytes (M4).  NULL: the protocol has no windows. */
	int (*pulled)(struct mux_core *m, struct mux_child *c, size_t n);
	/* An end of ours is that of both directions: children say no to STREAM_HALF_CLOSE. */
	bool whole_end;
	/* How much it may send now; when that grows from 0, call mux_child_writable().  NULL: no windows. */
	size_t (*window)(const struct mux_child *c);
	/* Of a client: the server wants no more children at once.  NULL: it has no word for that. */
	bool (*full)(const struct mux_core *m);
	/* Drained: tell the peer that no more children are welcome (M7).  Asked at each turn; `quiet`: there
	 * is none, and has been none for as long as was to be waited, or it has taken MUX_DRAIN_MAX.  0: all
	 * is said; -EAGAIN: not yet, and what comes is welcome (`farewell`: when to ask at the latest); <0.
	 * NULL: it cannot be told. */
	int (*go_away)(struct mux_core *m, bool quiet);
	/* What the codec itself holds; the memory of the core goes afterwards.  May be NULL. */
	void (*done)(struct mux_core *m);
};

/* Begins the codec's own struct, which is calloc()ed. */
struct mux_core {
	struct mux mux;
	const struct mux_codec *codec;
	struct stream *lower;
	struct bufq in, out; /* for the codec */
	struct mux_terms terms;
	struct addr peer, local; /* the carrier's; len 0: unknown */

	/* the core's own */
	struct waiter run;
	struct timer timer;
	struct list_node children, writers; /* all that the peer can name; who waits for his turn */
	struct list_node streams;	    /* of mux_stream.link: all that have not been freed */
	struct mux_child **table;
	struct hash_key key;	  /* of the table */
	size_t nslots, nchildren; /* slots: a power of two */
	size_t held;		  /* of memory in the queues of children: the sum of their `cost` */
	size_t first;		  /* bytes of `out` that wait for company */
	/* Of a server that answers each child: says that it could not be served.  May be NULL. */
	void (*refusal)(struct wr *w, int err);
	unsigned refs; /* the owner's, and one per child that has not been freed */
	unsigned glitches;
	size_t stray; /* bytes for children that there are none, since the last one went */
	nsec_t glitch_since, idle_since, stalled_since;
	nsec_t asked;	/* a child has said something, and nothing has come since; 0: it has */
	nsec_t quiet;	/* drained: without a child for so long, it is over */
	nsec_t overdue; /* when nothing is waited for any more that may be avoided; 0: not drained */
	nsec_t farewell;	   /* of go_away(), which sets it; 0: none */
	size_t nparting;	   /* children that have nothing more to say, and listen */
	struct mux_child *stalled; /* the codec waits for its room */
	int failed;		   /* found outside of the core's turn: ends the mux at the next */
	bool open, draining, gone;
	bool heard; /* something has come */
};

struct mux_child {
	struct mux_core *m;
	struct mux_child *next; /* in its slot */
	struct list_node link, turn;
	uint32_t id;
	int32_t deficit; /* what it may still send before others have their turn */
	bool attached;	 /* the peer can name it */
	bool parting;	 /* counted in `nparting` */
	struct waiter *rd, *wr;
	/* The carrier has gone.  <0: nothing has ever come from it, and that is why. */
	void (*lost)(struct mux_child *c, int err);
};

/* A child that is a stream. */
struct mux_stream {
	struct mux_child c;
	struct stream s;
	struct list_node link;
	struct bufq in;
	size_t cost;	 /* what `in` counts for */
	nsec_t progress; /* when its consumer last took something, or had nothing to take */
	int err;	 /* behind what is queued; 0: none */
	bool eof;	 /* likewise: an orderly end */
	bool fin;	 /* we have ended */
	bool spoken;	 /* we have sent something */
	struct stream_request request; /* user set; the codec fills the rest, if it knows */
	bool known;		       /* it has: STREAM_REQUEST is answered */
};

/* ---- the mux ------------------------------------------------------------------------------- */

/* `m` begins a calloc()ed object, which passes, as does `lower`.  Nothing runs before the loop does. */
struct mux *mux_core_start(struct mux_core *m, const struct mux_codec *codec, struct stream *lower,
			   const struct mux_terms *terms);
/* Something is in m->out, or there is reason to look again. */
void mux_kick(struct mux_core *m);
/* One glitch: 0, or -ERR_PROTOCOL when it was one too many (M9). */
MUST_CHECK int mux_glitch(struct mux_core *m);
/* `n` bytes, of data or of a frame's head, are passed over because nobody has that number, and nobody
 * is billed for them: 0, or -ERR_PROTOCOL when they are more than could have been on their way to one
 * that has gone (M9). */
MUST_CHECK int mux_stray(struct mux_core *m, size_t n);
/* Broken outside of input(): `err` (< 0) ends the mux at its next turn. */
void mux_fail(struct mux_core *m, int err);

/* Into m->out: `head` and then `n` bytes of `src` (NULL: none), without copying where it can be.  0 or
 * -ENOMEM, which breaks the carrier. */
MUST_CHECK int mux_emit(struct mux_core *m, const void *head, size_t len, struct bufq *src,
			size_t n);

/* ---- children ------------------------------------------------------------------------------ */

struct mux_child *mux_find(const struct mux_core *m, uint32_t id);
/* Room for one more: else refuse it. */
bool mux_has_room(const struct mux_core *m);

/* A child that the codec has made itself (a dgram): by `id`, which is free.  0 or -ENOMEM. */
MUST_CHECK int mux_child_add(struct mux_core *m, struct mux_child *c, uint32_t id);
/* The peer can no longer name it: its number is free.  Idempotent. */
void mux_child_detach(struct mux_child *c);
void mux_child_part(struct mux_child *c); /* it has nothing more to say */
/* What a child leaves behind it counts as one in mux_has_room(): until it is let go, the core stays. */
void mux_hold(struct mux_core *m);
void mux_let_go(struct mux_core *m);
/* Its memory goes (by the caller's loop_free_later()): the core may go with it. */
void mux_child_gone(struct mux_child *c);
/* How many of `want` bytes it may put out now (M5); 0: want() WR. */
size_t mux_child_turn(struct mux_child *c, size_t want);
void mux_child_sent(struct mux_child *c, size_t n); /* packets may overdraw */
/* Waiting: for its turn, or for mux_child_wake(). */
void mux_child_want(struct mux_child *c, unsigned ev, struct waiter *w);
void mux_child_wake(struct mux_child *c, unsigned ev);
void mux_child_writable(struct mux_child *c); /* its window has grown */

/* A stream by `id`, which is free; open, and not handed to the sink yet: the codec does that, with a
 * request in it or with a layer around it that reads one.  NULL: no memory. */
struct mux_stream *mux_stream_new(struct mux_core *m, uint32_t id);
struct mux_stream *mux_stream_of(struct mux_child *c); /* NULL: it is no stream */
/* Bytes that may be fed now.  0: mux_stall(), and -EAGAIN from input(). */
size_t mux_stream_room(const struct mux_stream *ms);
void mux_stall(struct mux_stream *ms);
void mux_stalled(struct mux_core *m, nsec_t now); /* the core's: the deadline has come */
/* The first `n` bytes of `q` are its.  0 or -ENOMEM. */
MUST_CHECK int mux_stream_feed(struct mux_stream *ms, struct bufq *q, size_t n);
/* The same of bytes that lie elsewhere: a copy of them. */
MUST_CHECK int mux_stream_append(struct mux_stream *ms, const void *data, size_t n);
/* The peer has ended: 0 in order (whatever half), <0 cut off; behind what is queued. */
void mux_stream_end(struct mux_stream *ms, int err);

#endif
