/* splice_relay.c - the floor of relaying without touching the bytes: splice() through 1 MiB pipes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "floor.h"

#define PIPE_SIZE (1024 * 1024)
#define FLAGS	  (SPLICE_F_MOVE | SPLICE_F_NONBLOCK)

static _Thread_local struct pipe_pair *spare;

static struct pipe_pair *pipe_take(void)
{
	struct pipe_pair *p = spare;
	int fd[2];

	if (p) {
		spare = p->next;
		return p;
	}
	p = malloc(sizeof(*p));
	if (!p || pipe2(fd, O_NONBLOCK | O_CLOEXEC) < 0)
		abort();
	if (fcntl(fd[1], F_SETPIPE_SZ, PIPE_SIZE) < 0)
		abort();
	*p = (struct pipe_pair){.r = fd[0], .w = fd[1]};
	return p;
}

static void pipe_give(struct side *from)
{
	from->pipe->next = spare;
	spare = from->pipe;
	from->pipe = NULL;
}

void drop_held(struct side *from)
{
	if (!from->pipe)
		return;
	close(from->pipe->r);
	close(from->pipe->w);
	free(from->pipe);
}

static enum moved hand_on(struct side *from, struct side *to)
{
	ssize_t n;

	while (from->len > 0) {
		n = splice(from->pipe->r, NULL, to->fd, NULL, from->len, FLAGS);
		if (n < 0 && errno == EAGAIN) {
			to->writable = false;
			return BLOCKED;
		}
		if (n <= 0)
			return BROKEN;
		from->len -= (size_t)n;
	}
	pipe_give(from);
	return from->eof ? BLOCKED : MOVED;
}

enum moved move(struct side *from, struct side *to)
{
	ssize_t n;

	if (from->pipe)
		return hand_on(from, to);
	from->pipe = pipe_take();
	n = splice(from->fd, NULL, from->pipe->w, NULL, PIPE_SIZE, FLAGS);
	if (n > 0) {
		from->len = (size_t)n;
		return hand_on(from, to);
	}
	pipe_give(from);
	if (n < 0 && errno != EAGAIN)
		return BROKEN;
	from->readable = false;
	from->eof = n == 0;
	return BLOCKED;
}

int main(int argc, char **argv)
{
	return floor_main(argc, argv);
}
