#include <string.h>

#include "proto/client.h"
#include "proto/vless/vision.h"
#include "proto/vless/vless.h"
#include "proto/vless/vless_udp.h"
#include "transport/muxcool/xudp.h"
#include "transport/muxcool/xudp_wire.h"

static struct stream *start(struct stream *lower, const uint8_t id[VLESS_ID_LEN], uint8_t cmd,
			    uint8_t flow, const struct dest *dest)
{
	struct vless_request req = {.cmd = cmd, .flow = flow};
	uint8_t mem[VLESS_REQ_MAX];
	struct wr w = wr_of(mem, sizeof(mem));

	memcpy(req.id, id, sizeof(req.id));
	if (cmd != VLESS_MUX)
		dest_copy(&req.dest, dest);
	vless_request_emit(&w, &req);
	return client_stream_new(lower, mem, w.len, vless_response_parse);
}

struct stream *vless_client_new(struct stream *lower, const uint8_t id[VLESS_ID_LEN],
				const struct dest *dest)
{
	return start(lower, id, VLESS_TCP, VLESS_FLOW_NONE, dest);
}

struct dgram *vless_client_udp(struct stream *lower, const uint8_t id[VLESS_ID_LEN],
			       const struct dest *dest, bool plain)
{
	struct stream *s = start(lower, id, plain ? VLESS_UDP : VLESS_MUX, VLESS_FLOW_NONE, dest);

	if (!s)
		return NULL;
	return framed_new(s, plain ? &vless_udp_framing : &xudp_framing, true, plain ? dest : NULL,
			  NULL);
}

struct stream *vless_client_vision(struct stream *lower, const uint8_t id[VLESS_ID_LEN],
				   const struct dest *dest)
{
	struct stream *s = start(lower, id, VLESS_TCP, VLESS_FLOW_VISION, dest);

	return s ? vision_client_new(s, id) : NULL;
}

struct stream *vless_client_mux(struct stream *lower, const uint8_t id[VLESS_ID_LEN], bool vision)
{
	struct stream *s =
		start(lower, id, VLESS_MUX, vision ? VLESS_FLOW_VISION : VLESS_FLOW_NONE, NULL);

	return s && vision ? vision_client_new(s, id) : s;
}

#define HTTPS 443

static int emit_but_quic(struct framed_state *st, struct wr *w, const struct dest *dest, size_t len)
{
	const struct dest *to = dest->type != DEST_NONE ? dest : st->fixed;

	if (to && to->port == HTTPS)
		return -ERR_DENIED;
	return xudp_framing.emit(st, w, dest, len);
}

static int xudp_parse(struct framed_state *st, struct rd *in, struct framed_head *out)
{
	return xudp_framing.parse(st, in, out);
}

static const struct framing without_quic = {
	.name = "xudp",
	.max = XUDP_DATA_MAX,
	.parse = xudp_parse,
	.emit = emit_but_quic,
};

struct dgram *vless_client_vision_udp(struct stream *lower, const uint8_t id[VLESS_ID_LEN],
				      bool udp443)
{
	struct stream *s = vless_client_mux(lower, id, true);

	return s ? framed_new(s, udp443 ? &xudp_framing : &without_quic, true, NULL, NULL) : NULL;
}
