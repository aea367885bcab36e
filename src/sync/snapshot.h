/* snapshot.h - the last good configuration and user list of a node, so that a restart while its
 * panel is away can serve users (C9).
 *
 * Two files a node, NAME.config and NAME.users, 0600, replaced by rename.  A line ahead says when
 * it was saved; a file that is damaged, too old or not there is simply no snapshot.
 *
 * Threads: control; file calls that do not wait for the disk.
 */
#ifndef WEIR_SYNC_SNAPSHOT_H
#define WEIR_SYNC_SNAPSHOT_H

#include "base/base.h"
#include "user/user_list.h"

#define SNAPSHOT_NAME_LEN 32

/* A file name for these three: hexadecimal, SNAPSHOT_NAME_LEN and a NUL. */
MUST_CHECK int snapshot_name(const char *host, const char *node_id, const char *type,
			     char out[SNAPSHOT_NAME_LEN + 1]);

MUST_CHECK int snapshot_save_config(const char *dir, const char *name, int64_t wall,
				    const char *body, size_t len);
MUST_CHECK int snapshot_save_users(const char *dir, const char *name, int64_t wall,
				   const struct user_list *users);

/* 0 with *body (free it; NUL-terminated) or *out filled; -ENOENT when there is none that is at most
 * `max_age` seconds old.  What was saved in the future is as good as new: our clock was wrong then
 * or is now.
 */
MUST_CHECK int snapshot_load_config(const char *dir, const char *name, int64_t wall,
				    int64_t max_age, char **body, size_t *len);
MUST_CHECK int snapshot_load_users(const char *dir, const char *name, int64_t wall, int64_t max_age,
				   struct user_list *out);

#endif
