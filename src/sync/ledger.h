/* ledger.h - what was counted, what was promised to a panel, what the panel has taken.
 *
 * Every byte is in exactly one place: pending (the counters beyond "last reported"), carried (bytes
 * of users and processes that are gone), frozen (a batch that waits for its panel), acknowledged,
 * or a dead letter.  Each step from one place to the next is one SQLite transaction, and the
 * counters live in a file that outlasts the process, so that neither restart nor kill -9 at any
 * moment loses or doubles a byte.
 *
 *     ledger_open(dir, workers, &l, why);         settles what earlier processes left
 *     ledger_node(l, url, id, type, &node);
 *     ...user registries count into ledger_counters(l)...
 *     ledger_freeze(l, node, &how);               each push tick
 *     ledger_batches(l, node, refs, max);         oldest first
 *       ledger_load(); ledger_sending(); POST     before the first byte leaves
 *       ledger_ack() | ledger_failed() | ledger_refused() | ledger_split() | ledger_bury()
 *
 * Files in `dir`: ledger.db (SQLite, WAL) and counters-<epoch>.  Commits are synced to disk (FULL):
 * a commit rolled back by a power loss after its batch was sent would bill twice.
 *
 * Threads: control only; ledger_sync_counters() from a helper thread.
 */
#ifndef WEIR_SYNC_LEDGER_H
#define WEIR_SYNC_LEDGER_H

#include "base/base.h"
#include "user/counters.h"

#define LEDGER_WHY_MAX	   256
#define LEDGER_ID_LEN	   16
#define LEDGER_MAX_WAITING 10
#define LEDGER_VALUE_MAX   INT64_MAX /* of one number in a batch */

struct ledger;

/* `dir` exists and is ours; NULL: in memory, nothing survives.  0, -ERR_DATABASE, -errno (a
 * full disk is -ENOSPC, whoever has met it); `why` (may be NULL) says more, also about what was put aside.
 */
MUST_CHECK int ledger_open(const char *dir, unsigned workers, struct ledger **out,
			   char why[LEDGER_WHY_MAX]);

/* A ledger in memory gets its folder, with all that it holds; what the folder held is taken up.  Numbers
 * of nodes and batches stay.  The counters stay in memory for the life of the process: a kill costs what
 * no batch holds yet.  0, or as ledger_open() and nothing has changed: try again later.
 */
MUST_CHECK int ledger_move_in(struct ledger *l, const char *dir);
bool ledger_in_memory(const struct ledger *l);

void ledger_close(struct ledger *l); /* pending stays pending, for the next start */

/* What SQLite said last; static until the next call. */
const char *ledger_error(const struct ledger *l);

/* Where this process counts: give it to every user_registry and user_worker. */
struct counters *ledger_counters(struct ledger *l);

/* Settle the counters of processes that have ended since: those of the binary that handed its
 * listeners over to us.  Returns how many files were settled.  Cheap: call it each push tick.
 */
int ledger_adopt(struct ledger *l);

/* To disk, every SyncSeconds. */
int ledger_sync_counters(struct ledger *l);

/* The number of a node, the same for the same three for ever. */
MUST_CHECK int ledger_node(struct ledger *l, const char *url, int64_t id, const char *type,
			   uint32_t *node);

/* ---- freezing -------------------------------------------------------------------------------- */
struct ledger_freeze {
	uint64_t threshold;   /* only users with more than this many bytes pending; 0: everybody */
	uint32_t batch_users; /* PushBatchUsers; 0: 5000 */
	uint32_t max_waiting; /* no freeze while more batches wait; 0: LEDGER_MAX_WAITING */
	bool always;	      /* the last freeze before the end: however many wait */
	/* Instead of the threshold, for each user with pending bytes, ascending; who is gone is
	 * taken without asking.  Asked inside a transaction that may still fail.  NULL: the
	 * threshold.
	 */
	bool (*due)(void *arg, int64_t user, uint64_t bytes);
	void *due_arg;
};

/* Pending bytes of the node become batches.  Returns how many batches were made. */
MUST_CHECK int ledger_freeze(struct ledger *l, uint32_t node, const struct ledger_freeze *how);

/* The bytes of these slots are carried from now on, whatever their amount, and go with the next
 * freeze; the slots may be released.  What user_registry_reap() calls, with the ledger as `arg`.
 */
int ledger_settle(void *ledger, const uint32_t *slots, size_t n);

/* For a node whose traffic nobody takes in batches, but looks at with ledger_unreported(): the
 * carried bytes of users that `keep` says no to are dropped, those of each other user gathered in
 * one place.
 */
MUST_CHECK int ledger_prune(struct ledger *l, uint32_t node, bool (*keep)(void *arg, int64_t user),
			    void *arg);

/* ---- batches --------------------------------------------------------------------------------- */
struct ledger_entry {
	int64_t user;
	uint64_t up, down; /* <= LEDGER_VALUE_MAX */
};

struct ledger_batch {
	int64_t seq;
	uint8_t report_id[LEDGER_ID_LEN];
	uint32_t node;
	uint32_t n;
	uint32_t refused; /* times in a row */
	bool in_flight;	  /* ledger_sending() without an outcome: its fate is unknown */
	bool doubt;	  /* the same of an earlier sending: even now that a later one has failed */
	int64_t created;  /* seconds since 1970 */
	struct ledger_entry *entries; /* by ledger_load() only, ascending by user, each user once */
	struct traffic total;
};

/* The waiting batches of a node, oldest first, without their entries.  Returns how many were put
 * into `out`.
 */
int ledger_batches(struct ledger *l, uint32_t node, struct ledger_batch *out, size_t max);

/* One batch with its entries; -ENOENT. */
MUST_CHECK int ledger_load(struct ledger *l, int64_t seq, struct ledger_batch *out);
void ledger_batch_done(struct ledger_batch *b);

/* The first byte is about to leave.  An outcome that stays unknown (TR5, retry) is not noted:
 * sending again says it.
 */
MUST_CHECK int ledger_sending(struct ledger *l, int64_t seq);

/* The panel has it. */
MUST_CHECK int ledger_ack(struct ledger *l, int64_t seq);

/* Definitive failure: the panel took none of it this time. */
MUST_CHECK int ledger_failed(struct ledger *l, int64_t seq);

/* The same, and the panel disliked the batch itself.  Returns how many times in a row. */
MUST_CHECK int ledger_refused(struct ledger *l, int64_t seq);

/* Two halves with new ids take its place: not while it is in flight or in doubt, for then the panel
 * may have it under the old one.  -EINVAL for a batch of one.
 */
MUST_CHECK int ledger_split(struct ledger *l, int64_t seq);

/* Into the dead letters: refused for good, or dropped because its fate is unknown. */
MUST_CHECK int ledger_bury(struct ledger *l, int64_t seq, const char *reason);

/* ---- questions --------------------------------------------------------------------------- */
struct ledger_totals {
	uint64_t users; /* with pending or carried bytes */
	struct traffic pending, carried, frozen, dead;
	uint32_t batches, dead_letters;
};
MUST_CHECK int ledger_totals(struct ledger *l, uint32_t node, struct ledger_totals *out);

/* Per user, ascending: all that the panel has not acknowledged, pending, carried and frozen (for
 * EnforceQuota).  *out is the caller's to free().  Returns how many.
 */
MUST_CHECK int ledger_unreported(struct ledger *l, uint32_t node, struct ledger_entry **out);

/* What this slot's owner has moved and no batch holds yet. */
void ledger_pending(const struct ledger *l, uint32_t slot, struct traffic *out);

#endif
