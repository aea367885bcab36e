/* client.h - the client side of header-only protocols: a request in front, perhaps an answer to
 * skip.
 *
 * The request goes out together with the first bytes pushed; a stream that is only read or shut
 * sends it alone.  Everything else passes through.
 */
#ifndef WEIR_PROTO_CLIENT_H
#define WEIR_PROTO_CLIENT_H

#include "base/rd.h"
#include "stream/stream.h"

/* Parse the server's answer off the front of `in`; NULL where there is none. */
typedef int (*client_answer)(struct rd *in);

#define CLIENT_REQUEST_MAX 640

/* `request` (len <= CLIENT_REQUEST_MAX) is copied.  NULL: no memory, `lower` is freed. */
struct stream *client_stream_new(struct stream *lower, const void *request, size_t len,
				 client_answer answer);

#endif
