/* lines.h - the input cut into texts at its line ends, for targets of functions that take texts. */
#ifndef WEIR_FUZZ_LINES_H
#define WEIR_FUZZ_LINES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 4

struct lines {
	char *text[LINES_MAX]; /* never NULL; a copy each, so that reading beyond its end is seen */
};

static inline struct lines lines_of(const uint8_t *data, size_t len)
{
	struct lines l;

	for (size_t i = 0; i < LINES_MAX; i++) {
		const uint8_t *end = len && i + 1 < LINES_MAX ? memchr(data, '\n', len) : NULL;
		size_t n = end ? (size_t)(end - data) : len;

		l.text[i] = malloc(n + 1);
		if (!l.text[i])
			abort();
		if (n)
			memcpy(l.text[i], data, n);
		l.text[i][n] = '\0';
		n += end != NULL;
		data += n;
		len -= n;
	}
	return l;
}

static inline void lines_done(struct lines *l)
{
	for (size_t i = 0; i < LINES_MAX; i++)
		free(l->text[i]);
}

#endif
