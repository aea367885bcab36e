/* vision_wire.h - the flow xtls-rprx-vision, pure: blocks, padding, and when to stop (docs/protocols/vision.md).
 *
 * Each direction begins as a sequence of padded blocks and is, from an agreed byte on, either plain
 * inside the outer TLS (END) or outside of it (DIRECT).  What decides is what the inner bytes are:
 * the filter looks for a TLS 1.3 ServerHello, the track follows the borders of inner records.
 *
 * Nothing here knows streams, clocks or randomness.
 */
#ifndef WEIR_PROTO_VLESS_VISION_WIRE_H
#define WEIR_PROTO_VLESS_VISION_WIRE_H

#include "base/rd.h"
#include "base/wr.h"
#include "proto/vless/vless_wire.h"

#define VISION_BLOCK_MAX 8192 /* id, header, content and padding: sing-box reads no more at once */
#define VISION_HEAD	 5
#define VISION_FIRST	 (VLESS_ID_LEN + VISION_HEAD) /* what stands before the first content */
#define VISION_CONTENT	 (VISION_BLOCK_MAX - VISION_FIRST)
#define VISION_PIECE	 8192 /* the filter looks at so much at once */

enum vision_command {
	VISION_CONTINUE,
	VISION_END,    /* what follows is unpadded */
	VISION_DIRECT, /* what follows is outside the outer TLS as well */
};

/* ---- what goes through, one per connection, fed by both directions --------------------------- */
struct vision_filter {
	int32_t hello_left; /* bytes of a ServerHello still to be searched; <= 0: none */
	uint16_t cipher;
	uint8_t left; /* pieces that will still be looked at */
	bool tls;
	bool answered; /* a ServerHello was there */
	bool direct;   /* of TLS 1.3, with a cipher whose records look like ours */
};

void vision_filter_init(struct vision_filter *f);
/* The next piece, of either direction.  Only its start is looked at. */
void vision_filter_feed(struct vision_filter *f, const uint8_t *p, size_t len);

/* ---- the borders of inner records, in one direction ------------------------------------------ */
struct vision_track {
	uint32_t need; /* bytes of the present record still to come */
	uint8_t head[5], nhead;
	bool lost; /* these are no records */
	bool data; /* application data has begun, or nobody can tell */
	bool in_data;
};

void vision_track_feed(struct vision_track *t, const uint8_t *p, size_t len);
static inline bool vision_at_border(const struct vision_track *t)
{
	return !t->lost && t->need == 0 && t->nhead == 0;
}

/* ---- receiving ------------------------------------------------------------------------------- */
enum vision_state {
	VISION_IN_ID,
	VISION_IN_HEAD,
	VISION_IN_CONTENT,
	VISION_IN_PADDING,
	VISION_IN_PLAIN,
	VISION_IN_DIRECT,
};

struct vision_in {
	uint8_t state; /* enum vision_state */
	uint8_t command;
	uint8_t have; /* bytes of the id, or of the header */
	uint8_t head[VISION_HEAD];
	uint16_t content, padding; /* still to come */
};

/* What the next bytes are: returns how many of the `len` (> 0) at `p` are of one kind, *content:
 * deliver them, else drop them.  Once the state is PLAIN or DIRECT all is content.
 * -ERR_PROTOCOL: a command that nobody knows.
 *
 * A direction that does not begin with `id` is not padded at all: the state is PLAIN then, and the
 * first `have` bytes of the id, dropped before, were payload.
 */
ssize_t vision_unpad(struct vision_in *in, const uint8_t id[VLESS_ID_LEN], const uint8_t *p,
		     size_t len, bool *content);

/* In the middle of a block: an end of stream here has cut it. */
static inline bool vision_in_block(const struct vision_in *in)
{
	return in->state == VISION_IN_CONTENT || in->state == VISION_IN_PADDING ||
	       (in->state == VISION_IN_HEAD && in->have > 0);
}

/* ---- sending --------------------------------------------------------------------------------- */
struct vision_block {
	uint16_t content;
	uint8_t command;
	bool roomy; /* long padding */
};

struct vision_out {
	struct vision_track track;
	uint32_t last; /* bytes of the final complete records still to be sent in blocks */
	bool started;  /* the id has been sent */
	bool ended;    /* no block follows */
	bool direct;   /* and what follows goes outside */
};

/* The next block for `avail` (> 0) bytes of which `p` are the first min(avail, VISION_PIECE).  The filter
 * is fed.  `may_end`: the other side's handshake is through, so that what is application data here
 * is none of the handshake.
 */
struct vision_block vision_next(struct vision_out *out, struct vision_filter *f, const uint8_t *p,
				size_t avail, bool may_end);

/* How much padding; `dice` is random. */
uint16_t vision_padding(size_t content, bool roomy, uint32_t dice);

/* What precedes the content; `id` NULL behind the first block. */
void vision_block_emit(struct wr *w, const uint8_t *id, const struct vision_block *b,
		       uint16_t padding);

#endif
