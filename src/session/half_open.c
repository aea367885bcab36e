#include "session/half_open.h"

#include <string.h>

#include "base/err.h"

static _Atomic uint32_t *place(struct half_open_sources *s, uint32_t source, int row)
{
	return &s->row[row][source >> (10 * row) & (HALF_OPEN_ROW - 1)];
}

uint32_t half_open_source(const struct half_open_sources *s, const struct addr *peer)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	uint8_t ip[16];

	addr_ip16(peer, ip);
	return (uint32_t)hash_bytes(&s->key, ip, memcmp(ip, mapped, sizeof(mapped)) ? 8 : 16) |
	       UINT32_C(1) << 31;
}

int half_open_enter(struct half_open_sources *s, uint32_t source)
{
	uint32_t least = UINT32_MAX;

	for (int i = 0; i < HALF_OPEN_ROWS; i++) {
		uint32_t others =
			atomic_fetch_add_explicit(place(s, source, i), 1, memory_order_relaxed);

		least = MIN(least, others);
	}
	if (s->max == 0 || least < s->max)
		return 0;
	half_open_leave(s, source);
	return -ERR_LIMIT;
}

void half_open_leave(struct half_open_sources *s, uint32_t source)
{
	for (int i = 0; i < HALF_OPEN_ROWS; i++)
		atomic_fetch_sub_explicit(place(s, source, i), 1, memory_order_relaxed);
}
