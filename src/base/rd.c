#include "base/rd.h"

#include <string.h>

const uint8_t *rd_bytes(struct rd *r, size_t n)
{
	const uint8_t *p;

	if (r->err)
		return NULL;
	if (rd_left(r) < n) {
		r->err = -ERR_MORE;
		return NULL;
	}
	p = r->base + r->pos;
	r->pos += n;
	return p;
}

uint8_t rd_u8(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 1);

	return p ? p[0] : 0;
}

static uint64_t rd_be(struct rd *r, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);
	uint64_t v = 0;

	for (size_t i = 0; p && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

uint16_t rd_be16(struct rd *r)
{
	return (uint16_t)rd_be(r, 2);
}

uint32_t rd_be24(struct rd *r)
{
	return (uint32_t)rd_be(r, 3);
}

uint32_t rd_be32(struct rd *r)
{
	return (uint32_t)rd_be(r, 4);
}

uint64_t rd_be64(struct rd *r)
{
	return rd_be(r, 8);
}

uint16_t rd_le16(struct rd *r)
{
	return __builtin_bswap16(rd_be16(r));
}

uint32_t rd_le32(struct rd *r)
{
	return __builtin_bswap32(rd_be32(r));
}

void rd_copy(struct rd *r, void *dst, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);

	if (p)
		memcpy(dst, p, n);
}

void rd_skip(struct rd *r, size_t n)
{
	(void)rd_bytes(r, n);
}

void rd_expect(struct rd *r, const void *bytes, size_t n)
{
	const uint8_t *want = bytes;

	for (size_t i = 0; i < n && !r->err; i++) {
		if (rd_left(r) == 0)
			r->err = -ERR_MORE;
		else if (r->base[r->pos] != want[i])
			r->err = -ERR_MALFORMED;
		else
			r->pos++;
	}
}

void rd_check(struct rd *r, bool ok)
{
	if (r->err || ok)
		return;
	r->err = -ERR_MALFORMED;
	r->pos--;
}

static int nibble(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

void rd_hex(struct rd *r, void *dst, size_t n)
{
	uint8_t *out = dst;

	for (size_t i = 0; i < 2 * n && !r->err; i++) {
		int v = nibble(rd_u8(r));

		rd_check(r, v >= 0);
		if (r->err)
			return;
		out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | v : v << 4);
	}
}

struct rd rd_sub(struct rd *r, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);

	return (struct rd){.base = p, .len = p ? n : 0, .err = r->err};
}
