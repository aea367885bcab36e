#include "user/fixed.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "crypto/random.h"
#include "user/registry_impl.h"

void user_fixed_free(struct user_table *t, struct counters *c)
{
	if (!t)
		return;
	for (size_t i = 0; i < user_table_count(t); i++) {
		struct user *u = user_table_at(t, i);
		uint32_t slot = atomic_load_explicit(&u->slot, memory_order_relaxed);

		if (c && slot != COUNTERS_NO_SLOT)
			counters_release(c, slot);
		user_live_free(atomic_load_explicit(&u->live, memory_order_relaxed));
		free(u);
	}
	user_table_free(t);
}

static int add_one(const struct user_registry_conf *conf, const struct user_entry *e,
		   struct user_table *t)
{
	struct user *u = NULL;
	uint32_t slot;
	int err;

	if (e->id <= 0 || !e->credential_len || e->credential_len > UINT16_MAX)
		return -ERR_MALFORMED;
	err = user_registry_make(conf, e, &u);
	if (err)
		return err;
	if (!u)
		return -ERR_MALFORMED;
	if (!user_table_add(t, u)) {
		free(u);
		return -EEXIST;
	}
	atomic_store_explicit(&u->grace_s, (uint16_t)MIN(conf->rules.grace_s, 65535u),
			      memory_order_relaxed);
	err = counters_alloc(conf->counters, conf->node, e->id, &slot);
	if (!err)
		atomic_store_explicit(&u->slot, slot, memory_order_relaxed);
	return err;
}

int user_fixed_new(const struct user_registry_conf *conf, const struct user_entry *v, size_t n,
		   struct user_table **out)
{
	struct hash_key hash;
	struct user_table *t;
	int err = 0;

	random_bytes(&hash, sizeof(hash));
	t = user_table_new(n, conf->key_len, &hash);
	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < n && !err; i++)
		err = add_one(conf, &v[i], t);
	if (err) {
		user_fixed_free(t, conf->counters);
		return err;
	}
	*out = t;
	return 0;
}

static uint32_t slot_at(const struct user_table *t, size_t i)
{
	return atomic_load_explicit(&user_table_at(t, i)->slot, memory_order_relaxed);
}

void user_fixed_traffic(const struct user_table *t, const struct counters *c, struct traffic *out)
{
	struct traffic sum = {0}, one;

	for (size_t i = 0; i < user_table_count(t); i++) {
		counters_total(c, slot_at(t, i), &one);
		sum.up += one.up;
		sum.down += one.down;
	}
	*out = sum;
}

void user_fixed_slots(const struct user_table *t, uint32_t *out)
{
	for (size_t i = 0; i < user_table_count(t); i++)
		out[i] = slot_at(t, i);
}
