/* smux_wire.h - the frames of smux version 1 (docs/protocols/mux.md, section 5).
 *
 * Little endian: version, command, length, stream, and then that many bytes.  There are no windows:
 * who reads slowly stops reading the carrier.
 */
#ifndef WEIR_TRANSPORT_SMUX_WIRE_H
#define WEIR_TRANSPORT_SMUX_WIRE_H

#include "base/rd.h"
#include "base/wr.h"

#define SMUX_HEAD     8
#define SMUX_DATA_MAX 32768 /* the reference never sends more in a frame; it takes up to 65535 */

enum smux_command {
	SMUX_SYN = 0,
	SMUX_FIN = 1,
	SMUX_PSH = 2,
	SMUX_NOP = 3,
};

struct smux_frame {
	uint8_t command; /* enum smux_command */
	uint16_t len;	 /* bytes that follow; of PSH alone they mean something */
	uint32_t stream;
};

/* The header.  What has a length without being PSH is malformed, at the length. */
MUST_CHECK int smux_frame_parse(struct rd *in, struct smux_frame *out);
void smux_frame_emit(struct wr *w, const struct smux_frame *f);

#endif
