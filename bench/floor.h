/* floor.h - the least that a TCP relay can cost: what the relays of this folder share.
 *
 * THREADS of them (1), each with a listener and an epoll of its own, each descriptor registered once
 * (edge-triggered), no users, no meter, no limits, no timers.  A program supplies move(); the rest
 * is here.  `PROGRAM LISTEN-PORT TARGET-PORT`, both on 127.0.0.1.
 */
#ifndef WEIR_BENCH_FLOOR_H
#define WEIR_BENCH_FLOOR_H

#include <stdbool.h>
#include <stddef.h>

struct pipe_pair {
	int r, w;
	struct pipe_pair *next;
};

struct side {
	int fd;
	bool readable, writable;
	bool eof; /* read to the end */
	struct conn *conn;
	char *held; /* taken from this side, refused by the other: copied... */
	size_t off, len;
	struct pipe_pair *pipe; /* ...or spliced */
};

struct conn {
	struct side side[2];
	bool dead;
	struct conn *next;
};

enum moved {
	MOVED,	 /* and there may be more */
	BLOCKED, /* `readable` or `writable` has been cleared, or the source has ended */
	BROKEN,
};

/* Move once what `from` has to `to`; what `to` refuses stays in from->held or from->pipe. */
enum moved move(struct side *from, struct side *to);
void drop_held(struct side *from);

int floor_main(int argc, char **argv);

#endif
