/* stream.h - the one interface that every byte layer implements.
 *
 * A stack is a list, each layer owning the one below: session -> vless -> tls -> tcp.  All calls on
 * the stream's own loop; none blocks, none calls back.  The contract:
 *
 * S1   Try first; want() only after -EAGAIN; one-shot.
 * S2   Stop early for fairness -> queue yourself; never want() without having failed.
 * S3   Wakes may be spurious.
 * S4   Whoever buffers, flushes.  Accepted bytes are the layer's to deliver, with its own waiter.
 * S5   A layer that ever buffers intercepts want() for both events; one that never does
 *      delegates both.
 * S6   push() takes from the front of `src`; what it leaves is untouched and the caller's.
 * S7   pull() returns 0 only for an orderly end.
 * S8   shut() is re-callable until 0.  Half-close is the rule; a layer that cannot carry it says
 *      so in query(STREAM_HALF_CLOSE), and the relay lingers.
 * S9   free() at any time, from any wake, once.  Memory goes after the turn.
 * S10  A stream belongs to one loop for life.
 * S11  No layer has timers except those its protocol demands; deadlines belong to the session.
 * S12  The layer's `name` is its trace word, metric label and configuration word.
 *
 * Call through the stream_*() functions below: they serve un-read bytes first and supply the
 * default for what a layer leaves out.
 */
#ifndef WEIR_STREAM_STREAM_H
#define WEIR_STREAM_STREAM_H

#include "base/base.h"
#include "base/buf.h"
#include "event/loop.h"
#include "net/addr.h"
#include "net/dest.h"

struct stream;
struct mux_kind;
struct user;

enum stream_event {
	STREAM_RD = IO_RD,
	STREAM_WR = IO_WR,
};

enum stream_dir {
	STREAM_IN,  /* towards us: what pull() yields */
	STREAM_OUT, /* away from us: what push() takes */
};

enum stream_network {
	NETWORK_TCP,
	NETWORK_UDP,
};

/* What an authenticated inbound layer was asked for.  Valid until that layer's first push().
 * A UDP request is served by a stream->dgram adapter of the protocol (stream_request.udp). */
struct stream_request {
	struct user *user; /* a reference of the layer's; the session takes its own */
	enum stream_network network;
	/* of UDP: the first or only destination; DEST_NONE when packets carry their own */
	struct dest dest;
	/* UDP: wrap `s` (this layer, ownership passes) into a dgram.  NULL for TCP. */
	struct dgram *(*udp)(struct stream *s);
	/* What is asked for is a multiplexer over this stream; there is no `dest` then.  NULL: not */
	const struct mux_kind *mux;
	bool mux_udp_only; /* whose children may be UDP only */
};

enum stream_attr {
	STREAM_REQUEST, /* .request: once open() has returned 0 */
	STREAM_PEER,	/* .addr: the far end's address; -ENOTSUP when unknown */
	/* .addr: the same, but -ENOTSUP as well while a header that has yet to come may name another */
	STREAM_SOURCE,
	STREAM_LOCAL, /* .addr */
	/* .num: 1 if an end of stream can be sent while reading goes on; default 1 */
	STREAM_HALF_CLOSE,
	STREAM_SNI,	    /* .text: server name, lower case, "" for none */
	STREAM_ALPN,	    /* .text: negotiated, "" for none */
	STREAM_TLS_VERSION, /* .num: 0x0303, 0x0304 */
	/* .stream: the live target that who is rejected is to be relayed to, after -ERR_REJECTED or
	 * when the deadline has come; peel() is his side of it */
	STREAM_REJECT,
	STREAM_RECORD_MODE, /* set only: .num bits of 1 << enum stream_dir */
	STREAM_ABORT,	    /* set only: free() shall reset (RST) instead of closing */
	/* set only: .num is why what was asked for cannot be had.  0: who asked is told, in place of any
	 * answer, and so is the end; free() waits for his.  Before anything has been pushed. */
	STREAM_REFUSED,
	/* set only: nothing more will be pushed, but where there is no half-close shut() has to wait */
	STREAM_PARTING,
	/* set only: .num bytes are worth a wake, fewer are not; 0: any are.  Whoever sets it looks by itself
	 * after a while, and takes it back */
	STREAM_GATHER,
};

