#include "user/table.h"

#include <stdlib.h>
#include <string.h>

/* Open addressing over {part of the hash, place in the list}, at most 7/8 full.  Most misses end at
 * the first empty place, and a tag that differs spares the look at the user.
 */
struct place {
	uint32_t tag;
	uint32_t user; /* index + 1; 0: empty */
};

struct user_table {
	struct hash_key hash;
	size_t key_len, mask;
	uint32_t n, cap;
	struct place *places; /* behind the list */
	uint8_t *secrets;     /* NULL: not packed */
	struct user *list[];
};

struct user_table *user_table_new(size_t cap, size_t key_len, const struct hash_key *hash)
{
	struct user_table *t;
	size_t places = cap == 1 ? 2 : 8; /* there are thousands of ports with one user */

	while (cap > 1 && places / 8 * 7 < cap)
		places *= 2;
	t = malloc(sizeof(*t) + cap * sizeof(t->list[0]) + places * sizeof(*t->places));
	if (!t)
		return NULL;
	*t = (struct user_table){
		.hash = *hash, .key_len = key_len, .mask = places - 1, .cap = (uint32_t)cap};
	t->places = (struct place *)&t->list[cap];
	memset(t->places, 0, places * sizeof(*t->places));
	return t;
}

void user_table_free(struct user_table *t)
{
	if (!t)
		return;
	free(t->secrets);
	free(t);
}

/* The place of this key, or the empty one where it would be. */
static struct place *probe(const struct user_table *t, const void *key, uint32_t *tag)
{
	uint64_t h = hash_bytes(&t->hash, key, t->key_len);
	size_t i = h & t->mask;

	*tag = (uint32_t)(h >> 32);
	for (;; i = (i + 1) & t->mask) {
		struct place *p = &t->places[i];

		if (!p->user)
			return p;
		if (p->tag == *tag && memcmp(user_key(t->list[p->user - 1]), key, t->key_len) == 0)
			return p;
	}
}

bool user_table_add(struct user_table *t, struct user *u)
{
	uint32_t tag;
	struct place *p = probe(t, user_key(u), &tag);

	if (p->user)
		return false;
	t->list[t->n++] = u;
	*p = (struct place){.tag = tag, .user = t->n};
	return true;
}

struct user *user_table_find(const struct user_table *t, const void *key)
{
	const struct place *p;
	uint32_t tag;

	if (!t)
		return NULL;
	p = probe(t, key, &tag);
	return p->user ? t->list[p->user - 1] : NULL;
}

size_t user_table_count(const struct user_table *t)
{
	return t ? t->n : 0;
}

struct user *user_table_at(const struct user_table *t, size_t i)
{
	return t->list[i];
}

bool user_table_pack(struct user_table *t, size_t secret_len)
{
	t->secrets = malloc(t->n * secret_len + 1);
	if (!t->secrets)
		return false;
	for (size_t i = 0; i < t->n; i++)
		memcpy(t->secrets + i * secret_len, user_secret(t->list[i]), secret_len);
	return true;
}

const uint8_t *user_table_secrets(const struct user_table *t)
{
	return t ? t->secrets : NULL;
}
