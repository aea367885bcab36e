/* file.h - a file as one text in memory, and whether others may read what it holds.
 *
 * Nothing is ever cut: what is larger than its reader can use is an error, as is a folder.  What has
 * no size beforehand, a pipe, is read to its end.
 */
#ifndef WEIR_FILE_H
#define WEIR_FILE_H

#include <sys/stat.h>

#include "base/base.h"

enum file_flags {
	FILE_NO_LINK = 1, /* not by way of a symbolic link: -ELOOP */
};

struct file {
	char *text; /* with a NUL behind it */
	size_t len;
	struct stat st;
};

/* 0; -EFBIG: more than `max` bytes; -EISDIR, -ENOENT, -EACCES, -ENOMEM, ... */
MUST_CHECK int file_read(const char *path, size_t max, unsigned flags, struct file *out);

/* The same from a descriptor, which stays the caller's. */
MUST_CHECK int file_read_fd(int fd, size_t max, struct file *out);

/* What has been read is wiped: it may be secret.  Harmless on one that is zero-filled. */
void file_done(struct file *f);

#define FILE_WARNING_MAX 80

/* For files that hold secrets, of which others have no business to know or to choose them: a
 * sentence if these are open to others, else false.
 */
bool file_exposed(const struct file *f, char out[FILE_WARNING_MAX]);

#endif
