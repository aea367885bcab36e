/* alone.h - a service as a process of its own: a loop, workers and signals around it, until it is told to stop.
 *
 * Threads: main's.
 */
#ifndef WEIR_CMD_ALONE_H
#define WEIR_CMD_ALONE_H

#include "cmd/service.h"

struct alone_conf {
	struct service_conf service;
	const char *state_root;
	unsigned workers; /* 0: as many as there are processors */
	/* Ends with 0.  SIGTERM and SIGINT end it, in a hurry the second time. */
	const int *caught;
	bool ends_on_hup; /* else SIGHUP is let pass, as SIGUSR1 is */
};

enum alone_end {
	ALONE_STOPPED,
	ALONE_HURRIED, /* not everything was reported: that is in the ledger */
};

/* How it ended, or an error with nothing running. */
int alone_run(const struct alone_conf *conf);

#endif
