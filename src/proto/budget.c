#include "proto/budget.h"

#include <stdlib.h>

#include "crypto/random.h"

#define SETS 256
#define WAYS 4

void budget_init(struct budget *b, unsigned workers)
{
	*b = (struct budget){.share = MAX((int32_t)workers, 1)};
	random_bytes(&b->hash, sizeof(b->hash));
}

void budget_done(struct budget *b)
{
	free(b->sources);
	b->sources = NULL;
}

static int32_t left(const struct budget_bucket *k, int32_t rate, int32_t burst, nsec_t now)
{
	nsec_t passed = now - k->at;

	if (!k->at || passed >= NSEC_SEC * 60)
		return burst;
	return (int32_t)MIN((int64_t)burst, k->keys + passed * rate / NSEC_SEC);
}

static void take(struct budget_bucket *k, int32_t keys, int32_t rate, int32_t burst, nsec_t now)
{
	k->keys = MIN(left(k, rate, burst, now) - keys, burst);
	k->at = now ? now : 1;
}

/* IPv4 by /24, IPv6 by /48: what one customer may well have. */
static uint64_t hash_of(const struct budget *b, const struct addr *peer)
{
	struct addr a = addr_unmap(peer);
	uint8_t ip[16];

	addr_ip16(&a, ip);
	return hash_bytes(&b->hash, ip, a.sa.sa_family == AF_INET6 ? 6 : 15);
}

/* This source's, or NULL; *fullest: the one that may be forgotten. */
static struct budget_source *find(const struct budget *b, const struct addr *peer, nsec_t now,
				  uint32_t *tag, struct budget_source **fullest)
{
	uint64_t h = hash_of(b, peer);
	struct budget_source *set = &b->sources[(h % SETS) * WAYS];
	int32_t most = INT32_MIN;

	*tag = (uint32_t)(h >> 32) | 1;
	for (int i = 0; i < WAYS; i++) {
		int32_t has = left(&set[i].bucket, BUDGET_SOURCE, BUDGET_SOURCE_BURST, now);

		if (set[i].tag == *tag)
			return &set[i];
		if (!set[i].tag)
			has = INT32_MAX;
		if (has > most) {
			most = has;
			*fullest = &set[i];
		}
	}
	return NULL;
}

bool budget_left(const struct budget *b, const struct addr *peer, nsec_t now)
{
	struct budget_source *s = NULL, *other;
	uint32_t tag;

	if (left(&b->all, BUDGET_ALL / b->share, BUDGET_ALL_BURST, now) <= 0)
		return false;
	if (peer && peer->len && b->sources)
		s = find(b, peer, now, &tag, &other);
	return !s || left(&s->bucket, BUDGET_SOURCE, BUDGET_SOURCE_BURST, now) > 0;
}

void budget_charge(struct budget *b, const struct addr *peer, int32_t keys, nsec_t now)
{
	struct budget_source *s, *fullest;
	uint32_t tag;

	take(&b->all, keys, BUDGET_ALL / b->share, BUDGET_ALL_BURST, now);
	if (!peer || !peer->len)
		return;
	if (!b->sources)
		b->sources = calloc(SETS * WAYS, sizeof(*b->sources));
	if (!b->sources)
		return;
	s = find(b, peer, now, &tag, &fullest);
	if (!s) {
		s = fullest;
		*s = (struct budget_source){.tag = tag};
	}
	take(&s->bucket, keys, BUDGET_SOURCE, BUDGET_SOURCE_BURST, now);
}
