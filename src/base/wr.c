#include "base/wr.h"

#include <errno.h>
#include <string.h>

uint8_t *wr_room(struct wr *w, size_t n)
{
	uint8_t *p;

	if (w->err)
		return NULL;
	if (w->cap - w->len < n) {
		w->err = -ENOBUFS;
		return NULL;
	}
	p = w->base + w->len;
	w->len += n;
	return p;
}

void wr_bytes(struct wr *w, const void *data, size_t n)
{
	uint8_t *p = wr_room(w, n);

	if (p && n)
		memcpy(p, data, n);
}

void wr_str(struct wr *w, const char *s)
{
	wr_bytes(w, s, strlen(s));
}

static void wr_be(struct wr *w, uint64_t v, size_t n)
{
	uint8_t *p = wr_room(w, n);

	for (size_t i = n; p && i-- > 0; v >>= 8)
		p[i] = (uint8_t)v;
}

void wr_u8(struct wr *w, uint8_t v)
{
	wr_be(w, v, 1);
}

void wr_be16(struct wr *w, uint16_t v)
{
	wr_be(w, v, 2);
}

void wr_be24(struct wr *w, uint32_t v)
{
	wr_be(w, v, 3);
}

void wr_be32(struct wr *w, uint32_t v)
{
	wr_be(w, v, 4);
}

void wr_be64(struct wr *w, uint64_t v)
{
	wr_be(w, v, 8);
}

void wr_le16(struct wr *w, uint16_t v)
{
	wr_be(w, __builtin_bswap16(v), 2);
}

void wr_le32(struct wr *w, uint32_t v)
{
	wr_be(w, __builtin_bswap32(v), 4);
}

void wr_hex(struct wr *w, const void *data, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *in = data;
	uint8_t *p = wr_room(w, 2 * n);

	for (size_t i = 0; p && i < n; i++) {
		p[2 * i] = (uint8_t)digits[in[i] >> 4];
		p[2 * i + 1] = (uint8_t)digits[in[i] & 15];
	}
}
