/* child.h - another program, run for us: plugins, lego, external servers.
 *
 * It leads a process group of its own, so that its helpers go with it, and dies with us (PDEATHSIG:
 * with the *thread* that started it, so only the control thread starts children).  Its end is an
 * event of the loop.  It gets the descriptors it is given and no others.
 */
#ifndef WEIR_EVENT_CHILD_H
#define WEIR_EVENT_CHILD_H

#include "event/loop.h"

struct child_spec {
	const char *const *argv; /* NULL-terminated; argv[0] is looked for in PATH */
	const char *file;	 /* the program, where that is not argv[0] */
	/* "NAME=value", NULL-terminated, replaces or joins ours; NULL: ours */
	const char *const *env;
	bool env_only;		   /* `env` is all there is */
	const char *dir;	   /* NULL: ours */
	int fd_in, fd_out, fd_err; /* -1: /dev/null; they stay the caller's */
};

struct child {
	struct loop *loop;
	pid_t pid; /* 0: not running */
	struct watch watch;
	struct timer kill;
	/* `status` as waitpid() gives it.  The child is gone; starting it again from here is fine.
	 */
	void (*exited)(struct child *c, int status);
};

void child_init(struct child *c, struct loop *l, void (*exited)(struct child *c, int status));

/* 0 once the program runs; -errno of exec (ENOENT, EACCES), of the directory, or ours. */
MUST_CHECK int child_start(struct child *c, const struct child_spec *spec);

/* SIGTERM to the group, SIGKILL after `grace` (0: at once).  exited() tells when it is done. */
void child_stop(struct child *c, nsec_t grace);

/* Kill, wait and forget: no exited() follows.  For the owner's end. */
void child_done(struct child *c);

#endif
