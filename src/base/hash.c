/* hash.c - SipHash-2-4 after its paper (Aumasson, Bernstein, "SipHash: a fast short-input PRF"),
 * and linear probing.
 */
#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] = rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] = rotl(v[2], 32);
}

static uint64_t le64(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static void sip_word(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	sip_round(v);
	sip_round(v);
	v[0] ^= m;
}

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len)
{
	uint64_t v[4] = {
		key->k0 ^ 0x736f6d6570736575u,
		key->k1 ^ 0x646f72616e646f6du,
		key->k0 ^ 0x6c7967656e657261u,
		key->k1 ^ 0x7465646279746573u,
	};
	const uint8_t *p = data;
	size_t left = len;

	for (; left >= 8; left -= 8, p += 8)
		sip_word(v, le64(p, 8));
	sip_word(v, le64(p, left) | (uint64_t)len << 56);
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#define REMOVED UINT32_MAX

static uint32_t tag_of(uint64_t hash)
{
	return (uint32_t)(hash >> 32);
}

/* Slots for `n` entries at no more than 3/4. */
static uint32_t slots_for(uint32_t n)
{
	uint32_t slots = 16;

	while (slots / 4 * 3 < n)
		slots *= 2;
	return slots;
}

int hash_index_init(struct hash_index *ix, uint32_t expect)
{
	uint32_t slots = slots_for(expect);
	struct hash_slot *s = calloc(slots, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*ix = (struct hash_index){.slots = s, .mask = slots - 1};
	return 0;
}

void hash_index_done(struct hash_index *ix)
{
	free(ix->slots);
	*ix = (struct hash_index){0};
}

/* The home slot comes from the tag, so that growing needs no keys. */
static uint32_t home(const struct hash_index *ix, uint32_t tag)
{
	return tag & ix->mask;
}

static void put(struct hash_index *ix, struct hash_slot s)
{
	uint32_t i = home(ix, s.tag);

	while (ix->slots[i].entry_plus1)
		i = (i + 1) & ix->mask;
	ix->slots[i] = s;
	ix->used++;
	ix->live++;
}

static int grow(struct hash_index *ix)
{
	struct hash_index bigger;
	int err = hash_index_init(&bigger, MAX(ix->live * 2, 12u));

	if (err)
		return err;
	for (uint32_t i = 0; ix->slots && i <= ix->mask; i++) {
		struct hash_slot s = ix->slots[i];

		if (s.entry_plus1 && s.entry_plus1 != REMOVED)
			put(&bigger, s);
	}
	free(ix->slots);
	*ix = bigger;
	return 0;
}

int hash_index_add(struct hash_index *ix, uint64_t hash, uint32_t entry)
{
	if (!ix->slots || ix->used + 1 > (ix->mask + 1) / 4 * 3) {
		int err = grow(ix);

		if (err)
			return err;
	}
	put(ix, (struct hash_slot){.entry_plus1 = entry + 1, .tag = tag_of(hash)});
	return 0;
}

/* From slot `i` on, the next entry with this tag; -1 at the first empty slot. */
static int64_t probe(const struct hash_index *ix, uint32_t tag, uint32_t i, struct hash_iter *it)
{
	for (; ix->slots[i].entry_plus1; i = (i + 1) & ix->mask) {
		const struct hash_slot *s = &ix->slots[i];

		if (s->tag == tag && s->entry_plus1 != REMOVED) {
			it->at = i;
			return (int64_t)s->entry_plus1 - 1;
		}
	}
	return -1;
}

int64_t hash_index_first(const struct hash_index *ix, uint64_t hash, struct hash_iter *it)
{
	if (!ix->slots)
		return -1;
	return probe(ix, tag_of(hash), home(ix, tag_of(hash)), it);
}

int64_t hash_index_next(const struct hash_index *ix, uint64_t hash, struct hash_iter *it)
{
	return probe(ix, tag_of(hash), (it->at + 1) & ix->mask, it);
}

bool hash_index_remove(struct hash_index *ix, uint64_t hash, uint32_t entry)
{
	struct hash_iter it;
	int64_t i = hash_index_first(ix, hash, &it);

	while (i >= 0 && i != entry)
		i = hash_index_next(ix, hash, &it);
	if (i < 0)
		return false;
	ix->slots[it.at].entry_plus1 = REMOVED;
	ix->live--;
	return true;
}
