/* grow.h - arrays that double when they are full.
 *
 *     struct row *v = grow(t->v, t->n, &t->cap, sizeof(*v));
 *     if (!v)
 *             return -ENOMEM;
 *     t->v = v;
 *     t->v[t->n++] = row;
 */
#ifndef WEIR_GROW_H
#define WEIR_GROW_H

#include <stdlib.h>

#include "base/base.h"

/* `v`, which holds `n` elements of `size` bytes and has room for *cap, with room for one more: as it is, or
 * moved.  NULL: no memory, and nothing has changed.
 */
static inline void *grow(void *v, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? 2 * *cap : 16;

	if (n < *cap)
		return v;
	v = reallocarray(v, more, size);
	if (v)
		*cap = more;
	return v;
}

#endif
