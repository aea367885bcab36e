/* direct_dial.h - the two halves of the direct outbound, joined in direct.c. */
#ifndef WEIR_PROTO_DIRECT_DIAL_H
#define WEIR_PROTO_DIRECT_DIAL_H

#include "proto/direct/direct.h"

struct dial *direct_dial(struct dialer *d, struct loop *l, const struct dest *to, struct waiter *w);
int direct_dgram(struct dialer *d, struct loop *l, const struct dest *first, struct dgram **out);

/* Keep what the configuration allows, in the order to try; sets the port.  The number left, or
 * -ERR_DENIED when everything was refused, -ERR_NO_ADDRESS when no family fits.
 */
int direct_select(const struct direct *d, struct addr *addrs, int n, uint16_t port);

static inline const struct addr *direct_source(const struct direct *d, const struct addr *to)
{
	const struct addr *from = &d->conf->source;

	return from->len && from->sa.sa_family == to->sa.sa_family ? from : NULL;
}

#endif
