/* known.h - who has been here: keys by how lately they authenticated, and by the source they came
 * from.
 *
 * One inbound's, all workers': the kernel gives a user's next connection to any of them, and in a flood
 * only who is known is looked for.  For protocols whose users must be
 * searched for.  Bounded (known keys 300 KB, sources 128 KB, only on ports of many
 * users).  Keys are copies: a user that has been removed is found by nobody and falls off the end in
 * time.
 *
 * Threads: any; it has a lock, held for some look-ups of memory.
 */
#ifndef WEIR_PROTO_KNOWN_H
#define WEIR_PROTO_KNOWN_H

#include <pthread.h>

#include "base/hash.h"
#include "net/addr.h"

#define KNOWN_KEY	 32
#define KNOWN_MAX	 8192 /* keys */
#define KNOWN_TRIED	 1024 /* of them, the latest */
#define KNOWN_PER_SOURCE 4    /* users remembered per source address */

struct known_key {
	uint8_t key[KNOWN_KEY];
	uint16_t newer, older; /* slots + 1; 0: none */
};

struct known_source {
	uint32_t tag;			  /* 0: empty */
	uint16_t slots[KNOWN_PER_SOURCE]; /* + 1, latest first */
	uint32_t used;
};

struct known {
	pthread_mutex_t lock;
	struct hash_key hash;
	struct hash_index index; /* of `keys` */
	struct known_key *keys;
	uint32_t n, cap;
	uint16_t newest, oldest; /* slots + 1 */
	struct known_source *sources;
	uint32_t clock;
};

void known_init(struct known *k);
void known_done(struct known *k);

/* The same on the heap.  0 or -ENOMEM. */
MUST_CHECK int known_new(struct known **out);
void known_free(struct known *k); /* NULL is fine */

/* This key has just authenticated, from `peer` (may be NULL).  Without memory it is not remembered. */
void known_touch(struct known *k, const uint8_t key[KNOWN_KEY], const struct addr *peer);

/* The keys that came from this address, latest first, into `out`.  How many. */
int known_from(struct known *k, const struct addr *peer, uint8_t (*out)[KNOWN_KEY]);

/* The next up to `max` keys by recency, into `out`.  `*at` is 0 at first.  0: no more. */
int known_next(struct known *k, uint32_t *at, uint8_t (*out)[KNOWN_KEY], int max);

#endif
