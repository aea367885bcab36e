/* relay.h - carries bytes between two open streams until both directions have ended.
 *
 * Per direction copy or splice, chosen by how big the reads are and by what the streams offer.  A
 * stream that may still become raw (a layer above one that may start to bypass) says -EAGAIN and is
 * asked again with the next big read; one that says -ENOTSUP never will be: all that follows is
 * copied.  Bytes are metered while they move (pace.h).  Half-close is carried; the idle timer runs on
 * both directions together; once one direction has ended the linger timer bounds the other's silence.
 * Buffers exist only in flight.
 *
 * A stream that cannot half-close is shut only when nothing more will come from it, or when the
 * linger time is over: that is an orderly end for it.  A side that fails to take bytes is still
 * read to its end, within the linger time: an answer sent ahead of a reset arrives.  Every other
 * error ends the relay at once.
 *
 * The owner embeds it, and is woken through `done` exactly once, with `result` set, when nothing
 * more will move.  The streams stay the owner's: it frees them after relay_stop() or after `done`.
 *
 * Threads: the streams' loop.
 */
#ifndef WEIR_STREAM_RELAY_H
#define WEIR_STREAM_RELAY_H

#include "stream/pace.h"
#include "stream/stream.h"

struct relay_conf {
	nsec_t idle;   /* no byte either way for this long ends it with -ERR_IDLE; 0: never */
	nsec_t linger; /* the same once one direction has ended, where shorter; 0: no difference */
	bool splice;   /* allowed to splice */
	bool resets;   /* a reset behind an end of stream ends it at once, not with the next byte */
};

struct pipe_pair;

/* The relay's own; others may read `bytes`. */
struct relay_flow {
	struct stream *src, *dst;
	struct bufq queue;	/* in flight, copied */
	struct pipe_pair *pipe; /* in flight, spliced; held only while it holds something */
	uint64_t bytes;		/* taken from src */
	uint32_t in_pipe;
	bool eof;  /* src has ended, or dst takes no more */
	bool done; /* and dst has been told */
	uint8_t mode : 4, quiet : 4;
	uint8_t held;	      /* of the pool's memory, in its chunks, for what the pipe may hold */
	uint32_t since;	      /* us; gathering: the last arrival, else the first of `small` */
	uint16_t small;	      /* arrivals in a row that were bulk, and yet small */
	uint8_t gathered;     /* since it began, in pieces of BIG; no more than make it worth it */
	uint8_t patience : 7; /* how many small ones are needed, by powers of two */
	bool gathering : 1;   /* only many bytes at once wake us */
};

#define RELAY_HEAD 16

struct relay {
	struct relay_flow flow[2]; /* by enum relay_dir */
	struct pace pace;
	const struct relay_conf *conf; /* outlives the relay */
	struct waiter run;
	uint64_t spliced;
	struct waiter *done;
	uint8_t head[RELAY_HEAD], nhead; /* waits for the first byte to `a`, or its end */
	int result; /* 0: both directions ended in order; else the first error */
	bool ended;
	bool queued_bulk; /* waits, or runs, among those who move much */
	uint8_t bulk;	  /* what came in big reads of late, in pieces of BULK_PIECE */
};

/* Both streams are open().  `first` (may be NULL, at most RELAY_HEAD bytes) goes to `a` together
 * with the first bytes from `b`, or alone before the end when there are none: a protocol's answer,
 * which would give itself away as a record of its own.  It is not metered, and left empty.
 */
struct relay_plan {
	struct stream *a, *b;
	struct bufq *first;
	struct meter *meter;	       /* NULL: neither counted nor limited */
	const struct relay_conf *conf; /* outlives the relay */
	struct waiter *done;
};

/* Nothing moves before the next wake. */
void relay_start(struct relay *r, const struct relay_plan *plan);

/* No wake follows: a `done` that is queued and has not run is called off.  Idempotent.  The streams
 * may still hold the relay's waiter: they are freed in the same turn, or the relay outlives them.
 */
void relay_stop(struct relay *r);

/* Bytes are in flight, and none has moved since `since`. */
bool relay_stuck(const struct relay *r, nsec_t since);

/* Spliced bytes since start, for metrics and tests. */
uint64_t relay_spliced(const struct relay *r);

#endif
