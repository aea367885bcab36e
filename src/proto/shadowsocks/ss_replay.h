/* ss_replay.h - salts that must not come twice, shared by all workers of an inbound.
 *
 * Check and insert are one step, taken after the salt's owner has authenticated: strangers cannot fill
 * it.  Our own salts go in too, so that an answer thrown back at us is recognised.
 *
 * 2022 methods have a clock in every request, so what is older than SS_REPLAY_KEEP cannot be accepted
 * anyway, and every salt is kept that long.  AEAD methods have no clock: the latest SS_REPLAY_MIN to
 * twice as many salts are remembered, in bounded memory.  What is kept is eight bytes of keyed hash.
 *
 * Threads: ss_replay_add() from any worker.
 */
#ifndef WEIR_PROTO_SHADOWSOCKS_REPLAY_H
#define WEIR_PROTO_SHADOWSOCKS_REPLAY_H

#include "base/base.h"

#define SS_REPLAY_KEEP (60 * NSEC_SEC)
#define SS_REPLAY_MIN  (1u << 16)
/* Of UDP packets: two small tables that stay in the cache.  Of busy ports neither number looks back long. */
#define SS_REPLAY_PACKETS (1u << 13)

struct ss_replay;

/* `timed`: 2022.  0 or -ENOMEM. */
MUST_CHECK int ss_replay_new(bool timed, struct ss_replay **out);

/* For other protocols: by the clock, each one for `keep` to twice as long. */
MUST_CHECK int ss_replay_new_for(nsec_t keep, struct ss_replay **out);
void ss_replay_free(struct ss_replay *r); /* NULL is fine */

/* Of AEAD, before the first salt: another number than SS_REPLAY_MIN. */
void ss_replay_set_min(struct ss_replay *r, uint32_t min);

/* Remember this salt (16 to 32 bytes; of one memory not always the same number).  0; -ERR_REPLAY:
 * it has been there before; -ERR_AUTH: there is no memory to remember it in.
 */
MUST_CHECK int ss_replay_add(struct ss_replay *r, const uint8_t *salt, size_t len, nsec_t now);

#endif
