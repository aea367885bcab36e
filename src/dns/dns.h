/* dns.h - the resolver of one worker: c-ares below, a cache in front.
 *
 * Answers are kept for their TTL (5 s to 1 h), failures for 5 s.  Questions for the same name that
 * are under way share one query.  Nothing here blocks, but for reading resolv.conf.
 *
 * Threads: the loop's.
 */
#ifndef WEIR_DNS_DNS_H
#define WEIR_DNS_DNS_H

#include "stream/resolver.h"

struct dns;

/* NULL: c-ares could not start (no memory, broken resolv.conf). */
struct dns *dns_new(struct loop *l);

/* For tests, which are in a hurry and have servers of their own.  0 and NULL: as dns_new(). */
struct dns_options {
	int try_ms, tries; /* so long a wait for a server's answer, and so often */
	const char *file;  /* instead of /etc/resolv.conf; outlives the resolver */
	uint16_t port;	   /* of the servers in it */
};
struct dns *dns_new_with(struct loop *l, const struct dns_options *opt);

/* resolv.conf has changed.  Who waits for an answer of the old servers asks the new ones; answers
 * in the cache stay.  0, or an error and the old ones stay.
 */
MUST_CHECK int dns_reread(struct dns *d);

void dns_free(struct dns *d); /* questions under way end without a wake; NULL is fine */
struct resolver *dns_resolver(struct dns *d);

/* Names in the cache, for metrics and tests. */
size_t dns_cached(const struct dns *d);

/* Questions under way that nobody waits for any more, for tests. */
size_t dns_given_up(const struct dns *d);

/* Where to ask instead of resolv.conf, "127.0.0.1:5353,[::1]:53": for tests.  0 or -ERR_CONFIG. */
MUST_CHECK int dns_set_servers(struct dns *d, const char *csv);

#endif
