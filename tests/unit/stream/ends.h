/* ends.h - two connected streams of each kind that the folder has. */
#ifndef WEIR_TESTS_STREAM_ENDS_H
#define WEIR_TESTS_STREAM_ENDS_H

#include "stream/stream.h"

enum ends_kind {
	ENDS_PAIR, /* memory, on a virtual loop */
	ENDS_UNIX, /* a socket pair */
	ENDS_TCP,  /* over loopback */
	ENDS_KINDS,
};

struct ends {
	struct loop *l;
	struct stream *a, *b;
};

void ends_open(struct ends *e, enum ends_kind kind);
void ends_join(struct loop *l, enum ends_kind kind, struct stream **a, struct stream **b);
void ends_close(struct ends *e); /* frees what is not NULL, and asserts that every chunk is back */

/* Two connected TCP descriptors. */
void tcp_fds(int fd[2]);

/* Turns for a moment: as long as there is something to do. */
void settle(struct loop *l);

void push_text(struct stream *s, const char *text);

/* Turn until pull() has something to say; the bytes as text in `out` (64 bytes), NUL-terminated. */
ssize_t pull_text(struct stream *s, char *out);

#endif
