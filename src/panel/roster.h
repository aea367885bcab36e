/* roster.h - what requests need of nodes and users, in memory, as of a generation of the store.
 *
 * Nodes with the digests of their tokens; the body of action=user with its tag; which users exist
 * and which have a device limit.  All of it is rebuilt when store_gen() says that it is out of
 * date, and the list of users also when somebody's time runs out.
 *
 * Threads: one at a time; the panel has a lock around it.
 */
#ifndef WEIR_PANEL_ROSTER_H
#define WEIR_PANEL_ROSTER_H

#include "base/base.h"
#include "panel/model.h"
#include "panel/resource.h"
#include "panel/store.h"

#define TOKEN_DIGEST_LEN 32 /* SHA-256 */

/* What is remembered of a node as long as the process runs, across changes of the node. */
struct node_memory {
	nsec_t second; /* rate limit: when the second began, and requests in it */
	unsigned requests;
	int64_t last_seen;     /* wall clock, seconds; 0: not yet */
	uint8_t last_push[32]; /* digest of the last push without a key, and when it came */
	nsec_t last_push_at;
	/* the YaSSP list and since when it is what it is, wall clock */
	char profiles_etag[RESOURCE_TAG];
	int64_t profiles_since;
	char told_etag[RESOURCE_TAG]; /* the YaSSP list that its host was told of last */
	unsigned tell_tries;
	nsec_t tell_at; /* not before */
};

/* Counts a request; true: the node has had its requests of this second. */
bool node_over_rate(struct node_memory *m, unsigned rate_per_s, nsec_t now);

struct roster_node {
	struct panel_node node;
	uint8_t digest[TOKEN_DIGEST_LEN];
	struct resource config;
	struct resource profiles; /* its YaSSP list, as of the roster's users: yassp.h */
	int64_t profiles_gen, profiles_built;
	struct node_memory memory;
};

struct roster_user {
	int64_t id;
	bool limited; /* has a device limit */
};

struct roster {
	struct store *store;
	struct store_gen nodes_gen, users_gen; /* what was built from */
	struct roster_node *nodes;	       /* ascending by id */
	size_t n_nodes;
	struct roster_user *users; /* ascending by id, all of them */
	size_t n_users;
	struct resource body; /* action=user */
	int64_t built, turns; /* wall clock: when it was built; when somebody expires next */
};

void roster_init(struct roster *r, struct store *store);
void roster_done(struct roster *r);

/* Bring the nodes up to date. */
MUST_CHECK int roster_nodes(struct roster *r);

/* Bring the users and their body up to date; `now` is wall clock. */
MUST_CHECK int roster_users(struct roster *r, int64_t now);

/* NULL: no such node. */
struct roster_node *roster_node(struct roster *r, int64_t id);
const struct roster_user *roster_user(const struct roster *r, int64_t id);

/* Has any node this token?  Takes the same time for each answer. */
bool roster_knows(const struct roster *r, const uint8_t digest[TOKEN_DIGEST_LEN]);

/* The body of action=user with u, d and transfer_enable, which changes with every report: made
 * anew each time.  On success `*body` is the caller's.
 */
MUST_CHECK int roster_usage(struct roster *r, int64_t now, char **body, size_t *len);

#endif
