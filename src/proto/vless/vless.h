/* vless.h - VLESS over any byte stream, server and client (docs/protocols/vless.md). */
#ifndef WEIR_PROTO_VLESS_H
#define WEIR_PROTO_VLESS_H

#include "proto/proto.h"
#include "proto/vless/vless_wire.h"
#include "stream/dgram.h"

extern const struct proto vless_proto;

struct vlessenc_conf;

/* One inbound, all its workers: proto_inbound.conf.  Without it neither. */
struct vless_conf {
	bool vision; /* TCP is asked for with the flow xtls-rprx-vision, and not without */
	struct vlessenc_conf *encryption; /* owned; NULL: none */
};

/* Client: a TCP request to `dest` over `lower`, whose ownership passes.  The request goes out with
 * the first bytes pushed, or at the first pull or shut.  NULL: no memory, `lower` is freed.
 */
struct stream *vless_client_new(struct stream *lower, const uint8_t id[VLESS_ID_LEN],
				const struct dest *dest);

/* The same with the flow xtls-rprx-vision, over TLS 1.3 or what else is made of records. */
struct stream *vless_client_vision(struct stream *lower, const uint8_t id[VLESS_ID_LEN],
				   const struct dest *dest);

/* Client: the carrier of mux.cool; with `vision` for packets alone. */
struct stream *vless_client_mux(struct stream *lower, const uint8_t id[VLESS_ID_LEN], bool vision);

/* Client: XUDP within the flow.  Packets for port 443 are dropped unless `udp443`, so that browsers
 * take TCP, which the flow is for.
 */
struct dgram *vless_client_vision_udp(struct stream *lower, const uint8_t id[VLESS_ID_LEN],
				      bool udp443);

/* Client: a full-cone UDP association (XUDP), or with `plain` command 2 to the one `dest`. */
struct dgram *vless_client_udp(struct stream *lower, const uint8_t id[VLESS_ID_LEN],
			       const struct dest *dest, bool plain);

#endif
