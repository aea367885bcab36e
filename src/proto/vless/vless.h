/* vless.h - VLESS over any byte stream, server and client (docs/protocols/vless.md). */
#ifndef WEIR_PROTO_VLESS_H
#define WEIR_PROTO_VLESS_H

#include "proto/proto.h"
#include "proto/vless/vless_wire.h"
#include "stream/dgram.h"

extern const struct proto vless_proto;

/* Client: a TCP request to `dest` over `lower`, whose ownership passes.  The request goes out with
 * the first bytes pushed, or at the first pull or shut.  NULL: no memory, `lower` is freed.
 */
struct stream *vless_client_new(struct stream *lower, const uint8_t id[VLESS_ID_LEN],
				const struct dest *dest);

/* Client: a full-cone UDP association (XUDP), or with `plain` command 2 to the one `dest`. */
struct dgram *vless_client_udp(struct stream *lower, const uint8_t id[VLESS_ID_LEN],
			       const struct dest *dest, bool plain);

#endif
