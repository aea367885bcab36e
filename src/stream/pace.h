/* pace.h - when a relay may take again, and when it has been silent for too long: what relay.h and
 * dgram_relay.h have in common.
 *
 * Bytes or packets are metered while they move: look at the allowance before, count once taken from
 * the sender and before handing on, so client-received <= billed <= target-sent at any moment.  A
 * direction that is over its rate is paused until a time that the meter says; the one timer serves
 * pauses and silence.
 *
 * Threads: the relay's loop.
 */
#ifndef WEIR_STREAM_PACE_H
#define WEIR_STREAM_PACE_H

#include "event/loop.h"

enum relay_dir {
	RELAY_UP,   /* from `a`, the user, to `b`, the target */
	RELAY_DOWN, /* back */
};

/* Who counts and limits.  Both functions run on the data path. */
struct meter {
	/* How many of `want` bytes may move now (> 0), or 0 with *pause > 0: ask again then. */
	size_t (*allow)(struct meter *m, enum relay_dir dir, size_t want, nsec_t now,
			nsec_t *pause);
	/* These bytes have been taken from their sender. */
	void (*count)(struct meter *m, enum relay_dir dir, size_t bytes, nsec_t now);
};

struct pace {
	struct loop *loop;
	struct meter *meter;   /* NULL: neither counted nor limited */
	struct timer timer;    /* the relay's: silence and pauses, and what else it waits for */
	nsec_t last;	       /* when something last moved */
	nsec_t pause_until[2]; /* by enum relay_dir; told so by the meter; 0: not paused */
};

void pace_init(struct pace *p, struct loop *l, struct meter *meter, void (*fire)(struct timer *t));

/* How much may be taken now; 0: paused, and the timer will tell once it is armed. */
size_t pace_allow(struct pace *p, enum relay_dir dir, size_t want);

/* Something has been taken now, of `bytes` (may be 0). */
void pace_count(struct pace *p, enum relay_dir dir, size_t bytes);

/* When silence has lasted for `limit`; 0: never, as is a limit of 0.  Time spent paused is no
 * silence.
 */
nsec_t pace_silence(const struct pace *p, nsec_t limit);

/* The timer fires at `at` (0: never) or earlier.  It is moved only to come earlier: what moves pushes
 * the deadline away, and a timer that fires too early sets itself again.
 */
void pace_arm(struct pace *p, nsec_t at);

/* For silence and both pauses. */
void pace_arm_all(struct pace *p, nsec_t limit);

/* From the timer: is a pause over?  Then the relay runs again. */
bool pace_resume(struct pace *p);

#endif
