/* copy_relay.c - the floor of relaying through our own memory: 256 KiB per read, one buffer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "floor.h"

#define READ_SIZE (256 * 1024)

static char buffer[READ_SIZE];

void drop_held(struct side *from)
{
	free(from->held);
	from->held = NULL;
}

/* How much of it went, or -1. */
static ssize_t write_some(struct side *to, const char *p, size_t len)
{
	ssize_t n = send(to->fd, p, len, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN)
		return -1;
	n = n < 0 ? 0 : n;
	to->writable = (size_t)n == len;
	return n;
}

static enum moved write_held(struct side *from, struct side *to)
{
	ssize_t n = write_some(to, from->held + from->off, from->len);

	if (n < 0)
		return BROKEN;
	from->off += (size_t)n;
	from->len -= (size_t)n;
	if (from->len > 0)
		return BLOCKED;
	drop_held(from);
	return from->eof ? BLOCKED : MOVED;
}

enum moved move(struct side *from, struct side *to)
{
	ssize_t got, n;

	if (from->held)
		return write_held(from, to);
	got = recv(from->fd, buffer, READ_SIZE, 0);
	if (got <= 0) {
		if (got < 0 && errno != EAGAIN)
			return BROKEN;
		from->readable = false;
		from->eof = got == 0;
		return BLOCKED;
	}
	n = write_some(to, buffer, (size_t)got);
	if (n < 0)
		return BROKEN;
	if (n == got)
		return MOVED;
	from->len = (size_t)(got - n);
	from->off = 0;
	from->held = malloc(from->len);
	if (!from->held)
		return BROKEN;
	memcpy(from->held, buffer + n, from->len);
	return BLOCKED;
}

int main(int argc, char **argv)
{
	return floor_main(argc, argv);
}
