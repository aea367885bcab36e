/* user.h - a user of a node as the data path sees it: found by credential, admitted, metered.
 *
 * A struct user is one object from the pull that brought it to the pull that takes it away,
 * whatever happens to its limits in between.  Workers find it in a user_table, an immutable
 * snapshot that the control thread publishes (registry.h); each of a worker's sessions holds a
 * user_conn:
 *
 *     u = user_table_find(table, key);                 in the turn that authenticates
 *     user_conn_init(&s->conn, worker, &s->kick);
 *     err = user_conn_begin(&s->conn, u, peer, false, now);
 *     ...
 *     n = user_allow(u, dir, want, now, &pause);       before bytes move
 *     user_conn_count(&s->conn, dir, n, now);          when taken from the sender, before handed on
 *     ...
 *     user_conn_end(&s->conn, now);
 *
 * A user found in one turn and begun in another needs a reference in between: user_get(),
 * user_put().
 *
 * Threads: as the functions say.  The shared words are the rates, `refs`, and `live` (own lock,
 * touched when a session begins and ends); everything else is written by control alone.
 */
#ifndef WEIR_USER_USER_H
#define WEIR_USER_USER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/list.h"
#include "event/loop.h"
#include "net/addr.h"
#include "user/counters.h"
#include "user/rate.h"

#define USER_REMOVED  0x80000000u /* in `refs`: no new reference */
#define USER_BUSY     0x40000000u /* control holds `live` for a moment: try again */
#define USER_REF_MASK 0x3fffffffu

#define USER_KEY_MAX 64 /* key and secret together */

struct user_live; /* devices and connections: live.h */

/* By size, so that `bytes` begins without padding: there are a hundred thousand of these. */
struct user {
	struct rate rate[2];		/* by enum traffic_dir */
	_Atomic int64_t id;		/* the panel's number */
	struct user_live *_Atomic live; /* NULL: nobody was here lately */
	_Atomic uint32_t refs;		/* connections and user_get()s, with the bits above */
	_Atomic uint32_t slot;		/* into the counters; changes when the user is re-keyed */
	_Atomic uint32_t conn_limit;	/* limits in force; 0: none */
	uint32_t own_conn_limit; /* own_*, speed, dynamic: control's, before defaults and caps */
	uint32_t speed_kbps, dynamic_kbps;
	uint16_t own_device_limit;
	_Atomic uint16_t device_limit;
	_Atomic uint16_t elsewhere; /* devices that other nodes have online */
	_Atomic uint16_t grace_s;   /* how long a device counts after its last connection */
	uint16_t credential_len;
	_Atomic bool sum; /* both directions share rate[TRAFFIC_UP] */
	uint8_t key_len, secret_len;
	uint8_t bytes[]; /* key, secret, credential, NUL */
};

/* What the node's protocol derived from the credential: the index key, and what else it needs. */
static inline const uint8_t *user_key(const struct user *u)
{
	return u->bytes;
}

static inline const uint8_t *user_secret(const struct user *u)
{
	return u->bytes + u->key_len;
}

/* The panel's text, NUL-terminated; `credential_len` bytes. */
static inline const char *user_credential(const struct user *u)
{
	return (const char *)u->bytes + u->key_len + u->secret_len;
}

static inline int64_t user_id(const struct user *u)
{
	return atomic_load_explicit(&u->id, memory_order_relaxed);
}

/* ---- the table: immutable, read by all workers ----------------------------------------------- */
struct user_table;

/* The user with this key (the registry's key_len bytes), or NULL.  An empty or NULL table has none.
 */
struct user *user_table_find(const struct user_table *t, const void *key);

/* For protocols that must try their users one by one. */
size_t user_table_count(const struct user_table *t);
struct user *user_table_at(const struct user_table *t, size_t i);
/* Copies of their secrets, one behind the other, in the order of user_table_at(): what is looked
 * through from end to end should not be fetched from a hundred thousand places.  NULL where the
 * registry was not asked for them (`pack`). */
const uint8_t *user_table_secrets(const struct user_table *t);

/* ---- references ------------------------------------------------------------------------------ */

/* True with a reference taken; false: the user has been removed. */
MUST_CHECK bool user_get(struct user *u);
void user_put(struct user *u);

