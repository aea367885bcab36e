#include "proto/vmess/vmess_users.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/aes_many.h"
#include "proto/budget.h"
#include "proto/known.h"

#define FEW   256   /* not worth a memory of who has been here */
#define SLICE 16384 /* users of the whole table in one turn: some 60 us, or 250 without wide AES */

/* So many of these keys cost what one of Shadowsocks does, for which budgets are made.  Where there are no
 * AES instructions one does, and a slice is as much smaller. */
#define WORTH 16

struct vmess_finder {
	struct known *known;
	struct budget recent, rest;
	uint32_t worth; /* WORTH, or 1 */
};

struct trial {
	struct vmess_finder *f;
	struct vmess_asker by;
	const uint8_t *id;
	struct user *found;
};

int vmess_finder_new(struct known *known, unsigned workers, struct vmess_finder **out)
{
	struct vmess_finder *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->known = known;
	f->worth = aes_many_fast() ? WORTH : 1;
	budget_init(&f->recent, workers);
	budget_init(&f->rest, workers);
	*out = f;
	return 0;
}

void vmess_finder_free(struct vmess_finder *f)
{
	if (!f)
		return;
	budget_done(&f->recent);
	budget_done(&f->rest);
	free(f);
}

/* The first of `n` secrets under which the id fits; -ERR_AUTH: none.  That it fits says that its owner has
 * the key: both times and checksum are looked at, so no other user is ever taken for him. */
static int try_secrets(const struct trial *t, const uint8_t *secrets, int n)
{
	uint8_t clear[AES_MANY][VMESS_ID_LEN];
	int err = aes_many_decrypt(secrets, n, t->id, clear);

	for (int i = 0; i < n && !err; i++) {
		if (vmess_id_timely(clear[i], t->by.wall) && vmess_id_fits(clear[i], t->by.wall))
			return i;
	}
	return err ? err : -ERR_AUTH;
}

/* Keys of people who are no users any more are passed over. */
static int try_keys(struct trial *t, const uint8_t (*keys)[KNOWN_KEY], int n)
{
	uint8_t secrets[AES_MANY * AES_MANY_KEY];
	struct user *users[AES_MANY];
	int m = 0, i;

	for (i = 0; i < n; i++) {
		users[m] = user_table_find(t->by.users, keys[i]);
		if (users[m]) {
			memcpy(secrets + m * AES_MANY_KEY, user_secret(users[m]), AES_MANY_KEY);
			m++;
		}
	}
	i = try_secrets(t, secrets, m);
	if (i < 0)
		return i;
	t->found = users[i];
	return 0;
}

static int try_source(struct trial *t)
{
	uint8_t keys[KNOWN_PER_SOURCE][KNOWN_KEY];
	int n = 0;

	if (t->by.peer && t->by.peer->len)
		n = known_from(t->f->known, t->by.peer, keys);
	return try_keys(t, (const uint8_t(*)[KNOWN_KEY])keys, n);
}

static int try_recent(struct trial *t)
{
	uint8_t keys[AES_MANY][KNOWN_KEY];
	struct budget *b = &t->f->recent;
	int n, tried = 0, err = -ERR_AUTH;
	uint32_t at = 0;

	if (!budget_left(b, t->by.peer, t->by.now))
		return err;
	while (err == -ERR_AUTH && (n = known_next(t->f->known, &at, keys, AES_MANY)) > 0) {
		err = try_keys(t, (const uint8_t(*)[KNOWN_KEY])keys, n);
		tried += n;
	}
	if (err)
		budget_charge(b, t->by.peer, tried, t->by.now);
	return err;
}

/* From *at on, at most `max` users. */
static int try_table(struct trial *t, uint32_t *at, uint32_t max)
{
	uint32_t total = (uint32_t)user_table_count(t->by.users), end = MIN(total, *at + max);
	const uint8_t *packed = user_table_secrets(t->by.users);
	uint8_t gathered[AES_MANY * AES_MANY_KEY];
	int i = -ERR_AUTH;

	while (i == -ERR_AUTH && *at < end) {
		uint32_t n = MIN(end - *at, (uint32_t)AES_MANY);

		for (uint32_t k = 0; !packed && k < n; k++)
			memcpy(gathered + k * AES_MANY_KEY,
			       user_secret(user_table_at(t->by.users, *at + k)), AES_MANY_KEY);
		i = try_secrets(t, packed ? packed + (size_t)*at * AES_MANY_KEY : gathered, (int)n);
		if (i >= 0)
			t->found = user_table_at(t->by.users, *at + (uint32_t)i);
		*at += n;
	}
	return i >= 0 ? 0 : i;
}

/* A slice.  -EAGAIN: there is more. */
static int try_rest(struct trial *t, uint32_t *at)
{
	struct budget *b = &t->f->rest;
	uint32_t from = *at, worth = t->f->worth;
	int err = try_table(t, at, SLICE / WORTH * worth);

	budget_charge(b, t->by.peer,
		      err ? (int32_t)((*at - from) / worth) : -(int32_t)(from / worth), t->by.now);
	return err == -ERR_AUTH && *at < user_table_count(t->by.users) ? -EAGAIN : err;
}

static int search(struct trial *t, struct vmess_search *s)
{
	uint32_t all = 0;
	int err;

	if (user_table_count(t->by.users) <= FEW)
		return try_table(t, &all, FEW);
	if (!s->rest) {
		err = try_source(t);
		if (err != -ERR_AUTH)
			return err;
		s->rest = true;
	}
	if (s->users != t->by.users) { /* another table has another order */
		s->users = t->by.users;
		s->at = 0;
	}
	/* To look those up who were active costs as much as to try everybody: it is for floods. */
	if (!budget_left(&t->f->rest, t->by.peer, t->by.now))
		return try_recent(t);
	return try_rest(t, &s->at);
}

int vmess_find(struct vmess_finder *f, struct vmess_search *s, const struct vmess_asker *asker,
	       const uint8_t id[VMESS_ID_LEN], struct user **out)
{
	struct trial t = {.f = f, .by = *asker, .id = id};
	uint8_t key[KNOWN_KEY] = {0};
	int err = search(&t, s);

	if (err)
		return err;
	if (user_table_count(asker->users) > FEW) {
		memcpy(key, user_key(t.found), VMESS_KEY_LEN);
		known_touch(f->known, key, asker->peer);
	}
	*out = t.found;
	return 0;
}
