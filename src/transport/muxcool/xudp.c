/* XUDP: one UDP association as a mux.cool connection of a single session (udp.md, section 2).
 *
 * The client's first frame is New, all others are Keep; the server answers with Keep and the source
 * of every packet.  Keep frames to sing-box clients always carry data and no padding.
 */
#include "transport/muxcool/xudp.h"

#include <errno.h>
#include <stdlib.h>

#include "transport/muxcool/xudp_wire.h"

static int accept_new(struct framed_state *st, const struct muxcool_frame *f)
{
	if (st->started && f->session != st->id)
		return -ERR_UNSUPPORTED;
	if (f->network != MUXCOOL_UDP)
		return -ERR_UNSUPPORTED;
	free(st->fixed);
	st->fixed = dest_dup(&f->dest);
	if (!st->fixed)
		return -ENOMEM;
	st->started = true;
	st->id = f->session;
	return 0;
}

static int xudp_parse(struct framed_state *st, struct rd *in, struct framed_head *out)
{
	struct muxcool_frame f;
	struct rd r = *in;
	int err;

	err = muxcool_frame_parse(&r, &f);
	if (err)
		return err;
	*out = (struct framed_head){.dest = f.dest, .len = f.data_len};
	switch (f.status) {
	case MUXCOOL_NEW:
		err = st->client ? -ERR_PROTOCOL : accept_new(st, &f);
		break;
	case MUXCOOL_KEEP:
		out->skip = !st->client && (!st->started || f.session != st->id);
		break;
	case MUXCOOL_END:
		out->end = f.session == st->id;
		out->skip = true;
		break;
	default:
		out->skip = true;
	}
	if (err)
		return err;
	out->skip |= !f.has_data;
	*in = r;
	return 0;
}

static int xudp_emit(struct framed_state *st, struct wr *w, const struct dest *dest, size_t len)
{
	struct muxcool_frame f = {
		.session = st->id,
		.status = MUXCOOL_KEEP,
		.has_data = true,
		.data_len = len,
	};

	if (st->client && !st->started)
		f.status = MUXCOOL_NEW;
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
