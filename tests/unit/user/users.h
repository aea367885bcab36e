/* users.h - a small node's worth of users for the tests of this folder. */
#ifndef WEIR_TESTS_USERS_H
#define WEIR_TESTS_USERS_H

#include <stdio.h>

#include "unit.h"
#include "user/registry.h"

#define KEY_LEN 8

/* A key of eight bytes, zero-filled; "bad…" is no credential.  `arg`: what befalls who is "unlucky". */
static inline int derive_text(void *arg, const char *credential, size_t len, uint8_t *key,
			      uint8_t *secret)
{
	if (*(const int *)arg && !strncmp(credential, "unlucky", 7))
		return *(const int *)arg;
	if (len > KEY_LEN || !strncmp(credential, "bad", 3))
		return -ERR_MALFORMED;
	memset(key, 0, KEY_LEN);
	memcpy(key, credential, len);
	/* "a-b" and "ab" are the same key, as two spellings of a UUID are */
	if (len == 3 && credential[1] == '-') {
		key[1] = key[2];
		key[2] = 0;
	}
	return 0;
}

struct village {
	struct counters *counters;
	struct user_registry *reg;
	struct user_changes changes;
	const struct user_table *table; /* what "the workers" use */
	int mishap;			/* derive()'s, for who is "unlucky" */
};

static inline void village_init(struct village *v, const struct user_rules *rules)
{
	static const uint8_t epoch[COUNTERS_EPOCH_LEN];
	struct user_registry_conf conf = {.node = 7, .key_len = KEY_LEN, .derive = derive_text};

	*v = (struct village){0};
	assert_int_equal(counters_create(NULL, epoch, 2, &v->counters), 0);
	conf.counters = v->counters;
	conf.derive_arg = &v->mishap;
	if (rules)
		conf.rules = *rules;
	assert_int_equal(user_registry_new(&conf, &v->reg), 0);
}

static inline void village_done(struct village *v)
{
	user_registry_free(v->reg);
	counters_free(v->counters);
}

/* "1:alice 2:bob/100/3/4": id, credential, Mbps, devices, connections. */
static inline void list_of(struct user_list *l, const char *text)
{
	char copy[1024], *save = NULL;

	user_list_init(l);
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		struct user_entry e = {0};
		char name[64] = "";
		long id;
		unsigned mbps = 0;

		assert_true(sscanf(w, "%ld:%63[^/]/%u/%u/%u", &id, name, &mbps, &e.device_limit,
				   &e.conn_limit) >= 1);
		e.id = id;
		e.credential = name;
		e.credential_len = (uint32_t)strlen(name);
		e.speed_bps = mbps * 1000000ull;
		assert_int_equal(user_list_add(l, &e), 0);
	}
}

/* Apply without acknowledging. */
static inline struct user_publication *village_pull(struct village *v, const char *text)
{
	struct user_publication *pub = NULL;
	struct user_list l;

	list_of(&l, text);
	assert_int_equal(user_registry_apply(v->reg, &l, &v->changes, &pub), 0);
	user_list_done(&l);
	return pub;
}

static inline void village_apply(struct village *v, const char *text)
{
	struct user_publication *pub = village_pull(v, text);

	if (!pub)
		return;
	v->table = pub->table;
	pub->acks = 1;
	assert_true(user_publication_ack(pub));
}

static inline struct user *look_up(const struct user_table *t, const char *credential)
{
	uint8_t key[KEY_LEN] = {0};

	memcpy(key, credential, MIN(strlen(credential), (size_t)KEY_LEN));
	return user_table_find(t, key);
}

static inline struct user *village_find(struct village *v, const char *credential)
{
	return look_up(v->table, credential);
}

static inline struct addr ip(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse_ip(&a, text, 4000), 0);
	return a;
}

#endif
