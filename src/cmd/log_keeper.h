/* log_keeper.h - keeps the program's log file within its limits: looks at its size every few
 * seconds; what has been put aside is compressed and removed by a thread of its own.
 *
 * Everything here is the control thread's.
 */
#ifndef WEIR_CMD_LOG_KEEPER_H
#define WEIR_CMD_LOG_KEEPER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log_files.h"
#include "event/loop.h"
#include "node/config.h"

struct log_keeper {
	struct loop *loop;
	struct timer timer;
	char *path; /* NULL: nothing to keep */
	int said;   /* the last trouble that was told */
	struct log_keep keep;
	nsec_t next_tidy;

	struct {
		pthread_t thread;
		bool started;
		atomic_bool done;
		char *path; /* the thread's until it is done */
		struct log_keep keep;
		int err;
	} tidy;
};

void log_keeper_init(struct log_keeper *k, struct loop *l);

/* At the start, and whenever the configuration changes.  0 or -ENOMEM (with nothing changed). */
MUST_CHECK int log_keeper_set(struct log_keeper *k, const struct config_log *c);

/* Waits for the thread. */
void log_keeper_done(struct log_keeper *k);

#endif
