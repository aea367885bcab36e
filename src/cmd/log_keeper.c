#include "cmd/log_keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"

#define LOOK (5 * NSEC_SEC)
#define TIDY (3600 * NSEC_SEC) /* files also grow old while nothing is written */

static void *tidy_main(void *arg)
{
	struct log_keeper *k = arg;

	k->tidy.err = log_files_tidy(k->tidy.path, &k->tidy.keep, time(NULL));
	atomic_store(&k->tidy.done, true);
	return NULL;
}

/* False: the thread is still at work. */
static bool reap(struct log_keeper *k)
{
	if (!k->tidy.started)
		return true;
	if (!atomic_load(&k->tidy.done))
		return false;
	pthread_join(k->tidy.thread, NULL);
	if (k->tidy.err)
		log_msg(LOG_WARN, "log", "old log files of %s: %s", k->tidy.path,
			err_text(k->tidy.err));
	free(k->tidy.path);
	k->tidy.started = false;
	return true;
}

static void start_tidy(struct log_keeper *k)
{
	k->tidy.path = strdup(k->path);
	k->tidy.keep = k->keep;
	atomic_store(&k->tidy.done, false);
	if (k->tidy.path && pthread_create(&k->tidy.thread, NULL, tidy_main, k) == 0) {
		k->tidy.started = true;
		k->next_tidy = loop_now(k->loop) + TIDY;
	} else {
		free(k->tidy.path); /* the next look tries again */
	}
}

/* Somebody may have moved or removed the file, or the last reopening have failed. */
static int put_aside(struct log_keeper *k)
{
	struct timespec now;
	int r = log_follow();

	if (r)
		return r;
	clock_gettime(CLOCK_REALTIME, &now);
	r = log_files_rotate(k->path, &k->keep, &now);
	if (r <= 0)
		return r;
	k->next_tidy = 0;
	return log_reopen();
}

static void look(struct timer *t)
{
	struct log_keeper *k = container_of(t, struct log_keeper, timer);
	int err = put_aside(k);

	if (err && err != k->said)
		log_msg(LOG_WARN, "log", "%s cannot be put aside: %s", k->path, err_text(err));
	k->said = err;
	/* A file that is still written to must not be packed. */
	if (reap(k) && !err && loop_now(k->loop) >= k->next_tidy)
		start_tidy(k);
	timer_set(k->loop, &k->timer, loop_now(k->loop) + LOOK);
}

void log_keeper_init(struct log_keeper *k, struct loop *l)
{
	*k = (struct log_keeper){.loop = l};
	timer_init(&k->timer, look);
}

int log_keeper_set(struct log_keeper *k, const struct config_log *c)
{
	char *path = NULL;

	if (*c->output) {
		path = strdup(c->output);
		if (!path)
			return -ENOMEM;
	}
	free(k->path);
	k->path = path;
	k->keep = (struct log_keep){
		.max_size = c->max_size_MB * 1000000,
		.max_backups = c->max_backups,
		.max_age = c->max_age_days * 86400,
		.compress = c->compress,
	};
	k->next_tidy = 0;
	if (path)
		timer_set(k->loop, &k->timer, loop_now(k->loop));
	else
		timer_stop(&k->timer);
	return 0;
}

void log_keeper_done(struct log_keeper *k)
{
	timer_stop(&k->timer);
	if (k->tidy.started) {
		pthread_join(k->tidy.thread, NULL);
		free(k->tidy.path);
	}
	free(k->path);
	k->path = NULL;
}
