#include "user/registry.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/random.h"
#include "user/registry_impl.h"

int user_registry_new(const struct user_registry_conf *conf, struct user_registry **out)
{
	struct user_registry *r;

	if (!conf->key_len || conf->key_len + conf->secret_len > USER_KEY_MAX ||
	    (!conf->derive && conf->secret_len))
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->conf = *conf;
	random_bytes(&r->hash, sizeof(r->hash));
	*out = r;
	return 0;
}

static void free_user(struct user *u)
{
	user_live_free(atomic_load_explicit(&u->live, memory_order_relaxed));
	free(u);
}

void user_registry_free(struct user_registry *r)
{
	if (!r)
		return;
	assert(!r->publications);
	for (size_t i = 0; i < user_table_count(r->table); i++)
		free_user(user_table_at(r->table, i));
	for (size_t i = 0; i < r->ndying; i++)
		free_user(r->dying[i]);
	user_table_free(r->table);
	free(r->ids.at);
	free(r->dying);
	free(r->retired);
	free(r->marks);
	free(r);
}

const struct user_table *user_registry_table(const struct user_registry *r)
{
	return r->table;
}

bool user_registry_place(const struct user_registry *r, int64_t id, size_t *place)
{
	const struct user_index *x = &r->ids;
	uint64_t h = mix64((uint64_t)id);
	const struct user_place *at;

	if (!x->at)
		return false;
	at = index_first(x, h);
	while (at->n &&
	       (at->tag != index_tag(h) || user_id(user_table_at(r->table, at->n - 1)) != id))
		at = index_next(x, at);
	if (!at->n)
		return false;
	*place = at->n - 1;
	return true;
}

struct user *user_registry_find(const struct user_registry *r, int64_t id)
{
	size_t place;

	return user_registry_place(r, id, &place) ? user_table_at(r->table, place) : NULL;
}

void user_registry_renew(struct user_registry *r, bool on)
{
	r->renew = on;
}

int user_registry_list(const struct user_registry *r, struct user_list *out)
{
	size_t n = user_table_count(r->table);
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		const struct user *u = user_table_at(r->table, i);

		err = user_list_add(out, &(struct user_entry){
						 .id = user_id(u),
						 .credential = user_credential(u),
						 .credential_len = u->credential_len,
						 .speed_bps = u->speed_kbps * UINT64_C(1000),
						 .device_limit = u->own_device_limit,
						 .conn_limit = u->own_conn_limit,
					 });
	}
	return err;
}

/* ---- limits ------------------------------------------------------------------------------ */

static uint64_t smaller_limit(uint64_t a, uint64_t b)
{
	return a && b ? MIN(a, b) : MAX(a, b);
}

bool user_registry_refresh(struct user_registry *r, struct user *u)
{
	const struct user_rules *rules = &r->conf.rules;
	uint32_t devices = u->own_device_limit ? u->own_device_limit : rules->device_limit;
	uint32_t conns = u->own_conn_limit ? u->own_conn_limit : rules->conn_limit;
	uint64_t bps = smaller_limit(
		smaller_limit((uint64_t)u->speed_kbps * 1000, (uint64_t)u->dynamic_kbps * 1000),
		rules->speed_bps);
	uint64_t Bps = bps ? MAX(bps / 8, (uint64_t)1) : 0;
	bool changed;

	devices = MIN(devices, (uint32_t)UINT16_MAX);
	changed = rate_get(&u->rate[0]) != Bps || u->device_limit != devices ||
		  u->conn_limit != conns || u->sum != rules->sum;
	atomic_store_explicit(&u->sum, rules->sum, memory_order_relaxed);
	rate_set(&u->rate[TRAFFIC_UP], Bps);
	rate_set(&u->rate[TRAFFIC_DOWN], Bps);
	atomic_store_explicit(&u->device_limit, (uint16_t)devices, memory_order_relaxed);
	atomic_store_explicit(&u->conn_limit, conns, memory_order_relaxed);
	atomic_store_explicit(&u->grace_s,
			      (uint16_t)MIN(rules->grace_s ? rules->grace_s : 60u, 65535u),
			      memory_order_relaxed);
	return changed;
}

void user_registry_set_rules(struct user_registry *r, const struct user_rules *rules)
{
	r->conf.rules = *rules;
	for (size_t i = 0; i < user_table_count(r->table); i++)
		user_registry_refresh(r, user_table_at(r->table, i));
}

