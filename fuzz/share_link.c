/* share_link.c - any bytes: what parses can be emitted, and that parses to the same. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/share_link.h"

/* The longest link takes no more; what it says twice must not cost quadratically. */
#define ENOUGH (256 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char first[3 * SHARE_LINK_MAX + 512], second[sizeof(first)];
	struct share_link l, again;
	struct arena arena, second_arena;
	const char *why;
	struct wr w, v;
	int err;

	arena_init(&arena, ENOUGH);
	arena_init(&second_arena, ENOUGH);
	err = share_link_parse((const char *)data, len, &arena, &l, &why);
	assert(err != -ENOMEM);
	if (err == 0) {
		w = wr_of(first, sizeof(first));
		share_link_emit(&l, &w);
		assert(w.err == 0);
		/* Escaping makes links longer; one that has outgrown the limit is refused. */
		if (w.len <= SHARE_LINK_MAX) {
			assert(share_link_parse(first, w.len, &second_arena, &again, &why) == 0);
			v = wr_of(second, sizeof(second));
			share_link_emit(&again, &v);
			assert(v.len == w.len && !memcmp(first, second, w.len));
		}
	}
	arena_done(&arena);
	arena_done(&second_arena);
	return 0;
}
