#include "base/uuid.h"

#include <string.h>

#include "base/err.h"
#include "base/hex.h"

static const uint8_t group_digits[] = {8, 4, 4, 4, 12};

int uuid_parse(uint8_t id[UUID_LEN], const char *text, size_t len)
{
	uint8_t parsed[UUID_LEN];
	size_t pos = 0, n = 0;

	for (size_t g = 0; g < ARRAY_LEN(group_digits); g++) {
		size_t digits = group_digits[g];

		if (g > 0 && pos < len && text[pos] == '-')
			pos++;
		if (len - pos < digits || hex_parse(text + pos, digits, parsed + n, digits / 2) < 0)
			return -ERR_MALFORMED;
		pos += digits;
		n += digits / 2;
	}
	if (pos != len)
		return -ERR_MALFORMED;
	memcpy(id, parsed, UUID_LEN);
	return 0;
}

char *uuid_format(const uint8_t id[UUID_LEN], char *out)
{
	size_t pos = 0, n = 0;

	for (size_t g = 0; g < ARRAY_LEN(group_digits); g++) {
		if (g > 0)
			out[pos++] = '-';
		hex_format(id + n, group_digits[g] / 2u, out + pos);
		pos += group_digits[g];
		n += group_digits[g] / 2u;
	}
	return out;
}

void uuid_from_random(uint8_t id[UUID_LEN], const uint8_t random[UUID_LEN])
{
	memcpy(id, random, UUID_LEN);
	id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
	id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
}
