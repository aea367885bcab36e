/* registry_impl.h - what the files of the registry share. */
#ifndef WEIR_USER_REGISTRY_IMPL_H
#define WEIR_USER_REGISTRY_IMPL_H

#include "user/live.h"
#include "user/registry.h"
#include "user/table.h"

/* From something hashed to a place in a list: open addressing, at most 7/8 full.  The hash's other
 * half spares the look at most users that are not meant.
 */
struct user_place {
	uint32_t tag;
	uint32_t n; /* place in the list, plus one; 0: empty */
};

struct user_index {
	struct user_place *at;
	size_t mask;
};

static inline uint32_t index_tag(uint64_t h)
{
	return (uint32_t)(h >> 32);
}

static inline struct user_place *index_first(const struct user_index *x, uint64_t h)
{
	return &x->at[h & x->mask];
}

static inline struct user_place *index_next(const struct user_index *x, const struct user_place *at)
{
	return &x->at[(size_t)(at - x->at + 1) & x->mask];
}

/* Where a slot stood at the last look of the dynamic rule, and until when its user is capped. */
struct dynamic_mark {
	uint64_t bytes;
	nsec_t until;  /* 0: not capped */
	uint32_t life; /* of the owner, plus one; 0: never looked at */
};

struct user_registry {
	struct user_registry_conf conf;
	struct hash_key hash;
	struct user_table *table; /* of the last apply */
	struct user_index ids;	  /* id -> place in the table's list */
	struct user **dying;	  /* removed everywhere, not settled yet */
	size_t ndying, dying_cap;
	uint32_t *retired; /* slots that nobody counts into any more, not settled yet */
	size_t nretired, retired_cap;
	unsigned publications;		 /* under way */
	size_t owed_dying, owed_retired; /* what those will add, room reserved */
	nsec_t last_report;
	struct dynamic_mark *marks; /* by slot; only where there is a dynamic rule */
	uint32_t nmarks;
	bool renew; /* an applied list finds nobody of before */
};

/* Spreads ids, which come in rows.  Invertible: no two ids collide in 64 bits. */
static inline uint64_t mix64(uint64_t v)
{
	v ^= v >> 32;
	v *= 0xd6e8feb86659fd93u;
	v ^= v >> 32;
	v *= 0xd6e8feb86659fd93u;
	return v ^ v >> 32;
}

/* Where in the table's list the user with this id is.  False: nowhere. */
bool user_registry_place(const struct user_registry *r, int64_t id, size_t *place);

/* A user without slot and limits.  0 with *out NULL: an invalid one; -ENOMEM, or derive()'s error. */
MUST_CHECK int user_registry_make(const struct user_registry_conf *conf, const struct user_entry *e,
				  struct user **out);

/* The user's own limits, as the panel says.  True: something changed. */
bool user_registry_take_limits(struct user_registry *r, struct user *u, const struct user_entry *e);

void user_publication_free(struct user_publication *pub); /* the tables and users stay */

/* Work out the limits in force from the user's own and the rules.  True: something changed. */
bool user_registry_refresh(struct user_registry *r, struct user *u);

#endif
