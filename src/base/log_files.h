/* log_files.h - the files that a log leaves behind: put aside at a size, compressed, let go of.
 *
 *     weir.log  weir.log.20260131T120000.123.gz  weir.log.20260130T090000.456.gz
 *
 * The time in a name is UTC.  Files named otherwise are nobody's here and stay.
 */
#ifndef WEIR_LOG_FILES_H
#define WEIR_LOG_FILES_H

#include <time.h>

#include "base/base.h"

struct log_keep {
	int64_t max_size;    /* bytes; 0: the file grows */
	int64_t max_backups; /* 0: any number */
	int64_t max_age;     /* seconds; 0: for ever */
	bool compress;
};

/* Puts the file aside when it has grown to its size; whoever writes to it reopens it then.  A link,
 * such as /dev/stdout, stays where it is.  1: done; 0: not yet; -errno.
 */
MUST_CHECK int log_files_rotate(const char *path, const struct log_keep *k,
				const struct timespec *now);

/* Compresses and removes what was put aside.  Takes its time: not for a thread that has other
 * things to do, and one thread's at a time.  0, or the first -errno; what could be done is done.
 */
MUST_CHECK int log_files_tidy(const char *path, const struct log_keep *k, time_t now);

#endif
