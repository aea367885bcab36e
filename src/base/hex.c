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

ssize_t hex_parse(const char *text, size_t len, void *out, size_t cap)
{
	uint8_t *to = out;

	if (len % 2)
		return -ERR_MALFORMED;
	if (len / 2 > cap)
		return -ENOBUFS;
	for (size_t i = 0; i < len; i++) {
		if (hex_value(text[i]) < 0)
			return -ERR_MALFORMED;
	}
	for (size_t i = 0; i < len / 2; i++)
		to[i] = (uint8_t)(hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]));
	return (ssize_t)(len / 2);
}
