#include "event/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	int err = w->ops->setup ? w->ops->setup(w, w->arg) : 0;

	pthread_setname_np(pthread_self(), w->name);
	w->err = err;
	sem_post(&w->ready);
	if (err)
		return NULL;
	loop_run(w->loop);
	if (w->ops->teardown)
		w->ops->teardown(w, w->arg);
	return NULL;
}

/* The new thread inherits the mask: no signal can reach it even before its first instruction. */
static int create_thread(struct worker *w)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&w->thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

int worker_start(struct worker *w, const char *name, const struct worker_ops *ops, void *arg)
{
	int err;

	*w = (struct worker){.ops = ops, .arg = arg};
	snprintf(w->name, sizeof(w->name), "%s", name);
	w->loop = loop_new(LOOP_EPOLL, 0);
	if (!w->loop)
		return -ENOMEM;
	sem_init(&w->ready, 0, 0);
	err = create_thread(w);
	if (!err) {
		while (sem_wait(&w->ready) < 0 && errno == EINTR)
			;
		err = w->err;
		if (err)
			pthread_join(w->thread, NULL);
	}
	if (err) {
		sem_destroy(&w->ready);
		loop_free(w->loop);
		w->loop = NULL;
	}
	return err;
}

void worker_stop(struct worker *w)
{
	if (!w->loop)
		return;
	loop_stop(w->loop);
	pthread_join(w->thread, NULL);
	sem_destroy(&w->ready);
	loop_free(w->loop);
	w->loop = NULL;
}
