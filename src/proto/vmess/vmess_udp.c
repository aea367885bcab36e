#include "proto/vmess/vmess_udp.h"

#include "proto/vmess/vmess_body.h"

static int packet_parse(struct framed_state *st, struct rd *in, struct framed_head *out)
{
	struct rd r = *in;
	uint16_t len = rd_be16(&r);

	if (r.err)
		return r.err;
	*in = r;
	*out = (struct framed_head){.len = len};
	return 0;
}

/* There is no address in a chunk: what another peer sent cannot be attributed, so it is not handed on
 * (udp.md, section 1).  One without text would be the end.
 */
static int packet_emit(struct framed_state *st, struct wr *w, const struct dest *dest, size_t len)
{
	if (len == 0)
		return -ERR_TOO_BIG;
	if (st->fixed && dest->type != DEST_NONE && !dest_equal(st->fixed, dest))
		return -ERR_DENIED;
	wr_be16(w, (uint16_t)len);
	return 0;
}

const struct framing vmess_udp_framing = {
	.name = "vmess-udp",
	.max = VMESS_PACKET_MAX,
	.parse = packet_parse,
	.emit = packet_emit,
};
