/* singmux_stream.h - one stream of sing-box's multiplex: its request, its status, its packets. */
#ifndef WEIR_PROTO_SINGMUX_STREAM_H
#define WEIR_PROTO_SINGMUX_STREAM_H

#include "stream/stream.h"

/* A layer whose open() reads the request, and which then steps out.  `lower` passes; `user` is whose
 * it is.  NULL: no memory, `lower` is freed. */
struct stream *singmux_stream_new(struct stream *lower, struct user *user);

#endif
