/* program.h - the running node program: everything that `weir run` puts together, and how it
 * starts, reloads and ends.
 *
 * Threads: the control thread's, which is main's.
 */
#ifndef WEIR_CMD_PROGRAM_H
#define WEIR_CMD_PROGRAM_H

#include "cmd/hosted.h"
#include "cmd/log_keeper.h"
#include "event/file_watch.h"
#include "event/signals.h"
#include "node/config.h"
#include "node/node.h"
#include "sync/sync.h"

/* One of Nodes: what serves it, and what keeps it in step with its panel. */
struct program_node {
	struct program *program;
	const struct config_node *conf; /* of the present file */
	struct node *node;
	struct sync_node *sync;
	uint32_t ledger_node;
	struct program_node *next;
	bool leaving; /* no longer in the file */
};

struct program {
	struct loop *loop;
	struct signals signals;
	struct log_keeper log_keeper;
	struct config *conf;
	struct config **old; /* files that nodes on their way out still look at */
	size_t nold;
	int state; /* State.Dir, locked; -1: not open */
	struct ledger *ledger;
	struct workers workers;
	struct http *http;
	struct sync *sync;
	struct program_node *nodes;
	struct hosted hosted;	   /* Manager, Yassp */
	struct timer housekeeping; /* counters to disk, other processes' counters settled */
	bool watching;		   /* reload when a file of the configuration changes */
	struct file_watch files;
	bool stopping, hurry;
	unsigned closing; /* nodes that have not closed yet */
	bool reported;	  /* the nodes' last reports are out, or nobody waits for them */
	unsigned ending;  /* those, and what is hosted */
};

/* Takes the configuration and its sections over; with `watch` a change of its files reloads it.  0, or an
 * error that has been logged and nothing is running.
 */
MUST_CHECK int program_start(struct program *p, struct config *conf, struct sections *sections,
			     bool watch);

/* State.Dir, or memory when there is no room in it.  0, or an error that has been logged. */
MUST_CHECK int program_open_state(struct program *p, unsigned nworkers);

/* From memory to State.Dir, if that is where we are and there is room by now. */
void program_return_to_state(struct program *p);

/* What connections may hold, as `c` says.  0 or -ENOMEM. */
MUST_CHECK int program_share_memory(struct program *p, const struct config *c);

/* Until a signal ends it; the exit status. */
int program_run(struct program *p);

#endif
