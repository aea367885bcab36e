#include "user/live.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static uint64_t bytes_so_far(const struct user *u, const struct counters *counters)
{
	struct traffic t = {0};

	if (counters)
		counters_total(counters, atomic_load_explicit(&u->slot, memory_order_relaxed), &t);
	return t.up + t.down;
}

struct user_live *user_live_get(struct user *u, const struct counters *counters)
{
	struct user_live *live = atomic_load_explicit(&u->live, memory_order_acquire);
	struct user_live *fresh;

	if (live)
		return live;
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return NULL;
	pthread_mutex_init(&fresh->lock, NULL);
	list_init(&fresh->conns);
	fresh->mark = bytes_so_far(u, counters);
	if (atomic_compare_exchange_strong(&u->live, &live, fresh))
		return fresh;
	user_live_free(fresh); /* another worker was first */
	return live;
}

void user_live_free(struct user_live *live)
{
	struct user_device *d, *next;

	if (!live)
		return;
	for (d = live->devices; d; d = next) {
		next = d->next;
		free(d);
	}
	pthread_mutex_destroy(&live->lock);
	free(live);
}

bool user_live_seize(struct user *u)
{
	uint32_t unused = 0;

	return atomic_compare_exchange_strong_explicit(&u->refs, &unused, USER_BUSY,
						       memory_order_acquire, memory_order_relaxed);
}

void user_live_yield(struct user *u)
{
	atomic_fetch_and_explicit(&u->refs, ~USER_BUSY, memory_order_release);
}

/* ---- devices --------------------------------------------------------------------------------- */

void user_live_prune(struct user_live *live, nsec_t grace, nsec_t now)
{
	struct user_device **at = &live->devices, *d;

	while ((d = *at)) {
		if (d->conns || now - d->last <= grace) {
			at = &d->next;
			continue;
		}
		*at = d->next;
		live->ndevices--;
		free(d);
	}
}

static struct user_device *find_device(struct user_live *live, const uint8_t ip[16])
{
	struct user_device *d;

	for (d = live->devices; d && !ip16_same_device(d->ip, ip); d = d->next)
		;
	return d;
}

static void forget_oldest(struct user_live *live)
{
	struct user_device **at, **oldest = NULL, *d;

	for (at = &live->devices; *at; at = &(*at)->next)
		if (!(*at)->conns && (!oldest || (*at)->last < (*oldest)->last))
			oldest = at;
	if (!oldest)
		return;
	d = *oldest;
	*oldest = d->next;
	live->ndevices--;
	free(d);
}

static int add_device(struct user_live *live, const struct user *u, struct user_device **out)
{
	uint32_t limit = atomic_load_explicit(&u->device_limit, memory_order_relaxed);
	uint32_t elsewhere = atomic_load_explicit(&u->elsewhere, memory_order_relaxed);
	struct user_device *d;

	if (limit && live->ndevices + elsewhere >= limit)
		return -ERR_LIMIT;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	if (live->ndevices >= LIVE_DEVICES_MAX)
		forget_oldest(live);
	d->next = live->devices;
	live->devices = d;
	live->ndevices++;
	*out = d;
	return 0;
}

int user_live_admit(struct user_live *live, const struct user *u, const struct addr *peer,
		    nsec_t now, struct user_device **out)
{
	struct user_device *d;
	uint8_t ip[16];
	int err;

	addr_ip16(peer, ip);
	user_live_prune(live, user_grace(u), now);
	d = find_device(live, ip);
	if (!d) {
		err = add_device(live, u, &d);
		if (err)
			return err;
	}
	memcpy(d->ip, ip, sizeof(d->ip));
	d->conns++;
	d->last = now;
	*out = d;
	return 0;
}
