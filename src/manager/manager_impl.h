/* manager_impl.h - what the files of the manager's server share. */
#ifndef WEIR_MANAGER_IMPL_H
#define WEIR_MANAGER_IMPL_H

#include "manager/command.h"
#include "manager/manager.h"

#define CLIENTS_MAX	16
#define CLIENT_FAILURES 3 /* in a row: he has gone, and comes back with his next command */

/* Who gets reports; `owed` only with SUBSCRIBERS_ALL. */
struct client {
	struct peer at;
	unsigned failures;
	struct stat_port *owed; /* ascending by port */
	size_t nowed, cap;
};

/* A batch of the ledger on its way to the last client. */
struct report {
	int64_t seq; /* 0: none */
	struct stat_port *v;
	size_t n, at; /* so many have been handed over */
};

struct manager {
	struct manager_conf conf;
	struct endpoint endpoint;
	struct client clients[CLIENTS_MAX]; /* the latest first */
	unsigned nclients;
	struct report report;
	struct timer stat;  /* the next report */
	struct timer press; /* the rest of this one */
	struct timer save;
	uint32_t generation;	      /* the last one given out */
	unsigned adding;	      /* commands whose answer is to come */
	uint64_t of_file[65536 / 64]; /* ports of the configuration */
	bool dirty, closed, prune;
	bool owing;	  /* some client was owed something after the last round */
	char *last_ports; /* closed: what was there, as the state file has it */
};

/* manager.c */
void manager_changed(struct manager *m); /* the state is to be saved, soon */

/* manager_stat.c */
void manager_heard(struct manager *m, const struct peer *from);
void manager_stat_start(struct manager *m);
void manager_stat_done(struct manager *m);
void manager_totals(struct manager *m, const struct peer *to); /* the answer to a ping of libev's */

/* manager_owed.c: nothing, but with several subscribers */
void manager_owed_emit(const struct manager *m, struct jout *j); /* a member of the state file */
MUST_CHECK int manager_owed_load(struct manager *m, const struct json_value *doc);

/* manager_state.c */
int manager_state_load(struct manager *m, char why[PROFILE_WHY_MAX]);
int manager_state_save(struct manager *m);
int manager_state_keep(struct manager *m); /* last_ports, before the engine forgets them */
/* The same without a file; -ERR_MALFORMED: no state, and the ports are as they were. */
MUST_CHECK int manager_state_restore(struct manager *m, const char *text, size_t len);
void manager_state_emit(const struct manager *m, struct jout *j);

#endif
