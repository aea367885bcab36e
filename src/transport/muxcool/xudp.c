/* The client's side of XUDP (mux.md, section 3): its first frame is New, all others are Keep; the server
 * answers with Keep and the source of every packet.
 */
#include "transport/muxcool/xudp.h"

#include "transport/muxcool/xudp_wire.h"

static int xudp_parse(struct framed_state *st, struct rd *in, struct framed_head *out)
{
	struct muxcool_frame f;
	struct rd r = *in;
	int err = muxcool_frame_parse(&r, &f);

	if (err)
		return err;
	if (f.status == MUXCOOL_NEW && st->client)
		return -ERR_PROTOCOL;
	*out = (struct framed_head){.dest = f.dest, .len = f.data_len};
	out->end = f.status == MUXCOOL_END && f.session == st->id;
	out->skip = !f.has_data || (f.status != MUXCOOL_NEW && f.status != MUXCOOL_KEEP);
	*in = r;
	return 0;
}

static int xudp_emit(struct framed_state *st, struct wr *w, const struct dest *dest, size_t len)
{
	struct muxcool_frame f = {
		.session = st->id,
		.status = st->client && !st->started ? MUXCOOL_NEW : MUXCOOL_KEEP,
		.has_data = true,
		.data_len = len,
	};

	if (dest->type != DEST_NONE) {
		f.network = MUXCOOL_UDP;
		f.dest = *dest;
	} else if (f.status == MUXCOOL_NEW) {
		return -ERR_NO_ADDRESS;
	}
	muxcool_frame_emit(w, &f);
	st->started = true;
	return 0;
}

const struct framing xudp_framing = {
	.name = "xudp",
	.max = XUDP_DATA_MAX,
	.parse = xudp_parse,
	.emit = xudp_emit,
};
