/* socks.h - a SOCKS5 server (RFC 1928) without authentication: CONNECT and UDP ASSOCIATE.
 *
 * For loopback: `weir connect`.  CONNECT is answered at once, before anything is dialled, as the
 * programs in this field do; a destination that cannot be reached then shows as a closed
 * connection.
 */
#ifndef WEIR_PROTO_SOCKS_H
#define WEIR_PROTO_SOCKS_H

#include "stream/dgram.h"
#include "stream/stream.h"

/* A server layer whose STREAM_REQUEST has no user.  NULL: no memory, `lower` is freed. */
struct stream *socks_server_new(struct stream *lower);

/* The association of a UDP ASSOCIATE: `udp` carries datagrams with SOCKS headers to and from one
 * client, `control` ends it when it ends.  Both pass.  NULL: no memory, both are freed.
 */
struct dgram *socks_udp_new(struct stream *control, struct dgram *udp);

#endif
