/* own_addr.h - the addresses of this host's own interfaces.
 *
 * Users must not reach the node itself through the node: what listens on a public address of this
 * host is as private as what listens on loopback.  One object for the process; control refreshes it
 * every minute or so, workers look addresses up.
 *
 * Threads: own_addr_has() from any; the rest from the one that owns it.  A table, once published,
 * is not changed; a replaced one is kept for OWN_ADDR_KEPT further changes (not refreshes: an
 * unchanged set is not published again), far beyond the few nanoseconds a look-up takes.
 */
#ifndef WEIR_NET_OWN_ADDR_H
#define WEIR_NET_OWN_ADDR_H

#include <stdatomic.h>

#include "net/addr.h"

#define OWN_ADDR_KEPT 64

struct own_table;

struct own_addr {
	_Atomic(struct own_table *) table; /* NULL: empty */
	struct own_table *kept[OWN_ADDR_KEPT];
	unsigned next;
};

void own_addr_init(struct own_addr *o); /* empty */
void own_addr_done(struct own_addr *o); /* nobody looks any more */

/* Ask the kernel.  1: the set has changed, 0: it has not, or -errno with the old set in force. */
int own_addr_refresh(struct own_addr *o);

/* The same from a list.  Ports do not matter. */
int own_addr_set(struct own_addr *o, const struct addr *list, size_t n);

/* IPv4 and its v4-mapped form are the same address. */
bool own_addr_has(const struct own_addr *o, const struct addr *a);

#endif
