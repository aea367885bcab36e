/* hash.h - hashing for tables: SipHash-2-4, keyed, so that nobody outside can choose collisions;
 * and a small open-addressing index over an array of the caller's.
 */
#ifndef WEIR_HASH_H
#define WEIR_HASH_H

#include "base/base.h"

struct hash_key {
	uint64_t k0, k1; /* random, per table or per process */
};

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len);

/* An index from a key to the number of an entry in an array of the caller's, who keeps the keys and
 * compares them:
 *
 *     h = hash_bytes(&key, id, 16);
 *     for (i = hash_index_first(&ix, h, &it); i >= 0; i = hash_index_next(&ix, h, &it))
 *             if (memcmp(entry[i].id, id, 16) == 0)
 *                     return &entry[i];
 *
 * Eight bytes a slot (an entry's number and 32 bits of its hash), at most 3/4 full.  Threads:
 * reading needs no lock while nobody writes.
 */
struct hash_slot {
	uint32_t entry_plus1; /* 0: empty; UINT32_MAX: was removed */
	uint32_t tag;
};

struct hash_index {
	struct hash_slot *slots;
	uint32_t mask; /* slots - 1; 0: nothing allocated yet */
	uint32_t used; /* entries, and removed ones not yet swept out */
	uint32_t live;
};

struct hash_iter {
	uint32_t at;
};

/* Zero-initialised is an empty index; `expect` entries then fit without growing.  0 or -ENOMEM. */
MUST_CHECK int hash_index_init(struct hash_index *ix, uint32_t expect);
void hash_index_done(struct hash_index *ix);

/* `entry` must not be there yet under `hash`.  0 or -ENOMEM with nothing changed. */
MUST_CHECK int hash_index_add(struct hash_index *ix, uint64_t hash, uint32_t entry);
bool hash_index_remove(struct hash_index *ix, uint64_t hash, uint32_t entry);

/* The candidates for `hash`, or -1. */
int64_t hash_index_first(const struct hash_index *ix, uint64_t hash, struct hash_iter *it);
int64_t hash_index_next(const struct hash_index *ix, uint64_t hash, struct hash_iter *it);

#endif