/* Kilobits are fine enough for limits sold in megabits; a limit never rounds to none. */
static uint32_t to_kbps(uint64_t bps)
{
	if (!bps)
		return 0;
	return (uint32_t)MIN(MAX((bps + 500) / 1000, (uint64_t)1), (uint64_t)UINT32_MAX);
}

void user_registry_set_dynamic(struct user_registry *r, struct user *u, uint64_t speed_bps)
{
	u->dynamic_kbps = to_kbps(speed_bps);
	user_registry_refresh(r, u);
}

bool user_registry_take_limits(struct user_registry *r, struct user *u, const struct user_entry *e)
{
	uint32_t kbps = to_kbps(e->speed_bps);
	uint16_t devices = (uint16_t)MIN(e->device_limit, (uint32_t)UINT16_MAX);
	bool fresh = !atomic_load_explicit(&u->grace_s, memory_order_relaxed); /* never refreshed */

	if (!fresh && u->speed_kbps == kbps && u->own_device_limit == devices &&
	    u->own_conn_limit == e->conn_limit)
		return false; /* almost everybody: not a byte of the user is written */
	u->speed_kbps = kbps;
	u->own_device_limit = devices;
	u->own_conn_limit = e->conn_limit;
	return user_registry_refresh(r, u);
}

/* ---- after the workers have changed over ----------------------------------------------------- */

void user_publication_free(struct user_publication *pub)
{
	if (!pub)
		return;
	free(pub->removed);
	free(pub->retired);
	free(pub);
}

static void unlink_user(struct user *u)
{
	struct user_live *live;

	/* In one order with user_live_get() and the look at `refs` that follows it: who makes the
	 * set now sees the mark, or we see the set.
	 */
	atomic_fetch_or(&u->refs, USER_REMOVED);
	live = atomic_load(&u->live);
	if (live)
		user_live_kick_all(live);
}

/* The room was reserved when the publication was made. */
static void take_over(struct user_registry *r, struct user_publication *pub)
{
	memcpy(r->dying + r->ndying, pub->removed, pub->nremoved * sizeof(*r->dying));
	memcpy(r->retired + r->nretired, pub->retired, pub->nretired * sizeof(*r->retired));
	r->ndying += pub->nremoved;
	r->nretired += pub->nretired;
	r->owed_dying -= pub->nremoved;
	r->owed_retired -= pub->nretired;
}

bool user_publication_ack(struct user_publication *pub)
{
	struct user_registry *r = pub->registry;

	assert(pub->acks > 0);
	if (--pub->acks)
		return false;
	user_table_free(pub->old);
	for (size_t i = 0; i < pub->nremoved; i++)
		unlink_user(pub->removed[i]);
	take_over(r, pub);
	user_publication_free(pub);
	r->publications--;
	return true;
}

/* The slots to settle; first come those of the dying users who may be freed, moved to the front. */
static size_t collect(struct user_registry *r, uint32_t *slots, size_t *ndead)
{
	size_t dead = 0;

	for (size_t i = 0; i < r->ndying; i++) {
		struct user *u = r->dying[i];

		/* Acquire: the last count happened before the last reference went. */
		if (atomic_load_explicit(&u->refs, memory_order_acquire) & USER_REF_MASK)
			continue;
		r->dying[i] = r->dying[dead];
		r->dying[dead] = u;
		slots[dead++] = atomic_load_explicit(&u->slot, memory_order_relaxed);
	}
	if (r->nretired)
		memcpy(slots + dead, r->retired, r->nretired * sizeof(*slots));
	*ndead = dead;
	return dead + r->nretired;
}

int user_registry_reap(struct user_registry *r,
		       int (*settle)(void *arg, const uint32_t *slots, size_t n), void *arg)
{
	uint32_t *slots;
	size_t n, dead;
	int err = 0;

	if (!r->ndying && !r->nretired)
		return 0;
	slots = calloc(r->ndying + r->nretired, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	n = collect(r, slots, &dead);
	if (n && settle)
		err = settle(arg, slots, n);
	if (!err) {
		for (size_t i = 0; i < n; i++)
			counters_release(r->conf.counters, slots[i]);
		for (size_t i = 0; i < dead; i++)
			free_user(r->dying[i]);
		r->ndying -= dead;
		memmove(r->dying, r->dying + dead, r->ndying * sizeof(*r->dying));
		r->nretired = 0;
	}
	free(slots);
	return err ? err : (int)r->ndying;
}
