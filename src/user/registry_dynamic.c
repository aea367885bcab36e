/* The dynamic speed limit: a cap for a while on who has moved much in a short time. */
#include <stdlib.h>
#include <string.h>

#include "user/registry_impl.h"

static bool cover(struct user_registry *r)
{
	uint32_t n = counters_slots(r->conf.counters);
	struct dynamic_mark *more;

	if (n <= r->nmarks)
		return true;
	n += n / 4;
	more = reallocarray(r->marks, n, sizeof(*more));
	if (!more)
		return false;
	memset(more + r->nmarks, 0, (n - r->nmarks) * sizeof(*more));
	r->marks = more;
	r->nmarks = n;
	return true;
}

/* What its owner has moved since the last look; 0 at the first. */
static uint64_t moved(struct user_registry *r, struct dynamic_mark *m, uint32_t slot)
{
	struct counters_owner owner;
	uint64_t before = m->bytes;
	struct traffic t;

	counters_owner(r->conf.counters, slot, &owner);
	counters_total(r->conf.counters, slot, &t);
	m->bytes = t.up + t.down;
	if (m->life == owner.life + 1)
		return m->bytes - before;
	m->life = owner.life + 1;
	m->until = 0;
	return 0;
}

static void look_at(struct user_registry *r, struct user *u, const struct user_dynamic *rule,
		    nsec_t now)
{
	uint32_t slot = atomic_load_explicit(&u->slot, memory_order_relaxed);
	struct dynamic_mark *m = &r->marks[slot];
	uint64_t n = moved(r, m, slot);
	bool much = n && n >= rule->bytes;

	/* A user who was re-keyed has a new slot and brings his cap along. */
	if (much || (u->dynamic_kbps && !m->until))
		m->until = now + rule->expire;
	if (m->until > now) {
		user_registry_set_dynamic(r, u, rule->speed_bps);
	} else if (m->until) {
		m->until = 0;
		user_registry_set_dynamic(r, u, 0);
	}
}

void user_registry_dynamic(struct user_registry *r, const struct user_dynamic *rule, nsec_t now)
{
	size_t n = user_table_count(r->table);

	if (rule && !cover(r))
		return; /* as it was, until the next period */
	for (size_t i = 0; i < n; i++) {
		struct user *u = user_table_at(r->table, i);

		if (rule)
			look_at(r, u, rule, now);
		else if (u->dynamic_kbps)
			user_registry_set_dynamic(r, u, 0);
	}
	if (!rule) {
		free(r->marks);
		r->marks = NULL;
		r->nmarks = 0;
	}
}
