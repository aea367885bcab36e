/* worker.h - a thread that runs a loop.
 *
 *     err = worker_start(&w, "worker-0", &ops, arg);    setup() has run, on the new thread
 *     loop_post(w.loop, &msg->m);
 *     worker_stop(&w);                                  teardown() has run, the thread is gone
 *
 * Signals are blocked on it: they belong to whoever has a signals.h object.
 */
#ifndef WEIR_EVENT_WORKER_H
#define WEIR_EVENT_WORKER_H

#include <pthread.h>
#include <semaphore.h>

#include "event/loop.h"

struct worker;

struct worker_ops {
	/* First thing on the thread.  Not 0: worker_start() returns it and the thread ends, without
	 * teardown().  May be NULL. */
	int (*setup)(struct worker *w, void *arg);
	/* Last thing on the thread, the loop still there: stop timers, free what sessions are left.
	 * May be NULL. */
	void (*teardown)(struct worker *w, void *arg);
};

struct worker {
	struct loop *loop; /* others may post from worker_start() to worker_stop() */
	const struct worker_ops *ops;
	void *arg;
	pthread_t thread;
	sem_t ready;
	int err;
	char name[16]; /* as top and gdb show it */
};

/* 0, or negative with nothing left behind.  `ops` outlives the worker. */
MUST_CHECK int worker_start(struct worker *w, const char *name, const struct worker_ops *ops,
			    void *arg);

/* Any thread but its own; once.  Messages still in its mailbox run here, after the thread's end. */
void worker_stop(struct worker *w);

#endif
