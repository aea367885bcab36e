/* Steps of a search, each dearer than the one before:
 *
 *   SOURCE  the keys that this address has used before: up to four, always tried
 *   RECENT  the keys that authenticated lately, latest first; its own budget
 *   REST    the whole table, a slice per turn; its own budget
 *
 * The two budgets are apart, so that a flood that empties the second leaves the first to users who
 * come from a new address.  A port of few users needs none of this: one batch tries them all.
 */
#include "proto/shadowsocks/ss_users.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/aead_find.h"
#include "crypto/aes_block.h"
#include "crypto/ct.h"
#include "crypto/hkdf_many.h"
#include "proto/budget.h"
#include "proto/known.h"

#define FEW   HKDF_MANY
#define SLICE 512 /* keys of the whole table in one turn: some 50 us */

enum stage {
	STAGE_SOURCE,
	STAGE_RECENT,
	STAGE_REST,
};

/* Only where there are many. */
struct crowd {
	struct known *known, own; /* the inbound's, or our own where there is none */
	struct budget recent, rest;
};

struct ss_finder {
	const struct ss_method *method;
	struct crowd *crowd;
	struct known *known; /* all workers'; may be NULL */
	unsigned workers;
	bool identity;
	uint8_t psk[]; /* SS_KEY_MAX with identity, else nothing: there are thousands of ports */
};

/* One search as far as it goes in this turn. */
struct trial {
	struct ss_finder *f;
	struct ss_asker by;
	const uint8_t *salt;
	bool started; /* `hkdf` knows the salt */
	struct hkdf_many hkdf;
	struct aead_find q;
	struct ss_found *out;
};

int ss_finder_new(const struct ss_finder_conf *conf, struct ss_finder **out)
{
	struct ss_finder *f = calloc(1, sizeof(*f) + (conf->psk ? SS_KEY_MAX : 0));

	if (!f)
		return -ENOMEM;
	f->method = conf->method;
	f->workers = conf->workers;
	f->known = conf->known;
	f->identity = conf->psk != NULL;
	if (conf->psk)
		memcpy(f->psk, conf->psk, conf->method->key_len);
	*out = f;
	return 0;
}

void ss_finder_free(struct ss_finder *f)
{
	if (!f)
		return;
	if (f->crowd) {
		if (f->crowd->known == &f->crowd->own)
			known_done(&f->crowd->own);
		budget_done(&f->crowd->recent);
		budget_done(&f->crowd->rest);
		free(f->crowd);
	}
	cleanse(f, sizeof(*f) + (f->identity ? SS_KEY_MAX : 0));
	free(f);
}

static struct crowd *crowd_of(struct ss_finder *f)
{
	struct crowd *c = f->crowd;

	if (c)
		return c;
	c = malloc(sizeof(*c));
	if (!c)
		return NULL;
	c->known = f->known;
	if (!c->known) {
		c->known = &c->own;
		known_init(&c->own);
	}
	budget_init(&c->recent, f->workers);
	budget_init(&c->rest, f->workers);
	f->crowd = c;
	return c;
}

/* ---- trying ------------------------------------------------------------------------------ */

/* A chunk's length, of which the two high bits are not used. */
static bool like_a_length(const uint8_t *first, size_t n, size_t textlen)
{
	return textlen == 2 && first[0] < 0x40 && (first[0] | first[1]);
}

/* A SOCKS address, as far as it can be seen. */
static bool like_an_address(const uint8_t *first, size_t n, size_t textlen)
{
	switch (first[0]) {
	case 1:
		return textlen >= 7;
	case 3:
		return textlen >= 5 && first[1] && textlen >= 4u + first[1];
	case 4:
		return textlen >= 19;
	default:
		return false;
	}
}

/* 0: one of these, still a user, and in *out.  -ERR_AUTH: none. */
static int try_keys(struct trial *t, const uint8_t (*keys)[SS_KEY_MAX], int n)
{
	uint8_t sub[HKDF_MANY][SS_KEY_MAX];
	struct user *u = NULL;
	int i;

	if (n == 0)
		return -ERR_AUTH;
	if (!t->started)
		hkdf_many_start(&t->hkdf, t->salt, t->f->method->salt_len, SS_SUBKEY_INFO);
	t->started = true;
	hkdf_many(&t->hkdf, keys, n, t->f->method->key_len, sub);
	i = aead_find(&t->q, (const uint8_t(*)[SS_KEY_MAX])sub, n);
	if (i >= 0)
		u = user_table_find(t->by.users, keys[i]);
	if (u) {
		t->out->user = u;
		memcpy(t->out->subkey, sub[i], SS_KEY_MAX);
		if (t->f->crowd)
			known_touch(t->f->crowd->known, keys[i], t->by.peer);
	}
	cleanse(sub, sizeof(sub));
	if (i < 0)
		return i;
	return u ? 0 : -ERR_AUTH;
}

static int try_source(struct trial *t)
{
	uint8_t keys[KNOWN_PER_SOURCE][SS_KEY_MAX];
	int n = 0;

	if (t->by.peer && t->by.peer->len)
		n = known_from(t->f->crowd->known, t->by.peer, keys);
	return try_keys(t, (const uint8_t(*)[SS_KEY_MAX])keys, n);
}

static int try_recent(struct trial *t, struct ss_search *s)
{
	struct crowd *c = t->f->crowd;
	uint8_t keys[HKDF_MANY][SS_KEY_MAX];
	int n, err = -ERR_AUTH;
	uint32_t at = 0;

	if (!budget_left(&c->recent, t->by.peer, t->by.now))
		return -ERR_AUTH;
	while (err == -ERR_AUTH && (n = known_next(c->known, &at, keys, HKDF_MANY)) > 0) {
		err = try_keys(t, (const uint8_t(*)[SS_KEY_MAX])keys, n);
		s->tried += (uint16_t)n;
	}
	if (err)
		budget_charge(&c->recent, t->by.peer, s->tried, t->by.now);
	return err;
}