union stream_value {
	int64_t num;
	const char *text; /* owned by the stream */
	const struct addr *addr;
	const struct stream_request *request;
	struct stream *stream; /* ownership passes to the caller */
};

/* The descriptor of a raw direction, for splice().  `io` stays the leaf's: clear its `ready` bit
 * when the kernel said EAGAIN, then want() the stream as usual. */
struct stream_raw {
	struct io *io;
};

struct stream_ops {
	const char *name;

	/* Drive the handshake.  0: ready (and 0 ever after).  -EAGAIN: still going, want() both.
	 * <0: failed; nothing has been consumed for good where the layer promises it. */
	int (*open)(struct stream *s);
	/* Move up to `max` payload bytes to the end of `dst`.  >0: moved.  0: orderly end.
	 * -EAGAIN: none now.  <0: broken; a stream cut short is -ERR_TRUNCATED, never 0. */
	ssize_t (*pull)(struct stream *s, struct bufq *dst, size_t max);
	/* Take bytes off the front of `src`.  >0: that many are now the stream's to deliver,
	 * without further calls.  -EAGAIN: none taken.  <0: broken; some may be gone from `src`. */
	ssize_t (*push)(struct stream *s, struct bufq *src);
	/* Queue `w` once an event of `ev` may let pull or push progress. */
	void (*want)(struct stream *s, unsigned ev, struct waiter *w);
	/* No more pushes.  0: our end of stream is on its way.  -EAGAIN: call again on WR. */
	int (*shut)(struct stream *s);
	/* Let go of this layer and all below.  No wake follows. */
	void (*free)(struct stream *s);

	/* optional */

	/* Step out: the lower stream is returned, undelivered bytes un-read into it, this layer is
	 * gone.  Bytes that must precede everything sent (a VLESS response header) go to `first`.
	 * NULL: cannot now, nothing has changed. */
	struct stream *(*peel)(struct stream *s, struct bufq *first);
	int (*bypass)(struct stream *s, enum stream_dir dir);
	/* 0: here is the descriptor and nothing is buffered above it; -EAGAIN: later; -ENOTSUP:
	 * never. */
	int (*splice)(struct stream *s, enum stream_dir dir, struct stream_raw *out);
	int (*query)(const struct stream *s, enum stream_attr attr, union stream_value *out);
	int (*set)(struct stream *s, enum stream_attr attr, union stream_value v);
};

struct stream {
	const struct stream_ops *ops;
	struct loop *loop;
	struct bufq unread; /* served before the layer itself; empty costs no chunk */
};

void stream_init(struct stream *s, const struct stream_ops *ops, struct loop *loop);
void stream_done(struct stream *s); /* frees un-read bytes; layers call it in their free() */

int stream_open(struct stream *s);
ssize_t stream_pull(struct stream *s, struct bufq *dst, size_t max);
ssize_t stream_push(struct stream *s, struct bufq *src);
void stream_want(struct stream *s, unsigned ev, struct waiter *w);
int stream_shut(struct stream *s);
void stream_free(struct stream *s); /* NULL is fine */

/* Put bytes back in front of what pull() would yield next.  All of `q` moves; `q` is left empty.
 * An end of stream already seen is seen again after them. */
void stream_unread(struct stream *s, struct bufq *q);

struct stream *stream_peel(struct stream *s, struct bufq *first); /* NULL where unsupported */
int stream_bypass(struct stream *s, enum stream_dir dir);	  /* -ENOTSUP likewise */
int stream_splice(struct stream *s, enum stream_dir dir,
		  struct stream_raw *out); /* IN: -EAGAIN while bytes are un-read */
int stream_query(const struct stream *s, enum stream_attr attr, union stream_value *out);
int stream_set(struct stream *s, enum stream_attr attr, union stream_value v);

/* Convenience over stream_query(): false / "" where unknown. */
bool stream_peer(const struct stream *s, struct addr *out);
bool stream_local(const struct stream *s, struct addr *out);
const char *stream_text(const struct stream *s, enum stream_attr attr);

#endif
