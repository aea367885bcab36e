#include "proto/direct/direct.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/direct/direct_dial.h"

static const struct dialer_ops direct_ops = {
	.name = "direct",
	.dial = direct_dial,
	.dgram = direct_dgram,
};

void direct_init(struct direct *d, struct resolver *resolver, const struct direct_conf *conf,
		 const struct own_addr *own)
{
	*d = (struct direct){
		.dialer.ops = &direct_ops,
		.resolver = resolver,
		.conf = conf,
		.own = own,
	};
}

int direct_check(const struct direct *d, const struct addr *a)
{
	if (d->conf->allow_private)
		return 0;
	if (addr_is_private(a) || own_addr_has(d->own, a))
		return -ERR_DENIED;
	return 0;
}

static bool family_fits(enum direct_family want, const struct addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return want != DIRECT_IP6_ONLY;
	return want != DIRECT_IP4_ONLY;
}

/* RFC 8305 §4: the families take turns, the preferred one first; the order inside stays. */
static void interleave(struct addr *addrs, int n, int first_family)
{
	struct addr in[RESOLVE_MAX];
	int next[2] = {0, 0}, turn = 0;

	memcpy(in, addrs, sizeof(*addrs) * (size_t)n);
	for (int out = 0; out < n;) {
		int want = turn ? (first_family == AF_INET ? AF_INET6 : AF_INET) : first_family;
		int *i = &next[turn];

		while (*i < n && in[*i].sa.sa_family != want)
			(*i)++;
		if (*i < n)
			addrs[out++] = in[(*i)++];
		turn = !turn;
	}
}

int direct_select(const struct direct *d, struct addr *addrs, int n, uint16_t port)
{
	int kept = 0, denied = 0;

	for (int i = 0; i < n; i++) {
		struct addr a = addr_unmap(&addrs[i]);

		if (!family_fits(d->conf->family, &a))
			continue;
		if (direct_check(d, &a)) {
			denied++;
			continue;
		}
		addr_set_port(&a, port);
		addrs[kept++] = a;
	}
	if (kept == 0)
		return denied ? -ERR_DENIED : -ERR_NO_ADDRESS;
	interleave(addrs, kept, d->conf->family == DIRECT_IP4_FIRST ? AF_INET : AF_INET6);
	return kept;
}

struct block_dial {
	struct dial dial;
	struct loop *loop;
	struct waiter *up;
};

static void block_cancel(struct dial *dial)
{
	struct block_dial *d = container_of(dial, struct block_dial, dial);

	waiter_cancel(d->up);
	loop_free_later(d->loop, d);
}

static int block_result(struct dial *dial, struct stream **out)
{
	block_cancel(dial);
	return -ERR_BLOCKED;
}

static const struct dial_ops block_dial_ops = {
	.result = block_result,
	.cancel = block_cancel,
};

static struct dial *block_dial(struct dialer *d, struct loop *l, const struct dest *to,
			       struct waiter *w)
{
	struct block_dial *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	*b = (struct block_dial){.dial.ops = &block_dial_ops, .loop = l, .up = w};
	loop_queue(l, w);
	return &b->dial;
}

static int block_dgram(struct dialer *d, struct loop *l, const struct dest *first,
		       struct dgram **out)
{
	return -ERR_BLOCKED;
}

static const struct dialer_ops block_ops = {
	.name = "block",
	.dial = block_dial,
	.dgram = block_dgram,
};

struct dialer block_dialer = {.ops = &block_ops};
