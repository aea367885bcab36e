/* presence.h - who is online: addresses by user and node, as nodes report them, for a few minutes.
 *
 * In memory only: a panel that restarts knows again after one round of reports.  A device is one
 * IPv4 address or one IPv6 /64, the same one on two nodes counts once (spec D1, P7).
 *
 * Threads: any, a lock inside.  Times are on the monotonic clock.
 */
#ifndef WEIR_PANEL_PRESENCE_H
#define WEIR_PANEL_PRESENCE_H

#include "base/base.h"

struct presence;

struct presence *presence_new(nsec_t ttl); /* NULL: no memory */
void presence_free(struct presence *p);

/* From now on `node` sees `user` at these addresses and at no others; n = 0: not at all. */
MUST_CHECK int presence_report(struct presence *p, int64_t node, int64_t user,
			       const uint8_t (*ips)[16], size_t n, nsec_t now);

/* Forget what a user was seen with. */
void presence_forget(struct presence *p, int64_t user);

/* How many devices the user has now. */
size_t presence_count(struct presence *p, int64_t user, nsec_t now);

struct presence_row {
	int64_t user, node;
	uint8_t ip[16];
	nsec_t left; /* until it is forgotten */
};

/* Every address of one user: a new array (free()), or NULL with *n = 0. */
struct presence_row *presence_of(struct presence *p, int64_t user, nsec_t now, size_t *n);

/* Users with at least one live address, above `after`, ascending, at most `max` (0: all): a new
 * array (free()), or NULL with *n = 0.
 */
struct presence_user {
	int64_t user;
	size_t devices;
};
struct presence_user *presence_users(struct presence *p, int64_t after, size_t max, nsec_t now,
				     size_t *n);

#endif
