/* registry.h - the users of one node: takes lists, publishes tables, sees removed users out.
 *
 * A list is applied as a difference (rules U1-U9 of the panel interface).  What the workers see
 * changes in four steps, so that nobody is without service in between and no byte is lost:
 *
 *   1. user_registry_apply()   limits change in place; if somebody came, went or was re-keyed,
 *                              there is a publication with a new table
 *   2. the caller mails publication->table to each worker, which swaps its pointer and answers
 *   3. user_publication_ack()  for each answer; with the last one the old table is freed, the
 *                              removed users get no new connection and their old ones are kicked
 *   4. user_registry_reap()    now and then until it returns 0: who has no connection left is
 *                              settled in the ledger, its slot and memory freed
 *
 * Tables are published in the order of the apply calls; several may be under way.
 *
 * Threads: control only.
 */
#ifndef WEIR_USER_REGISTRY_H
#define WEIR_USER_REGISTRY_H

#include "user/user.h"
#include "user/user_list.h"

/* Fill key_len + secret_len bytes from a credential.  0; -ERR_MALFORMED: the user is invalid; another
 * error says nothing about him (-ERR_CRYPTO, -ENOMEM). */
typedef int user_derive(void *arg, const char *credential, size_t len, uint8_t *key,
			uint8_t *secret);

struct user_rules {	       /* LimitConfig; changes live */
	uint64_t speed_bps;    /* cap on everybody; 0: none */
	uint32_t device_limit; /* for users without their own */
	uint32_t conn_limit;
	/* a device counts this long after its last connection: max(60, 2 * push) */
	uint32_t grace_s;
	bool sum; /* SpeedLimitScope: sum */
};

struct user_registry_conf {
	uint32_t node;		    /* ledger_node() */
	struct counters *counters;  /* outlives the registry */
	size_t key_len, secret_len; /* 1 .. USER_KEY_MAX together */
	user_derive *derive; /* NULL: the key is the credential itself, key_len bytes, no secret */
	void *derive_arg;
	bool pack; /* tables have user_table_secrets() */
	struct user_rules rules;
};

struct user_changes {
	uint32_t added, removed, rekeyed, changed, kept;
	uint32_t invalid;    /* id, credential, or derive() */
	uint32_t duplicates; /* of an id or a credential that came earlier in the list */
};

struct user_publication {
	struct user_table *table; /* what the workers are to use */
	unsigned acks;		  /* outstanding; the caller sets it before mailing */
	/* the registry's own from here */
	struct user_registry *registry;
	struct user_table *old;
	struct user **removed;
	size_t nremoved;
	uint32_t *retired; /* slots that re-keyed users have left */
	size_t nretired;
};

struct user_registry;

MUST_CHECK int user_registry_new(const struct user_registry_conf *conf, struct user_registry **out);

/* Every worker has dropped the table and every connection has ended.  What was not reaped stays in
 * the counters file, for the ledger's next start.
 */
void user_registry_free(struct user_registry *r);

/* Apply a list.  *pub is NULL when the workers' table stays as it is, else step 2 is due.  On error
 * (-ENOMEM, -ENOSPC, -EFBIG, derive()'s but -ERR_MALFORMED) nothing has changed.
 */
MUST_CHECK int user_registry_apply(struct user_registry *r, const struct user_list *list,
				   struct user_changes *changes, struct user_publication **pub);

/* From now on every user of an applied list is a new one, whatever was there before: what derive()
 * yields has changed.
 */
void user_registry_renew(struct user_registry *r, bool on);

/* Append the present users to `out`, as a list that would make them again (used and quota, which
 * the registry does not know, aside).  0 or -ENOMEM.
 */
MUST_CHECK int user_registry_list(const struct user_registry *r, struct user_list *out);

/* One worker uses the table.  True at the last one: the publication has been freed. */
bool user_publication_ack(struct user_publication *pub);

/* Hand the slots of removed users without connections, and those left by re-keyed ones, to `settle`
 * (ledger_settle; NULL: nothing is kept), then release them.  Returns how many users still have
 * connections, or settle's error: nothing was freed, try again later.
 */
int user_registry_reap(struct user_registry *r,
		       int (*settle)(void *arg, const uint32_t *slots, size_t n), void *arg);

/* The table of the last apply; NULL before the first. */
const struct user_table *user_registry_table(const struct user_registry *r);
struct user *user_registry_find(const struct user_registry *r, int64_t id); /* or NULL */

void user_registry_set_rules(struct user_registry *r, const struct user_rules *rules);

/* The dynamic speed limit of one user; 0 lifts it. */
void user_registry_set_dynamic(struct user_registry *r, struct user *u, uint64_t speed_bps);

/* DynamicSpeedLimitConfig: who moves `bytes` or more between two calls gets `speed_bps` as a
 * further cap for `expire`.  Called once a period; NULL: switched off, all such caps are lifted.
 */
struct user_dynamic {
	uint64_t bytes;
	uint64_t speed_bps;
	nsec_t expire;
};
void user_registry_dynamic(struct user_registry *r, const struct user_dynamic *rule, nsec_t now);

/* ---- online devices (rules D1-D7) -------------------------------------------------------- */

/* What the panel counts online over all nodes, our own last report included; whoever is not in the
 * list has none.  n = 0 forgets: the panel could not be asked for too long.
 */
struct user_alive {
	int64_t id;
	uint32_t devices;
};
void user_registry_set_alive(struct user_registry *r, const struct user_alive *v, size_t n,
			     nsec_t now);

#define USER_REPORT_DEVICES 200 /* per user */

/* `addrs` has one address per device, the latest, with port 0; n = 0: this user is offline now. */
typedef void user_online(void *arg, int64_t id, const struct addr *addrs, size_t n);

/* The devices of every user who is online or was since the last call.  Left out are users who moved
 * fewer than min_bytes since then (rule D3); with `offline`, who was reported and is gone is
 * reported once as that (ReportOffline: only where the panel replaces a user's devices by the
 * report). Also where no panel wants to know (each = NULL): this is what forgets those who have
 * left.
 */
void user_registry_report_online(struct user_registry *r, uint64_t min_bytes, bool offline,
				 nsec_t now, user_online *each, void *arg);

struct user_census {
	uint32_t users, online, devices, conns;
};
void user_registry_census(const struct user_registry *r, struct user_census *out);

#endif
