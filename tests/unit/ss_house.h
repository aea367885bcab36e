/* ss_house.h - a Shadowsocks inbound with users, and its clients. */
#ifndef WEIR_TESTS_SS_HOUSE_H
#define WEIR_TESTS_SS_HOUSE_H

#include "proto/shadowsocks/ss_memory.h"
#include "unit.h"
#include "user/registry.h"

#define SS_ALICE "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
#define SS_BOB	 "00000000-1111-2222-3333-444444444444"
#define SS_IPSK	 "24920decf83f6960b80f737a28eeafc1" /* of the vectors: 16 or 32 of it */

struct ss_house {
	struct counters *counters;
	struct user_registry *reg;
	struct ss_conf conf;
	struct ss_finder *finder;
	struct proto_inbound in;
};

static inline int ss_house_derive(void *arg, const char *credential, size_t len, uint8_t *key,
				  uint8_t *secret)
{
	return ss_user_derive(arg, SS_CREDENTIAL_TEXT, credential, len, key, secret);
}

static inline bool ss_house_has_bob(const struct ss_house *o)
{
	return o->conf.method->class == SS_AEAD || o->conf.named;
}

/* Alice is 1, Bob 2; methods without identity headers of 2022 have Alice alone. */
static inline void ss_house_open(struct ss_house *o, const char *method)
{
	static const uint8_t epoch[COUNTERS_EPOCH_LEN];
	struct user_registry_conf conf = {.node = 1,
					  .derive = ss_house_derive,
					  .key_len = SS_KEY_MAX,
					  .secret_len = SS_KEY_MAX};
	const struct user_entry people[] = {
		{.id = 1, .credential = SS_ALICE, .credential_len = 36},
		{.id = 2, .credential = SS_BOB, .credential_len = 36},
	};
	struct user_publication *pub;
	struct user_changes changes;
	struct ss_finder_conf fc;
	struct user_list list;

	*o = (struct ss_house){.conf.method = ss_method_find(method)};
	assert_non_null(o->conf.method);
	o->conf.named = o->conf.method->identity;
	memcpy(o->conf.psk, SS_IPSK, o->conf.method->key_len);
	assert_int_equal(counters_create(NULL, epoch, 1, &o->counters), 0);
	conf.counters = o->counters;
	conf.derive_arg = (void *)(uintptr_t)o->conf.method;
	assert_int_equal(user_registry_new(&conf, &o->reg), 0);
	user_list_init(&list);
	assert_int_equal(user_list_add(&list, &people[0]), 0);
	if (ss_house_has_bob(o))
		assert_int_equal(user_list_add(&list, &people[1]), 0);
	assert_int_equal(user_registry_apply(o->reg, &list, &changes, &pub), 0);
	user_list_done(&list);
	o->in.users = pub->table;
	pub->acks = 1;
	assert_true(user_publication_ack(pub));
	fc = (struct ss_finder_conf){o->conf.method, o->conf.named ? o->conf.psk : NULL};
	if (!ss_method_insecure(o->conf.method))
		assert_int_equal(ss_finder_new(&fc, &o->finder), 0);
	o->in.conf = &o->conf;
	o->in.port = o->finder;
}

/* Salts come once. */
static inline void ss_house_remember(struct ss_house *o)
{
	int err = o->conf.method->class == SS_2022
			  ? replay_new_timed(SS_REPLAY_KEEP, &o->conf.replay)
			  : replay_new_counted(SS_REPLAY_MIN, &o->conf.replay);

	assert_int_equal(err, 0);
}

static inline void ss_house_close(struct ss_house *o)
{
	ss_finder_free(o->finder);
	replay_free(o->conf.replay);
	user_registry_free(o->reg);
	counters_free(o->counters);
}

/* What the client of user `who` (SS_ALICE) is given. */
static inline void ss_house_client(const struct ss_house *o, const char *who,
				   struct ss_client_conf *c)
{
	const struct ss_method *m = o->conf.method;
	uint8_t key[SS_KEY_MAX], secret[SS_KEY_MAX];

	*c = (struct ss_client_conf){.method = m};
	assert_int_equal(ss_user_derive(m, SS_CREDENTIAL_TEXT, who, strlen(who), key, secret), 0);
	memcpy(c->key, m->class == SS_2022 ? secret : key, SS_KEY_MAX);
	if (o->conf.named) {
		memcpy(c->ipsk[0], o->conf.psk, SS_KEY_MAX);
		c->nipsk = 1;
	}
}

static const char *const ss_sealed_methods[] = {
	"aes-128-gcm",
	"aes-192-gcm",
	"aes-256-gcm",
	"chacha20-ietf-poly1305",
	"xchacha20-ietf-poly1305",
	"2022-blake3-aes-128-gcm",
	"2022-blake3-aes-256-gcm",
	"2022-blake3-chacha20-poly1305",
};

#endif
