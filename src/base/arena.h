/* arena.h - memory that is let go all at once: configuration, decoded documents, scratch.
 *
 * Allocation is pointer work inside blocks from the heap; nothing is freed on its own.  `max`
 * bounds what one arena may take, so that a hostile document runs into -ENOMEM and not into the
 * machine.
 *
 * Threads: whoever builds it; what lies in it may be read by all once it is finished.
 */
#ifndef WEIR_ARENA_H
#define WEIR_ARENA_H

#include <stdarg.h>

#include "base/base.h"

struct arena_block;

struct arena {
	struct arena_block *head; /* the block that is being filled; older ones behind it */
	size_t taken, max;	  /* bytes from the heap; 0: no limit */
};

void arena_init(struct arena *a, size_t max);
void arena_done(struct arena *a); /* gives everything back; the arena is empty and usable */

/* Forget everything but keep the newest block, for scratch in a loop. */
void arena_reset(struct arena *a);

/* `size` zeroed bytes, aligned for anything.  NULL: no memory, or over `max`. */
void *arena_alloc(struct arena *a, size_t size);

/* Copies that end in NUL.  NULL: no memory. */
char *arena_dup(struct arena *a, const void *bytes, size_t len);
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap) PRINTF(2, 0);

#endif
