/* vmess_layer.h - the stream around the chunks, both roles.  Internal to this folder.
 *
 * The headers of the two directions are the role's business and live in an object of its own, which is
 * gone once both are through: an idle connection keeps its keys and masks and holds no buffer.
 */
#ifndef WEIR_PROTO_VMESS_LAYER_H
#define WEIR_PROTO_VMESS_LAYER_H

#include "proto/vmess/vmess_body.h"
#include "stream/stream.h"

struct vmess_layer;

struct vmess_role {
	/* What precedes the chunks inwards, off l->rq.  0: chunks follow.  -ERR_MORE.  Others are
	 * sticky. */
	int (*read_head)(struct vmess_layer *l);
	/* What precedes them outwards, to the end of `w`: VMESS_HEAD_MAX bytes of room.  0, or an
	 * error that is sticky. */
	int (*write_head)(struct vmess_layer *l, struct wr *w);
	void (*free_head)(void *head);
};

struct vmess_layer {
	struct stream s;
	struct stream *lower;
	const struct vmess_role *role;
	struct vmess_dir in, out;
	struct bufq rq, wq; /* not opened yet; not taken by `lower` yet */
	struct waiter run;
	struct waiter *up_rd, *up_wr;
	void *head; /* the role's; NULL: both heads are through */
	uint32_t burst;
	int16_t rerr, werr; /* what broke stays broken */
	bool lower_open, ready;
	bool head_in, head_out; /* to come */
	bool again;		/* the role wants a later turn, not more bytes */
	bool strange;		/* nobody of ours: bytes pass as they are, for the reject policy */
	bool eof, ended;	/* the other end has said its end; we have said ours */
};

static inline struct vmess_layer *vmess_layer_of(const struct stream *s)
{
	return container_of(s, struct vmess_layer, s);
}

/* NULL: no memory, `lower` is freed, `head` too. */
struct vmess_layer *vmess_layer_new(struct stream *lower, const struct stream_ops *ops,
				    const struct vmess_role *role, void *head);

/* More bytes into l->rq for a caller that wants `max`.  0; -EAGAIN; -ERR_TRUNCATED at the end of the
 * stream; or what broke.  Nothing of it is remembered. */
int vmess_layer_fill(struct vmess_layer *l, size_t max);

/* The head outwards goes without payload, if it has not gone yet.  0; -EAGAIN: it is on its way; or
 * what broke. */
int vmess_layer_begin(struct vmess_layer *l);

ssize_t vmess_layer_pull(struct stream *s, struct bufq *dst, size_t max);
ssize_t vmess_layer_push(struct stream *s, struct bufq *src);
void vmess_layer_want(struct stream *s, unsigned ev, struct waiter *w);
int vmess_layer_shut(struct stream *s);
void vmess_layer_free(struct stream *s);
int vmess_layer_splice(struct stream *s, enum stream_dir dir, struct stream_raw *out);
int vmess_layer_set(struct stream *s, enum stream_attr attr, union stream_value v);

/* Of either role's stream_ops; the rest is its own. */
#define VMESS_LAYER_COMMON                                                   \
	.name = "vmess", .push = vmess_layer_push, .want = vmess_layer_want, \
	.free = vmess_layer_free, .splice = vmess_layer_splice, .set = vmess_layer_set

#endif
