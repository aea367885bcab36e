#include "panel/presence.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct sighting {
	int64_t node;
	nsec_t until;
	uint8_t ip[16];
};

struct person {
	struct person *next; /* in the bucket */
	int64_t user;
	uint32_t n, cap;
	struct sighting *seen;
};

struct presence {
	pthread_mutex_t lock;
	nsec_t ttl, swept;
	struct person **buckets; /* a power of two of them */
	size_t n_buckets, n_people;
};

struct presence *presence_new(nsec_t ttl)
{
	struct presence *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->ttl = ttl;
	p->n_buckets = 256;
	p->buckets = calloc(p->n_buckets, sizeof(struct person *));
	if (!p->buckets) {
		free(p);
		return NULL;
	}
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

static void person_free(struct person *who)
{
	free(who->seen);
	free(who);
}

void presence_free(struct presence *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_buckets; i++) {
		for (struct person *who = p->buckets[i], *next; who; who = next) {
			next = who->next;
			person_free(who);
		}
	}
	pthread_mutex_destroy(&p->lock);
	free(p->buckets);
	free(p);
}

/* Where the pointer to `user` is, or where it would go. */
static struct person **person_at(struct presence *p, int64_t user)
{
	uint64_t h = (uint64_t)user * 0x9e3779b97f4a7c15; /* ids are small and dense */
	struct person **at = &p->buckets[(h >> 32) & (p->n_buckets - 1)];

	while (*at && (*at)->user != user)
		at = &(*at)->next;
	return at;
}

static void people_spread(struct presence *p)
{
	size_t old_n = p->n_buckets;
	struct person **old = p->buckets, **more = calloc(old_n * 2, sizeof(*more));

	if (!more)
		return; /* longer chains, still right */
	p->buckets = more;
	p->n_buckets = old_n * 2;
	for (size_t i = 0; i < old_n; i++) {
		for (struct person *who = old[i], *next; who; who = next) {
			struct person **at = person_at(p, who->user);

			next = who->next;
			who->next = NULL;
			*at = who;
		}
	}
	free(old);
}

/* Drop what is over, and the whole person when nothing is left. */
static void person_expire(struct presence *p, struct person **at, nsec_t now)
{
	struct person *who = *at;
	uint32_t keep = 0;

	for (uint32_t i = 0; i < who->n; i++) {
		if (who->seen[i].until > now)
			who->seen[keep++] = who->seen[i];
	}
	who->n = keep;
	if (keep)
		return;
	*at = who->next;
	p->n_people--;
	person_free(who);
}

/* Once a TTL everybody is looked at, so that those of whom nothing more is heard go away. */
static void sweep(struct presence *p, nsec_t now)
{
	if (now - p->swept < p->ttl)
		return;
	p->swept = now;
	for (size_t i = 0; i < p->n_buckets; i++) {
		struct person **at = &p->buckets[i];

		while (*at) {
			struct person *who = *at;

			person_expire(p, at, now);
			if (*at == who)
				at = &who->next;
		}
	}
}

static int person_room(struct person *who, size_t n)
{
	struct sighting *more;
	size_t cap = who->cap ? who->cap : 2;

	while (cap < who->n + n)
		cap *= 2;
	if (cap == who->cap)
		return 0;
	more = reallocarray(who->seen, cap, sizeof(*more));
	if (!more)
		return -ENOMEM;
	who->seen = more;
	who->cap = (uint32_t)cap;
	return 0;
}

static struct person *person_get(struct presence *p, int64_t user)
{
	struct person **at = person_at(p, user);

	if (*at)
		return *at;
	if (p->n_people >= p->n_buckets) {
		people_spread(p);
		at = person_at(p, user);
	}
	*at = calloc(1, sizeof(**at));
	if (*at) {
		(*at)->user = user;
		p->n_people++;
	}
	return *at;
}

static void person_leave(struct person *who, int64_t node)
{
	uint32_t keep = 0;

	for (uint32_t i = 0; i < who->n; i++) {
		if (who->seen[i].node != node)
			who->seen[keep++] = who->seen[i];
	}
	who->n = keep;
}

