/* proxied.h - a PROXY protocol header in front of an accepted stream: the far end is who it names.
 *
 * Only for connections from sources that are trusted to say so; who is, is the caller's business.
 * open() reads the header; STREAM_PEER and STREAM_LOCAL then answer with what it said (v1 UNKNOWN
 * and v2 LOCAL leave the real ones).  A wrong header is -ERR_MALFORMED.  After open() the session
 * may peel nothing here: the layer stays, transparent, splice included.
 */
#ifndef WEIR_STREAM_PROXIED_H
#define WEIR_STREAM_PROXIED_H

#include "stream/stream.h"

/* NULL: no memory, `lower` is freed. */
struct stream *proxied_new(struct stream *lower);

#endif
