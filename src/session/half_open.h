/* half_open.h - how many may be in their handshake or shown a web server at once, where that costs
 * us a connection to it (REALITY): of one source, and of all.
 *
 * Over the limit of a source its newest is closed before anything is done for him.  Over the limit
 * of all the oldest goes, as a web server that runs out of connections drops those that have been
 * there longest: whoever floods the port keeps no user out, whose handshake takes a moment, unless
 * he brings as many as there may be within that moment.
 *
 * Sources are counted by hash, in three rows of which the least is believed: who shares all three
 * places with others is counted with them.  Who floods from many sources can fill the rows: with
 * max * HALF_OPEN_EACH connections in all, a quarter of each row, one newcomer in 64 is refused for
 * what others hold; with max * HALF_OPEN_ROW everybody may be.  The limit of all has to keep below.
 * IPv6 counts by /64.  Nothing is allocated for a source.
 *
 * Threads: a half_open is one worker's; `sources` is shared by all, without locks.
 */
#ifndef WEIR_SESSION_HALF_OPEN_H
#define WEIR_SESSION_HALF_OPEN_H

#include <stdatomic.h>

#include "base/hash.h"
#include "base/list.h"
#include "net/addr.h"

#define HALF_OPEN_ROWS 3
#define HALF_OPEN_ROW  1024
#define HALF_OPEN_EACH (HALF_OPEN_ROW / 4)

struct half_open_sources {
	struct hash_key key; /* random */
	unsigned max;	     /* of one; 0: no limit */
	_Atomic uint32_t row[HALF_OPEN_ROWS][HALF_OPEN_ROW];
};

struct half_open {
	struct half_open_sources *sources;
	struct list_node sessions; /* oldest first */
	size_t n, max;		   /* of this worker's; max 0: no limit */
};

/* What a source is counted by; never 0. */
uint32_t half_open_source(const struct half_open_sources *s, const struct addr *peer);

/* One more.  0, or -ERR_LIMIT: he is not counted. */
MUST_CHECK int half_open_enter(struct half_open_sources *s, uint32_t source);
void half_open_leave(struct half_open_sources *s, uint32_t source);

#endif
