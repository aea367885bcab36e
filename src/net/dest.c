#include "net/dest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void dest_set_addr(struct dest *d, const struct addr *a)
{
	struct addr plain = addr_unmap(a);

	d->port = addr_port(&plain);
	if (plain.len == 0) {
		d->type = DEST_NONE;
		d->len = 0;
	} else if (plain.sa.sa_family == AF_INET) {
		d->type = DEST_IP4;
		d->len = 4;
		memcpy(d->bytes, &plain.in.sin_addr, 4);
	} else {
		d->type = DEST_IP6;
		d->len = 16;
		memcpy(d->bytes, &plain.in6.sin6_addr, 16);
	}
}

static bool name_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_';
}

/* Where the first byte stands that no host name has; `len` when there is none. */
static size_t bad_byte(const uint8_t *name, size_t len)
{
	size_t i = 0;

	while (i < len && name_byte(name[i]))
		i++;
	return i;
}

static bool ip_literal(const uint8_t *name, size_t len, struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	if (len >= sizeof(text) || memchr(name, '\0', len))
		return false;
	memcpy(text, name, len);
	text[len] = '\0';
	return addr_parse_ip(a, text, 0) == 0;
}

int dest_set_name(struct dest *d, const void *name, size_t len, uint16_t port)
{
	struct addr a;

	if (len == 0 || len > DEST_NAME_MAX)
		return -ERR_MALFORMED;
	if (ip_literal(name, len, &a)) {
		dest_set_addr(d, &a);
		d->port = port;
		return 0;
	}
	if (bad_byte(name, len) < len)
		return -ERR_MALFORMED;
	d->port = port;
	d->type = DEST_NAME;
	d->len = (uint8_t)len;
	memcpy(d->bytes, name, len);
	d->bytes[len] = '\0';
	return 0;
}

int dest_parse(struct dest *d, const char *text)
{
	const char *colon = strrchr(text, ':');
	struct addr a;
	uint16_t port;

	if (text[0] == '[') {
		if (addr_parse(&a, text))
			return -ERR_MALFORMED;
		dest_set_addr(d, &a);
		return 0;
	}
	if (!colon || strchr(text, ':') != colon || addr_parse_port(colon + 1, &port))
		return -ERR_MALFORMED;
	return dest_set_name(d, text, (size_t)(colon - text), port);
}

const char *dest_format(const struct dest *d, char *out)
{
	struct addr a;

	if (d->type == DEST_NAME)
		snprintf(out, DEST_TEXT_MAX, "%.*s:%u", d->len, (const char *)d->bytes, d->port);
	else if (dest_addr(d, &a) == 0)
		addr_format(&a, out);
	else
		memcpy(out, "-", 2);
	return out;
}

int dest_addr(const struct dest *d, struct addr *out)
{
	switch (d->type) {
	case DEST_IP4:
		*out = addr_from_ip4(d->bytes, d->port);
		return 0;
	case DEST_IP6:
		*out = addr_from_ip6(d->bytes, d->port);
		return 0;
	default:
		return -ERR_NO_ADDRESS;
	}
}

bool dest_equal(const struct dest *a, const struct dest *b)
{
	if (a->type != b->type || a->port != b->port || a->len != b->len)
		return false;
	if (a->type == DEST_NAME)
		return strncasecmp((const char *)a->bytes, (const char *)b->bytes, a->len) == 0;
	return memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* The bytes in use, with the NUL of a name. */
static size_t used_size(const struct dest *d)
{
	return offsetof(struct dest, bytes) + d->len + (d->type == DEST_NAME);
}

struct dest *dest_dup(const struct dest *d)
{
	void *p = malloc(used_size(d));

	return p ? memcpy(p, d, used_size(d)) : NULL;
}

void dest_copy(struct dest *to, const struct dest *from)
{
	memcpy(to, from, used_size(from));
}

/* ---- wire forms -------------------------------------------------------------------------- */

/* By order: the type bytes of IPv4, IPv6 and name. */
static const uint8_t type_byte[][4] = {
	[DEST_SOCKS] = {[DEST_IP4] = 1, [DEST_IP6] = 4, [DEST_NAME] = 3},
	[DEST_VLESS] = {[DEST_IP4] = 1, [DEST_IP6] = 3, [DEST_NAME] = 2},
};

static uint8_t rd_type(struct rd *r, enum dest_order order)
{
	uint8_t byte = rd_u8(r), type = DEST_IP4;

	while (type <= DEST_NAME && type_byte[order][type] != byte)
		type++;
	rd_check(r, type <= DEST_NAME);
	return r->err ? (uint8_t)DEST_NONE : type;
}

static void rd_name(struct rd *r, struct dest *d)
{
	uint8_t len = rd_u8(r);
	const uint8_t *name;

	rd_check(r, len > 0);
	name = rd_bytes(r, len);
	if (name && dest_set_name(d, name, len, 0)) {
		r->pos -= len - bad_byte(name, len);
		r->err = -ERR_MALFORMED;
	}
}

static void rd_host(struct rd *r, uint8_t type, struct dest *d)
{
	uint8_t ip[16] = {0};
	struct addr a;

	switch (type) {
	case DEST_IP4:
		rd_copy(r, ip, 4);
		a = addr_from_ip4(ip, 0);
		dest_set_addr(d, &a);
		break;
	case DEST_IP6:
		rd_copy(r, ip, 16);
		a = addr_from_ip6(ip, 0);
		dest_set_addr(d, &a);
		break;
	case DEST_NAME:
		rd_name(r, d);
		break;
	}
}

void rd_dest(struct rd *r, enum dest_order order, struct dest *out)
{
	struct dest d = {0};
	uint16_t port = 0;

	if (order == DEST_VLESS)
		port = rd_be16(r);
	rd_host(r, rd_type(r, order), &d);
	if (order == DEST_SOCKS)
		port = rd_be16(r);
	if (r->err)
		return;
	d.port = port;
	dest_copy(out, &d);
}

void wr_dest(struct wr *w, enum dest_order order, const struct dest *d)
{
	if (d->type < DEST_IP4 || d->type > DEST_NAME) {
		if (!w->err)
			w->err = -EINVAL;
		return;
	}
	if (order == DEST_VLESS)
		wr_be16(w, d->port);
	wr_u8(w, type_byte[order][d->type]);
	if (d->type == DEST_NAME)
		wr_u8(w, d->len);
	wr_bytes(w, d->bytes, d->len);
	if (order == DEST_SOCKS)
		wr_be16(w, d->port);
}
