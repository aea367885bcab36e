/* ss_plain.h - streams of the methods without integrity.  Internal to this folder: shadowsocks.h. */
#ifndef WEIR_PROTO_SS_PLAIN_H
#define WEIR_PROTO_SS_PLAIN_H

#include "proto/shadowsocks/shadowsocks.h"

/* Both take `lower` over; NULL: no memory, it is freed. */
struct stream *ss_plain_server(struct stream *lower, const struct proto_inbound *inbound);
struct stream *ss_plain_client(struct stream *lower, const struct ss_client_conf *conf,
			       const struct dest *dest);

#endif
