/* Two generations of one set: new salts go into the young one, both are looked at, and when the young
 * one is full (counted) or old enough (timed) it becomes the old one.  So a salt is remembered for
 * one to two times the measure.  Tables start small and double: a port that nobody uses has none.
 *
 * An entry is the 64-bit hash of its salt under a key that nobody knows: of a million of them none will
 * ever meet another by chance, and nobody can make two meet.
 *
 * One lock: it is held for a look into two tables once per connection, and a replay has to be seen
 * whichever worker it lands on.
 */
#include "proto/replay.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/hash.h"
#include "crypto/random.h"

#define START	 32
#define SALT_MAX 32

struct set {
	uint64_t *entries; /* 0: empty; at most half full */
	uint32_t cap, used;
};

struct replay {
	pthread_mutex_t lock;
	struct hash_key hash;
	nsec_t keep;	/* 0: not by the clock */
	uint32_t min;	/* entries of a full table, where counted */
	uint32_t start; /* entries that a new table begins with; a power of two */
	struct set young, old;
	nsec_t turned; /* when `young` began */
};

static int replay_new(nsec_t keep, uint32_t min, struct replay **out)
{
	struct replay *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	random_bytes(&r->hash, sizeof(r->hash));
	r->keep = keep;
	r->min = min;
	r->start = START;
	*out = r;
	return 0;
}

int replay_new_timed(nsec_t keep, struct replay **out)
{
	return replay_new(keep, 0, out);
}

int replay_new_counted(uint32_t min, struct replay **out)
{
	return replay_new(0, min, out);
}

void replay_free(struct replay *r)
{
	if (!r)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r->young.entries);
	free(r->old.entries);
	free(r);
}

/* The place of this entry, or the empty one where it belongs. */
static uint64_t *place_of(const struct set *s, uint64_t h)
{
	uint32_t i = (uint32_t)h & (s->cap - 1);

	while (s->entries[i] && s->entries[i] != h)
		i = (i + 1) & (s->cap - 1);
	return &s->entries[i];
}

static bool has(const struct set *s, uint64_t h)
{
	return s->used && *place_of(s, h);
}

static void put(struct set *s, uint64_t h)
{
	*place_of(s, h) = h;
	s->used++;
}

static bool grow(const struct replay *r, struct set *s)
{
	struct set bigger = {.cap = s->cap ? 2 * s->cap : r->start};

	if (s->used < s->cap / 2)
		return true;
	bigger.entries = calloc(bigger.cap, sizeof(*bigger.entries));
	if (!bigger.entries)
		return false;
	for (uint32_t i = 0; i < s->cap; i++) {
		if (s->entries[i])
			put(&bigger, s->entries[i]);
	}
	free(s->entries);
	*s = bigger;
	return true;
}

/* One that was filled will be again. */
static void turn(struct replay *r, nsec_t now)
{
	if (!r->keep)
		r->start = r->young.cap;
	free(r->old.entries);
	r->old = r->young;
	r->young = (struct set){0};
	r->turned = now;
}

static void age(struct replay *r, nsec_t now)
{
	if (!r->keep) {
		if (r->young.used >= r->min)
			turn(r, now);
		return;
	}
	if (now - r->turned < r->keep)
		return;
	if (now - r->turned >= 2 * r->keep) /* nothing of the young one counts either */
		turn(r, now);
	turn(r, now);
}

static int add(struct replay *r, uint64_t h, nsec_t now)
{
	age(r, now);
	if (has(&r->young, h) || has(&r->old, h))
		return -ERR_REPLAY;
	/* What cannot be remembered could be sent again.  So it is turned away as a stranger's is,
	 * and nobody can tell from the answer how our memory is.
	 */
	if (!grow(r, &r->young))
		return -ERR_AUTH;
	put(&r->young, h);
	return 0;
}

int replay_add(struct replay *r, const uint8_t *salt, size_t len, nsec_t now)
{
	uint64_t h;
	int err;

	assert(len <= SALT_MAX);
	h = hash_bytes(&r->hash, salt, len);
	h += h == 0;
	pthread_mutex_lock(&r->lock);
	err = add(r, h, now);
	pthread_mutex_unlock(&r->lock);
	return err;
}
