/* hosted.h - what runs beside the nodes of `weir run`: the sections Manager and Yassp.
 *
 * Each is a part with a life of its own: one that cannot start is tried again every 30 s, and as soon as
 * another has ended; one that has changed ends and starts anew, one that has not is not touched.
 *
 *     hosted_init(&h, &world);
 *     hosted_apply(&h, NULL, conf, &sections);      and again at each reload
 *     hosted_stop(&h, grace, stopped, arg);
 *     hosted_done(&h);
 *
 * Threads: control only.
 */
#ifndef WEIR_CMD_HOSTED_H
#define WEIR_CMD_HOSTED_H

#include <limits.h>

#include "cmd/sections.h"

struct hosted_world {
	struct loop *loop;
	struct workers *workers;
	struct http *http;
	const char *state_dir; /* copied */
};

struct hosted {
	struct hosted_world world;
	char state_dir[PATH_MAX];
	struct list_node parts;
	unsigned count;
	bool stopping;
	struct waiter gone; /* nothing is left */
	void (*stopped)(void *arg);
	void *arg;
};

void hosted_init(struct hosted *h, const struct hosted_world *world);

/* From what `before` says (NULL: nothing runs) to what `now` does, whose sections these are: they are
 * taken over.  What is no longer there has `drain` to end.
 */
void hosted_apply(struct hosted *h, const struct config *before, const struct config *now,
		  struct sections *s, nsec_t drain);

void hosted_sync(struct hosted *h); /* counters to disk */

/* Once.  Everything ends and is reported; what drains already, within `grace`, too. */
void hosted_stop(struct hosted *h, nsec_t grace, void (*stopped)(void *arg), void *arg);
void hosted_hurry(struct hosted *h); /* after that: what is not reported waits in the ledgers */
void hosted_done(struct hosted *h);  /* after `stopped`, or where nothing was started */

#endif
