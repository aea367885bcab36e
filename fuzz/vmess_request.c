/* VMess requests in clear; what parses is emitted and parsed again.  Their checksum is put right, so that
 * what stands in front of it is reached. */
#include <stdlib.h>
#include <string.h>

#include "proto/vmess/vmess_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint32_t sum_of(const uint8_t *p, size_t n)
{
	uint32_t h = 0x811c9dc5;

	while (n-- > 0)
		h = (h ^ *p++) * 0x01000193;
	return h;
}

/* With its own checksum behind each prefix, until one parses. */
static int parse(const uint8_t *data, size_t len, struct vmess_request *req)
{
	uint8_t mem[VMESS_REQ_MAX + 4];
	int err = -ERR_MORE;

	for (size_t n = VMESS_FIXED; n <= MIN(len, (size_t)VMESS_REQ_MAX) && err; n++) {
		struct wr w = wr_of(mem, sizeof(mem));
		struct rd r;

		wr_bytes(&w, data, n);
		wr_be32(&w, sum_of(data, n));
		r = rd_of(mem, w.len);
		err = vmess_request_parse(&r, req);
		if (!err && r.pos != w.len)
			abort();
	}
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t mem[VMESS_REQ_MAX], noise[VMESS_PADDING_MAX] = {0};
	struct wr w = wr_of(mem, sizeof(mem));
	struct vmess_request req, again;
	struct rd r = rd_of(data, len);

	(void)!vmess_request_parse(&r, &req);
	if (r.pos > len)
		abort();
	if (parse(data, len, &req))
		return 0;
	vmess_request_emit(&w, &req, noise, data[0] % (VMESS_PADDING_MAX + 1));
	r = rd_of(mem, w.len);
	if (w.err || vmess_request_parse(&r, &again) || r.pos != w.len ||
	    memcmp(req.key, again.key, sizeof(req.key)) || req.cmd != again.cmd ||
	    req.cipher != again.cipher || req.option != again.option ||
	    (req.cmd != VMESS_MUX && !dest_equal(&req.dest, &again.dest)))
		abort();
	return 0;
}