static int report(struct presence *p, int64_t node, int64_t user, const uint8_t (*ips)[16],
		  size_t n, nsec_t now)
{
	struct person *who = n ? person_get(p, user) : *person_at(p, user);

	if (!who)
		return n ? -ENOMEM : 0;
	if (person_room(who, n) < 0)
		return -ENOMEM;
	person_leave(who, node);
	for (size_t i = 0; i < n; i++) {
		struct sighting *s = &who->seen[who->n++];

		s->node = node;
		s->until = now + p->ttl;
		memcpy(s->ip, ips[i], 16);
	}
	if (!who->n)
		person_expire(p, person_at(p, user), now);
	return 0;
}

int presence_report(struct presence *p, int64_t node, int64_t user, const uint8_t (*ips)[16],
		    size_t n, nsec_t now)
{
	int err;

	pthread_mutex_lock(&p->lock);
	sweep(p, now);
	err = report(p, node, user, ips, n, now);
	pthread_mutex_unlock(&p->lock);
	return err;
}

void presence_forget(struct presence *p, int64_t user)
{
	struct person **at;

	pthread_mutex_lock(&p->lock);
	at = person_at(p, user);
	if (*at)
		person_expire(p, at, INT64_MAX);
	pthread_mutex_unlock(&p->lock);
}

/* The bytes that make it a device of its own: all of an IPv4 address, half of an IPv6 one. */
static size_t device_len(const uint8_t ip[16])
{
	static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	return memcmp(ip, v4_mapped, sizeof(v4_mapped)) == 0 ? 16 : 8;
}

static int by_ip(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static size_t person_devices(const struct person *who, nsec_t now)
{
	uint8_t few[16][16], (*ips)[16] = few;
	size_t n = 0, devices = 0;

	if (who->n > ARRAY_LEN(few))
		ips = malloc(who->n * sizeof(*ips));
	if (!ips)
		return who->n;
	for (uint32_t i = 0; i < who->n; i++) {
		if (who->seen[i].until > now)
			memcpy(ips[n++], who->seen[i].ip, 16);
	}
	qsort(ips, n, sizeof(*ips), by_ip);
	for (size_t i = 0; i < n; i++)
		devices += i == 0 || memcmp(ips[i], ips[i - 1], device_len(ips[i])) != 0;
	if (ips != few)
		free(ips);
	return devices;
}

size_t presence_count(struct presence *p, int64_t user, nsec_t now)
{
	struct person *who;
	size_t n;

	pthread_mutex_lock(&p->lock);
	who = *person_at(p, user);
	n = who ? person_devices(who, now) : 0;
	pthread_mutex_unlock(&p->lock);
	return n;
}

struct presence_row *presence_of(struct presence *p, int64_t user, nsec_t now, size_t *n)
{
	struct presence_row *rows = NULL;
	struct person *who;

	*n = 0;
	pthread_mutex_lock(&p->lock);
	who = *person_at(p, user);
	if (who && who->n)
		rows = calloc(who->n, sizeof(*rows));
	for (uint32_t i = 0; rows && i < who->n; i++) {
		const struct sighting *s = &who->seen[i];

		if (s->until <= now)
			continue;
		rows[*n] = (struct presence_row){
			.user = user, .node = s->node, .left = s->until - now};
		memcpy(rows[(*n)++].ip, s->ip, 16);
	}
	pthread_mutex_unlock(&p->lock);
	return rows;
}

static int by_id(const void *a, const void *b)
{
	const struct presence_user *x = a, *y = b;

	return (x->user > y->user) - (x->user < y->user);
}

static size_t people_above(const struct presence *p, int64_t after, nsec_t now,
			   struct presence_user *out)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_buckets; i++) {
		for (const struct person *who = p->buckets[i]; who; who = who->next) {
			if (who->user <= after)
				continue;
			out[n] = (struct presence_user){who->user, person_devices(who, now)};
			n += out[n].devices > 0;
		}
	}
	return n;
}

struct presence_user *presence_users(struct presence *p, int64_t after, size_t max, nsec_t now,
				     size_t *n)
{
	struct presence_user *out;

	pthread_mutex_lock(&p->lock);
	out = calloc(p->n_people + 1, sizeof(*out));
	*n = out ? people_above(p, after, now, out) : 0;
	pthread_mutex_unlock(&p->lock);
	if (*n)
		qsort(out, *n, sizeof(*out), by_id);
	if (max && *n > max)
		*n = max;
	return out;
}
