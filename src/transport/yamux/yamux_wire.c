#include "transport/yamux/yamux_wire.h"

/* Flags that the specification does not have are passed over, as the reference does. */
int yamux_frame_parse(struct rd *in, struct yamux_frame *out)
{
	struct yamux_frame f;
	struct rd r = *in;
	uint8_t version = rd_u8(&r);

	rd_check(&r, version == 0);
	f.type = rd_u8(&r);
	rd_check(&r, f.type <= YAMUX_GO_AWAY);
	f.flags = rd_be16(&r);
	f.stream = rd_be32(&r);
	rd_check(&r, (f.stream != 0) == (f.type <= YAMUX_UPDATE));
	f.len = rd_be32(&r);
	if (r.err)
		return r.err;
	*in = r;
	*out = f;
	return 0;
}

void yamux_frame_emit(struct wr *w, const struct yamux_frame *f)
{
	wr_u8(w, 0);
	wr_u8(w, f->type);
	wr_be16(w, f->flags);
	wr_be32(w, f->stream);
	wr_be32(w, f->len);
}
