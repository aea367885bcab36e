/* watcher.h - counts how often it is woken. */
#ifndef WEIR_TESTS_WATCHER_H
#define WEIR_TESTS_WATCHER_H

#include "event/loop.h"

struct watcher {
	struct waiter w;
	int wakes;
};

static inline void watcher_wake(struct waiter *w)
{
	container_of(w, struct watcher, w)->wakes++;
}

#endif
