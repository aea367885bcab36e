#include "event/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_SIZE  4096
#define LAST_READS 16 /* at the end: a child's child may still be writing */

static bool may_speak(struct lines *l)
{
	const nsec_t price = NSEC_SEC / LINES_PER_S;
	nsec_t now = loop_now(l->loop);

	l->paid_at = MAX(l->paid_at, now - LINES_BURST * price);
	if (l->paid_at + price > now)
		return false;
	l->paid_at += price;
	return true;
}

static void speak(struct lines *l)
{
	unsigned missed = l->missed;

	while (l->len && l->part[l->len - 1] == '\r')
		l->len--;
	if (!l->len)
		return;
	l->part[l->len] = '\0';
	l->len = 0;
	if (!may_speak(l)) {
		l->missed++;
		return;
	}
	l->missed = 0;
	l->line(l, l->part, missed);
}

static void take(struct lines *l, const char *bytes, size_t n)
{
	if (!l->part)
		l->part = malloc(LINES_MAX + 1);
	for (size_t i = 0; l->part && i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '\n') {
			speak(l);
			continue;
		}
		l->part[l->len++] =
			(c < ' ' && c != '\t' && c != '\r') || c == 0x7f ? '.' : (char)c;
		if (l->len == LINES_MAX)
			speak(l);
	}
	if (!l->len) {
		free(l->part);
		l->part = NULL;
	}
}

/* Returns what read() did. */
static ssize_t read_some(struct lines *l)
{
	char bytes[READ_SIZE];
	ssize_t n = read(l->watch.fd, bytes, sizeof(bytes));

	if (n > 0)
		take(l, bytes, (size_t)n);
	return n;
}

static void end(struct lines *l)
{
	if (l->part)
		speak(l);
	free(l->part);
	l->part = NULL;
	l->len = 0;
	if (watch_set(l->loop, &l->watch, 0) == 0)
		close(l->watch.fd);
	l->watch.fd = -1;
}

static void on_readable(struct watch *w, unsigned ev)
{
	struct lines *l = container_of(w, struct lines, watch);
	ssize_t n = read_some(l);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		end(l);
}

int lines_open(struct lines *l, struct loop *loop,
	       void (*line)(struct lines *l, const char *text, unsigned missed), int *fd)
{
	int end[2], err;

	if (pipe2(end, O_CLOEXEC) < 0)
		return -errno;
	*l = (struct lines){
		.loop = loop, .line = line, .watch = {.fd = end[0], .fire = on_readable}};
	err = fcntl(end[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	if (!err)
		err = watch_set(loop, &l->watch, IO_RD);
	if (err) {
		close(end[0]);
		close(end[1]);
		l->watch.fd = -1;
		return err;
	}
	*fd = end[1];
	return 0;
}

void lines_close(struct lines *l)
{
	if (!l->loop || l->watch.fd < 0)
		return;
	for (int i = 0; i < LAST_READS && read_some(l) > 0; i++)
		;
	end(l);
}
