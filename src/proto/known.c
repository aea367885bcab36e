#include "proto/known.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/ct.h"
#include "crypto/random.h"

#define CAP_START 64
#define SETS	  2048 /* of sources */
#define WAYS	  4

void known_init(struct known *k)
{
	*k = (struct known){0};
	pthread_mutex_init(&k->lock, NULL);
	random_bytes(&k->hash, sizeof(k->hash));
}

void known_done(struct known *k)
{
	hash_index_done(&k->index);
	if (k->keys)
		cleanse(k->keys, k->cap * sizeof(*k->keys));
	free(k->keys);
	free(k->sources);
	pthread_mutex_destroy(&k->lock);
	*k = (struct known){0};
}

int known_new(struct known **out)
{
	struct known *k = malloc(sizeof(*k));

	if (!k)
		return -ENOMEM;
	known_init(k);
	*out = k;
	return 0;
}

void known_free(struct known *k)
{
	if (!k)
		return;
	known_done(k);
	free(k);
}

/* ---- keys, in a list by recency ---------------------------------------------------------- */

static uint64_t hash_of(const struct known *k, const uint8_t *key)
{
	return hash_bytes(&k->hash, key, KNOWN_KEY);
}

static int64_t find(const struct known *k, const uint8_t *key)
{
	struct hash_iter it;
	int64_t i;

	for (i = hash_index_first(&k->index, hash_of(k, key), &it); i >= 0;
	     i = hash_index_next(&k->index, hash_of(k, key), &it)) {
		if (ct_equal(k->keys[i].key, key, KNOWN_KEY))
			return i;
	}
	return -1;
}

static void take_out(struct known *k, uint32_t slot)
{
	struct known_key *e = &k->keys[slot];

	if (e->newer)
		k->keys[e->newer - 1].older = e->older;
	else
		k->newest = e->older;
	if (e->older)
		k->keys[e->older - 1].newer = e->newer;
	else
		k->oldest = e->newer;
}

static void put_first(struct known *k, uint32_t slot)
{
	struct known_key *e = &k->keys[slot];

	e->newer = 0;
	e->older = k->newest;
	if (k->newest)
		k->keys[k->newest - 1].newer = (uint16_t)(slot + 1);
	else
		k->oldest = (uint16_t)(slot + 1);
	k->newest = (uint16_t)(slot + 1);
}

static bool grow(struct known *k)
{
	uint32_t cap = k->cap ? 2 * k->cap : CAP_START;
	struct known_key *keys;

	if (k->n < k->cap)
		return true;
	if (cap > KNOWN_MAX)
		return false;
	keys = calloc(cap, sizeof(*keys));
	if (!keys)
		return false;
	if (k->keys) {
		memcpy(keys, k->keys, k->n * sizeof(*keys));
		cleanse(k->keys, k->n * sizeof(*keys));
		free(k->keys);
	}
	k->keys = keys;
	k->cap = cap;
	return true;
}

/* A free slot, or that of the oldest; -1: no memory for a first one. */
static int64_t slot_new(struct known *k)
{
	uint32_t slot;

	if (grow(k))
		return k->n++;
	if (!k->oldest)
		return -1;
	slot = k->oldest - 1u;
	take_out(k, slot);
	hash_index_remove(&k->index, hash_of(k, k->keys[slot].key), slot);
	return slot;
}

static int64_t remember(struct known *k, const uint8_t *key)
{
	int64_t slot = find(k, key);

	if (slot >= 0) {
		take_out(k, (uint32_t)slot);
		put_first(k, (uint32_t)slot);
		return slot;
	}
	slot = slot_new(k);
	if (slot < 0)
		return slot;
	memcpy(k->keys[slot].key, key, KNOWN_KEY);
	put_first(k, (uint32_t)slot);
	/* Without memory for the index it is there twice one day: harmless. */
	(void)!hash_index_add(&k->index, hash_of(k, key), (uint32_t)slot);
	return slot;
}

int known_next(struct known *k, uint32_t *at, uint8_t (*out)[KNOWN_KEY], int max)
{
	uint32_t tried = *at >> 16, slot = *at & 0xffff;
	int n = 0;

	pthread_mutex_lock(&k->lock);
	/* What others do between two calls may let a key be met twice or not at all: they move to the
	 * front, where this search has been. */
	if (*at == 0)
		slot = k->newest;
	while (slot && n < max && tried < KNOWN_TRIED) {
		memcpy(out[n++], k->keys[slot - 1].key, KNOWN_KEY);
		slot = k->keys[slot - 1].older;
		tried++;
	}
	pthread_mutex_unlock(&k->lock);
	*at = n ? tried << 16 | slot : *at;
	return n;
}

/* ---- sources ----------------------------------------------------------------------------- */

/* An address as whom it stands for: IPv4 whole, IPv6 its /64.  Never 0. */
static uint64_t source_hash(const struct known *k, const struct addr *peer)
{
	uint8_t ip[16];

	addr_ip16(peer, ip);
	return hash_bytes(
		&k->hash, ip,
		peer->sa.sa_family == AF_INET6 && addr_unmap(peer).sa.sa_family == AF_INET6 ? 8
											    : 16);
}

static struct known_source *source_find(const struct known *k, const struct addr *peer,
					uint32_t *tag, struct known_source **oldest)
{
	uint64_t h = source_hash(k, peer);
	struct known_source *set = &k->sources[(h % SETS) * WAYS];

	*tag = (uint32_t)(h >> 32) | 1;
	*oldest = set;
	for (int i = 0; i < WAYS; i++) {
		if (set[i].tag == *tag)
			return &set[i];
		if (set[i].used < (*oldest)->used)
			*oldest = &set[i];
	}
	return NULL;
}

static void source_touch(struct known *k, const struct addr *peer, uint16_t slot)
{
	struct known_source *s, *oldest;
	uint32_t tag;
	int i;

	if (!k->sources)
		k->sources = calloc(SETS * WAYS, sizeof(*k->sources));
	if (!k->sources)
		return;
	s = source_find(k, peer, &tag, &oldest);
	if (!s) {
		s = oldest;
		*s = (struct known_source){.tag = tag};
	}
	s->used = ++k->clock;
	for (i = 0; i < KNOWN_PER_SOURCE - 1 && s->slots[i] != slot; i++)
		;
	memmove(&s->slots[1], &s->slots[0], (size_t)i * sizeof(s->slots[0]));
	s->slots[0] = slot;
}

int known_from(struct known *k, const struct addr *peer, uint8_t (*out)[KNOWN_KEY])
{
	struct known_source *s, *oldest;
	uint32_t tag;
	int n = 0;

	pthread_mutex_lock(&k->lock);
	s = k->sources ? source_find(k, peer, &tag, &oldest) : NULL;
	while (s && n < KNOWN_PER_SOURCE && s->slots[n]) {
		memcpy(out[n], k->keys[s->slots[n] - 1].key, KNOWN_KEY);
		n++;
	}
	pthread_mutex_unlock(&k->lock);
	return n;
}

void known_touch(struct known *k, const uint8_t key[KNOWN_KEY], const struct addr *peer)
{
	int64_t slot;

	pthread_mutex_lock(&k->lock);
	slot = remember(k, key);
	if (slot >= 0 && peer && peer->len)
		source_touch(k, peer, (uint16_t)(slot + 1));
	pthread_mutex_unlock(&k->lock);
}
