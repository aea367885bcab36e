/* half_open.h - how many may be in their handshake or shown a web server at once, where that costs
 * us a connection to it (REALITY): of one source, and of all.
 *
 * Over the limit of a source its newest is closed before anything is done for him.  Over the limit
 * of all the oldest goes, as a web server that runs out of connections drops those that have been
 * there longest: whoever floods the port keeps no user out, whose handshake takes a moment.
 *
 * Sources are counted by hash, in three rows of which the least is believed: two sources may be
 * taken for one where all three meet, which takes more of them than there are places.  IPv6 counts
 * by /64.  Nothing is allocated for a source.
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
