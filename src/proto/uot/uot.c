#include "proto/uot/uot.h"

#include <string.h>

#include "base/err.h"
#include "stream/framed_len.h"

#define PACKET_MAX 16000 /* fits a buffer with its header */

static const char *const names[] = {
	[UOT_V1] = "sp.udp-over-tcp.arpa",
	[UOT_V2] = "sp.v2.udp-over-tcp.arpa",
};

enum uot_version uot_version_of(const struct dest *d)
{
	for (int v = UOT_V1; v <= UOT_V2; v++) {
		if (d->type == DEST_NAME && d->len == strlen(names[v]) &&
		    !memcmp(d->bytes, names[v], d->len))
			return (enum uot_version)v;
	}
	return UOT_NONE;
}

void uot_dest(enum uot_version v, struct dest *out)
{
	*out = (struct dest){.type = DEST_NAME, .len = (uint8_t)strlen(names[v])};
	memcpy(out->bytes, names[v], out->len);
}

static bool is_unspecified(const struct dest *d)
{
	if (d->type != DEST_IP4 && d->type != DEST_IP6)
		return false;
	for (size_t i = 0; i < d->len; i++) {
		if (d->bytes[i])
			return false;
	}
	return true;
}

int uot_request_parse(struct rd *in, struct uot_request *out)
{
	struct rd r = *in;
	struct uot_request q = {.connect = rd_u8(&r) != 0};

	rd_dest(&r, DEST_SOCKS, &q.dest);
	if (r.err)
		return r.err;
	if (is_unspecified(&q.dest))
		q.dest = (struct dest){.type = DEST_NONE};
	*in = r;
	*out = q;
	return 0;
}

void uot_request_emit(struct wr *w, const struct uot_request *r)
{
	static const struct dest nowhere = {.type = DEST_IP4, .len = 4};

	wr_u8(w, r->connect);
	wr_dest(w, DEST_SOCKS, r->dest.type == DEST_NONE ? &nowhere : &r->dest);
}

/* ---- packets ----------------------------------------------------------------------------- */

/* The same address as SOCKS has, under other numbers: 0 IPv4, 1 IPv6, 2 name. */
static const uint8_t socks_types[] = {1, 4, 3};

static void rd_packet_dest(struct rd *r, struct dest *out)
{
	uint8_t mem[1 + 1 + 255 + 2], type = rd_u8(r);
	size_t len = type == 0 ? 4 : type == 1 ? 16 : 1;
	struct rd sub;

	rd_check(r, type < ARRAY_LEN(socks_types));
	if (r->err)
		return;
	mem[0] = socks_types[type];
	if (type == 2) {
		mem[1] = rd_u8(r);
		len = 1u + mem[1];
		rd_copy(r, mem + 2, len - 1);
	} else {
		rd_copy(r, mem + 1, len);
	}
	rd_copy(r, mem + 1 + len, 2);
	if (r->err)
		return;
	sub = rd_of(mem, 1 + len + 2);
	rd_dest(&sub, DEST_SOCKS, out);
	if (sub.err)
		rd_fail(r, -ERR_MALFORMED);
}

static int packet_parse(struct framed_state *st, struct rd *in, struct framed_head *out)
{
	struct framed_head h = {0};
	struct rd r = *in;

	rd_packet_dest(&r, &h.dest);
	h.len = rd_be16(&r);
	if (r.err)
		return r.err;
	*in = r;
	*out = h;
	return 0;
}

static int packet_emit(struct framed_state *st, struct wr *w, const struct dest *dest, size_t len)
{
	uint8_t mem[1 + 1 + 255 + 2];
	struct wr address = wr_of(mem, sizeof(mem));

	if (dest->type == DEST_NONE)
		return -ERR_NO_ADDRESS;
	wr_dest(&address, DEST_SOCKS, dest);
	if (address.err)
		return address.err;
	for (uint8_t i = 0; i < ARRAY_LEN(socks_types); i++) {
		if (socks_types[i] == mem[0]) {
			mem[0] = i;
			break;
		}
	}
	wr_bytes(w, mem, address.len);
	wr_be16(w, (uint16_t)len);
	return 0;
}

const struct framing uot_framing = {
	.name = "uot",
	.max = PACKET_MAX,
	.parse = packet_parse,
	.emit = packet_emit,
};

const struct framing uot_connect_framing = {
	.name = "uot-connect",
	.max = PACKET_MAX,
	.parse = framed_len_parse,
	.emit = framed_len_emit,
};
