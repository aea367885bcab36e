/* Tickets hang in buckets and in the order of their making, from the oldest.  Each has the keyed
 * hashes of the secrets used with it, in a table that starts small and doubles: hashes of 64 bits
 * under a key that nobody knows meet by chance never.
 *
 * One lock: it is held for a look-up once per handshake, and a replay has to be seen whichever worker
 * it lands on.
 */
#include "proto/vlessenc/vlessenc_tickets.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "crypto/ct.h"
#include "crypto/random.h"

#define BUCKETS	   4096u
#define USES_START 8u

struct ticket {
	struct ticket *next; /* in the bucket */
	struct list_node age;
	uint8_t name[VLESSENC_TICKET], pfs[VLESSENC_PFS];
	nsec_t expires;
	uint64_t *used; /* 0: empty; at most half full */
	uint32_t cap, n;
};

struct vlessenc_tickets {
	pthread_mutex_t lock;
	struct hash_key hash;
	struct ticket **buckets; /* made with the first ticket */
	struct list_node by_age; /* the oldest first */
	uint32_t n, uses;
};

int vlessenc_tickets_new(struct vlessenc_tickets **out)
{
	struct vlessenc_tickets *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	random_bytes(&t->hash, sizeof(t->hash));
	list_init(&t->by_age);
	*out = t;
	return 0;
}

static struct ticket **place_of(struct vlessenc_tickets *t, const uint8_t name[VLESSENC_TICKET])
{
	struct ticket **at = &t->buckets[hash_bytes(&t->hash, name, VLESSENC_TICKET) % BUCKETS];

	while (*at && !ct_equal((*at)->name, name, VLESSENC_TICKET))
		at = &(*at)->next;
	return at;
}

static void forget(struct vlessenc_tickets *t, struct ticket **at)
{
	struct ticket *k = *at;

	*at = k->next;
	list_del(&k->age);
	t->n--;
	t->uses -= k->n;
	free(k->used);
	cleanse(k, sizeof(*k));
	free(k);
}

static struct ticket *oldest(struct vlessenc_tickets *t)
{
	return list_empty(&t->by_age) ? NULL : container_of(t->by_age.next, struct ticket, age);
}

void vlessenc_tickets_free(struct vlessenc_tickets *t)
{
	if (!t)
		return;
	for (struct ticket *k = oldest(t); k; k = oldest(t))
		forget(t, place_of(t, k->name));
	pthread_mutex_destroy(&t->lock);
	free(t->buckets);
	free(t);
}

/* Lives differ by the factor two at most, so that what has expired is at the front or soon will be. */
static void make_room(struct vlessenc_tickets *t, nsec_t now)
{
	for (struct ticket *k = oldest(t); k; k = oldest(t)) {
		if (k->expires > now && t->n < VLESSENC_TICKETS_MAX && t->uses < VLESSENC_USES_MAX)
			return;
		forget(t, place_of(t, k->name));
	}
}

static int add(struct vlessenc_tickets *t, const uint8_t ticket[VLESSENC_TICKET],
	       const uint8_t pfs[VLESSENC_PFS], nsec_t expires)
{
	struct ticket *k, **at;

	if (!t->buckets)
		t->buckets = calloc(BUCKETS, sizeof(struct ticket *));
	k = t->buckets ? calloc(1, sizeof(*k)) : NULL;
	if (!k)
		return -ENOMEM;
	at = place_of(t, ticket);
	if (*at)
		forget(t, at);
	memcpy(k->name, ticket, sizeof(k->name));
	memcpy(k->pfs, pfs, sizeof(k->pfs));
	k->expires = expires;
	at = place_of(t, ticket);
	*at = k;
	list_add_tail(&t->by_age, &k->age);
	t->n++;
	return 0;
}

int vlessenc_tickets_add(struct vlessenc_tickets *t, const uint8_t ticket[VLESSENC_TICKET],
			 const uint8_t pfs[VLESSENC_PFS], nsec_t now, nsec_t expires)
{
	int err;

	pthread_mutex_lock(&t->lock);
	make_room(t, now);
	err = add(t, ticket, pfs, expires);
	pthread_mutex_unlock(&t->lock);
	return err;
}

/* The place of this hash, or the empty one where it belongs. */
static uint64_t *use_of(uint64_t *used, uint32_t cap, uint64_t h)
{
	uint32_t i = (uint32_t)h & (cap - 1);

	while (used[i] && used[i] != h)
		i = (i + 1) & (cap - 1);
	return &used[i];
}

static bool grow(struct ticket *k)
{
	uint32_t cap = k->cap ? 2 * k->cap : USES_START;
	uint64_t *bigger;

	if (k->n < k->cap / 2)
		return true;
	bigger = calloc(cap, sizeof(*bigger));
	if (!bigger)
		return false;
	for (uint32_t i = 0; i < k->cap; i++) {
		if (k->used[i])
			*use_of(bigger, cap, k->used[i]) = k->used[i];
	}
	free(k->used);
	k->used = bigger;
	k->cap = cap;
	return true;
}

static int use(struct vlessenc_tickets *t, struct ticket *k, uint64_t h)
{
	if (!grow(k))
		return -ENOMEM;
	if (*use_of(k->used, k->cap, h) == h)
		return -ERR_REPLAY;
	*use_of(k->used, k->cap, h) = h;
	k->n++;
	t->uses++;
	return 0;
}

int vlessenc_tickets_use(struct vlessenc_tickets *t, const uint8_t ticket[VLESSENC_TICKET],
			 const uint8_t secret[VLESSENC_SECRET], nsec_t now,
			 uint8_t pfs[VLESSENC_PFS])
{
	uint64_t h = hash_bytes(&t->hash, secret, VLESSENC_SECRET);
	struct ticket *k;
	int err = -ERR_AUTH;

	h += h == 0;
	pthread_mutex_lock(&t->lock);
	if (t->uses >= VLESSENC_USES_MAX)
		make_room(t, now);
	k = t->buckets ? *place_of(t, ticket) : NULL;
	if (k && k->expires > now)
		err = use(t, k, h);
	if (!err)
		memcpy(pfs, k->pfs, VLESSENC_PFS);
	pthread_mutex_unlock(&t->lock);
	return err;
}

bool vlessenc_tickets_newest(struct vlessenc_tickets *t, nsec_t now,
			     uint8_t ticket[VLESSENC_TICKET], uint8_t pfs[VLESSENC_PFS])
{
	const struct ticket *k;
	bool good = false;

	pthread_mutex_lock(&t->lock);
	if (!list_empty(&t->by_age)) {
		k = container_of(t->by_age.prev, struct ticket, age);
		good = k->expires > now;
		if (good) {
			memcpy(ticket, k->name, VLESSENC_TICKET);
			memcpy(pfs, k->pfs, VLESSENC_PFS);
		}
	}
	pthread_mutex_unlock(&t->lock);
	return good;
}

void vlessenc_tickets_drop(struct vlessenc_tickets *t, const uint8_t ticket[VLESSENC_TICKET])
{
	struct ticket **at;

	pthread_mutex_lock(&t->lock);
	at = t->buckets ? place_of(t, ticket) : NULL;
	if (at && *at)
		forget(t, at);
	pthread_mutex_unlock(&t->lock);
}
