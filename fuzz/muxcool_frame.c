/* mux.cool frames, one after the other, through the framing of an XUDP client. */
#include "transport/muxcool/xudp.h"
#include "transport/muxcool/xudp_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct framed_state st = {.client = true};
	struct framed_head h = {0};
	struct rd r = rd_of(data, len);

	while (!xudp_framing.parse(&st, &r, &h) && h.len <= rd_left(&r))
		rd_skip(&r, h.len);
	return 0;
}
