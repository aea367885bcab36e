#include "sync/notes.h"

#include <stdarg.h>
#include <stdio.h>

void notes_printable(const char *bytes, size_t len, char *out, size_t size)
{
	size_t n = MIN(len, size - 1);

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];

		out[i] = c < 0x20 || c == 0x7f ? '.' : bytes[i];
	}
	out[n] = '\0';
}

static PRINTF(3, 0) void put(char *out, size_t size, const char *fmt, va_list ap)
{
	int n = vsnprintf(out, size, fmt, ap);

	if (n > 0)
		notes_printable(out, MIN((size_t)n, size - 1), out, size);
}

void notes_add(struct notes *n, const char *fmt, ...)
{
	va_list ap;

	if (n->n == NOTES_MAX) {
		n->lost++;
		return;
	}
	va_start(ap, fmt);
	put(n->text[n->n++], NOTES_TEXT, fmt, ap);
	va_end(ap);
}

void notes_why(struct notes *n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(n->why, NOTES_WHY_MAX, fmt, ap);
	va_end(ap);
}
