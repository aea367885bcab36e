/* replay.h - what must not come twice (salts, auth ids), shared by all workers of an inbound.
 *
 * Check and insert are one step, taken after the owner has authenticated: strangers cannot fill it.
 * Our own salts go in too, so that an answer thrown back at us is recognised.
 *
 * Where every request says its time, what is older than that may differ cannot be accepted anyway, and
 * everything is kept that long (timed).  Without a clock the latest so many are remembered, in bounded
 * memory (counted).  What is kept is eight bytes of keyed hash.
 *
 * Threads: replay_add() from any worker.
 */
#ifndef WEIR_PROTO_REPLAY_H
#define WEIR_PROTO_REPLAY_H

#include "base/base.h"

struct replay;

/* Each one for `keep` to twice as long.  0 or -ENOMEM. */
MUST_CHECK int replay_new_timed(nsec_t keep, struct replay **out);

/* The latest `min` to twice as many.  0 or -ENOMEM. */
MUST_CHECK int replay_new_counted(uint32_t min, struct replay **out);
void replay_free(struct replay *r); /* NULL is fine */

/* Remember this one (16 to 32 bytes; of one memory not always the same number).  0; -ERR_REPLAY:
 * it has been there before; -ERR_AUTH: there is no memory to remember it in.
 */
MUST_CHECK int replay_add(struct replay *r, const uint8_t *salt, size_t len, nsec_t now);

#endif
