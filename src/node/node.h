/* node.h - one node of the configuration: takes configuration and users from its control source,
 * serves them on all workers, gives back who is online.
 *
 * States: NEW (not serving yet), SERVING, SUSPENDED (the panel closed it), DRAINING (no new
 * connections), GONE.
 *
 * Threads: control only.
 */
#ifndef WEIR_NODE_NODE_H
#define WEIR_NODE_NODE_H

#include "node/config.h"
#include "node/seat.h"
#include "node/target.h"

enum node_state {
	NODE_NEW,
	NODE_SERVING,
	NODE_SUSPENDED,
	NODE_DRAINING,
	NODE_GONE,
};

struct node;

struct node_world {
	struct workers *workers;
	struct counters *counters; /* of the ledger */
	/* user_registry_reap()'s; NULL: removed users' bytes are dropped (tests) */
	int (*settle)(void *arg, const uint32_t *slots, size_t n);
	void *settle_arg;
};

/* `file` and `conf` of it outlive the node or are replaced with node_set_conf(). */
MUST_CHECK int node_new(const struct node_world *env, const struct config *file,
			const struct config_node *conf, uint32_t ledger_node, struct node **out);

struct node_target *node_target(struct node *n);
const char *node_tag(const struct node *n);
enum node_state node_state(const struct node *n);
const char *node_state_name(enum node_state s);

/* Whoever offered the apply under way will not be there for its end. */
void node_forget_asker(struct node *n);

/* The file has been read again.  The old one may go after.  With `rebuild` the inbound is built
 * anew; without, only what is looked up later changes.  A failure keeps the inbound that runs, and
 * is tried again every minute.
 */
MUST_CHECK int node_set_conf(struct node *n, const struct config *file,
			     const struct config_node *conf, bool rebuild);

/* No listeners any more; sessions end within `grace` (0: now).  `done` comes once they have.
 * Again, for another grace and another `done` in the first one's place, as long as it has not come.
 */
void node_close(struct node *n, nsec_t grace, void (*done)(void *arg), void *arg);

/* After node_close() is done. */
void node_free(struct node *n);

/* The first address it listens on; false while it does not. */
bool node_listening(const struct node *n, struct addr *out);
uint64_t node_sessions(const struct node *n);

/* Bytes by enum relay_dir that went between strangers and the servers which they are shown, since the
 * node is there: nobody's traffic, and in no report.
 */
void node_strangers(const struct node *n, uint64_t out[2]);

#endif
