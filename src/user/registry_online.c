/* Online devices: what control reports, and what it hears from the panel (rules D1-D7). */
#include <stdlib.h>

#include "user/registry_impl.h"

/* How long a panel believes our last report of a user (rule D4). */
#define PANEL_TTL (300 * NSEC_SEC)

static struct user_live *live_of(const struct user *u)
{
	return atomic_load_explicit(&u->live, memory_order_acquire);
}

/* ---- elsewhere --------------------------------------------------------------------------- */

/* What the panel counts includes what we told it. */
static uint16_t elsewhere(const struct user *u, uint32_t devices, nsec_t now)
{
	const struct user_live *live = live_of(u);
	uint32_t ours = live && now - live->reported_at <= PANEL_TTL ? live->reported : 0;

	return (uint16_t)MIN(devices > ours ? devices - ours : 0, (uint32_t)UINT16_MAX);
}

void user_registry_set_alive(struct user_registry *r, const struct user_alive *v, size_t n,
			     nsec_t now)
{
	size_t users = user_table_count(r->table);
	uint16_t *next = calloc(users + 1, sizeof(*next));
	size_t place;

	if (!next)
		return; /* the last map stays in force */
	for (size_t i = 0; i < n; i++)
		if (user_registry_place(r, v[i].id, &place))
			next[place] = elsewhere(user_table_at(r->table, place), v[i].devices, now);
	for (size_t i = 0; i < users; i++)
		atomic_store_explicit(&user_table_at(r->table, i)->elsewhere, next[i],
				      memory_order_relaxed);
	free(next);
}

/* ---- the report -------------------------------------------------------------------------- */

/* Rule D2: connected, or seen since the previous report. */
static size_t gather(struct user_registry *r, const struct user *u, struct user_live *live,
		     struct addr *out, nsec_t now)
{
	const struct user_device *d;
	size_t n = 0;

	pthread_mutex_lock(&live->lock);
	for (d = live->devices; d && n < USER_REPORT_DEVICES; d = d->next) {
		if (!d->conns && d->last < r->last_report)
			continue;
		out[n] = addr_from_ip6(d->ip, 0);
		out[n] = addr_unmap(&out[n]);
		n++;
	}
	user_live_prune(live, user_grace(u), now);
	pthread_mutex_unlock(&live->lock);
	return n;
}

/* Rule D3.  Moves the mark. */
static bool quiet(struct user_registry *r, const struct user *u, struct user_live *live,
		  uint64_t min)
{
	uint64_t before = live->mark;
	struct traffic t;

	counters_total(r->conf.counters, atomic_load_explicit(&u->slot, memory_order_relaxed), &t);
	live->mark = t.up + t.down;
	return live->mark - before < min;
}

/* Once nothing in it matters: nobody here, nobody remembered, nothing the panel still believes. */
static void forget(struct user *u, nsec_t now)
{
	struct user_live *live;

	if (!user_live_seize(u))
		return;
	live = live_of(u);
	if (!live->devices && (!live->reported || now - live->reported_at > PANEL_TTL)) {
		atomic_store_explicit(&u->live, NULL, memory_order_relaxed);
		user_live_free(live);
	}
	user_live_yield(u);
}

struct report {
	uint64_t min_bytes;
	bool offline;
	user_online *each;
	void *arg;
};

static void report_user(struct user_registry *r, struct user *u, const struct report *how,
			struct addr *addrs, nsec_t now)
{
	struct user_live *live = live_of(u);
	size_t n = gather(r, u, live, addrs, now);
	bool too_quiet = quiet(r, u, live, how->min_bytes);

	if (how->each && n && !too_quiet) {
		live->reported = (uint32_t)n;
		live->reported_at = now;
		how->each(how->arg, user_id(u), addrs, n);
	} else if (how->each && !n && live->reported && how->offline) {
		live->reported = 0;
		how->each(how->arg, user_id(u), NULL, 0);
	}
	forget(u, now);
}

void user_registry_report_online(struct user_registry *r, uint64_t min_bytes, bool offline,
				 nsec_t now, user_online *each, void *arg)
{
	struct report how = {.min_bytes = min_bytes, .offline = offline, .each = each, .arg = arg};
	struct addr addrs[USER_REPORT_DEVICES];

	for (size_t i = 0; i < user_table_count(r->table); i++) {
		struct user *u = user_table_at(r->table, i);

		if (live_of(u))
			report_user(r, u, &how, addrs, now);
	}
	r->last_report = now;
}

void user_registry_census(const struct user_registry *r, struct user_census *out)
{
	struct user_census c = {.users = (uint32_t)user_table_count(r->table)};

	for (size_t i = 0; i < c.users; i++) {
		struct user_live *live = live_of(user_table_at(r->table, i));
		uint32_t devices = 0;

		if (!live)
			continue;
		pthread_mutex_lock(&live->lock);
		for (const struct user_device *d = live->devices; d; d = d->next)
			devices += d->conns > 0;
		c.conns += live->nconns;
		c.online += live->nconns > 0;
		pthread_mutex_unlock(&live->lock);
		c.devices += devices;
	}
	*out = c;
}
