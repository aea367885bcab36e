/* xudp_wire.h - one UDP association as mux.cool frames: XUDP (docs/protocols/udp.md, section 2).
 *
 * A frame is `u16 L, L bytes of metadata [, u16 N, N bytes of data]`.  Here only what a
 * single-session UDP stream carries; the multiplexer proper has more.
 */
#ifndef WEIR_TRANSPORT_XUDP_WIRE_H
#define WEIR_TRANSPORT_XUDP_WIRE_H

#include "base/base.h"
#include "base/rd.h"
#include "base/wr.h"
#include "net/dest.h"

#define XUDP_META_MAX 512
#define XUDP_HEAD_MAX (2 + XUDP_META_MAX + 2)
#define XUDP_DATA_MAX 8192 /* Xray kills the connection on more */

enum muxcool_status {
	MUXCOOL_NEW = 1,
	MUXCOOL_KEEP = 2,
	MUXCOOL_END = 3,
	MUXCOOL_KEEPALIVE = 4,
};

enum muxcool_network {
	MUXCOOL_TCP = 1,
	MUXCOOL_UDP = 2,
};

struct muxcool_frame {
	uint16_t session;
	uint8_t status;	 /* enum muxcool_status */
	uint8_t network; /* 0 when the frame names no destination */
	bool has_data, error;
	bool has_global_id;
	uint8_t global_id[8];
	struct dest dest; /* DEST_NONE likewise */
	size_t data_len;  /* this many bytes follow the header */
};

/* The header of a frame, up to its data. */
MUST_CHECK int muxcool_frame_parse(struct rd *in, struct muxcool_frame *out);
void muxcool_frame_emit(struct wr *w, const struct muxcool_frame *f);

#endif
