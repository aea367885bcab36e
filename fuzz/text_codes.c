/* text_codes.c - any bytes as base64, hexadecimal and UUID: what is read, written and read again is
 * the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/hex.h"
#include "base/uuid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { MOST = 1024 };

static void try_base64(const char *s, size_t len)
{
	uint8_t bytes[BASE64_BYTES(MOST)], again[sizeof(bytes)];
	char text[BASE64_TEXT(sizeof(bytes))];
	ssize_t n = base64_decode(s, len, bytes, sizeof(bytes));
	size_t written;

	if (n < 0)
		return;
	for (enum base64_form f = BASE64_STD; f <= BASE64_STD_NOPAD; f++) {
		written = base64_encode(f, bytes, (size_t)n, text);
		assert(written == strlen(text) && written < sizeof(text));
		assert(base64_decode(text, written, again, sizeof(again)) == n);
		assert(!memcmp(bytes, again, (size_t)n));
	}
}

static void try_hex(const char *s, size_t len)
{
	uint8_t bytes[MOST];
	char text[2 * MOST + 1];
	ssize_t n = hex_parse(s, len, bytes, sizeof(bytes));

	if (n < 0)
		return;
	assert((size_t)n * 2 == len);
	hex_format(bytes, (size_t)n, text);
	for (size_t i = 0; i < len; i++)
		assert((text[i] | 0x20) == (s[i] | 0x20));
}

static void try_uuid(const char *s, size_t len)
{
	uint8_t id[UUID_LEN], again[UUID_LEN];
	char text[UUID_TEXT];

	if (uuid_parse(id, s, len))
		return;
	assert(uuid_looks_hex(len));
	uuid_format(id, text);
	assert(uuid_parse(again, text, strlen(text)) == 0 && !memcmp(id, again, UUID_LEN));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len > MOST)
		return 0;
	try_base64((const char *)data, len);
	try_hex((const char *)data, len);
	try_uuid((const char *)data, len);
	return 0;
}
