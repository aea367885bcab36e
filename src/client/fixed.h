/* fixed.h - a server layer whose request is known beforehand: what a port forward is. */
#ifndef WEIR_CLIENT_FIXED_H
#define WEIR_CLIENT_FIXED_H

#include "stream/stream.h"

/* A TCP request for `to`, which outlives it, without a user.  NULL: no memory, `lower` is freed. */
struct stream *fixed_new(struct stream *lower, const struct dest *to);

#endif
