#include "event/file_watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB)

static void on_settled(struct timer *t)
{
	struct file_watch *f = container_of(t, struct file_watch, settle);

	f->changed(f);
}

static bool is_ours(const struct file_watch *f, const struct inotify_event *ev)
{
	for (size_t i = 0; i < f->n && ev->len > 0; i++) {
		if (f->dirs[i] == ev->wd && !strcmp(f->names[i], ev->name))
			return true;
	}
	return ev->mask & IN_Q_OVERFLOW; /* something was missed: it may have been ours */
}

static void on_events(struct watch *w, unsigned ev)
{
	struct file_watch *f = container_of(w, struct file_watch, watch);
	char mem[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool ours = false;
	ssize_t n;

	while ((n = read(w->fd, mem, sizeof(mem))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(mem + at);

			ours |= is_ours(f, e);
			at += (ssize_t)sizeof(*e) + e->len;
		}
	}
	if (ours)
		timer_set(f->loop, &f->settle, loop_now(f->loop) + f->settling);
}

static void add(struct file_watch *f, const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX] = ".";
	int wd;

	if (f->n == FILE_WATCH_MAX)
		return;
	if (slash)
		snprintf(dir, sizeof(dir), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	wd = inotify_add_watch(f->watch.fd, dir, EVENTS);
	if (wd < 0)
		return;
	f->names[f->n] = strdup(slash ? slash + 1 : path);
	f->dirs[f->n] = wd;
	if (f->names[f->n])
		f->n++;
}

int file_watch_open(struct file_watch *f, struct loop *l, const char *const *paths, size_t n,
		    nsec_t settling, void (*changed)(struct file_watch *f))
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	*f = (struct file_watch){.loop = l, .settling = settling, .changed = changed};
	f->watch = (struct watch){.fd = fd, .fire = on_events};
	timer_init(&f->settle, on_settled);
	for (size_t i = 0; i < n; i++)
		add(f, paths[i]);
	err = watch_set(l, &f->watch, IO_RD);
	if (err)
		file_watch_close(f);
	return err;
}

void file_watch_close(struct file_watch *f)
{
	if (!f->loop)
		return;
	timer_stop(&f->settle);
	(void)!watch_set(f->loop, &f->watch, 0);
	close(f->watch.fd);
	for (size_t i = 0; i < f->n; i++)
		free(f->names[i]);
	*f = (struct file_watch){0};
}
