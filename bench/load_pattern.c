/* load_pattern.c - what bulk consists of, so that a wrong byte is seen. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "load.h"

const char *load_pattern(uint64_t at)
{
	static char pattern[LOAD_PERIOD + LOAD_BLOCK];
	static bool made;
	uint32_t x = 1;

	for (size_t i = 0; !made && i < sizeof(pattern); i++) {
		x = i % LOAD_PERIOD ? x * 1664525 + 1013904223 : 1;
		pattern[i] = (char)(x >> 24);
	}
	made = true;
	return pattern + at % LOAD_PERIOD;
}

void load_compare(struct load *l, uint64_t at, const char *p, size_t n)
{
	if (at >= l->check)
		return;
	for (size_t done = 0, part; done < n; done += part) {
		part = MIN(n - done, (size_t)LOAD_BLOCK);
		if (memcmp(load_pattern(at + done), p + done, part) != 0)
			load_die("bytes that nobody sent", -ERR_MALFORMED);
	}
	if (at + n >= l->check)
		l->npending--;
}
