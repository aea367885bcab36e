/* crowd.h - a table of Shadowsocks users, and what one of them would send. */
#ifndef WEIR_TESTS_SS_CROWD_H
#define WEIR_TESTS_SS_CROWD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/random.h"
#include "proto/shadowsocks/ss_users.h"
#include "user/table.h"

struct crowd_users {
	const struct ss_method *method;
	struct user_table *table;
	struct user **v;
	size_t n;
};

static inline struct user *crowd_user_new(const struct ss_method *m, size_t i)
{
	struct user *u = calloc(1, sizeof(*u) + 2 * SS_KEY_MAX + 64);
	char text[64];
	int len = snprintf(text, sizeof(text), "%08zx-0000-4000-8000-%012zx", i * 2654435761u, i);

	u->id = (int64_t)i + 1;
	u->key_len = u->secret_len = SS_KEY_MAX;
	if (ss_user_derive(m, SS_CREDENTIAL_TEXT, text, (size_t)len, u->bytes,
			   u->bytes + SS_KEY_MAX))
		abort();
	return u;
}

/* Users [from, from + n); the objects of `old` (may be NULL) are used again. */
static inline struct user_table *crowd_table(struct user **v, size_t from, size_t n)
{
	static const struct hash_key hash = {1, 2};
	struct user_table *t = user_table_new(n ? n : 1, SS_KEY_MAX, &hash);

	for (size_t i = from; i < from + n; i++) {
		if (!user_table_add(t, v[i]))
			abort();
	}
	return t;
}

static inline void crowd_init(struct crowd_users *c, const char *method, size_t n)
{
	c->method = ss_method_find(method);
	c->n = n;
	c->v = calloc(n ? n : 1, sizeof(*c->v));
	for (size_t i = 0; i < n; i++)
		c->v[i] = crowd_user_new(c->method, i);
	c->table = crowd_table(c->v, 0, n);
}

static inline void crowd_done(struct crowd_users *c)
{
	user_table_free(c->table);
	for (size_t i = 0; i < c->n; i++)
		free(c->v[i]);
	free(c->v);
}

/* salt, text sealed with nonce 0: the head of a stream, or an AEAD packet.  Returns its length. */
static inline size_t crowd_seal(const struct crowd_users *c, size_t who, const void *text,
				size_t len, uint8_t *out)
{
	static const uint8_t nonce[AEAD_NONCE_MAX];
	const struct ss_method *m = c->method;
	uint8_t sub[SS_KEY_MAX];
	struct aead_key k;

	random_bytes(out, m->salt_len);
	if (ss_subkey(m, user_key(c->v[who]), out, m->salt_len, sub))
		abort();
	aead_key_set(&k, (enum aead_alg)m->alg, sub);
	if (aead_seal(&k, nonce, NULL, 0, text, len, out + m->salt_len))
		abort();
	aead_key_clear(&k);
	return m->salt_len + len + AEAD_TAG;
}

static inline struct addr crowd_addr(uint32_t ip)
{
	uint8_t b[4] = {(uint8_t)(ip >> 24), (uint8_t)(ip >> 16), (uint8_t)(ip >> 8), (uint8_t)ip};

	return addr_from_ip4(b, 1000);
}

#endif
