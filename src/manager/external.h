/* external.h - what the drivers of servers outside of this process share. */
#ifndef WEIR_MANAGER_EXTERNAL_H
#define WEIR_MANAGER_EXTERNAL_H

#include "event/child.h"
#include "manager/command.h"
#include "manager/endpoint.h"
#include "manager/engine_impl.h"

#define EXTERNAL_STOP (5 * NSEC_SEC) /* from TERM to KILL */
#define BACKOFF_MAX   (60 * NSEC_SEC)
#define BACKOFF_RESET (300 * NSEC_SEC) /* so long it ran well */

/* A private file in run_dir with `text`, in place of what an earlier process may have left there. */
MUST_CHECK int external_write(const char *path, const char *text, size_t len);

/* Is the program there?  0, or -ERR_CONFIG with a sentence. */
MUST_CHECK int external_check(const struct engine_conf *conf, const char *fallback,
			      char why[PROFILE_WHY_MAX]);

/* Start it; its output goes to ours, or nowhere. */
MUST_CHECK int external_run(const struct engine *e, struct child *c, const char *const *argv);

/* "exited with status 1", "killed by SIGKILL" */
const char *external_how(int status, char out[64]);

/* Nobody listens there: 0; else bind()'s -errno.  Of the addresses that the profile will listen on. */
MUST_CHECK int external_probe(const struct engine *e, const struct profile *p);

/* Each port and number of a `stat` datagram.  False: it is another command. */
bool external_stat(const char *text, size_t len,
		   void (*each)(void *arg, uint16_t port, uint64_t bytes), void *arg);

#endif
