/* node_apply.h - a change of a node under way, for the files that make it: node_apply.c has the steps,
 * node_users.c the users, node_bind.c the sockets.
 */
#ifndef WEIR_NODE_NODE_APPLY_H
#define WEIR_NODE_NODE_APPLY_H

#include "node/node_impl.h"

struct apply {
	struct inbound *in;	      /* NULL: the present one stays */
	int *fds;		      /* [worker][listen]; -1: the seat has it */
	struct user_publication *pub; /* NULL: the table stays */
	const struct user_table *table;
	struct node_info *info;
	struct workers_call *call; /* made before anything that cannot be undone */
	uint64_t cert_stamp;	   /* of the files as `in` read them */
	bool overtaken;		   /* the listeners have been closed since it was sent out */
	bool complained;
	_Atomic int err;  /* of a worker that could not */
	int64_t began_us; /* offered; for the log */
	node_applied *done;
	void *arg;
	bool placed[]; /* [worker]: it has `in` */
};

static inline int *apply_fd(const struct apply *a, unsigned worker, unsigned i)
{
	return &a->fds[worker * INBOUND_FDS + i];
}

/* ---- node_users.c ------------------------------------------------------------------------ */

void node_users_init(struct node *n);

/* The registry, and what the protocol remembers: made for the first configuration and kept once one
 * has been served.  Nothing that is used changes.  With a sentence in `why`: -ERR_UNSUPPORTED, no such
 * protocol; -ERR_CONFIG, it was another.
 */
MUST_CHECK int node_users_make(struct node *n, const struct node_info *info,
			       char why[INBOUND_WHY_MAX]);

/* a->pub and a->table, where `list` (NULL: as they are) or the keys of `a->in` change something. */
MUST_CHECK int node_users_prepare(struct node *n, const struct user_list *list, struct apply *a);

/* ---- node_bind.c ------------------------------------------------------------------------- */

/* a->fds: a socket on each worker for each address of a->in that the node does not have yet. */
MUST_CHECK int node_bind(struct node *n, struct apply *a);
void node_bind_close(struct node *n, struct apply *a); /* those that no seat has taken */

#endif
