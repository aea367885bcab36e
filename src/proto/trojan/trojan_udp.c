#include "proto/trojan/trojan_udp.h"

#include "proto/trojan/trojan_wire.h"

static int packet_parse(struct framed_state *st, struct rd *in, struct framed_head *out)
{
	struct framed_head h = {0};
	int err = trojan_packet_parse(in, &h.dest, &h.len);

	if (err)
		return err;
	h.skip = h.len == 0; /* Xray skips empty packets, too */
	*out = h;
	return 0;
}

static int packet_emit(struct framed_state *st, struct wr *w, const struct dest *dest, size_t len)
{
	if (dest->type == DEST_NONE)
		return -ERR_NO_ADDRESS;
	trojan_packet_emit(w, dest, len);
	return 0;
}

const struct framing trojan_framing = {
	.name = "trojan-udp",
	.max = TROJAN_UDP_MAX,
	.parse = packet_parse,
	.emit = packet_emit,
};
