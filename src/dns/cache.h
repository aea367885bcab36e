/* cache.h - names and their addresses, until their time is up; bounded, the oldest goes first. */
#ifndef WEIR_DNS_CACHE_H
#define WEIR_DNS_CACHE_H

#include "base/list.h"
#include "stream/resolver.h"

#define DNS_BUCKETS   1024 /* a power of two */
#define DNS_CACHE_MAX 4096

struct dns_query;

struct dns_entry {
	struct dns_entry *next;	  /* in its bucket */
	struct list_node age;	  /* oldest first; pinned while a query is under way */
	struct list_node waiting; /* struct dns_wait */
	nsec_t expires;
	bool busy;		 /* the question is out */
	struct dns_query *query; /* the resolver's, while busy */
	int err, n;
	struct addr *addrs; /* exactly n */
	char name[];	    /* lower case */
};

struct dns_cache {
	struct dns_entry *bucket[DNS_BUCKETS];
	struct list_node age;
	size_t n;
	uint64_t seed;
};

void dns_cache_init(struct dns_cache *c, uint64_t seed);
void dns_cache_done(struct dns_cache *c);

/* The entry of `name`, made if missing (busy = false, expires = 0).  NULL: no memory, or the cache
 * is full of questions under way. */
struct dns_entry *dns_cache_get(struct dns_cache *c, const char *name);

/* The one that was last asked for longest ago; NULL: unless the cache is full. */
struct dns_entry *dns_cache_oldest_of_full(const struct dns_cache *c);

/* Replace what is known.  -ENOMEM leaves it without an answer (err set). */
void dns_entry_set(struct dns_entry *e, const struct addr *addrs, int n, int err, nsec_t expires);

#endif
