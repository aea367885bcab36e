#include "net/own_addr.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>

struct own_table {
	size_t n;
	uint8_t ip[][16]; /* sorted, no two alike */
};

void own_addr_init(struct own_addr *o)
{
	*o = (struct own_addr){.table = NULL};
}

void own_addr_done(struct own_addr *o)
{
	for (unsigned i = 0; i < OWN_ADDR_KEPT; i++)
		free(o->kept[i]);
	free(atomic_load(&o->table));
	own_addr_init(o);
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static struct own_table *table_new(size_t cap)
{
	struct own_table *t = malloc(sizeof(*t) + cap * 16);

	if (t)
		t->n = 0;
	return t;
}

static void sort_and_dedup(struct own_table *t)
{
	size_t n = 0;

	qsort(t->ip, t->n, 16, compare);
	for (size_t i = 0; i < t->n; i++) {
		if (n == 0 || compare(t->ip[n - 1], t->ip[i]) != 0)
			memmove(t->ip[n++], t->ip[i], 16);
	}
	t->n = n;
}

/* `t` becomes the table in force, or is freed when it says nothing new. */
static int publish(struct own_addr *o, struct own_table *t)
{
	struct own_table *old = atomic_load(&o->table);

	sort_and_dedup(t);
	if (old && old->n == t->n && memcmp(old->ip, t->ip, t->n * 16) == 0) {
		free(t);
		return 0;
	}
	atomic_store(&o->table, t);
	free(o->kept[o->next]);
	o->kept[o->next] = old;
	o->next = (o->next + 1) % OWN_ADDR_KEPT;
	return 1;
}

static bool ip_of(const struct ifaddrs *i, struct addr *out)
{
	if (!i->ifa_addr)
		return false;
	switch (i->ifa_addr->sa_family) {
	case AF_INET:
		*out = (struct addr){.len = sizeof(out->in)};
		break;
	case AF_INET6:
		*out = (struct addr){.len = sizeof(out->in6)};
		break;
	default:
		return false;
	}
	memcpy(&out->sa, i->ifa_addr, out->len);
	return true;
}

int own_addr_refresh(struct own_addr *o)
{
	struct ifaddrs *list, *i;
	struct own_table *t;
	struct addr a;
	size_t n = 0;

	if (getifaddrs(&list) < 0)
		return -errno;
	for (i = list; i; i = i->ifa_next)
		n++;
	t = table_new(n);
	for (i = list; t && i; i = i->ifa_next) {
		if (ip_of(i, &a))
			addr_ip16(&a, t->ip[t->n++]);
	}
	freeifaddrs(list);
	return t ? publish(o, t) : -ENOMEM;
}

int own_addr_set(struct own_addr *o, const struct addr *list, size_t n)
{
	struct own_table *t = table_new(n);

	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		addr_ip16(&list[i], t->ip[t->n++]);
	return publish(o, t);
}

bool own_addr_has(const struct own_addr *o, const struct addr *a)
{
	const struct own_table *t = atomic_load_explicit(&o->table, memory_order_acquire);
	uint8_t ip[16];

	if (!t || a->len == 0)
		return false;
	addr_ip16(a, ip);
	return bsearch(ip, t->ip, t->n, 16, compare) != NULL;
}
