/* port.h - one port with its own users: what a Shadowsocks manager runs by the thousand.
 *
 * A node is one inbound on all workers, with a table of users that is published, generations and
 * panels.  A port is the light kind: one listener on one worker, users that never change, one way
 * to end.  Another configuration is another port object.  Connections take the same path as a
 * node's: stack, session, relay, counters.
 *
 *     ports_new(&world, &ports);
 *     port_open(ports, &conf, &p);          bound when it returns; its worker takes over soon
 *     port_close(p, 0, closed, arg);        closed() once nothing counts any more
 *     port_traffic(p), user_fixed_slots(port_users(p)), ...
 *     port_free(p, settled);
 *
 * Threads: control, but for what says otherwise.
 */
#ifndef WEIR_NODE_PORT_H
#define WEIR_NODE_PORT_H

#include "net/listener.h"
#include "node/workers.h"
#include "proto/direct/direct.h"
#include "session/session.h"
#include "user/fixed.h"

#define PORT_LISTEN_MAX 4

struct port;
struct ports;

/* What one port speaks.  Made by control, freed there when the port is; the two in between run on
 * the port's worker.
 */
struct port_service {
	/* TCP: the protocol's layer over an accepted stream, whose ownership passes.  NULL: no
	 * memory.
	 */
	struct stream *(*server)(struct port_service *s, struct stream *lower,
				 const struct proto_inbound *in);
	/* First thing on the worker: what its protocol wants to find in `in`.  May be NULL. */
	void (*settle_in)(struct port_service *s, struct session_inbound *in);
	/* UDP: takes a bound socket, which on failure stays the caller's.  NULL where there is
	 * none.  For each association that opens it calls port_take_udp(). */
	int (*udp_start)(struct port_service *s, int fd, struct session_inbound *in);
	void (*udp_stop)(struct port_service *s); /* all of them; the associations end */
	/* On control, at most once and before `closed`: the worker could not take over a socket,
	 * which has been closed.  The port goes on with what it has, until port_close().
	 * May be NULL. */
	void (*failed)(struct port_service *s, int err);
	void (*free)(struct port_service *s);
};

struct port_conf {
	struct port_service *service; /* the port's once port_open() has returned 0 */
	const struct addr *tcp, *udp; /* where to listen */
	unsigned ntcp, nudp;	      /* up to PORT_LISTEN_MAX each */
	unsigned tfo;		      /* struct listener_conf */
	struct session_times times;
	struct user_registry_conf users; /* of its `counters` and `node` the world's are taken */
	const struct user_entry *entries;
	size_t nentries;
	/* Running now, to be closed right after: where both listen on the same address, this one
	 * goes on with its socket, and nobody who connects meanwhile finds the port closed.  May be
	 * NULL. */
	const struct port *inherit;
};

struct port_world {
	struct workers *workers;
	struct counters *counters; /* a column for each worker; whatever the workers' own are */
	uint32_t ledger_node;
	const struct direct_conf *direct; /* copied */
};

MUST_CHECK int ports_new(const struct port_world *world, struct ports **out);
void ports_free(struct ports *ps); /* every port has been freed, the workers still run */

/* 0: listening.  -ERR_MALFORMED, -EEXIST: the users; -errno of bind(): nothing is open.  -EAGAIN:
 * not while `inherit` is there.
 */
MUST_CHECK int port_open(struct ports *ps, const struct port_conf *conf, struct port **out);

/* No listener and no new connection from now on; those that are there end within `grace` (0: now).
 * Again with 0 for those who cannot wait.  `closed` comes when the last one has gone: what they
 * moved is final then.
 */
void port_close(struct port *p, nsec_t grace, void (*closed)(void *arg), void *arg);

/* After `closed`.  Settled: its slots are released; else their bytes stay in the counters file, for
 * the ledger's next start.
 */
void port_free(struct port *p, bool settled);

/* On its worker: somebody's first packet has authenticated. */
void port_take_udp(struct session_inbound *in, struct dgram *client,
		   const struct stream_request *request, const struct addr *peer);

/* What the kernel chose for the sockets that conf has under 0, the same for all of them; else conf's. */
uint16_t port_bound(const struct port *p);
const struct user_table *port_users(const struct port *p);
void port_traffic(const struct port *p, struct traffic *out); /* since port_open() */
uint64_t port_sessions(const struct port *p);

#endif
