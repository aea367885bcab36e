/* due.h - whose traffic is reported now, and whose may wait (spec D23, D24).  Pure.
 *
 *     yassp_due_begin(&d, now);
 *     ... yassp_due(&d, id, bytes) for each that has any, ascending by id
 *     yassp_due_end(&d, frozen);
 *
 * The age of bytes begins with the check that sees them first.
 */
#ifndef WEIR_YASSP_DUE_H
#define WEIR_YASSP_DUE_H

#include "base/base.h"

struct yassp_age {
	int64_t id;
	nsec_t since;
};

struct yassp_ages {
	struct yassp_age *v; /* ascending */
	size_t n, cap;
};

struct yassp_due {
	uint64_t threshold; /* due with as many bytes */
	nsec_t timeout;	    /* or when older than that; 0: at once */
	nsec_t now;
	struct yassp_ages old, new;
	size_t at; /* in `old` */
};

void yassp_due_begin(struct yassp_due *d, nsec_t now);
bool yassp_due(struct yassp_due *d, int64_t id, uint64_t bytes);

/* What was due has been taken; false: it has not, and ages stay as they were before. */
void yassp_due_end(struct yassp_due *d, bool taken);
void yassp_due_done(struct yassp_due *d);

#endif
