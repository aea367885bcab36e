/* ss_layer.h - the stream around the chunks (proto/sealed.h), both roles.  Internal to this folder. */
#ifndef WEIR_PROTO_SS_LAYER_H
#define WEIR_PROTO_SS_LAYER_H

#include "proto/sealed.h"
#include "proto/shadowsocks/ss_chunk.h"

struct proto_inbound;

struct ss_layer {
	struct sealed base;
	struct ss_dir in, out;
};

static inline struct ss_layer *ss_layer_of(const struct stream *s)
{
	return container_of(s, struct ss_layer, base.s);
}

/* struct proto's. */
struct stream *ss_server(struct stream *lower, const struct proto_inbound *inbound);

ssize_t ss_layer_open(struct sealed *b, struct bufq *dst);
size_t ss_layer_need(const struct sealed *b);
bool ss_layer_within(const struct sealed *b);
ssize_t ss_layer_seal(struct sealed *b, struct bufq *src);
void ss_layer_clear(struct sealed *b);

/* Of either role's sealed_ops and stream_ops; the rest is its own. */
#define SS_SEALED                                                                \
	.open = ss_layer_open, .need = ss_layer_need, .within = ss_layer_within, \
	.seal = ss_layer_seal, .clear = ss_layer_clear, .more = SS_MORE
#define SS_LAYER_COMMON SEALED_COMMON, .name = "shadowsocks"

#endif
