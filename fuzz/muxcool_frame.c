/* mux.cool frames, one after the other, through the XUDP framing of both roles. */
#include <stdlib.h>

#include "transport/muxcool/xudp.h"
#include "transport/muxcool/xudp_wire.h"

static void walk(const uint8_t *data, size_t len, bool client)
{
	struct framed_state st = {.client = client};
	struct framed_head h = {0};
	struct rd r = rd_of(data, len);

	while (!xudp_framing.parse(&st, &r, &h) && h.len <= rd_left(&r))
		rd_skip(&r, h.len);
	free(st.fixed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	walk(data, len, false);
	walk(data, len, true);
	return 0;
}
