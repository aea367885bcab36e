/* daemon.h - what commands that stay share: folders of state, and the limit of descriptors. */
#ifndef WEIR_CMD_DAEMON_H
#define WEIR_CMD_DAEMON_H

#include <limits.h>

#include "base/base.h"

/* Make it, private, with what leads to it.  0 once it can be written to, or -errno. */
MUST_CHECK int daemon_make_dir(const char *dir);

/* The same for a folder of sockets and of files that programs are started with, which may lie where
 * everybody can make one: -EPERM if it is a link, or of somebody else, or if others may write in it.
 */
MUST_CHECK int daemon_make_run_dir(const char *dir);

/* Two processes in one folder would share listeners and report the same batches.  0 with the lock
 * in *fd, which closing gives back; -EBUSY: another process has it.
 */
MUST_CHECK int daemon_lock_dir(const char *dir, int *fd);

/* Where state goes that no option names: what systemd gives us, /var/lib/weir for root, else
 * ~/.local/state/weir.
 */
const char *daemon_state_root(char out[PATH_MAX]);

/* A connection takes up to four descriptors, and the usual soft limit of 1024 is there for the sake
 * of select(), which nobody here calls.
 */
void daemon_raise_files(void);

/* A list of users, its text and its tables come and go by megabytes.  Left to itself malloc learns
 * from the first such free() that large blocks belong to the heap, between what stays.
 */
void daemon_keep_large_apart(void);

#endif
