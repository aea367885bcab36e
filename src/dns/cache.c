#include "dns/cache.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/dest.h"

void dns_cache_init(struct dns_cache *c, uint64_t seed)
{
	*c = (struct dns_cache){.seed = seed};
	for (int i = 0; i < DNS_STATES; i++)
		list_init(&c->age[i]);
}

static void entry_free(struct dns_entry *e)
{
	list_del(&e->age);
	free(e->addrs);
	free(e);
}

void dns_cache_done(struct dns_cache *c)
{
	for (size_t i = 0; i < DNS_BUCKETS; i++) {
		struct dns_entry *e;

		while ((e = c->bucket[i])) {
			c->bucket[i] = e->next;
			entry_free(e);
		}
	}
	c->n = 0;
}

/* FNV-1a from a random start: names come from users, buckets must not be theirs to choose. */
static size_t bucket_of(const struct dns_cache *c, const char *name)
{
	uint64_t h = c->seed ^ 0xcbf29ce484222325;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3;
	return (h ^ h >> 32) & (DNS_BUCKETS - 1);
}

void dns_cache_state(struct dns_cache *c, struct dns_entry *e, enum dns_state state)
{
	if (state == DNS_ASKED)
		e->since = ++c->turn;
	e->state = state;
	list_del(&e->age);
	list_add_tail(&c->age[state], &e->age);
}

struct dns_entry *dns_cache_oldest(const struct dns_cache *c, enum dns_state state)
{
	const struct list_node *head = &c->age[state];

	return list_empty(head) ? NULL : list_entry(head->next, struct dns_entry, age);
}

static void drop_oldest(struct dns_cache *c)
{
	struct dns_entry *e = dns_cache_oldest(c, DNS_KNOWN), **at;

	if (!e)
		return;
	at = &c->bucket[bucket_of(c, e->name)];
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	entry_free(e);
	c->n--;
}

static void lower(char *out, const char *name)
{
	while ((*out++ = (char)tolower((unsigned char)*name++)))
		;
}

static struct dns_entry *find(const struct dns_cache *c, size_t bucket, const char *key)
{
	struct dns_entry *e = c->bucket[bucket];

	while (e && strcmp(e->name, key))
		e = e->next;
	return e;
}

struct dns_entry *dns_cache_find(const struct dns_cache *c, const char *name)
{
	char key[DEST_NAME_MAX + 1];

	if (strlen(name) > DEST_NAME_MAX)
		return NULL;
	lower(key, name);
	return find(c, bucket_of(c, key), key);
}

struct dns_entry *dns_cache_get(struct dns_cache *c, const char *name)
{
	char key[DEST_NAME_MAX + 1];
	struct dns_entry *e;
	size_t b;

	if (strlen(name) > DEST_NAME_MAX)
		return NULL;
	lower(key, name);
	b = bucket_of(c, key);
	e = find(c, b, key);
	if (e) {
		if (e->state == DNS_KNOWN)
			dns_cache_state(c, e, DNS_KNOWN);
		return e;
	}
	if (c->n >= DNS_CACHE_MAX)
		drop_oldest(c);
	if (c->n >= DNS_CACHE_MAX)
		return NULL;
	e = calloc(1, sizeof(*e) + strlen(key) + 1);
	if (!e)
		return NULL;
	memcpy(e->name, key, strlen(key) + 1);
	list_init(&e->waiting);
	dns_cache_state(c, e, DNS_KNOWN);
	e->next = c->bucket[b];
	c->bucket[b] = e;
	c->n++;
	return e;
}

struct dns_entry *dns_cache_in_the_way(const struct dns_cache *c)
{
	static const enum dns_state waited[] = {DNS_ASKED, DNS_DUE, DNS_AGAIN};
	struct dns_entry *oldest = dns_cache_oldest(c, DNS_UNHEARD);

	if (c->n < DNS_CACHE_MAX || dns_cache_oldest(c, DNS_KNOWN))
		return NULL;
	if (oldest)
		return oldest;
	for (size_t i = 0; i < ARRAY_LEN(waited); i++) {
		struct dns_entry *e = dns_cache_oldest(c, waited[i]);

		if (e && (!oldest || e->since < oldest->since))
			oldest = e;
	}
	return oldest;
}

void dns_entry_set(struct dns_entry *e, const struct addr *addrs, int n, int err, nsec_t expires)
{
	free(e->addrs);
	e->addrs = NULL;
	e->n = 0;
	e->err = err;
	e->expires = expires;
	if (err)
		return;
	e->addrs = calloc((size_t)n, sizeof(*addrs));
	if (!e->addrs) {
		e->err = -ENOMEM;
		return;
	}
	memcpy(e->addrs, addrs, (size_t)n * sizeof(*addrs));
	e->n = n;
}
