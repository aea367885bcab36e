/* hex.h - bytes as hexadecimal digits.  Fixed forms inside messages are rd_hex() and wr_hex(). */
#ifndef WEIR_HEX_H
#define WEIR_HEX_H

#include "base/base.h"

/* 0 to 15 of a digit in either case, or -1. */
static inline int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* 2 * len lower-case digits and a NUL into `out`, which is returned. */
char *hex_format(const void *data, size_t len, char *out);

/* Digits of either case, exactly `len` of them (even), into len / 2 bytes.  The count of bytes,
 * -ERR_MALFORMED, or -ENOBUFS when `cap` is too small.
 */
MUST_CHECK ssize_t hex_parse(const char *text, size_t len, void *out, size_t cap);

#endif
