/* lines.h - what a child prints, line by line: for plugins and external servers.
 *
 *     lines_open(&out, loop, on_line, &fd);       `fd` goes to the child as fd_out and fd_err
 *     child_start(...);
 *     close(fd);
 *
 * A line is at most LINES_MAX bytes; a longer one comes in pieces.  Lines come at most LINES_BURST
 * at once and LINES_PER_S on average; what is beyond that is counted and told by the next that
 * comes.  Bytes that are not printable become '.'.
 *
 * Threads: the loop's.
 */
#ifndef WEIR_EVENT_LINES_H
#define WEIR_EVENT_LINES_H

#include "event/loop.h"

#define LINES_MAX   (8 * 1024)
#define LINES_BURST 50
#define LINES_PER_S 10

struct lines {
	struct loop *loop;
	struct watch watch; /* fd -1: closed */
	char *part;	    /* of a line that has not ended; NULL: none */
	size_t len;
	nsec_t paid_at; /* when everything said so far would be paid off */
	unsigned missed;
	/* `missed`: how many lines were dropped just before this one */
	void (*line)(struct lines *l, const char *text, unsigned missed);
};

/* A pipe; *fd is its writing end, the caller's.  0 or -errno. */
MUST_CHECK int lines_open(struct lines *l, struct loop *loop,
			  void (*line)(struct lines *l, const char *text, unsigned missed),
			  int *fd);

/* What is in the pipe now, an unfinished line too, and the end.  Harmless when closed. */
void lines_close(struct lines *l);

#endif
