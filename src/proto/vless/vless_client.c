#include <string.h>

#include "proto/client.h"
#include "proto/vless/vless.h"
#include "proto/vless/vless_udp.h"
#include "transport/muxcool/xudp.h"

static struct stream *start(struct stream *lower, const uint8_t id[VLESS_ID_LEN], uint8_t cmd,
			    const struct dest *dest)
{
	struct vless_request req = {.cmd = cmd};
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
	return start(lower, id, VLESS_TCP, dest);
}

struct dgram *vless_client_udp(struct stream *lower, const uint8_t id[VLESS_ID_LEN],
			       const struct dest *dest, bool plain)
{
	struct stream *s = start(lower, id, plain ? VLESS_UDP : VLESS_MUX, dest);

	if (!s)
		return NULL;
	return framed_new(s, plain ? &vless_udp_framing : &xudp_framing, true, plain ? dest : NULL,
			  NULL);
}
