/* file_watch.h - tells when one of some files has been changed, replaced, or has come back.
 *
 * Directories are watched, not the files: editors write a new file and rename it over the old one.
 * What happens within the settling time is one change.  Meant for configuration: a handful of
 * files.
 *
 * Threads: the loop's.
 */
#ifndef WEIR_EVENT_FILE_WATCH_H
#define WEIR_EVENT_FILE_WATCH_H

#include "event/loop.h"

#define FILE_WATCH_MAX 64

struct file_watch {
	struct loop *loop;
	struct watch watch;
	struct timer settle;
	nsec_t settling;
	char *names[FILE_WATCH_MAX]; /* the last part of each path */
	int dirs[FILE_WATCH_MAX];    /* inotify's number of its directory */
	size_t n;
	void (*changed)(struct file_watch *f);
};

/* 0 or -errno.  Files that cannot be watched (no such directory, more than the maximum) are left
 * out: the count of those that are is in f->n.
 */
MUST_CHECK int file_watch_open(struct file_watch *f, struct loop *l, const char *const *paths,
			       size_t n, nsec_t settling, void (*changed)(struct file_watch *f));
void file_watch_close(struct file_watch *f); /* harmless when not open (zeroed) */

#endif
