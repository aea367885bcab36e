/* rate.h - a byte-rate limit shared by all connections of one user, on every worker.
 *
 * The whole state is one timestamp: when everything charged so far would be paid off at the agreed
 * rate.  Look before moving bytes, move at most a quantum, charge after:
 *
 *     pause = rate_wait(r, now);
 *     if (pause > 0)
 *             return come_back_in(pause);
 *     moved = move_at_most(rate_quantum(rate_get(r)));
 *     rate_charge(r, now, moved);
 *
 * Debt runs from the time that was promised, not from the time somebody woke up: a timer that is
 * late by up to RATE_SLACK costs nothing.  Who was quiet for longer than that starts afresh, so an
 * idle user has saved up no burst.
 *
 * Threads: everything from any worker; rate_set() from control.
 */
#ifndef WEIR_USER_RATE_H
#define WEIR_USER_RATE_H

#include <stdatomic.h>

#include "base/base.h"

#define RATE_SLACK	 (20 * NSEC_MS)
#define RATE_QUANTUM_MIN 2048
#define RATE_QUANTUM_MAX 65536

struct rate {
	_Atomic uint64_t Bps;	/* bytes per second; 0: no limit */
	_Atomic nsec_t paid_at; /* when the debt is paid off */
};

/* Change the limit while others use it.  A change forgives the debt made under the old rate, which
 * is about one quantum per connection.
 */
void rate_set(struct rate *r, uint64_t Bps);

static inline uint64_t rate_get(const struct rate *r)
{
	return atomic_load_explicit(&r->Bps, memory_order_relaxed);
}

/* The most that one look entitles to: 20 ms' worth, at least 2 KiB, at most 64 KiB. */
static inline size_t rate_quantum(uint64_t Bps)
{
	return (size_t)MIN(MAX(Bps / 50, (uint64_t)RATE_QUANTUM_MIN), (uint64_t)RATE_QUANTUM_MAX);
}

/* Nanoseconds until bytes may move again; 0 means now. */
nsec_t rate_wait(const struct rate *r, nsec_t now);

/* Both at once: how much of `want` may move now; 0: nothing for *pause. */
size_t rate_allow(const struct rate *r, size_t want, nsec_t now, nsec_t *pause);

/* `bytes` have moved.  One compare-and-swap; nothing when there is no limit. */
void rate_charge(struct rate *r, nsec_t now, size_t bytes);

#endif
