/* ss_known.h - who has been here: keys by how lately they authenticated, and by the source they came
 * from; and sources that only made work.
 *
 * One inbound's, all workers': the kernel gives a user's next connection to any of them, and in a flood
 * only who is known is looked for.  Bounded (known keys 300 KB, sources 128 KB, only on ports of many
 * users).  Keys are copies: a user that has been removed is found by nobody and falls off the end in
 * time.
 *
 * Threads: any; it has a lock, held for some look-ups of memory.
 */
#ifndef WEIR_PROTO_SHADOWSOCKS_KNOWN_H
#define WEIR_PROTO_SHADOWSOCKS_KNOWN_H

#include <pthread.h>

#include "base/hash.h"
#include "net/addr.h"
#include "proto/shadowsocks/ss_method.h"

#define SS_KNOWN_MAX   8192 /* keys */
#define SS_KNOWN_TRIED 1024 /* of them, the latest */
#define SS_SOURCE_KEYS 4    /* users remembered per source address */

struct ss_known_key {
	uint8_t key[SS_KEY_MAX];
	uint16_t newer, older; /* slots + 1; 0: none */
};

struct ss_source {
	uint32_t tag;			/* 0: empty */
	uint16_t slots[SS_SOURCE_KEYS]; /* + 1, latest first */
	uint32_t used;
};

struct ss_known {
	pthread_mutex_t lock;
	struct hash_key hash;
	struct hash_index index; /* of `keys` */
	struct ss_known_key *keys;
	uint32_t n, cap;
	uint16_t newest, oldest; /* slots + 1 */
	struct ss_source *sources;
	uint32_t clock;
};

void ss_known_init(struct ss_known *k);
void ss_known_done(struct ss_known *k);

/* The same on the heap.  0 or -ENOMEM. */
MUST_CHECK int ss_known_new(struct ss_known **out);
void ss_known_free(struct ss_known *k); /* NULL is fine */

/* This key has just authenticated, from `peer` (may be NULL).  Without memory it is not remembered. */
void ss_known_touch(struct ss_known *k, const uint8_t key[SS_KEY_MAX], const struct addr *peer);

/* The keys that came from this address, latest first, into `out`.  How many. */
int ss_known_from(struct ss_known *k, const struct addr *peer, uint8_t (*out)[SS_KEY_MAX]);

/* The next up to `max` keys by recency, into `out`.  `*at` is 0 at first.  0: no more. */
int ss_known_next(struct ss_known *k, uint32_t *at, uint8_t (*out)[SS_KEY_MAX], int max);

#endif
