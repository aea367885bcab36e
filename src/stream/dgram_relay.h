/* dgram_relay.h - carries packets between two dgrams until either ends or both fall silent.
 *
 * Metered like relay.h: payload bytes are counted once a packet has been taken from its sender, and
 * nothing is taken from a direction that is over its rate: what the carrier cannot hold meanwhile
 * is lost where UDP loses.  A receiver that is full stops its direction the same way; at most one
 * batch waits for it.
 *
 * The owner embeds it and is woken through `done` exactly once, with `result` set.  The dgrams stay
 * the owner's: it frees them after dgram_relay_stop() or after `done`.
 *
 * Threads: the dgrams' loop.
 */
#ifndef WEIR_STREAM_DGRAM_RELAY_H
#define WEIR_STREAM_DGRAM_RELAY_H

#include "stream/dgram.h"
#include "stream/pace.h"

struct dgram_flow {
	struct dgram *src, *dst;
	struct packet *held; /* taken, refused by dst; NULL: none */
	int nheld;
	uint64_t packets, bytes; /* taken from src */
};

struct dgram_relay {
	struct dgram_flow flow[2]; /* by enum relay_dir */
	struct pace pace;
	struct waiter run;
	nsec_t idle; /* no packet either way for this long ends it with -ERR_IDLE; 0: never */
	struct waiter *done;
	int result; /* 0: one side ended in order */
	bool ended;
};

/* `meter` NULL: neither counted nor limited. */
void dgram_relay_start(struct dgram_relay *r, struct dgram *a, struct dgram *b, struct meter *meter,
		       nsec_t idle, struct waiter *done);

/* As relay_stop(): no wake follows, not even a `done` that is queued; idempotent; the dgrams are
 * freed in the same turn, or the relay outlives them.
 */
void dgram_relay_stop(struct dgram_relay *r);

#endif
