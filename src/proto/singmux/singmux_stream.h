/* singmux_stream.h - one stream of sing-box's multiplex: its request, its status, its packets. */
#ifndef WEIR_PROTO_SINGMUX_STREAM_H
#define WEIR_PROTO_SINGMUX_STREAM_H

#include "stream/mux_core.h"

/* A layer whose open() reads the request, and which then steps out.  `ms` passes; the terms of its mux
 * say whose it is and what it may ask for.  NULL: no memory, `ms` is freed. */
struct stream *singmux_stream_new(struct mux_stream *ms);

#endif
