/* fallback.c - a server name, an ALPN and the first bytes of a stranger, a line each: who gets him
 * is among those configured, and for a path only when he asked for it.  The name is tried as an
 * address of a backend too.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lines.h"
#include "session/fallback.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct fallback_table *table(void)
{
	static const struct fallback rows[] = {
		{.xver = 1},
		{.path = "/ws", .xver = 2},
		{.alpn = "h2", .xver = 3},
		{.sni = "example.com", .xver = 4},
		{.sni = "example.com", .alpn = "http/1.1", .path = "/deep/er", .xver = 5},
		{.sni = "a.example.com", .alpn = "h2", .path = "/ws", .xver = 6},
	};

	return fallback_table_new(rows, ARRAY_LEN(rows));
}

static void try_dest(const char *text)
{
	struct fallback f = {0};

	if (fallback_parse_dest(&f, text))
		assert(!f.unix_path && f.dest.type == DEST_NONE);
	else
		assert(!f.unix_path == (f.dest.type != DEST_NONE));
	free(f.unix_path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct fallback_table *t;
	struct lines l = lines_of(data, len);
	const uint8_t *first = data, *end;
	const struct fallback *f;

	if (!t)
		t = table();
	assert(t);
	for (int i = 0; i < 2 && (end = memchr(first, '\n', len - (size_t)(first - data))); i++)
		first = end + 1;
	len -= (size_t)(first - data);
	f = fallback_select(t, l.text[0], l.text[1], first, len);
	assert(f && f->xver >= 1 && f->xver <= 6); /* the first of them takes anybody */
	assert(!*f->path || memmem(first, len, f->path, strlen(f->path)));
	try_dest(l.text[0]);
	lines_done(&l);
	return 0;
}
