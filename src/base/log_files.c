#include "base/log_files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define STAMP_LEN 19   /* 20260131T120000.123 */
#define MANY	  4096 /* files looked at in one go */

/* ---- names ------------------------------------------------------------------------------- */

static void print_stamp(char out[STAMP_LEN + 1], const struct timespec *now)
{
	struct tm tm;
	char text[32];

	gmtime_r(&now->tv_sec, &tm);
	strftime(text, sizeof(text), "%Y%m%dT%H%M%S", &tm);
	snprintf(out, STAMP_LEN + 1, "%.15s.%03u", text, (unsigned)(now->tv_nsec / 1000000) % 1000);
}

static bool is_stamp(const char *s)
{
	for (int i = 0; i < STAMP_LEN; i++) {
		bool fits = i == 8    ? s[i] == 'T'
			    : i == 15 ? s[i] == '.'
				      : isdigit((unsigned char)s[i]);

		if (!fits)
			return false;
	}
	return true;
}

static bool ends_in(const char *name, const char *end)
{
	size_t len = strlen(name), n = strlen(end);

	return len > n && !strcmp(name + len - n, end);
}

/* Is `name` one of the files that `base` has left behind? */
static bool is_ours(const char *name, const char *base)
{
	size_t len = strlen(base);

	if (strncmp(name, base, len) || name[len] != '.' || !is_stamp(name + len + 1))
		return false;
	name += len + 1 + STAMP_LEN;
	return !*name || !strcmp(name, ".gz") || !strcmp(name, ".gz.part");
}

static time_t stamp_time(const char *name, const char *base)
{
	struct tm tm = {0};

	return strptime(name + strlen(base) + 1, "%Y%m%dT%H%M%S", &tm) ? timegm(&tm) : 0;
}

static int newest_first(const void *a, const void *b)
{
	return strcmp(*(char *const *)b, *(char *const *)a);
}

/* ---- putting aside ----------------------------------------------------------------------- */

int log_files_rotate(const char *path, const struct log_keep *k, const struct timespec *now)
{
	char stamp[STAMP_LEN + 1], aside[PATH_MAX];
	struct stat st;

	if (!k->max_size)
		return 0;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < k->max_size)
		return 0;
	print_stamp(stamp, now);
	if (snprintf(aside, sizeof(aside), "%s.%s", path, stamp) >= (int)sizeof(aside))
		return -ENAMETOOLONG;
	if (access(aside, F_OK) == 0)
		return 0; /* within the same millisecond: the next time */
	return rename(path, aside) < 0 ? -errno : 1;
}

/* ---- compressing ------------------------------------------------------------------------- */

static int copy_packed(int from, gzFile to)
{
	char bite[16384];
	ssize_t n;

	while ((n = read(from, bite, sizeof(bite))) > 0) {
		if (gzwrite(to, bite, (unsigned)n) != n)
			return -EIO;
	}
	return n < 0 ? -errno : 0;
}

static int pack_into(int from, int dir, const char *part, mode_t mode)
{
	int fd = openat(dir, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	gzFile to;
	int err;

	if (fd < 0)
		return -errno;
	to = gzdopen(fd, "wb");
	if (!to) {
		close(fd);
		return -ENOMEM;
	}
	err = copy_packed(from, to);
	if (gzclose(to) != Z_OK && !err)
		err = -EIO;
	return err;
}

/* The packed file has its name when it is whole. */
static int pack(int dir, const char *name)
{
	char part[NAME_MAX + 16], whole[NAME_MAX + 16];
	int from = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), err;
	struct stat st;

	if (from < 0)
		return -errno;
	if (fstat(from, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(from);
		return -EINVAL;
	}
	snprintf(part, sizeof(part), "%s.gz.part", name);
	snprintf(whole, sizeof(whole), "%s.gz", name);
	(void)unlinkat(dir, part, 0);
	err = pack_into(from, dir, part, st.st_mode & 0640);
	close(from);
	if (!err && renameat(dir, part, dir, whole) < 0)
		err = -errno;
	if (err)
		unlinkat(dir, part, 0);
	else if (unlinkat(dir, name, 0) < 0)
		err = -errno;
	return err;
}

/* ---- letting go -------------------------------------------------------------------------- */

struct found {
	char *names[MANY];
	size_t n;
};

static int collect(int dir, const char *base, struct found *f)
{
	int fd = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int err = 0;

	if (!d) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (!err && f->n < MANY && (e = readdir(d))) {
		if (!is_ours(e->d_name, base))
			continue;
		f->names[f->n] = strdup(e->d_name);
		if (f->names[f->n])
			f->n++;
		else
			err = -ENOMEM;
	}
	closedir(d);
	return err;
}

static int tidy_one(int dir, const char *name, bool keep, const struct log_keep *k)
{
	if (!keep)
		return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	return k->compress && !ends_in(name, ".gz") ? pack(dir, name) : 0;
}

/* "X" beside "X.gz", the newer of which stands before it: a crash came between packing and removing. */
static bool is_twin(char *const names[], size_t i)
{
	size_t len = strlen(names[i]);

	return i > 0 && !strncmp(names[i - 1], names[i], len) && !strcmp(names[i - 1] + len, ".gz");
}

static int tidy_in(int dir, const char *base, const struct log_keep *k, time_t now)
{
	struct found *f = calloc(1, sizeof(*f));
	size_t kept = 0;
	int err, one;

	if (!f)
		return -ENOMEM;
	err = collect(dir, base, f);
	qsort(f->names, f->n, sizeof(f->names[0]), newest_first);
	for (size_t i = 0; i < f->n; i++) {
		bool keep = !ends_in(f->names[i], ".part") && !is_twin(f->names, i) &&
			    (!k->max_backups || kept < (size_t)k->max_backups) &&
			    (!k->max_age || stamp_time(f->names[i], base) >= now - k->max_age);

		kept += keep;
		one = tidy_one(dir, f->names[i], keep, k);
		err = err ? err : one;
	}
	for (size_t i = 0; i < f->n; i++)
		free(f->names[i]);
	free(f);
	return err;
}

int log_files_tidy(const char *path, const struct log_keep *k, time_t now)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int dir, err;

	if (!folder)
		return -ENOMEM;
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = dir < 0 ? -errno : tidy_in(dir, slash ? slash + 1 : path, k, now);
	if (dir >= 0)
		close(dir);
	free(folder);
	return err;
}
