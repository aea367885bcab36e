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
	free(r);
}

const struct user_table *user_registry_table(const struct user_registry *r)
{
	return r->table;
}

bool user_registry_place(const struct user_registry *r, int64_t id, size_t *place)
{
	const struct user_index *x = &r->ids;
	size_t i = mix64((uint64_t)id) & x->mask;

	if (!x->at)
		return false;
	while (x->at[i] && user_id(user_table_at(r->table, x->at[i] - 1)) != id)
		i = (i + 1) & x->mask;
	if (!x->at[i])
		return false;
	*place = x->at[i] - 1;
	return true;
}

struct user *user_registry_find(const struct user_registry *r, int64_t id)
{
	size_t place;

	return user_registry_place(r, id, &place) ? user_table_at(r->table, place) : NULL;
}

/* ---- limits
 * -------------------------------------------------------------------------------------- */

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

static bool take_limits(struct user_registry *r, struct user *u, const struct user_entry *e)
{
	u->speed_kbps = to_kbps(e->speed_bps);
	u->own_device_limit = (uint16_t)MIN(e->device_limit, (uint32_t)UINT16_MAX);
	u->own_conn_limit = e->conn_limit;
	return user_registry_refresh(r, u);
}

/* ---- applying a list: a plan that may fail, then a commit that may not --------------------------
 */

enum plan_kind {
	PLAN_KEEP,
	PLAN_NEW,
	PLAN_REKEY, /* same credential, another id: accounting starts anew, connections stay */
};

struct plan_item {
	const struct user_entry *e;
	struct user *u;
	uint32_t slot; /* a fresh one, but for PLAN_KEEP */
	enum plan_kind kind;
};

struct plan {
	struct user_registry *r;
	struct plan_item *items; /* in the order of the new table's list */
	size_t n, old_n, taken_n;
	struct user_table *table;
	struct user_index ids;	       /* of the new list */
	struct user_index credentials; /* of the old one; made when first needed */
	bool *taken;		       /* by place in the old list */
	struct user_changes changes;
	struct user_publication *pub;
};

static int index_init(struct user_index *x, size_t n)
{
	size_t cap = 8;

	while (cap / 8 * 7 < n)
		cap *= 2;
	x->at = calloc(cap, sizeof(*x->at));
	if (!x->at)
		return -ENOMEM;
	x->mask = cap - 1;
	return 0;
}

/* Where this id is among the planned, or the empty place for it. */
static uint32_t *planned_id(struct plan *p, int64_t id)
{
	size_t i = mix64((uint64_t)id) & p->ids.mask;

	while (p->ids.at[i] && p->items[p->ids.at[i] - 1].e->id != id)
		i = (i + 1) & p->ids.mask;
	return &p->ids.at[i];
}

static bool has_credential(const struct user *u, const char *text, size_t len)
{
	return u->credential_len == len && memcmp(user_credential(u), text, len) == 0;
}

/* The same among the old users, by credential. */
static uint32_t *old_credential(struct plan *p, const char *text, size_t len)
{
	size_t i = hash_bytes(&p->r->hash, text, len) & p->credentials.mask;
	uint32_t *at;

	for (;; i = (i + 1) & p->credentials.mask) {
		at = &p->credentials.at[i];
		if (!*at || has_credential(user_table_at(p->r->table, *at - 1), text, len))
			return at;
	}
}

static int index_old_credentials(struct plan *p)
{
	const struct user *u;

	if (p->credentials.at)
		return 0;
	if (index_init(&p->credentials, p->old_n) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < p->old_n; i++) {
		u = user_table_at(p->r->table, i);
		*old_credential(p, user_credential(u), u->credential_len) = (uint32_t)i + 1;
	}
	return 0;
}

/* Rules U1, U2: the same id and credential is the same user; so is the same credential. */
static int match_old(struct plan *p, const struct user_entry *e, uint32_t *place,
		     enum plan_kind *kind)
{
	size_t at;

	*kind = PLAN_KEEP;
	*place = 0;
	if (user_registry_place(p->r, e->id, &at) &&
	    has_credential(user_table_at(p->r->table, at), e->credential, e->credential_len)) {
		*place = (uint32_t)at + 1;
		return 0;
	}
	if (!p->old_n) {
		*kind = PLAN_NEW;
		return 0;
	}
	if (index_old_credentials(p) < 0)
		return -ENOMEM;
	*place = *old_credential(p, e->credential, e->credential_len);
	*kind = *place ? PLAN_REKEY : PLAN_NEW;
	return 0;
}