/* ---- one per worker thread, shared by all nodes ---------------------------------------------- */
struct user_worker {
	struct user_worker *home; /* whose `kicks` are used: its own, but see user_worker_share() */
	struct loop *loop;
	const struct counters *counters; /* NULL: nothing is counted */
	unsigned index;			 /* its column */
	pthread_mutex_t lock;
	struct list_node kicks; /* user_conns of this worker that must go */
	struct message message;
	bool posted;
};

void user_worker_init(struct user_worker *w, struct loop *loop, const struct counters *counters,
		      unsigned index);
/* The same thread, and another file to count in; nothing to be done at its end, when its conns have ended.
 */
void user_worker_share(struct user_worker *w, struct user_worker *home,
		       const struct counters *counters);

/* Every conn has ended and the loop will not run again (its mailbox is no longer read). */
void user_worker_done(struct user_worker *w);

/* ---- a session's hold on its user ------------------------------------------------------------ */
struct user_device;

struct user_conn {
	struct user *user;	    /* NULL: not begun */
	struct user_device *device; /* NULL: its address is unknown */
	struct list_node link;	    /* in the user's list, or in the worker's `kicks` */
	struct user_worker *worker;
	struct waiter *kicked; /* queued on the worker's loop when `why` has been set */
	_Atomic nsec_t active; /* when bytes last moved */
	/* 0, -ERR_KICKED: user removed, -ERR_LIMIT: pushed out by a newer one */
	_Atomic int16_t why;
	bool udp;
	/* a multiplexer's: not one of the connections that are counted and limited, those are its
	 * children, but limited among its like; set before user_conn_begin(), and whoever moves its
	 * bytes sets `active` */
	bool carrier;
	bool condemned; /* under the user's lock: out of its list, on the way to `kicks` */
};

/* Both may be NULL (tests): nothing is counted, no wake follows. */
void user_conn_init(struct user_conn *c, struct user_worker *w, struct waiter *kicked);

/* A connection (or UDP session) of `u` from `peer`; NULL: its address is unknown, it is neither
 * counted nor limited as a device.  Past conn_limit an older connection is told to go, wherever it
 * lives: its `kicked` waiter is queued on its own loop.
 * 0; -ERR_KICKED: removed meanwhile; -ERR_LIMIT: one device too many; -ENOMEM.  Only after 0 is a
 * user_conn_end() due.  `u` must have been found in this turn, or be held by user_get().
 */
MUST_CHECK int user_conn_begin(struct user_conn *c, struct user *u, const struct addr *peer,
			       bool udp, nsec_t now);
void user_conn_end(struct user_conn *c, nsec_t now); /* idempotent; harmless when not begun */

/* How many of `want` bytes may move now (> 0), or 0 with *pause set: ask again then.  One load when
 * the user has no limit.
 */
static inline size_t user_allow(const struct user *u, enum traffic_dir dir, size_t want, nsec_t now,
				nsec_t *pause)
{
	uint64_t Bps = rate_get(&u->rate[dir]);
	const struct rate *r;
	nsec_t wait;

	if (likely(!Bps))
		return want;
	r = &u->rate[atomic_load_explicit(&u->sum, memory_order_relaxed) ? TRAFFIC_UP : dir];
	wait = rate_wait(r, now);
	if (wait > 0) {
		*pause = wait;
		return 0;
	}
	return MIN(want, rate_quantum(Bps));
}

/* The rate alone; what sessions call is user_conn_count(). */
static inline void user_charge(struct user *u, enum traffic_dir dir, size_t bytes, nsec_t now)
{
	if (likely(!rate_get(&u->rate[dir])))
		return;
	rate_charge(
		&u->rate[atomic_load_explicit(&u->sum, memory_order_relaxed) ? TRAFFIC_UP : dir],
		now, bytes);
}

/* `bytes` have been taken from their sender: count them, charge the rate, note the activity. */
static inline void user_conn_count(struct user_conn *c, enum traffic_dir dir, size_t bytes,
				   nsec_t now)
{
	struct user *u = c->user;

	/* The slot is read each time: re-keying a user moves it to a new one. */
	if (c->worker && c->worker->counters)
		counters_add(c->worker->counters, c->worker->index,
			     atomic_load_explicit(&u->slot, memory_order_acquire), dir, bytes);
	atomic_store_explicit(&c->active, now, memory_order_relaxed);
	user_charge(u, dir, bytes, now);
}

#endif
