#include "cmd/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

int daemon_make_dir(const char *dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", dir);
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	return access(path, W_OK | X_OK) ? -errno : 0;
}

/* Once it is there, and ours, nobody else can put another in its place: shared folders are sticky. */
int daemon_make_run_dir(const char *dir)
{
	int err = daemon_make_dir(dir);
	struct stat st;

	if (err)
		return err;
	if (lstat(dir, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	return 0;
}

int daemon_lock_dir(const char *dir, int *out)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int err = errno == EWOULDBLOCK ? -EBUSY : -errno;

		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

const char *daemon_state_root(char out[PATH_MAX])
{
	const char *given = getenv("STATE_DIRECTORY"), *home = getenv("HOME");
	const char *xdg = getenv("XDG_STATE_HOME");

	if (given && *given == '/') /* of several the first */
		snprintf(out, PATH_MAX, "%.*s", (int)strcspn(given, ":"), given);
	else if (geteuid() == 0 || !home || *home != '/')
		snprintf(out, PATH_MAX, "/var/lib/weir");
	else if (xdg && *xdg == '/')
		snprintf(out, PATH_MAX, "%s/weir", xdg);
	else
		snprintf(out, PATH_MAX, "%s/.local/state/weir", home);
	return out;
}

void daemon_raise_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= files.rlim_max)
		return;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		log_msg(LOG_WARN, "weir", "cannot raise the limit of open files: %s",
			err_text(-errno));
}

void daemon_keep_large_apart(void)
{
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
}
