/* relay.h - carries bytes between two open streams until both directions have ended.
 *
 * Per direction copy or splice, chosen by what the streams offer, re-asked while it runs (a layer
 * may start to bypass).  Bytes are metered while they move: look at the allowance before, count once
 * taken from the sender and before handing on, so client-received <= billed <= target-sent at any
 * moment.  Half-close is carried; the idle timer runs on both directions together; once one
 * direction has ended the linger timer bounds the other's silence.  Buffers exist only in flight.
 *
 * The owner embeds it, and is woken through `done` exactly once, with `result` set, when nothing more
 * will move.  The streams stay the owner's: it frees them after relay_stop() or after `done`.
 *
 * Threads: the streams' loop.
 */
#ifndef WEIR_STREAM_RELAY_H
#define WEIR_STREAM_RELAY_H

#include "stream/stream.h"

enum relay_dir {
	RELAY_UP,   /* from `a`, the user, to `b`, the target */
	RELAY_DOWN, /* back */
};

/* Who counts and limits.  Both functions run on the data path. */
struct meter {
	/* How many of `want` bytes may move now (> 0), or 0 with *pause > 0: ask again then. */
	size_t (*allow)(struct meter *m, enum relay_dir dir, size_t want, nsec_t now, nsec_t *pause);
	/* These bytes have been taken from their sender. */
	void (*count)(struct meter *m, enum relay_dir dir, size_t bytes, nsec_t now);
};

struct relay_conf {
	nsec_t idle;   /* no byte either way for this long ends it with -ERR_IDLE; 0: never */
	nsec_t linger; /* the same once one direction has ended; 0: never */
	bool splice;   /* allowed to splice */
};

struct pipe_pair;

struct relay_flow {
	struct stream *src, *dst;
	struct bufq queue;	/* in flight, copy mode */
	struct pipe_pair *pipe; /* in flight, splice mode */
	uint32_t in_pipe;
	uint32_t read_size;	/* adaptive, 16 KiB .. 256 KiB */
	uint64_t bytes;		/* taken from src */
	bool eof, done;
	uint8_t mode, quiet;
};

struct relay {
	struct relay_flow flow[2]; /* by enum relay_dir */
	struct meter *meter;	   /* NULL: neither counted nor limited */
	const struct relay_conf *conf; /* outlives the relay */
	struct loop *loop;
	struct waiter run;
	struct timer timer; /* idle, linger and rate pauses */
	nsec_t last;	    /* when a byte last moved */
	nsec_t pause_until[2];
	struct waiter *done;
	int result; /* 0: both directions ended in order */
};

/* `first` (may be NULL) is sent to `a` before anything from `b`; not metered; it is left empty. */
void relay_start(struct relay *r, struct loop *loop, struct stream *a, struct stream *b,
		 struct bufq *first, struct meter *meter, const struct relay_conf *conf,
		 struct waiter *done);
void relay_stop(struct relay *r); /* no wake follows; idempotent */

/* Spliced bytes since start, for metrics and tests. */
uint64_t relay_spliced(const struct relay *r);

#endif
