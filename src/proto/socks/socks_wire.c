#include "proto/socks/socks_wire.h"

#define VERSION 5

int socks_greeting_parse(struct rd *in, bool *no_auth)
{
	struct rd r = *in;
	const uint8_t *methods;
	bool found = false;
	uint8_t n;

	rd_expect(&r, (uint8_t[]){VERSION}, 1);
	n = rd_u8(&r);
	methods = rd_bytes(&r, n);
	if (r.err)
		return r.err;
	for (size_t i = 0; i < n; i++)
		found |= methods[i] == 0;
	*in = r;
	*no_auth = found;
	return 0;
}

void socks_greeting_emit(struct wr *w)
{
	wr_bytes(w, (uint8_t[]){VERSION, 1, 0}, 3);
}

void socks_choice_emit(struct wr *w, bool accept)
{
	wr_u8(w, VERSION);
	wr_u8(w, accept ? 0 : 0xff);
}

int socks_request_parse(struct rd *in, uint8_t *cmd, struct dest *dest)
{
	struct rd r = *in;
	struct dest d;
	uint8_t c;

	rd_expect(&r, (uint8_t[]){VERSION}, 1);
	c = rd_u8(&r);
	rd_skip(&r, 1);
	rd_dest(&r, DEST_SOCKS, &d);
	if (r.err)
		return r.err;
	*in = r;
	*cmd = c;
	*dest = d;
	return 0;
}

void socks_request_emit(struct wr *w, uint8_t cmd, const struct dest *dest)
{
	wr_bytes(w, (uint8_t[]){VERSION, cmd, 0}, 3);
	wr_dest(w, DEST_SOCKS, dest);
}

void socks_reply_emit(struct wr *w, enum socks_reply code, const struct dest *bound)
{
	wr_bytes(w, (uint8_t[]){VERSION, (uint8_t)code, 0}, 3);
	wr_dest(w, DEST_SOCKS, bound);
}

int socks_udp_parse(struct rd *in, struct dest *dest)
{
	struct rd r = *in;
	struct dest d;
	uint8_t fragment;

	rd_expect(&r, "\0\0", 2);
	fragment = rd_u8(&r);
	rd_dest(&r, DEST_SOCKS, &d);
	if (r.err)
		return r.err;
	if (fragment)
		return -ERR_UNSUPPORTED;
	*in = r;
	*dest = d;
	return 0;
}

void socks_udp_emit(struct wr *w, const struct dest *dest)
{
	wr_bytes(w, (uint8_t[]){0, 0, 0}, 3);
	wr_dest(w, DEST_SOCKS, dest);
}
