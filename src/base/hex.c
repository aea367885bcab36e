#include "base/hex.h"

#include <errno.h>

#include "base/err.h"

char *hex_format(const void *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *in = data;

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[2 * len] = '\0';
	return out;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

ssize_t hex_parse(const char *text, size_t len, void *out, size_t cap)
{
	uint8_t *to = out;

	if (len % 2)
		return -ERR_MALFORMED;
	if (len / 2 > cap)
		return -ENOBUFS;
	for (size_t i = 0; i < len; i++) {
		if (nibble(text[i]) < 0)
			return -ERR_MALFORMED;
	}
	for (size_t i = 0; i < len / 2; i++)
		to[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
	return (ssize_t)(len / 2);
}
