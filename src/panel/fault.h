/* fault.h - why an input was refused, in words for whoever sent it. */
#ifndef WEIR_PANEL_FAULT_H
#define WEIR_PANEL_FAULT_H

#include "base/base.h"

struct fault {
	char text[240];
};

/* Returns -EINVAL, so that a validator can end with `return fault_set(why, …)`. */
int fault_set(struct fault *why, const char *fmt, ...) PRINTF(2, 3);

#endif
