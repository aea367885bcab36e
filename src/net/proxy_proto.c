#include "net/proxy_proto.h"

#include <stdio.h>
#include <string.h>

static const uint8_t v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

enum {
	V2_LOCAL = 0x20,
	V2_PROXY = 0x21,
	V2_DGRAM = 2, /* low half of the family byte */
};

/* ---- version 1: a line of text ----------------------------------------------------------- */

/* The rest of the line up to its CRLF, which must come within `max` bytes.  NULL with an error. */
static const uint8_t *rd_line(struct rd *r, size_t max, size_t *len)
{
	const uint8_t *p = r->base + r->pos, *lf;
	size_t have = MIN(rd_left(r), max);

	if (r->err)
		return NULL;
	lf = memchr(p, '\n', have);
	if (!lf) {
		r->pos += have < max ? 0 : max - 1;
		rd_fail(r, have < max ? -ERR_MORE : -ERR_MALFORMED);
		return NULL;
	}
	if (lf == p || lf[-1] != '\r') {
		r->pos += (size_t)(lf - p);
		rd_fail(r, -ERR_MALFORMED);
		return NULL;
	}
	*len = (size_t)(lf - p) - 1;
	r->pos += *len + 2;
	return p;
}

/* One word of a line, ended by `end`, into `out`. */
static void rd_word(struct rd *r, char end, char *out, size_t cap)
{
	size_t n = 0;
	uint8_t c;

	for (;;) {
		c = rd_u8(r);
		if (r->err || c == (uint8_t)end)
			break;
		rd_check(r, c > ' ' && c < 0x7f && n + 1 < cap);
		if (r->err)
			break;
		out[n++] = (char)c;
	}
	out[n] = '\0';
}

static void rd_ip(struct rd *r, int family, struct addr *out)
{
	char text[ADDR_TEXT_MAX];

	rd_word(r, ' ', text, 46);
	if (!r->err && text[0] != '[' && addr_parse_ip(out, text, 0) == 0)
		rd_check(r, out->sa.sa_family == family);
	else
		rd_check(r, false);
}

static void rd_port(struct rd *r, char end, struct addr *a)
{
	char text[6];
	uint16_t port = 0;

	rd_word(r, end, text, sizeof(text));
	rd_check(r, addr_parse_port(text, &port) == 0);
	addr_set_port(a, port);
}

static void rd_v1_addresses(struct rd *r, int family, struct proxy_header *h)
{
	rd_expect(r, " ", 1);
	rd_ip(r, family, &h->src);
	rd_ip(r, family, &h->dst);
	rd_port(r, ' ', &h->src);
	rd_port(r, '\r', &h->dst);
}

static void rd_v1(struct rd *in, struct proxy_header *h)
{
	size_t start = in->pos, len = 0;
	const uint8_t *line = rd_line(in, PROXY_V1_MAX, &len);
	struct rd r = rd_of(line, line ? len + 1 : 0); /* with the CR, which ends the last port */
	uint8_t kind;

	if (!line)
		return;
	rd_expect(&r, "PROXY ", 6);
	kind = rd_u8(&r);
	rd_check(&r, kind == 'T' || kind == 'U');
	if (kind == 'U') {
		h->local = true;
		rd_expect(&r, "NKNOWN", 6);
		kind = rd_u8(&r);
		rd_check(&r, kind == ' ' || kind == '\r');
	} else {
		rd_expect(&r, "CP", 2);
		kind = rd_u8(&r);
		rd_check(&r, kind == '4' || kind == '6');
		rd_v1_addresses(&r, kind == '4' ? AF_INET : AF_INET6, h);
		if (!r.err && rd_left(&r) > 0)
			r.err = -ERR_MALFORMED;
	}
	if (r.err) {
		/* The line is whole: what is missing in it will not come. */
		in->pos = start + r.pos;
		in->err = -ERR_MALFORMED;
	}
}

/* ---- version 2: binary ------------------------------------------------------------------- */

static size_t v2_block_size(uint8_t family)
{
	switch (family) {
	case 0x00:
		return 0;
	case 0x11:
	case 0x12:
		return 12;
	case 0x21:
	case 0x22:
		return 36;
	default: /* unix */
		return 216;
	}
}

static bool v2_family_known(uint8_t f)
{
	return f == 0x00 || f == 0x11 || f == 0x12 || f == 0x21 || f == 0x22 || f == 0x31 ||
	       f == 0x32;
}

