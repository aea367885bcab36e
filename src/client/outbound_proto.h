/* outbound_proto.h - the protocols that an outbound can speak to its server, and how a link says which.
 *
 * Layers own the `lower` that they are given from then on; NULL: no memory, and it is freed.
 */
#ifndef WEIR_CLIENT_OUTBOUND_PROTO_H
#define WEIR_CLIENT_OUTBOUND_PROTO_H

#include "base/err.h"
#include "client/from_link.h"

/* What a link says is not to be had. */
#define wrong(why, ...) err_say(-ERR_CONFIG, why, FROM_LINK_WHY, __VA_ARGS__)

struct outbound_proto {
	/* What the link says of the protocol, beside server and security; the rest of *out is there. */
	int (*of_link)(const struct share_link *link, struct outbound_conf *out,
		       char why[FROM_LINK_WHY]);
	void (*done)(struct outbound_conf *c); /* lets go of that; NULL: nothing is held */

	/* A TCP request for `to`. */
	struct stream *(*stream)(struct stream *lower, const struct outbound_conf *c,
				 const struct dest *to);
	/* The carrier of mux.cool.  NULL: it is a target like any other, asked for by its name. */
	struct stream *(*muxcool)(struct stream *lower, const struct outbound_conf *c);

	/* An association inside a stream; with conf's `plain_udp` and such a protocol to `first` alone. */
	struct dgram *(*packets)(struct stream *lower, const struct outbound_conf *c,
				 const struct dest *first);
	bool has_plain_udp;
	/* With conf's `apart`: beside the streams, to the server at `server`. */
	struct dgram *(*packets_apart)(struct dgram *lower, const struct outbound_conf *c,
				       const struct dest *server);
};

extern const struct outbound_proto outbound_vless, outbound_trojan, outbound_shadowsocks,
	outbound_vmess;

const struct outbound_proto *outbound_proto_of(enum share_kind kind);

#endif
