/* people.h - the users of an inbound that speaks a real protocol. */
#ifndef WEIR_TESTS_PEOPLE_H
#define WEIR_TESTS_PEOPLE_H

#include <stdio.h>

#include "proto/proto.h"
#include "unit.h"
#include "user/registry.h"

struct people {
	const struct proto *proto;
	struct counters *counters;
	struct user_registry *reg;
	struct user_worker worker;
	struct proto_inbound in; /* its table is that of the last people_set() */
};

static inline int people_derive(void *arg, const char *credential, size_t len, uint8_t *key,
				uint8_t *secret)
{
	const struct proto *proto = arg;

	int err = proto->user_key(credential, len, key);

	return err || !proto->secret_len ? err : proto->user_secret(key, secret);
}

/* `text`: "alice bob/8/2/3": name, which is the credential too, Mbps, devices, connections; ids
 * from 1 in the order of the alphabet of first letters: a = 1.  The old table is acknowledged at
 * once.
 */
static inline void people_set(struct people *p, const char *text)
{
	struct user_publication *pub = NULL;
	struct user_changes changes;
	struct user_list l;
	char copy[4096], *save = NULL;

	user_list_init(&l);
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		struct user_entry e = {0};
		char name[64] = "";
		unsigned mbps = 0;

		assert_true(sscanf(w, "%63[^/]/%u/%u/%u", name, &mbps, &e.device_limit,
				   &e.conn_limit) >= 1);
		e.id = name[0] - 'a' + 1;
		e.credential = name;
		e.credential_len = (uint32_t)strlen(name);
		e.speed_bps = mbps * 1000000ull;
		assert_int_equal(user_list_add(&l, &e), 0);
	}
	assert_int_equal(user_registry_apply(p->reg, &l, &changes, &pub), 0);
	user_list_done(&l);
	if (!pub)
		return;
	p->in.users = pub->table;
	pub->acks = 1;
	assert_true(user_publication_ack(pub));
}

static inline void people_init(struct people *p, const char *proto, struct loop *l,
			       const char *text)
{
	static const uint8_t epoch[COUNTERS_EPOCH_LEN];
	struct user_registry_conf conf = {.node = 1, .derive = people_derive};

	*p = (struct people){.proto = proto_find(proto)};
	assert_non_null(p->proto);
	assert_int_equal(counters_create(NULL, epoch, 1, &p->counters), 0);
	conf.counters = p->counters;
	conf.key_len = p->proto->key_len;
	conf.secret_len = p->proto->secret_len;
	conf.pack = p->proto->pack;
	conf.derive_arg = (void *)(uintptr_t)p->proto;
	conf.rules.grace_s = 60;
	assert_int_equal(user_registry_new(&conf, &p->reg), 0);
	user_worker_init(&p->worker, l, p->counters, 0);
	people_set(p, text);
}

/* The loop has no session left; it may be gone already. */
static inline void people_done(struct people *p)
{
	user_registry_free(p->reg);
	user_worker_done(&p->worker);
	counters_free(p->counters);
}

static inline struct user *people_find(struct people *p, const char *name)
{
	uint8_t key[USER_KEY_MAX];

	assert_int_equal(p->proto->user_key(name, strlen(name), key), 0);
	return user_table_find(p->in.users, key);
}

static inline struct traffic people_traffic(struct people *p, const char *name)
{
	struct user *u = people_find(p, name);
	struct traffic t;

	assert_non_null(u);
	counters_total(p->counters, atomic_load(&u->slot), &t);
	return t;
}

#endif
