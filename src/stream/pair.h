/* pair.h - two ends connected in memory: what one pushes, the other pulls.  For tests, simulations
 * and layers that need a stream where no socket is.
 *
 * Works on any loop, virtual ones included.  Capacity bounds each direction: beyond it push() says
 * -EAGAIN.  Freeing one end is what close() is to TCP: the other reads what was sent, then an
 * orderly end; pushing to it fails with -EPIPE.  With STREAM_ABORT set, or unread bytes left
 * behind, it is a reset: -ECONNRESET, and what was in flight is gone.
 */
#ifndef WEIR_STREAM_PAIR_H
#define WEIR_STREAM_PAIR_H

#include "stream/dgram.h"
#include "stream/stream.h"

/* `capacity`: bytes held per direction, at least 1.  0 or -ENOMEM. */
MUST_CHECK int pair_new(struct loop *l, size_t capacity, struct stream **a, struct stream **b);

/* Break the connection: both ends get `err` (< 0) from pull and push; nothing in flight arrives. */
void pair_reset(struct stream *end, int err);

/* Cut short what `end` sends: the other reads what is in flight, then -ERR_TRUNCATED; what is
 * pushed from now on is taken and lost.
 */
void pair_truncate(struct stream *end);

/* Addresses for STREAM_PEER and STREAM_LOCAL; without them an end has none. */
void pair_set_addr(struct stream *end, const struct addr *peer, const struct addr *local);

/* Say no to STREAM_HALF_CLOSE. */
void pair_set_half_close(struct stream *end, bool can);

/* Whether this end's shut() has been called. */
bool pair_is_shut(const struct stream *end);

/* A pair of datagram ends; each direction holds up to `packets`, more are dropped and counted at
 * the sender.  What arrives carries the destination it was sent to.  Freeing an end ends the other.
 */
MUST_CHECK int pair_dgram_new(struct loop *l, unsigned packets, struct dgram **a, struct dgram **b);

/* From now on a full direction refuses with -EAGAIN instead of dropping. */
void pair_dgram_set_blocking(struct dgram *end);

#endif
