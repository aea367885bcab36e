/* The server layer of vless, from the first byte to the last packet. */
#include "inbound.h"

#include "proto/vless/vless_wire.h"

static size_t request_len(const uint8_t *data, size_t len)
{
	struct rd r = rd_of(data, len);
	struct vless_request req;

	NEED(vless_request_parse(&r, &req) == 0);
	return r.pos;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct inbound_fuzz f = {.request_len = request_len};

	return fuzz_inbound(&f, "vless", data, len);
}
