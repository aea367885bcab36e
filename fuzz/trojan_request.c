/* Trojan requests and packets; what parses is emitted and parsed again. */
#include <stdlib.h>
#include <string.h>

#include "proto/trojan/trojan_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd r = rd_of(data, len);
	struct trojan_request req, again;
	uint8_t mem[TROJAN_REQ_MAX];
	struct wr w = wr_of(mem, sizeof(mem));
	struct dest d;
	size_t n;

	if (!trojan_request_parse(&r, &req)) {
		trojan_request_emit(&w, &req);
		r = rd_of(mem, w.len);
		if (w.err || trojan_request_parse(&r, &again) ||
		    memcmp(req.key, again.key, sizeof(req.key)) ||
		    !dest_equal(&req.dest, &again.dest))
			abort();
	}
	r = rd_of(data, len);
	(void)!trojan_packet_parse(&r, &d, &n);
	return 0;
}
