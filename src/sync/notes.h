/* notes.h - what a decoder has to remark about a document: why it is no good, or what in it was
 * replaced by a default.  The caller logs each remark once.  Never a secret in it.
 */
#ifndef WEIR_SYNC_NOTES_H
#define WEIR_SYNC_NOTES_H

#include "base/base.h"

#define NOTES_MAX     16
#define NOTES_TEXT    160
#define NOTES_WHY_MAX 240

struct notes {
	char why[NOTES_WHY_MAX]; /* of a failure: one sentence */
	unsigned n, lost;	 /* lost: remarks that did not fit */
	char text[NOTES_MAX][NOTES_TEXT];
};

void notes_add(struct notes *n, const char *fmt, ...) PRINTF(2, 3);
void notes_why(struct notes *n, const char *fmt, ...) PRINTF(2, 3);

/* `bytes` for a log line: control characters become '.', the end is cut at `size` - 1. */
void notes_printable(const char *bytes, size_t len, char *out, size_t size);

#endif
