/* wheel.h - the timers of one loop: a hierarchical wheel of 1 ms ticks.
 *
 * Eight levels of 64 slots, one slot of level n being 64^n ticks.  A timer lies at the level of the
 * highest digit (base 64) in which its tick differs from the current one, so all of level n comes
 * before all of level n+1, and looking for what is next is one look at a bitmap per level.  When
 * time enters a slot of a higher level, its timers are dealt out again below: at most seven moves
 * in a timer's life, and timers of one tick fire in the order in which they were set.
 *
 * timer_stop() knows no wheel and leaves the bitmap alone: a bit may stand for an empty slot, and
 * is cleared when that is noticed.
 *
 * Only the loop uses this; everybody else uses timer_set() and timer_stop() of loop.h.
 */
#ifndef WEIR_EVENT_WHEEL_H
#define WEIR_EVENT_WHEEL_H

#include "event/loop.h"

#define WHEEL_TICK   NSEC_MS
#define WHEEL_BITS   6
#define WHEEL_SLOTS  (1 << WHEEL_BITS)
#define WHEEL_LEVELS 8
#define WHEEL_NEVER  INT64_MAX

struct wheel {
	uint64_t tick; /* everything up to here is due or has fired */
	uint64_t used[WHEEL_LEVELS];
	struct list_node due; /* to fire now, in order */
	struct list_node slot[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, nsec_t now);

/* Unlinks every timer: each is as if stopped. */
void wheel_done(struct wheel *w);

/* `t` is in no list.  At or before `now`: due at once. */
void wheel_add(struct wheel *w, struct timer *t, nsec_t now);

/* Moves what has come due by `now` to `due`. */
void wheel_advance(struct wheel *w, nsec_t now);

/* When wheel_advance() has something to do next, WHEEL_NEVER if nothing is set, 0 if timers are
 * due.  It may be before the first timer: then there are slots to deal out.
 */
nsec_t wheel_next(struct wheel *w);

#endif
