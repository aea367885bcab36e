/* VLESS requests, addons and answers; what parses is emitted and parsed again. */
#include <stdlib.h>

#include "proto/vless/vless_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd r = rd_of(data, len);
	struct vless_request req, again;
	uint8_t mem[VLESS_REQ_MAX], flow;
	struct wr w = wr_of(mem, sizeof(mem));

	if (!vless_request_parse(&r, &req) && req.flow != VLESS_FLOW_OTHER) {
		vless_request_emit(&w, &req);
		r = rd_of(mem, w.len);
		if (w.err || vless_request_parse(&r, &again) || !dest_equal(&req.dest, &again.dest))
			abort();
	}
	r = rd_of(data, len);
	(void)!vless_response_parse(&r);
	r = rd_of(data, len);
	(void)!vless_addons_parse(&r, &flow);
	return 0;
}
