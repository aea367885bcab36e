/* manager.h - the Shadowsocks manager protocol as a server: commands that come in datagrams become
 * servers of an engine, and what those move goes back as `stat` (docs/protocols/ss-manager.md).
 *
 * Two dialects, never mixed towards one client: `wiki` answers a ping with "pong" and pushes what has
 * been moved since the last delivered report; `libev` answers a ping with totals and pushes nothing.
 *
 * The ledger keeps the accounts: a report is a batch that is acknowledged once it has been handed to its
 * client, so that neither a client that is away nor our own end loses or doubles a byte.
 *
 * Threads: control only.
 */
#ifndef WEIR_MANAGER_MANAGER_H
#define WEIR_MANAGER_MANAGER_H

#include "manager/endpoint.h"
#include "manager/engine.h"
#include "sync/ledger.h"

enum manager_dialect {
	MANAGER_WIKI,
	MANAGER_LIBEV,
};

enum manager_subscribers {
	SUBSCRIBERS_LAST, /* who sent the last valid command */
	SUBSCRIBERS_ALL,  /* up to 16, each with its own account */
};

struct manager_conf {
	struct loop *loop;
	struct engine *engine;
	struct ledger *ledger;
	uint32_t ledger_node;
	struct endpoint_conf endpoint;
	enum manager_dialect dialect;
	enum manager_subscribers subscribers;
	nsec_t stat_interval;
	bool reply_newline;
	struct profile_rules rules; /* of `add` */
	/* Ports that run whatever comes, and are not part of the state file; read by manager_new() only. */
	struct profile *const *ports;
	size_t nports;
	const char *state_file; /* NULL: nothing survives */
};

struct manager;

/* Everything `conf` points to outlives it.  The socket is opened, and the ports of the state file and of
 * the configuration are put before the first command is received.  0, or an error with a sentence, and
 * no port was.
 */
MUST_CHECK int manager_new(const struct manager_conf *conf, struct manager **out,
			   char why[PROFILE_WHY_MAX]);

/* No command is heard any more, another manager may have the path of the socket (which stays, for the
 * last report), and the state is saved; the engine is the owner's to stop.
 */
void manager_close(struct manager *m);

/* The engine has settled everything: the last report, to whoever is still there. */
void manager_report(struct manager *m);
void manager_free(struct manager *m); /* after engine_stop() is done */

#endif
