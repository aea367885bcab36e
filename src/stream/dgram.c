#include "stream/dgram.h"

#include <assert.h>

int dgram_recv(struct dgram *d, struct packet *p, int max)
{
	assert(max > 0);
	return d->ops->recv(d, p, max);
}

int dgram_send(struct dgram *d, struct packet *p, int n)
{
	assert(n > 0);
	return d->ops->send(d, p, n);
}

void dgram_want(struct dgram *d, unsigned ev, struct waiter *w)
{
	d->ops->want(d, ev, w);
}

void dgram_free(struct dgram *d)
{
	if (d)
		d->ops->free(d);
}
