/* ss_layer.h - the stream around the chunks, both roles.  Internal to this folder.
 *
 * What precedes the chunks of a direction (salt, headers, the address) is the role's business and
 * lives in an object of its own, which is gone once both directions are under way: an idle
 * connection keeps the two keys and holds no buffer.
 */
#ifndef WEIR_PROTO_SS_LAYER_H
#define WEIR_PROTO_SS_LAYER_H

#include "proto/shadowsocks/ss_chunk.h"
#include "stream/stream.h"

struct ss_layer;

struct ss_role {
	/* What precedes the chunks inwards, off l->rq; payload that it carries goes to `first`.
	 * 0: chunks follow.  -ERR_MORE.  Others are sticky. */
	int (*read_head)(struct ss_layer *l, struct bufq *first);
	/* What precedes them outwards, to l->wq, with the first payload off `src`, which may be
	 * empty.  How many bytes of `src` were taken; -ENOMEM: nothing happened; others are sticky. */
	ssize_t (*write_head)(struct ss_layer *l, struct bufq *src);
	void (*free_head)(struct ss_layer *l);
};

struct ss_layer {
	struct stream s;
	struct stream *lower;
	const struct ss_role *role;
	struct ss_dir in, out;
	struct bufq rq, wq; /* not opened yet; not taken by `lower` yet */
	struct waiter run;
	struct waiter *up_rd, *up_wr;
	void *head; /* the role's; NULL: both heads are done */
	uint32_t burst;
	int16_t rerr, werr; /* what broke stays broken */
	bool lower_open, ready;
	bool head_in, head_out; /* to come */
	bool again;		/* the role wants a later turn, not more bytes */
	bool strange;		/* nobody of ours: bytes pass as they are, for the reject policy */
	bool eof;
};

static inline struct ss_layer *ss_layer_of(const struct stream *s)
{
	return container_of(s, struct ss_layer, s);
}

/* NULL: no memory, `lower` is freed, `head` is still the caller's. */
struct ss_layer *ss_layer_new(struct stream *lower, const struct stream_ops *ops,
			      const struct ss_role *role, void *head);

/* More bytes into l->rq for a caller that wants `max`.  0; -EAGAIN; -ERR_TRUNCATED at the end of the
 * stream; or what broke.  Nothing of it is remembered. */
int ss_layer_fill(struct ss_layer *l, size_t max);

/* What precedes the chunks outwards goes without payload, if it has not gone yet.  0; -EAGAIN: it is on
 * its way; or what broke. */
int ss_layer_begin(struct ss_layer *l);

ssize_t ss_layer_pull(struct stream *s, struct bufq *dst, size_t max);
ssize_t ss_layer_push(struct stream *s, struct bufq *src);
void ss_layer_want(struct stream *s, unsigned ev, struct waiter *w);
int ss_layer_shut(struct stream *s);
void ss_layer_free(struct stream *s);
int ss_layer_set(struct stream *s, enum stream_attr attr, union stream_value v);

/* Of either role's stream_ops; the rest is its own. */
#define SS_LAYER_COMMON                                                      \
	.name = "shadowsocks", .push = ss_layer_push, .want = ss_layer_want, \
	.free = ss_layer_free, .set = ss_layer_set

#endif
