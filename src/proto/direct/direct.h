/* direct.h - the outbound that goes straight to the destination, and the one that goes nowhere.
 *
 * Names are resolved, the addresses tried as RFC 8305 says, and what the configuration does not
 * allow is refused after resolution: private, loopback, link-local, unique-local and this host's
 * own addresses (config G.9).
 *
 * Threads: one per worker loop, with that loop's resolver.
 */
#ifndef WEIR_PROTO_DIRECT_H
#define WEIR_PROTO_DIRECT_H

#include "net/own_addr.h"
#include "stream/dialer.h"
#include "stream/resolver.h"

enum direct_family {
	DIRECT_ANY, /* interleaved, IPv6 first */
	DIRECT_IP4_FIRST,
	DIRECT_IP6_FIRST,
	DIRECT_IP4_ONLY,
	DIRECT_IP6_ONLY,
};

struct direct_conf {
	struct addr source; /* SendIP, for its own family; len 0: any */
	bool allow_private;
	enum direct_family family;
};

struct direct {
	struct dialer dialer;
	struct resolver *resolver;
	const struct direct_conf *conf; /* outlives it */
	const struct own_addr *own;	/* this host's addresses */
};

void direct_init(struct direct *d, struct resolver *resolver, const struct direct_conf *conf,
		 const struct own_addr *own);

/* Would this outbound go to `a`?  0 or -ERR_DENIED. */
MUST_CHECK int direct_check(const struct direct *d, const struct addr *a);

/* Refuses everything with -ERR_BLOCKED. */
extern struct dialer block_dialer;

#endif
