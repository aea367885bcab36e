/* vmess_layer.h - the stream around the chunks (proto/sealed.h), both roles.  Internal to this folder. */
#ifndef WEIR_PROTO_VMESS_LAYER_H
#define WEIR_PROTO_VMESS_LAYER_H

#include "proto/sealed.h"
#include "proto/vmess/vmess_body.h"

struct proto_inbound;

struct vmess_layer {
	struct sealed base;
	struct vmess_dir in, out;
};

static inline struct vmess_layer *vmess_layer_of(const struct stream *s)
{
	return container_of(s, struct vmess_layer, base.s);
}

/* struct proto's. */
struct stream *vmess_server(struct stream *lower, const struct proto_inbound *inbound);

/* What precedes the chunks outwards, to the end of `w`: VMESS_HEAD_MAX bytes of room.  0, or an error
 * that is sticky. */
typedef int vmess_emit_head(struct vmess_layer *l, struct wr *w);

/* The head and then payload, as sealed_ops have it. */
ssize_t vmess_write_head(struct vmess_layer *l, vmess_emit_head *emit, struct bufq *src);

ssize_t vmess_layer_open(struct sealed *b, struct bufq *dst);
size_t vmess_layer_need(const struct sealed *b);
bool vmess_layer_within(const struct sealed *b);
ssize_t vmess_layer_seal(struct sealed *b, struct bufq *src);
int vmess_layer_end(struct sealed *b);
void vmess_layer_clear(struct sealed *b);
int vmess_layer_splice(struct stream *s, enum stream_dir dir, struct stream_raw *out);

/* Of either role's sealed_ops and stream_ops; the rest is its own. */
#define VMESS_SEALED                                                                      \
	.open = vmess_layer_open, .need = vmess_layer_need, .within = vmess_layer_within, \
	.seal = vmess_layer_seal, .end = vmess_layer_end, .clear = vmess_layer_clear,     \
	.more = VMESS_MORE
#define VMESS_LAYER_COMMON SEALED_COMMON, .name = "vmess", .splice = vmess_layer_splice

#endif
