#include "transport/smux/smux_wire.h"

#define VERSION 1

/* The reference passes over the length of what is not PSH, and then reads whatever follows as the
 * next frame.  Nobody sends that.
 */
int smux_frame_parse(struct rd *in, struct smux_frame *out)
{
	struct smux_frame f;
	struct rd r = *in;
	uint8_t version = rd_u8(&r);

	rd_check(&r, version == VERSION);
	f.command = rd_u8(&r);
	rd_check(&r, f.command <= SMUX_NOP);
	f.len = rd_le16(&r);
	rd_check(&r, f.command == SMUX_PSH || f.len == 0);
	f.stream = rd_le32(&r);
	if (r.err)
		return r.err;
	*in = r;
	*out = f;
	return 0;
}

void smux_frame_emit(struct wr *w, const struct smux_frame *f)
{
	wr_u8(w, VERSION);
	wr_u8(w, f->command);
	wr_le16(w, f->len);
	wr_le32(w, f->stream);
}
