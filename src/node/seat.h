/* seat.h - the place of one node on one worker: listeners, generations, users.
 *
 * New connections get the newest generation.  An older one lives on until its sessions have ended:
 * a changed configuration or a renewed certificate ends nobody's connection.
 *
 * Threads: everything on the worker that the seat belongs to, called through workers_each().
 */
#ifndef WEIR_NODE_SEAT_H
#define WEIR_NODE_SEAT_H

#include "base/log.h"
#include "node/inbound.h"

struct seat_listener {
	struct listener l;
	struct addr at;
	uint8_t kind; /* enum inbound_kind; without TCP `l` has no socket */
	struct seat *seat;
	const struct proto *proto;
	void *udp;	   /* the protocol's, beside it; NULL: none */
	nsec_t complained; /* when it was last said that nothing can be accepted; 0: never */
};

struct seat {
	struct node_worker *worker;
	const char *tag; /* the node's name, which outlives the seat */
	struct seat_listener *listeners[INBOUND_LISTEN_MAX];
	unsigned nlisteners;
	struct list_node generations; /* newest first */
	struct generation *current;   /* NULL: not serving */
	const struct user_table *users;
	/* On control, when a generation has gone from this worker. */
	void (*let_go)(struct inbound *in);
	_Atomic uint64_t strangers[2];	/* bytes by enum relay_dir, ever; read by control */
	_Atomic uint64_t sessions;	/* now, all generations; read by control */
	struct log_limit crowded, full; /* newcomers refused, strangers sent away for them */
};

void seat_init(struct seat *s, struct node_worker *w, const char *tag,
	       void (*let_go)(struct inbound *in));

/* New connections are served as `in` says; a reference of `in` is the seat's, until let_go().
 * fds[i] >= 0 is a listening socket for in->listen[i]; -1: the seat has one already; behind
 * INBOUND_LISTEN_MAX of these those for UDP, -1 also where `in` has none.  Listeners that `in` does
 * not name are drained, and their UDP associations end; so does the UDP beside listeners that stay
 * when `in` has none.  0 or -ENOMEM: nothing changed, the fds stay the caller's.
 */
MUST_CHECK int seat_install(struct seat *s, struct inbound *in, const int *fds);

/* No listeners, no new connections; sessions end within `grace` (0: now, < 0: when they like). */
void seat_close(struct seat *s, nsec_t grace);

void seat_set_users(struct seat *s, const struct user_table *users);

/* Nothing lives here any more. */
bool seat_empty(const struct seat *s);

#endif