static void rd_v2_addresses(struct rd *r, uint8_t family, struct proxy_header *h)
{
	bool v6 = family >> 4 == 2;
	uint8_t src[16], dst[16];

	if (family >> 4 == 3) {
		h->local = true; /* unix sockets: no address that anybody could use */
		return;
	}
	rd_copy(r, src, v6 ? 16 : 4);
	rd_copy(r, dst, v6 ? 16 : 4);
	if (r->err)
		return;
	h->src = v6 ? addr_from_ip6(src, 0) : addr_from_ip4(src, 0);
	h->dst = v6 ? addr_from_ip6(dst, 0) : addr_from_ip4(dst, 0);
	addr_set_port(&h->src, rd_be16(r));
	addr_set_port(&h->dst, rd_be16(r));
}

static void rd_v2(struct rd *r, struct proxy_header *h)
{
	uint8_t command, family;
	struct rd body;
	uint16_t len;

	rd_expect(r, v2_signature, sizeof(v2_signature));
	command = rd_u8(r);
	rd_check(r, command == V2_LOCAL || command == V2_PROXY);
	family = rd_u8(r);
	rd_check(r, v2_family_known(family) && (family != 0 || command == V2_LOCAL));
	len = rd_be16(r);
	rd_check(r, len <= PROXY_V2_MAX - 16);
	rd_check(r, command == V2_LOCAL || len >= v2_block_size(family));
	body = rd_sub(r, len);
	h->version = 2;
	h->local = command == V2_LOCAL;
	h->dgram = (family & 15) == V2_DGRAM;
	if (!r->err && !h->local)
		rd_v2_addresses(&body, family, h);
}

int proxy_parse(struct rd *in, struct proxy_header *out)
{
	struct proxy_header h = {.version = 1};
	struct rd r = *in;

	if (!r.err && rd_left(&r) > 0 && r.base[r.pos] == v2_signature[0]) {
		rd_v2(&r, &h);
	} else {
		struct rd head = r;

		/* A wrong word is wrong before its line is whole. */
		rd_expect(&head, "PROXY ", 6);
		if (head.err)
			return head.err;
		rd_v1(&r, &h);
	}
	if (r.err)
		return r.err;
	*in = r;
	*out = h;
	return 0;
}

/* ---- writing ----------------------------------------------------------------------------- */

static void wr_v1(struct wr *w, const struct addr *src, const struct addr *dst)
{
	char line[PROXY_V1_MAX + 32], a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];

	snprintf(line, sizeof(line), "PROXY TCP%c %.45s %.45s %u %u\r\n",
		 src->sa.sa_family == AF_INET6 ? '6' : '4', addr_format_ip(src, a),
		 addr_format_ip(dst, b), addr_port(src), addr_port(dst));
	wr_str(w, line);
}

static void wr_v2(struct wr *w, const struct addr *src, const struct addr *dst)
{
	bool v6 = src->sa.sa_family == AF_INET6;
	size_t skip = v6 ? 0 : 12;
	uint8_t ip[16];

	wr_bytes(w, v2_signature, sizeof(v2_signature));
	wr_u8(w, V2_PROXY);
	wr_u8(w, v6 ? 0x21 : 0x11);
	wr_be16(w, v6 ? 36 : 12);
	addr_ip16(src, ip);
	wr_bytes(w, ip + skip, 16 - skip);
	addr_ip16(dst, ip);
	wr_bytes(w, ip + skip, 16 - skip);
	wr_be16(w, addr_port(src));
	wr_be16(w, addr_port(dst));
}

static void wr_none(struct wr *w, int version)
{
	if (version == 1) {
		wr_str(w, "PROXY UNKNOWN\r\n");
		return;
	}
	wr_bytes(w, v2_signature, sizeof(v2_signature));
	wr_u8(w, V2_LOCAL);
	wr_u8(w, 0);
	wr_be16(w, 0);
}

void proxy_emit(struct wr *w, int version, const struct addr *src, const struct addr *dst)
{
	struct addr s = addr_unmap(src), d = addr_unmap(dst);

	if (!s.len || !d.len || s.sa.sa_family != d.sa.sa_family)
		wr_none(w, version);
	else if (version == 1)
		wr_v1(w, &s, &d);
	else
		wr_v2(w, &s, &d);
}
