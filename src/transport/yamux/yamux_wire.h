/* yamux_wire.h - the frames of yamux (docs/protocols/mux.md, section 6).
 *
 * Big endian: version, type, flags, stream, length.  The last is how many bytes follow (data), by
 * how much a window grows (window update), a value to be sent back (ping), or why (go away).
 */
#ifndef WEIR_TRANSPORT_YAMUX_WIRE_H
#define WEIR_TRANSPORT_YAMUX_WIRE_H

#include "base/rd.h"
#include "base/wr.h"

#define YAMUX_HEAD   12
#define YAMUX_WINDOW (256 * 1024) /* of each stream and direction, at its beginning */

enum yamux_type {
	YAMUX_DATA = 0,
	YAMUX_UPDATE = 1,
	YAMUX_PING = 2,
	YAMUX_GO_AWAY = 3,
};

enum yamux_flag {
	YAMUX_SYN = 1,
	YAMUX_ACK = 2,
	YAMUX_FIN = 4,
	YAMUX_RST = 8,
};

enum yamux_why {
	YAMUX_NORMAL = 0,
	YAMUX_PROTOCOL = 1,
	YAMUX_INTERNAL = 2,
};

struct yamux_frame {
	uint8_t type;	/* enum yamux_type */
	uint16_t flags; /* enum yamux_flag */
	uint32_t stream, len;
};

/* The header.  A stream number where there is none to name, or the other way round, is malformed. */
MUST_CHECK int yamux_frame_parse(struct rd *in, struct yamux_frame *out);
void yamux_frame_emit(struct wr *w, const struct yamux_frame *f);

#endif
