/* framed.h - packets inside a stream: one adapter for every UDP-over-stream framing.
 *
 * A protocol supplies two pure functions, for the header before each packet; the adapter does the
 * buffering, the batching and the waiting.  Packets larger than a chunk or than the framing's limit
 * are dropped and counted, never split.
 */
#ifndef WEIR_STREAM_FRAMED_H
#define WEIR_STREAM_FRAMED_H

#include "base/rd.h"
#include "base/wr.h"
#include "stream/dgram.h"

#define FRAMED_HEAD_MAX 640

struct framed_head {
	struct dest dest; /* DEST_NONE: the fixed destination of the association */
	size_t len;	  /* payload bytes behind the header */
	bool skip;	  /* not a packet: pass over the payload */
	bool end;	  /* the peer ended the association */
};

/* What a framing remembers of its association. */
struct framed_state {
	bool client;  /* our role */
	bool started; /* the first packet has been sent, or met */
	uint16_t id;  /* mux.cool session */
	/* the destination of packets that name none; a dest_dup(); may be NULL */
	struct dest *fixed;
};

struct framing {
	const char *name;
	size_t max; /* largest payload sent */
	/* Parse one header from `in`: 0, -ERR_MORE, or <0 broken. */
	int (*parse)(struct framed_state *st, struct rd *in, struct framed_head *out);
	/* Emit the header of a packet of `len` bytes for (from) `dest`.  <0: drop this packet. */
	int (*emit)(struct framed_state *st, struct wr *w, const struct dest *dest, size_t len);
};

/* A datagram association over `lower`, whose ownership passes; on NULL (no memory) `lower` is
 * freed.  `fixed` (may be NULL) is copied.  `first` (may be NULL) goes out before the first packet;
 * it is empty afterwards, whatever has come of it.
 */
struct dgram *framed_new(struct stream *lower, const struct framing *framing, bool client,
			 const struct dest *fixed, struct bufq *first);

#endif
