/* live.h - who of a user's people is here: connections in the order they came, devices by source.
 *
 * Exists from a user's first connection until nothing of it matters any more.  Made by whichever
 * worker sees that connection; taken away by control, which for that moment holds USER_BUSY.
 *
 * Threads: under `lock`, but for the fields of control.
 */
#ifndef WEIR_USER_LIVE_H
#define WEIR_USER_LIVE_H

#include "user/user.h"

#define LIVE_DEVICES_MAX 1024 /* remembered without a connection; the oldest is forgotten */

struct user_device {
	struct user_device *next;
	uint8_t ip[16]; /* the latest address; IPv4 as v4-mapped */
	uint32_t conns;
	nsec_t last; /* when a connection last began or ended */
};

struct user_live {
	pthread_mutex_t lock;
	struct list_node conns; /* of user_conn.link, oldest first */
	uint32_t nconns, ncarriers, ndevices;
	struct user_device *devices;
	/* control's */
	uint32_t reported; /* devices in the last report, which the panel believes for a while */
	nsec_t reported_at;
	uint64_t mark; /* the user's bytes at the last report; set once by the maker too */
};

/* The user's, made when there is none.  NULL: no memory.  The caller holds a reference. */
struct user_live *user_live_get(struct user *u, const struct counters *counters);

/* Control: true when nobody holds a reference, and nobody gets one before user_live_yield():
 * whoever comes finds USER_BUSY and tries again.  For a few instructions only.
 */
bool user_live_seize(struct user *u);
void user_live_yield(struct user *u);
void user_live_free(struct user_live *live);

/* The device of this address, admitted (rule D4) and counted as connected.  0, -ERR_LIMIT, -ENOMEM.
 */
int user_live_admit(struct user_live *live, const struct user *u, const struct addr *peer,
		    nsec_t now, struct user_device **out);

/* Forget devices without a connection whose last sign is older than `grace`. */
void user_live_prune(struct user_live *live, nsec_t grace, nsec_t now);

/* Tell every connection that its user is gone. */
void user_live_kick_all(struct user_live *live);

static inline nsec_t user_grace(const struct user *u)
{
	return atomic_load_explicit(&u->grace_s, memory_order_relaxed) * NSEC_SEC;
}

#endif
