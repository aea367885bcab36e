#include "base/base64.h"

#include <errno.h>

#include "base/err.h"

static const char std_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64_encode(enum base64_form form, const void *data, size_t len, char *out)
{
	bool std = form == BASE64_STD || form == BASE64_STD_NOPAD;
	bool pad = form == BASE64_STD || form == BASE64_URL_PAD;
	const char *digits = std ? std_digits : url_digits;
	const uint8_t *in = data;
	size_t n = 0;

	for (size_t i = 0; i < len; i += 3) {
		size_t have = MIN(len - i, (size_t)3);
		uint32_t v = (uint32_t)in[i] << 16;

		if (have > 1)
			v |= (uint32_t)in[i + 1] << 8;
		if (have > 2)
			v |= in[i + 2];
		for (size_t k = 0; k <= have; k++)
			out[n++] = digits[v >> (18 - 6 * k) & 63];
		for (size_t k = have; pad && k < 3; k++)
			out[n++] = '=';
	}
	out[n] = '\0';
	return n;
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	if (c == '/' || c == '_')
		return 63;
	return -1;
}

/* Padding is right when it fills the last group of four. */
static size_t without_padding(const char *text, size_t len)
{
	if (len % 4 != 0)
		return len;
	for (int i = 0; i < 2 && len > 0 && text[len - 1] == '='; i++)
		len--;
	return len;
}

ssize_t base64_decode(const char *text, size_t len, void *out, size_t cap)
{
	uint8_t *to = out;
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t n = 0;

	len = without_padding(text, len);
	if (len % 4 == 1)
		return -ERR_MALFORMED;
	if (len / 4 * 3 + len % 4 * 3 / 4 > cap)
		return -ENOBUFS;
	for (size_t i = 0; i < len; i++) {
		int v = digit(text[i]);

		if (v < 0)
			return -ERR_MALFORMED;
		acc = acc << 6 | (uint32_t)v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			to[n++] = (uint8_t)(acc >> bits);
		}
	}
	if (acc & ((1u << bits) - 1))
		return -ERR_MALFORMED;
	return (ssize_t)n;
}