static int derive(const struct user_registry_conf *conf, const struct user_entry *e, uint8_t *bytes)
{
	if (conf->derive)
		return conf->derive(conf->derive_arg, e->credential, e->credential_len, bytes,
				    bytes + conf->key_len);
	if (e->credential_len != conf->key_len)
		return -ERR_MALFORMED;
	memcpy(bytes, e->credential, conf->key_len);
	return 0;
}

/* 0 with *out NULL: an invalid user. */
static int new_user(struct plan *p, const struct user_entry *e, struct user **out)
{
	const struct user_registry_conf *conf = &p->r->conf;
	size_t keys = conf->key_len + conf->secret_len;
	uint8_t bytes[USER_KEY_MAX];
	struct user *u;

	*out = NULL;
	if (derive(conf, e, bytes) < 0)
		return 0;
	u = calloc(1, offsetof(struct user, bytes) + keys + e->credential_len + 1);
	if (!u)
		return -ENOMEM;
	u->key_len = (uint8_t)conf->key_len;
	u->secret_len = (uint8_t)conf->secret_len;
	u->credential_len = (uint16_t)e->credential_len;
	memcpy(u->bytes, bytes, keys);
	memcpy(u->bytes + keys, e->credential, e->credential_len);
	atomic_init(&u->id, e->id);
	atomic_init(&u->slot, COUNTERS_NO_SLOT);
	*out = u;
	return 0;
}

static int plan_slot(struct plan *p, struct plan_item *item)
{
	if (item->kind == PLAN_KEEP)
		return 0;
	return counters_alloc(p->r->conf.counters, p->r->conf.node, item->e->id, &item->slot);
}

static int plan_entry(struct plan *p, const struct user_entry *e)
{
	struct plan_item item = {.e = e};
	uint32_t *id, place;
	int err;

	if (e->id <= 0 || !e->credential || !e->credential_len || e->credential_len > UINT16_MAX) {
		p->changes.invalid++;
		return 0;
	}
	id = planned_id(p, e->id);
	err = match_old(p, e, &place, &item.kind);
	if (err)
		return err;
	if (*id || (place && p->taken[place - 1])) {
		p->changes.duplicates++;
		return 0;
	}
	if (place)
		item.u = user_table_at(p->r->table, place - 1);
	else if (new_user(p, e, &item.u) < 0)
		return -ENOMEM;
	if (!item.u) {
		p->changes.invalid++;
		return 0;
	}
	err = user_table_add(p->table, item.u) ? plan_slot(p, &item) : -EEXIST;
	if (err) {
		if (item.kind == PLAN_NEW)
			free(item.u);
		p->changes.duplicates += err == -EEXIST;
		return err == -EEXIST ? 0 : err;
	}
	if (place) {
		p->taken[place - 1] = true;
		p->taken_n++;
	}
	p->items[p->n++] = item;
	*id = (uint32_t)p->n;
	return 0;
}

static int plan_init(struct plan *p, struct user_registry *r, size_t n)
{
	*p = (struct plan){.r = r, .old_n = user_table_count(r->table)};
	if (n >= UINT32_MAX)
		return -EFBIG;
	p->items = calloc(n + 1, sizeof(*p->items));
	p->taken = calloc(p->old_n + 1, sizeof(*p->taken));
	p->table = user_table_new(n, r->conf.key_len, &r->hash);
	if (!p->items || !p->taken || !p->table || index_init(&p->ids, n) < 0)
		return -ENOMEM;
	return 0;
}

/* Room for `n` more. */
static int reserve(void *array, size_t *cap, size_t n, size_t size)
{
	void **v = array, *more;
	size_t want = n + n / 2 + 16;

	if (*v && n <= *cap)
		return 0;
	more = reallocarray(*v, want, size);
	if (!more)
		return -ENOMEM;
	*v = more;
	*cap = want;
	return 0;
}