/* From *at on, at most `max` users. */
static int try_table(struct trial *t, uint32_t *at, uint32_t max)
{
	uint32_t total = (uint32_t)user_table_count(t->by.users), end = MIN(total, *at + max);
	uint8_t keys[HKDF_MANY][SS_KEY_MAX];
	int err = -ERR_AUTH;

	while (err == -ERR_AUTH && *at < end) {
		int n = 0;

		while (n < HKDF_MANY && *at < end)
			memcpy(keys[n++], user_key(user_table_at(t->by.users, (*at)++)),
			       SS_KEY_MAX);
		err = try_keys(t, (const uint8_t(*)[SS_KEY_MAX])keys, n);
	}
	return err;
}

/* A slice, or all that is left when `max` says so.  -EAGAIN: there is more. */
static int try_rest(struct trial *t, uint32_t *at, uint32_t max)
{
	struct budget *b = &t->f->crowd->rest;
	uint32_t from = *at;
	int err;

	if (!budget_left(b, t->by.peer, t->by.now))
		return -ERR_AUTH;
	err = try_table(t, at, max);
	budget_charge(b, t->by.peer, err ? (int32_t)(*at - from) : -(int32_t)from, t->by.now);
	return err == -ERR_AUTH && *at < user_table_count(t->by.users) ? -EAGAIN : err;
}

static int search(struct trial *t, struct ss_search *s, uint32_t slice)
{
	uint32_t all = 0;
	int err;

	if (user_table_count(t->by.users) <= FEW)
		return try_table(t, &all, FEW);
	if (!crowd_of(t->f))
		return -ENOMEM;
	if (s->stage == STAGE_SOURCE) {
		err = try_source(t);
		if (err == -ERR_AUTH)
			err = try_recent(t, s);
		if (err != -ERR_AUTH)
			return err;
		s->stage = STAGE_REST;
	}
	if (s->users != t->by.users) { /* another table has another order */
		s->users = t->by.users;
		s->at = 0;
	}
	err = try_rest(t, &s->at, slice);
	if (!err)
		budget_charge(&t->f->crowd->recent, t->by.peer, -s->tried, t->by.now);
	return err;
}

/* ---- methods that need no search --------------------------------------------------------- */

struct user *ss_find_identity(const struct user_table *users, const uint8_t *name)
{
	uint8_t key[SS_KEY_MAX] = {0};

	memcpy(key, name, SS_IDENTITY_LEN);
	return user_table_find(users, key);
}

static int by_identity(struct ss_finder *f, const struct user_table *users, const uint8_t *salt,
		       const uint8_t *sealed, struct ss_found *out)
{
	uint8_t sub[SS_KEY_MAX], name[AES_BLOCK];
	struct user *u;
	int err;

	ss_identity_subkey(f->method, f->psk, salt, sub);
	err = aes_block_decrypt(sub, f->method->key_len, sealed, name);
	cleanse(sub, sizeof(sub));
	if (err)
		return err;
	u = ss_find_identity(users, name);
	if (!u)
		return -ERR_AUTH;
	err = ss_subkey(f->method, user_secret(u), salt, f->method->salt_len, out->subkey);
	if (!err)
		out->user = u;
	return err;
}

/* One user, who needs no name. */
static int the_only_one(struct ss_finder *f, const struct user_table *users, const uint8_t *salt,
			struct ss_found *out)
{
	struct user *u;
	int err = 0;

	if (user_table_count(users) != 1)
		return -ERR_AUTH;
	u = user_table_at(users, 0);
	if (f->method->class == SS_2022)
		err = ss_subkey(f->method, user_secret(u), salt, f->method->salt_len, out->subkey);
	else
		memcpy(out->subkey, user_key(u), SS_KEY_MAX);
	if (!err)
		out->user = u;
	return err;
}

/* ---- what is called ---------------------------------------------------------------------- */

int ss_find_stream(struct ss_finder *f, struct ss_search *s, const struct ss_asker *asker,
		   const uint8_t *salt, const uint8_t *sealed, struct ss_found *out)
{
	uint8_t text[SS_HEAD_LEN];
	struct trial t = {
		.f = f,
		.by = *asker,
		.salt = salt,
		.q = {(enum aead_alg)f->method->alg, sealed, SS_HEAD_LEN, like_a_length, text},
		.out = out,
	};

	if (f->identity)
		return by_identity(f, asker->users, salt, sealed, out);
	if (f->method->class != SS_AEAD)
		return the_only_one(f, asker->users, salt, out);
	return search(&t, s, SLICE);
}

int ss_find_packet(struct ss_finder *f, const struct ss_asker *asker, const uint8_t *packet,
		   size_t len, struct ss_found *out)
{
	size_t salt_len = f->method->salt_len;
	struct ss_search s = {0};
	struct trial t = {.f = f, .by = *asker, .salt = packet, .out = out};
	int err;

	if (f->method->class != SS_AEAD || len < salt_len + AEAD_TAG)
		return -ERR_AUTH;
	t.q = (struct aead_find){(enum aead_alg)f->method->alg, packet + salt_len, len - salt_len,
				 like_an_address, malloc(len)};
	if (!t.q.scratch)
		return -ENOMEM;
	err = search(&t, &s, UINT32_MAX / 2);
	free(t.q.scratch);
	return err;
}
