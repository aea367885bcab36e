#include "proto/shadowsocks/ss_wire.h"

#include <string.h>

enum {
	TYPE_REQUEST = 0,
	TYPE_ANSWER = 1,
};

int ss_fixed_parse(struct rd *in, struct ss_fixed *out)
{
	struct rd r = *in;
	struct ss_fixed f;

	rd_check(&r, rd_u8(&r) == TYPE_REQUEST);
	f.time = rd_be64(&r);
	f.variable = rd_be16(&r);
	if (r.err)
		return r.err;

	*in = r;
	*out = f;
	return 0;
}

void ss_fixed_emit(struct wr *w, const struct ss_fixed *f)
{
	wr_u8(w, TYPE_REQUEST);
	wr_be64(w, f->time);
	wr_be16(w, f->variable);
}

int ss_variable_parse(struct rd *in, size_t len, struct dest *dest, size_t *skip)
{
	struct rd r = *in;
	struct dest d;
	size_t padding, head;

	rd_dest(&r, DEST_SOCKS, &d);
	padding = rd_be16(&r);
	if (r.err)
		return r.err;
	head = r.pos - in->pos + padding;
	if (head > len || (padding == 0 && head == len))
		return -ERR_MALFORMED;

	*in = r;
	*dest = d;
	*skip = head;
	return 0;
}

void ss_variable_emit(struct wr *w, const struct dest *dest, size_t padding)
{
	uint8_t *zeros;

	wr_dest(w, DEST_SOCKS, dest);
	wr_be16(w, (uint16_t)padding);
	zeros = padding ? wr_room(w, padding) : NULL;
	if (zeros)
		memset(zeros, 0, padding);
}

int ss_answer_parse(struct rd *in, size_t saltlen, struct ss_answer *out)
{
	struct rd r = *in;
	struct ss_answer a;

	rd_check(&r, rd_u8(&r) == TYPE_ANSWER);
	a.time = rd_be64(&r);
	a.salt = rd_bytes(&r, saltlen);
	a.first = rd_be16(&r);
	if (r.err)
		return r.err;

	*in = r;
	*out = a;
	return 0;
}

void ss_answer_emit(struct wr *w, size_t saltlen, const struct ss_answer *a)
{
	wr_u8(w, TYPE_ANSWER);
	wr_be64(w, a->time);
	wr_bytes(w, a->salt, saltlen);
	wr_be16(w, a->first);
}

bool ss_time_ok(uint64_t time, int64_t now)
{
	uint64_t here = (uint64_t)MAX(now, (int64_t)0);

	return (time > here ? time - here : here - time) <= SS_CLOCK_S;
}