/* The lists that the last acknowledgement fills, which must not fail then. */
static int reserve_afterlife(struct user_registry *r, size_t removed, size_t rekeyed)
{
	if (reserve(&r->dying, &r->dying_cap, r->ndying + r->owed_dying + removed,
		    sizeof(*r->dying)) < 0)
		return -ENOMEM;
	return reserve(&r->retired, &r->retired_cap, r->nretired + r->owed_retired + rekeyed,
		       sizeof(*r->retired));
}

/* What the commit needs to have, when the workers' table must change. */
static int plan_publication(struct plan *p)
{
	size_t removed = p->old_n - p->taken_n, rekeyed = 0;
	struct user_publication *pub;

	for (size_t i = 0; i < p->n; i++)
		rekeyed += p->items[i].kind == PLAN_REKEY;
	if (p->r->table && p->n == p->old_n && !removed && !rekeyed)
		return 0; /* as many as before, and all of them were there */
	pub = calloc(1, sizeof(*pub));
	if (!pub)
		return -ENOMEM;
	p->pub = pub;
	pub->removed = calloc(removed + 1, sizeof(struct user *));
	pub->retired = calloc(rekeyed + 1, sizeof(uint32_t));
	if (!pub->removed || !pub->retired)
		return -ENOMEM;
	return reserve_afterlife(p->r, removed, rekeyed);
}

static void free_publication(struct user_publication *pub)
{
	if (!pub)
		return;
	free(pub->removed);
	free(pub->retired);
	free(pub);
}

static void plan_abandon(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->items[i].kind != PLAN_KEEP)
			counters_release(p->r->conf.counters, p->items[i].slot);
		if (p->items[i].kind == PLAN_NEW)
			free(p->items[i].u);
	}
	free_publication(p->pub);
	user_table_free(p->table);
	free(p->ids.at);
}

static void rekey(struct plan *p, struct plan_item *item)
{
	struct user_live *live = atomic_load_explicit(&item->u->live, memory_order_acquire);
	struct traffic t;

	p->pub->retired[p->pub->nretired++] = atomic_load(&item->u->slot);
	atomic_store_explicit(&item->u->slot, item->slot, memory_order_release);
	atomic_store_explicit(&item->u->id, item->e->id, memory_order_relaxed);
	if (live) {
		counters_total(p->r->conf.counters, item->slot, &t);
		live->mark = t.up + t.down;
	}
}

static void commit_users(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct plan_item *item = &p->items[i];
		bool changed;

		if (item->kind == PLAN_NEW)
			atomic_store_explicit(&item->u->slot, item->slot, memory_order_relaxed);
		if (item->kind == PLAN_REKEY)
			rekey(p, item);
		changed = take_limits(p->r, item->u, item->e);
		p->changes.added += item->kind == PLAN_NEW;
		p->changes.rekeyed += item->kind == PLAN_REKEY;
		p->changes.changed += item->kind == PLAN_KEEP && changed;
		p->changes.kept += item->kind == PLAN_KEEP && !changed;
	}
	p->changes.removed = (uint32_t)(p->old_n - p->taken_n);
}

static void commit_publication(struct plan *p)
{
	struct user_registry *r = p->r;
	struct user_publication *pub = p->pub;

	for (size_t i = 0; i < p->old_n; i++)
		if (!p->taken[i])
			pub->removed[pub->nremoved++] = user_table_at(r->table, i);
	pub->registry = r;
	pub->old = r->table;
	pub->table = p->table;
	free(r->ids.at);
	r->table = p->table;
	r->ids = p->ids;
	r->publications++;
	r->owed_dying += pub->nremoved;
	r->owed_retired += pub->nretired;
}

int user_registry_apply(struct user_registry *r, const struct user_list *list,
			struct user_changes *changes, struct user_publication **pub)
{
	struct plan p;
	int err;

	err = plan_init(&p, r, list->n);
	for (size_t i = 0; i < list->n && !err; i++)
		err = plan_entry(&p, &list->v[i]);
	if (!err)
		err = plan_publication(&p);
	if (err) {
		plan_abandon(&p);
	} else {
		commit_users(&p);
		if (p.pub) {
			commit_publication(&p);
		} else {
			user_table_free(p.table);
			free(p.ids.at);
		}
		*changes = p.changes;
		*pub = p.pub;
	}
	free(p.credentials.at);
	free(p.items);
	free(p.taken);
	return err;
}

/* ---- after the workers have changed over --------------------------------------------------------
 */

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
	free_publication(pub);
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
