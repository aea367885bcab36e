/* hex.h - vectors as they are printed: hexadecimal text into bytes, for tests. */
#ifndef WEIR_TESTS_HEX_H
#define WEIR_TESTS_HEX_H

#include <stdio.h>
#include <string.h>

#include "base/base.h"

/* Blanks are skipped.  Returns how many bytes. */
static inline size_t unhex(const char *text, uint8_t *out)
{
	size_t n = 0;

	while (*text) {
		unsigned v;

		if (*text == ' ' || *text == '\n') {
			text++;
			continue;
		}
		if (sscanf(text, "%2x", &v) != 1)
			break;
		out[n++] = (uint8_t)v;
		text += 2;
	}
	return n;
}

static inline void assert_hex(const uint8_t *got, size_t len, const char *text)
{
	uint8_t want[4096];

	assert_int_equal(unhex(text, want), len);
	assert_memory_equal(got, want, len);
}

#endif
