/* sealed.h - the stream around sealed records, both roles: VMess, Shadowsocks, VLESS Encryption.
 *
 * Everything that such layers have in common is here: what waits to be opened and to be sent, who
 * waits for it, back-pressure, ends.  A protocol embeds struct sealed at the beginning of its layer
 * and says how one record is opened and how bytes are sealed.
 *
 * What precedes the records of a direction (headers, salts, an address) is its head.  What a role
 * needs for the heads is an object of its own, gone once both are through: an idle connection keeps
 * its keys and holds no buffer.
 */
#ifndef WEIR_PROTO_SEALED_H
#define WEIR_PROTO_SEALED_H

#include "stream/stream.h"

struct sealed;

/* Of one role of a protocol. */
struct sealed_ops {
	/* Open the next record of l->rq.  > 0: so many payload bytes were appended to `dst`.  0: the
	 * record that ends the direction.  -ERR_MORE: the rest is not there.  -ENOMEM.  Others: for
	 * ever. */
	ssize_t (*open)(struct sealed *l, struct bufq *dst);
	/* How many bytes l->rq must hold for that to get further. */
	size_t (*need)(const struct sealed *l);
	/* Part of a record has been taken off l->rq: an end of the stream here is a cut. */
	bool (*within)(const struct sealed *l);
	/* Seal up to l->burst bytes off the front of `src` to the end of l->wq.  How many were taken;
	 * less, which may be 0, when memory ran out; others are sticky. */
	ssize_t (*seal)(struct sealed *l, struct bufq *src);
	/* The keys of both directions. */
	void (*clear)(struct sealed *l);

	/* NULL of a server, which has read its head when open() is done (sealed_server.h).  The head
	 * inwards, off l->rq; payload that it carries goes to `first`.  0: records follow.
	 * -ERR_MORE.  -ENOMEM.  Others are sticky. */
	int (*read_head)(struct sealed *l, struct bufq *first);
	/* The head outwards, to l->wq, with the first payload off `src`, which may be empty.  How many
	 * bytes of `src` were taken; -ENOMEM: nothing happened; others are sticky. */
	ssize_t (*write_head)(struct sealed *l, struct bufq *src);
	void (*free_head)(struct sealed *l);

	/* Optional. */

	/* What is wrong with the records is wrong for ever.  What to say of it; by default `err`
	 * itself, kept in l->rerr. */
	int (*broken)(struct sealed *l, int err);
	/* What says that no more payload comes, to l->wq, once.  0; -ENOMEM: again; others. */
	int (*end)(struct sealed *l);

	uint16_t more; /* what a record adds to its payload */
	bool client;   /* whose head goes first: who only listens must be asked for all the same */
	bool stays;    /* is never peeled once what is below has opened */
};

struct sealed {
	struct stream s;
	struct stream *lower;
	const struct sealed_ops *ops;
	struct bufq rq, wq; /* not opened yet; not taken by `lower` yet */
	struct waiter run;
	struct waiter *up_rd, *up_wr;
	void *head; /* the role's; NULL: both heads are through */
	uint32_t burst;
	int16_t rerr, werr; /* what broke stays broken */
	uint16_t most;	    /* payload of the longest record inwards */
	bool lower_open, ready;
	bool head_in, head_out; /* to come */
	bool held;		/* wq waits for the first payload, to travel with it */
	bool again;		/* until ready: the role wants a later turn, not more bytes */
	bool paused;		/* until ready: nor those, a timer of its own wakes */
	bool strange;		/* nobody of ours: bytes pass as they are, for the reject policy */
	bool plain;	 /* no records inwards: behind the head the bytes are the lower stream's */
	bool single;	 /* one pull is one record, and reads no further */
	bool eof, ended; /* the other end has said its end; we have said ours */
};

static inline struct sealed *sealed_of(const struct stream *s)
{
	return container_of(s, struct sealed, s);
}

/* `size` bytes of zeroes that begin with a struct sealed.  Takes `lower` and `head`; without one
 * records are all there is.  NULL: no memory, both are freed. */
struct sealed *sealed_new(size_t size, struct stream *lower, const struct stream_ops *stream,
			  const struct sealed_ops *ops, void *head);

/* More bytes into l->rq for a caller that wants `max`.  0; -EAGAIN; -ERR_TRUNCATED at the end of the
 * stream; or what broke.  Nothing of it is remembered. */
int sealed_fill(struct sealed *l, size_t max);

/* Hand wq down.  0: it is empty.  -EAGAIN: the rest goes by itself.  Others are sticky. */
int sealed_flush(struct sealed *l);

/* Wake who waits above. */
void sealed_wake(struct sealed *l);

/* open() is about to return 0. */
void sealed_ready(struct sealed *l);

/* Bytes that are no records: up to `max` of what has been read already, or else of what is below. */
ssize_t sealed_pass(struct sealed *l, struct bufq *dst, size_t max);

/* Step out of the stack, as long as none of our waiters waits below: `lower`, with what is un-read. */
struct stream *sealed_leave(struct sealed *l);

ssize_t sealed_pull(struct stream *s, struct bufq *dst, size_t max);
ssize_t sealed_push(struct stream *s, struct bufq *src);
void sealed_want(struct stream *s, unsigned ev, struct waiter *w);
int sealed_shut(struct stream *s);
void sealed_free(struct stream *s);
int sealed_query(const struct stream *s, enum stream_attr attr, union stream_value *out);
int sealed_set(struct stream *s, enum stream_attr attr, union stream_value v);
int sealed_client_open(struct stream *s);

/* Of a role's stream_ops: all but name, open and query. */
#define SEALED_COMMON                                                                       \
	.pull = sealed_pull, .push = sealed_push, .want = sealed_want, .shut = sealed_shut, \
	.free = sealed_free, .set = sealed_set

#endif
