#include "stream/framed_len.h"

#include "base/err.h"

int framed_len_parse(struct framed_state *st, struct rd *in, struct framed_head *out)
{
	struct rd r = *in;
	uint16_t len = rd_be16(&r);

	if (r.err)
		return r.err;
	*in = r;
	*out = (struct framed_head){.len = len};
	return 0;
}

int framed_len_emit(struct framed_state *st, struct wr *w, const struct dest *dest, size_t len)
{
	if (st->fixed && dest->type != DEST_NONE && !dest_equal(st->fixed, dest))
		return -ERR_DENIED;
	wr_be16(w, (uint16_t)len);
	return w->err;
}

int framed_some_parse(struct framed_state *st, struct rd *in, struct framed_head *out)
{
	int err = framed_len_parse(st, in, out);

	if (!err)
		out->skip = out->len == 0;
	return err;
}

int framed_some_emit(struct framed_state *st, struct wr *w, const struct dest *dest, size_t len)
{
	return len ? framed_len_emit(st, w, dest, len) : -ERR_TOO_BIG;
}
