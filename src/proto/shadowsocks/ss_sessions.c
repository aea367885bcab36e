#include "proto/shadowsocks/ss_sessions.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "crypto/random.h"

#define BUCKETS_START 16

struct claim {
	struct claim *next;
	struct ss_member *by;
	uint64_t hash;
	uint8_t session[SS_SESSION_LEN];
};

struct ss_sessions {
	pthread_mutex_t lock;
	struct hash_key hash;
	struct claim **buckets;
	uint32_t mask, n; /* buckets - 1 */
};

struct ss_member {
	struct ss_sessions *all;
	struct loop *loop;
	void (*take)(void *arg, const struct ss_handed *h); /* NULL: it has left; its thread's */
	void *arg;
	uint32_t refs; /* under the lock: its own, and what is on its way to it */
};

int ss_sessions_new(struct ss_sessions **out)
{
	struct ss_sessions *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->buckets = calloc(BUCKETS_START, sizeof(*s->buckets));
	if (!s->buckets) {
		free(s);
		return -ENOMEM;
	}
	s->mask = BUCKETS_START - 1;
	pthread_mutex_init(&s->lock, NULL);
	random_bytes(&s->hash, sizeof(s->hash));
	*out = s;
	return 0;
}

void ss_sessions_free(struct ss_sessions *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s->buckets);
	free(s);
}

/* ---- claims; all under the lock ---------------------------------------------------------- */

static struct claim **find(struct ss_sessions *s, const uint8_t *session, uint64_t *hash)
{
	struct claim **at;

	*hash = hash_bytes(&s->hash, session, SS_SESSION_LEN);
	for (at = &s->buckets[*hash & s->mask]; *at; at = &(*at)->next) {
		if (memcmp((*at)->session, session, SS_SESSION_LEN) == 0)
			break;
	}
	return at;
}

/* Without memory the chains grow longer, that is all. */
static void grow(struct ss_sessions *s)
{
	uint32_t size = 2 * (s->mask + 1);
	struct claim **buckets;

	if (s->n <= s->mask || !(buckets = calloc(size, sizeof(*buckets))))
		return;
	for (uint32_t i = 0; i <= s->mask; i++) {
		struct claim *c;

		while ((c = s->buckets[i])) {
			s->buckets[i] = c->next;
			c->next = buckets[c->hash & (size - 1)];
			buckets[c->hash & (size - 1)] = c;
		}
	}
	free(s->buckets);
	s->buckets = buckets;
	s->mask = size - 1;
}

static int claim(struct ss_member *m, const uint8_t *session)
{
	struct ss_sessions *s = m->all;
	struct claim **at, *c;
	uint64_t hash;

	grow(s);
	at = find(s, session, &hash);
	if (*at)
		return (*at)->by == m ? 0 : -EALREADY;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->by = m;
	c->hash = hash;
	memcpy(c->session, session, SS_SESSION_LEN);
	*at = c;
	s->n++;
	return 0;
}

static void drop(struct ss_sessions *s, struct claim **at)
{
	struct claim *c = *at;

	*at = c->next;
	s->n--;
	free(c);
}

int ss_sessions_claim(struct ss_member *m, const uint8_t session[SS_SESSION_LEN])
{
	int err;

	pthread_mutex_lock(&m->all->lock);
	err = claim(m, session);
	pthread_mutex_unlock(&m->all->lock);
	return err;
}

void ss_sessions_release(struct ss_member *m, const uint8_t session[SS_SESSION_LEN])
{
	struct claim **at;
	uint64_t hash;

	pthread_mutex_lock(&m->all->lock);
	at = find(m->all, session, &hash);
	if (*at && (*at)->by == m)
		drop(m->all, at);
	pthread_mutex_unlock(&m->all->lock);
}

/* ---- members ----------------------------------------------------------------------------- */

struct ss_member *ss_sessions_join(struct ss_sessions *s, struct loop *loop,
				   void (*take)(void *arg, const struct ss_handed *h), void *arg)
{
	struct ss_member *m = calloc(1, sizeof(*m));

	if (m)
		*m = (struct ss_member){s, loop, take, arg, 1};
	return m;
}

static void put(struct ss_member *m)
{
	bool last;

	pthread_mutex_lock(&m->all->lock);
	last = --m->refs == 0;
	pthread_mutex_unlock(&m->all->lock);
	if (last)
		free(m);
}

void ss_sessions_leave(struct ss_member *m)
{
	struct ss_sessions *s;

	if (!m)
		return;
	s = m->all;
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i <= s->mask; i++) {
		struct claim **at = &s->buckets[i];

		while (*at) {
			if ((*at)->by == m)
				drop(s, at);
			else
				at = &(*at)->next;
		}
	}
	pthread_mutex_unlock(&s->lock);
	m->take = NULL;
	put(m);
}

static void on_handed(struct message *msg)
{
	struct ss_handed *h = container_of(msg, struct ss_handed, m);

	if (h->to->take)
		h->to->take(h->to->arg, h);
	put(h->to);
	free(h);
}

void ss_sessions_hand(struct ss_sessions *s, const struct ss_separate *sep,
		      const uint8_t name[SS_KEY_MAX], const struct addr *peer,
		      const struct addr *local, const void *bytes, size_t len)
{
	struct ss_handed *h = malloc(sizeof(*h) + len);
	struct claim **at;
	uint64_t hash;
	bool posted;

	if (!h)
		return;
	*h = (struct ss_handed){
		.m.run = on_handed, .separate = *sep, .peer = *peer, .local = *local, .len = len};
	memcpy(h->name, name, sizeof(h->name));
	memcpy(h->bytes, bytes, len);
	pthread_mutex_lock(&s->lock);
	at = find(s, sep->session, &hash);
	posted = *at != NULL;
	if (posted) {
		h->to = (*at)->by;
		h->to->refs++;
		loop_post(h->to->loop, &h->m);
	}
	pthread_mutex_unlock(&s->lock);
	if (!posted)
		free(h);
}
