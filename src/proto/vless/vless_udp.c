#include "proto/vless/vless_udp.h"

#include "proto/vless/vless_wire.h"

static int plain_parse(struct framed_state *st, struct rd *in, struct framed_head *out)
{
	struct rd r = *in;
	uint16_t len = rd_be16(&r);

	if (r.err)
		return r.err;
	*in = r;
	*out = (struct framed_head){.len = len, .skip = len == 0};
	return 0;
}

/* There is no address in these frames: what another peer sent cannot be attributed, so it is not
 * handed on (udp.md, section 1).
 */
static int plain_emit(struct framed_state *st, struct wr *w, const struct dest *dest, size_t len)
{
	if (len == 0)
		return -ERR_TOO_BIG;
	if (st->fixed && dest->type != DEST_NONE && !dest_equal(st->fixed, dest))
		return -ERR_DENIED;
	wr_be16(w, (uint16_t)len);
	return 0;
}

const struct framing vless_udp_framing = {
	.name = "vless-udp",
	.max = VLESS_UDP_MAX,
	.parse = plain_parse,
	.emit = plain_emit,
};
