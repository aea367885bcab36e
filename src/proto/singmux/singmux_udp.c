#include "proto/singmux/singmux_udp.h"

#include "base/err.h"
#include "stream/framed_len.h"

#define PACKET_MAX 16000 /* fits a buffer with its header */

static int named_parse(struct framed_state *st, struct rd *in, struct framed_head *out)
{
	struct framed_head h = {0};
	struct rd r = *in;

	rd_dest(&r, DEST_SOCKS, &h.dest);
	h.len = rd_be16(&r);
	if (r.err)
		return r.err;
	*in = r;
	*out = h;
	return 0;
}

static int named_emit(struct framed_state *st, struct wr *w, const struct dest *dest, size_t len)
{
	if (dest->type == DEST_NONE)
		return -ERR_NO_ADDRESS;
	wr_dest(w, DEST_SOCKS, dest);
	wr_be16(w, (uint16_t)len);
	return w->err;
}

const struct framing singmux_fixed_framing = {
	.name = "singmux",
	.max = PACKET_MAX,
	.parse = framed_len_parse,
	.emit = framed_len_emit,
};

const struct framing singmux_addr_framing = {
	.name = "singmux-addr",
	.max = PACKET_MAX,
	.parse = named_parse,
	.emit = named_emit,
};
