/* share_link.c - any bytes: what parses can be emitted, and that parses to the same. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/share_link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char first[3 * SHARE_LINK_MAX + 512], second[sizeof(first)];
	struct share_link l, again;
	struct arena arena;
	const char *why;
	struct wr w, v;

	arena_init(&arena, 1 << 20);
	if (share_link_parse((const char *)data, len, &arena, &l, &why) == 0) {
		w = wr_of(first, sizeof(first));
		share_link_emit(&l, &w);
		assert(w.err == 0);
		/* Escaping makes links longer; one that has outgrown the limit is refused. */
		if (w.len <= SHARE_LINK_MAX) {
			assert(share_link_parse(first, w.len, &arena, &again, &why) == 0);
			v = wr_of(second, sizeof(second));
			share_link_emit(&again, &v);
			assert(v.len == w.len && !memcmp(first, second, w.len));
		}
	}
	arena_done(&arena);
	return 0;
}
