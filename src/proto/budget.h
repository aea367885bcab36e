/* budget.h - how much searching strangers may cause: a bucket per source, and one for all.
 *
 * Counted in keys tried, so that it means the same on every machine and clock.  A source that keeps
 * failing runs dry first; a flood from everywhere empties the common bucket.  Who authenticates gets back
 * what the search took.
 *
 * Threads: one.
 */
#ifndef WEIR_PROTO_BUDGET_H
#define WEIR_PROTO_BUDGET_H

#include "base/hash.h"
#include "net/addr.h"

/* Keys a second and at once; a key takes 0.1 to 0.4 us. */
#define BUDGET_ALL	    1000000
#define BUDGET_ALL_BURST    200000
#define BUDGET_SOURCE	    100000
#define BUDGET_SOURCE_BURST 100000

struct budget_bucket {
	int32_t keys; /* left; may be below 0 by one step of work */
	nsec_t at;    /* as of then; 0: never used, full */
};

struct budget_source {
	uint32_t tag; /* 0: empty */
	struct budget_bucket bucket;
};

struct budget {
	struct hash_key hash;
	int32_t share; /* the common bucket is divided among so many workers */
	struct budget_bucket all;
	struct budget_source *sources; /* NULL until somebody has failed */
};

void budget_init(struct budget *b, unsigned workers);
void budget_done(struct budget *b);

/* May a search for this source (/24, /48; NULL: unknown) go on? */
bool budget_left(const struct budget *b, const struct addr *peer, nsec_t now);

/* It has tried `keys` more; negative: it has succeeded, they are given back. */
void budget_charge(struct budget *b, const struct addr *peer, int32_t keys, nsec_t now);

#endif
