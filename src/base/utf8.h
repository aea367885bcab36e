/* utf8.h - is this text? */
#ifndef WEIR_UTF8_H
#define WEIR_UTF8_H

#include "base/base.h"

/* Length of the well-formed sequence (RFC 3629) at `p`: 1 to 4; 0 when there is none within `len`.
 */
static inline size_t utf8_len(const void *text, size_t len)
{
	const uint8_t *p = text;
	uint32_t c;
	size_t n;

	if (len == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || n > len)
		return 0;
	c = p[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10ffff ||
	    (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n;
}

static inline bool utf8_valid(const void *text, size_t len)
{
	const uint8_t *p = text;

	while (len > 0) {
		size_t n = utf8_len(p, len);

		if (n == 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

#endif
