/* replay_window.h - which numbered packets of a session have come (RFC 6479: a bitmap that rolls).
 *
 *     if (!replay_window_fresh(&w, id))       before the packet has been opened: cheap
 *             drop;
 *     ... authenticate ...
 *     replay_window_mark(&w, id);             only then
 *
 * Anything newer than the newest is fresh; anything REPLAY_WINDOW or more older than it is not.
 *
 * Threads: one at a time.
 */
#ifndef WEIR_CRYPTO_REPLAY_WINDOW_H
#define WEIR_CRYPTO_REPLAY_WINDOW_H

#include "base/base.h"

#define REPLAY_WORDS  32
#define REPLAY_WINDOW ((REPLAY_WORDS - 1) * 64)

/* Zero: nothing has come. */
struct replay_window {
	uint64_t next; /* the newest plus one; 0: none */
	uint64_t bits[REPLAY_WORDS];
};

/* Packet numbers end at UINT64_MAX - 1. */
static inline bool replay_window_fresh(const struct replay_window *w, uint64_t id)
{
	if (id == UINT64_MAX)
		return false;
	if (id >= w->next)
		return true;
	if (w->next - id > REPLAY_WINDOW)
		return false;
	return !(w->bits[id / 64 % REPLAY_WORDS] >> (id % 64) & 1);
}

static inline void replay_window_mark(struct replay_window *w, uint64_t id)
{
	uint64_t word = id / 64, newest = w->next ? (w->next - 1) / 64 : 0;

	if (id >= w->next) {
		for (uint64_t i = MIN(word - newest, (uint64_t)REPLAY_WORDS); i > 0; i--)
			w->bits[(word - i + 1) % REPLAY_WORDS] = 0;
		w->next = id + 1;
	}
	w->bits[word % REPLAY_WORDS] |= UINT64_C(1) << (id % 64);
}

#endif
