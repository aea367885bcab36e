/* signals.h - signals as events of a loop.
 *
 * Call signals_block() in main() before any thread exists, then signals_open() on the control loop.
 * A child made by child.h starts with an empty mask again.
 */
#ifndef WEIR_EVENT_SIGNALS_H
#define WEIR_EVENT_SIGNALS_H

#include "event/loop.h"

struct signals {
	struct loop *loop;
	struct watch watch;
	/* on the loop's thread, never inside a call */
	void (*caught)(struct signals *s, int signo);
};

/* `list` ends with 0.  SIGPIPE is ignored from then on: a write to a dead peer is an error, no
 * more.
 */
void signals_block(const int *list);

/* Catch those of `list`, which must be blocked in every thread.  0 or -errno. */
MUST_CHECK int signals_open(struct signals *s, struct loop *l, const int *list,
			    void (*caught)(struct signals *s, int signo));
void signals_close(struct signals *s); /* idempotent after a successful open */

/* "SIGTERM", as people say it.  Any thread. */
const char *signal_name(int signo);

#endif
