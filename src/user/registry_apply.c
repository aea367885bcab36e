/* Applying a list (rules U1 - U7): a plan, which may fail, then a commit, which may not. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "user/registry_impl.h"

enum plan_kind {
	PLAN_KEEP,
	PLAN_NEW,
	PLAN_REKEY, /* same credential, another id: accounting starts anew, connections stay */
	PLAN_NONE,  /* no user can have such a credential */
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
	size_t guess; /* the old place that comes next if the panel keeps its order */
	struct user_table *table;
	struct user_index ids; /* of the new list */
	bool *taken;	       /* by place in the old list */
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
static struct user_place *planned_id(struct plan *p, int64_t id)
{
	uint64_t h = mix64((uint64_t)id);
	struct user_place *at = index_first(&p->ids, h);

	while (at->n && (at->tag != index_tag(h) || p->items[at->n - 1].e->id != id))
		at = index_next(&p->ids, at);
	at->tag = index_tag(h);
	return at;
}

static bool has_credential(const struct user *u, const char *text, size_t len)
{
	return u->credential_len == len && memcmp(user_credential(u), text, len) == 0;
}

static bool is_at(const struct plan *p, size_t place, const struct user_entry *e)
{
	const struct user *u = user_table_at(p->r->table, place);

	return user_id(u) == e->id && has_credential(u, e->credential, e->credential_len);
}

/* The same id and credential as before.  Lists come in the same order as the last time but for what
 * has changed, so that most are found without a search, walking through memory.
 */
static bool find_old(struct plan *p, const struct user_entry *e, size_t *place)
{
	bool found = p->guess < p->old_n && is_at(p, p->guess, e);

	*place = p->guess;
	if (!found)
		found = user_registry_place(p->r, e->id, place) && is_at(p, *place, e);
	if (found)
		p->guess = *place + 1;
	return found;
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

/* The same credential, whatever the id: the table has users by what is derived from it. */
static bool find_credential(const struct plan *p, const struct user_entry *e, const uint8_t *bytes,
			    size_t *place)
{
	const struct user *u = user_table_find(p->r->table, bytes);

	return u && has_credential(u, e->credential, e->credential_len) &&
	       user_registry_place(p->r, user_id(u), place);
}

/* Rules U1, U2: the same id and credential is the same user; so is the same credential.  *place is in
 * the old list, `bytes` what is derived from the credential of all but PLAN_KEEP and PLAN_NONE.  Who
 * could not be looked for, because a digest failed, must not be taken for one who is invalid: such
 * an error is the list's.
 */
static int match_old(struct plan *p, const struct user_entry *e, uint8_t *bytes, size_t *place,
		     enum plan_kind *kind)
{
	bool known = p->old_n && !p->r->renew;
	int err;

	if (known && find_old(p, e, place)) {
		*kind = PLAN_KEEP;
		return 0;
	}
	err = derive(&p->r->conf, e, bytes);
	if (err && err != -ERR_MALFORMED)
		return err;
	if (err)
		*kind = PLAN_NONE;
	else
		*kind = known && find_credential(p, e, bytes, place) ? PLAN_REKEY : PLAN_NEW;
	return 0;
}

static struct user *new_user(const struct user_registry_conf *conf, const struct user_entry *e,
			     const uint8_t *bytes)
{
	size_t keys = conf->key_len + conf->secret_len;
	struct user *u = calloc(1, offsetof(struct user, bytes) + keys + e->credential_len + 1);

	if (!u)
		return NULL;
	u->key_len = (uint8_t)conf->key_len;
	u->secret_len = (uint8_t)conf->secret_len;
	u->credential_len = (uint16_t)e->credential_len;
	memcpy(u->bytes, bytes, keys);
	memcpy(u->bytes + keys, e->credential, e->credential_len);
	atomic_init(&u->id, e->id);
	atomic_init(&u->slot, COUNTERS_NO_SLOT);
	return u;
}

int user_registry_make(const struct user_registry_conf *conf, const struct user_entry *e,
		       struct user **out)
{
	uint8_t bytes[USER_KEY_MAX];
	int err = derive(conf, e, bytes);

	*out = NULL;
	if (err)
		return err == -ERR_MALFORMED ? 0 : err;
	*out = new_user(conf, e, bytes);
	return *out ? 0 : -ENOMEM;
}

static int plan_slot(struct plan *p, struct plan_item *item)
{
	if (item->kind == PLAN_KEEP)
		return 0;
	return counters_alloc(p->r->conf.counters, p->r->conf.node, item->e->id, &item->slot);
}

/* Into the table to come.  -EEXIST: somebody else has the credential. */
static int plan_place(struct plan *p, struct plan_item *item)
{
	int err = user_table_add(p->table, item->u) ? plan_slot(p, item) : -EEXIST;

	if (err && item->kind == PLAN_NEW)
		free(item->u);
	p->changes.duplicates += err == -EEXIST;
	return err;
}

static int plan_entry(struct plan *p, const struct user_entry *e)
{
	struct plan_item item = {.e = e};
	uint8_t bytes[USER_KEY_MAX];
	struct user_place *id;
	size_t place = 0;
	bool old;
	int err;

	if (e->id <= 0 || !e->credential || !e->credential_len || e->credential_len > UINT16_MAX) {
		p->changes.invalid++;
		return 0;
	}
	id = planned_id(p, e->id);
	err = match_old(p, e, bytes, &place, &item.kind);
	if (err)
		return err;
	old = item.kind == PLAN_KEEP || item.kind == PLAN_REKEY;
	if (id->n || (old && p->taken[place])) {
		p->changes.duplicates++;
		return 0;
	}
	if (item.kind == PLAN_NONE) {
		p->changes.invalid++;
		return 0;
	}
	item.u = old ? user_table_at(p->r->table, place) : new_user(&p->r->conf, e, bytes);
	if (!item.u)
		return -ENOMEM;
	err = plan_place(p, &item);
	if (err)
		return err == -EEXIST ? 0 : err;
	if (old) {
		p->taken[place] = true;
		p->taken_n++;
	}
	p->items[p->n++] = item;
	id->n = (uint32_t)p->n;
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
	if (p->r->conf.pack && !user_table_pack(p->table, p->r->conf.secret_len))
		return -ENOMEM;
	return reserve_afterlife(p->r, removed, rekeyed);
}

static void plan_abandon(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->items[i].kind != PLAN_KEEP)
			counters_release(p->r->conf.counters, p->items[i].slot);
		if (p->items[i].kind == PLAN_NEW)
			free(p->items[i].u);
	}
	user_publication_free(p->pub);
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
		changed = user_registry_take_limits(p->r, item->u, item->e);
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
	free(p.items);
	free(p.taken);
	return err;
}
