#include "transport/muxcool/xudp_wire.h"

#include <string.h>

#define META_MIN  4
#define OPT_DATA  0x01
#define OPT_ERROR 0x02

/* What stands behind the first four bytes: a target in New, and in a Keep of a UDP session. */
static void parse_target(struct rd *meta, struct muxcool_frame *f)
{
	if (f->status == MUXCOOL_KEEP &&
	    (rd_left(meta) == 0 || meta->base[meta->pos] != MUXCOOL_UDP))
		return;
	f->network = rd_u8(meta);
	rd_check(meta, f->network == MUXCOOL_TCP || f->network == MUXCOOL_UDP);
	rd_dest(meta, DEST_VLESS, &f->dest);
	if (f->status == MUXCOOL_NEW && f->network == MUXCOOL_UDP && f->has_data &&
	    rd_left(meta) >= sizeof(f->global_id)) {
		static const uint8_t none[sizeof(f->global_id)];

		rd_copy(meta, f->global_id, sizeof(f->global_id));
		f->has_global_id = memcmp(f->global_id, none, sizeof(none)) != 0;
	}
}

int muxcool_frame_parse(struct rd *in, struct muxcool_frame *out)
{
	struct muxcool_frame f = {0};
	struct rd r = *in, meta;
	uint16_t len;
	uint8_t opt;

	len = rd_be16(&r);
	rd_check(&r, r.err || (len >= META_MIN && len <= XUDP_META_MAX));
	meta = rd_sub(&r, len);
	if (r.err)
		return r.err;

	f.session = rd_be16(&meta);
	f.status = rd_u8(&meta);
	rd_check(&meta, f.status >= MUXCOOL_NEW && f.status <= MUXCOOL_KEEPALIVE);
	opt = rd_u8(&meta);
	f.has_data = opt & OPT_DATA;
	f.error = opt & OPT_ERROR;
	if (f.status == MUXCOOL_NEW || f.status == MUXCOOL_KEEP)
		parse_target(&meta, &f);
	if (meta.err)
		/* its length came first: short metadata can never be right */
		return -ERR_MALFORMED;

	if (f.has_data)
		f.data_len = rd_be16(&r);
	if (r.err)
		return r.err;
	*in = r;
	*out = f;
	return 0;
}

void muxcool_frame_emit(struct wr *w, const struct muxcool_frame *f)
{
	uint8_t mem[XUDP_META_MAX];
	struct wr meta = wr_of(mem, sizeof(mem));

	wr_be16(&meta, f->session);
	wr_u8(&meta, f->status);
	wr_u8(&meta, (uint8_t)((f->has_data ? OPT_DATA : 0) | (f->error ? OPT_ERROR : 0)));
	if (f->network) {
		wr_u8(&meta, f->network);
		wr_dest(&meta, DEST_VLESS, &f->dest);
		if (f->has_global_id)
			wr_bytes(&meta, f->global_id, sizeof(f->global_id));
	}
	wr_be16(w, (uint16_t)meta.len);
	wr_bytes(w, mem, meta.len);
	if (f->has_data)
		wr_be16(w, (uint16_t)f->data_len);
}
