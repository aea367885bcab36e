/* cache.h - names and their addresses, until their time is up; bounded, the oldest goes first. */
#ifndef WEIR_DNS_CACHE_H
#define WEIR_DNS_CACHE_H

#include "base/list.h"
#include "stream/resolver.h"

#define DNS_BUCKETS   1024 /* a power of two */
#define DNS_CACHE_MAX 4096

struct dns_query;

enum dns_state {
	DNS_KNOWN,   /* or was, or never: nothing is under way */
	DNS_ASKED,   /* the question is out, and somebody waits */
	DNS_DUE,     /* it was, and is to be asked anew */
	DNS_AGAIN,   /* that has been done */
	DNS_UNHEARD, /* the question is out, and nobody waits any more */
	DNS_STATES
};

struct dns_entry {
	struct dns_entry *next;	  /* in its bucket */
	struct list_node age;	  /* among those of its state */
	struct list_node waiting; /* struct dns_wait */
	nsec_t expires;
	uint64_t since;		 /* who came to be DNS_ASKED earlier has less */
	enum dns_state state;	 /* anything but DNS_KNOWN pins it */
	struct dns_query *query; /* the resolver's, while the question is out */
	int err, n;
	struct addr *addrs; /* exactly n */
	char name[];	    /* lower case */
};

struct dns_cache {
	struct dns_entry *bucket[DNS_BUCKETS];
	struct list_node age[DNS_STATES]; /* oldest first */
	size_t n;
	uint64_t seed, turn;
};

void dns_cache_init(struct dns_cache *c, uint64_t seed);
void dns_cache_done(struct dns_cache *c);

/* The entry of `name`, made if missing (DNS_KNOWN, expires = 0).  NULL: no memory, or the cache
 * is full of questions under way. */
struct dns_entry *dns_cache_get(struct dns_cache *c, const char *name);

/* NULL: there is none. */
struct dns_entry *dns_cache_find(const struct dns_cache *c, const char *name);
struct dns_entry *dns_cache_oldest(const struct dns_cache *c, enum dns_state state);

/* It is the youngest of these from now on. */
void dns_cache_state(struct dns_cache *c, struct dns_entry *e, enum dns_state state);

/* Who gives way where the cache is full of questions under way: one that nobody waits for, else the
 * oldest.  NULL: there is room.
 */
struct dns_entry *dns_cache_in_the_way(const struct dns_cache *c);

/* Replace what is known.  -ENOMEM leaves it without an answer (err set). */
void dns_entry_set(struct dns_entry *e, const struct addr *addrs, int n, int err, nsec_t expires);

#endif
