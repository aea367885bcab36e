/* sync.h - keeps nodes in step with their panels: pulls configuration and users, pushes traffic and
 * online addresses, survives a panel that is slow, wrong or away.
 *
 *     sync_new(&conf, &s);
 *     sync_add(s, &node_conf, &node->target, &sn);      starts at once
 *     ...
 *     sync_stop(s, budget, on_stopped, arg);            last freeze, last push
 *     sync_free(s);
 *
 * The rules are panel-apis 2.3-2.5 and 5; docs/internals/sync.md tells how they are kept.  Nodes do
 * not know of each other; what they share is the number of requests in flight (SC10), and a panel's
 * wish to be left alone (SC9).
 *
 * Threads: control only.
 */
#ifndef WEIR_SYNC_SYNC_H
#define WEIR_SYNC_SYNC_H

#include "node/target.h"
#include "sync/dialect.h"
#include "sync/http.h"
#include "sync/ledger.h"

enum sync_ambiguous {
	SYNC_AMBIGUOUS_DEFAULT, /* the dialect's */
	SYNC_AMBIGUOUS_RETRY,
	SYNC_AMBIGUOUS_DROP,
};

struct sync_conf {
	struct loop *loop;
	struct http *http;	  /* the caller's, freed after sync_free() */
	struct ledger *ledger;	  /* NULL: traffic is not reported */
	const char *snapshot_dir; /* of last good documents; exists; NULL: none are kept */
};

/* One node.  Texts are copied.  Zero is a good default unless the line says otherwise. */
struct sync_node_conf {
	const char *tag; /* for the log */
	const struct dialect *dialect;
	struct panel panel; /* `learned` and `path` are ignored */
	int64_t timeout_s;  /* H8: 0 is 30, negative is 5 */
	const char *send_ip;
	bool insecure;
	uint32_t ledger_node;
	enum sync_ambiguous ambiguous;
	uint32_t push_batch_users;
	int64_t cache_max_age_s; /* C9; 0: no snapshot */
	bool suspend_on_forbidden;
	bool enforce_quota;
	int64_t pull_interval_s, push_interval_s; /* instead of the panel's; 0: the panel's */
	int64_t report_min_kib;			  /* ReportMinTraffic; -1: not set */
	int64_t online_min_kb;			  /* DeviceOnlineMinTraffic; -1: not set */
};

struct sync;
struct sync_node;

MUST_CHECK int sync_new(const struct sync_conf *conf, struct sync **out);

/* The node's first request leaves in the next turn.  `target` outlives the node. */
MUST_CHECK int sync_add(struct sync *s, const struct sync_node_conf *conf,
			struct node_target *target, struct sync_node **out);

/* Pull now, whatever the schedule says. */
void sync_pull(struct sync_node *n);

/* The end of one node or of all (TR10): the caller has closed listeners and let go of users, now
 * what is pending is frozen and pushed, at most for `budget`; what remains waits in the ledger.
 * done() comes later from the loop, once.  After it the node (or, for sync_stop, every node) is
 * idle and is freed with sync_node_free() or sync_free().
 */
typedef void sync_stopped(void *arg);
void sync_node_stop(struct sync_node *n, nsec_t budget, sync_stopped *done, void *arg);
void sync_stop(struct sync *s, nsec_t budget, sync_stopped *done, void *arg);

/* At any time but from inside a call of the target; whatever is under way is called off. */
void sync_node_free(struct sync_node *n);
void sync_free(struct sync *s); /* with all nodes */

/* ---- questions ------------------------------------------------------------------------------- */
enum sync_phase {
	SYNC_STARTING, /* nothing is served yet */
	SYNC_CACHED,   /* serving from the last good snapshot */
	SYNC_RUNNING,
	SYNC_SUSPENDED,
	SYNC_STOPPING,
	SYNC_STOPPED,
};

struct sync_status {
	enum sync_phase phase;
	const char *tag;
	enum node_type type; /* NODE_TYPE_NONE until known */
	struct {
		enum answer_class last;
		int http_status;
		uint64_t ok, failed;
		nsec_t ok_at; /* 0: never */
	} ask[ASKS];
	char error[200]; /* the last one, without secrets; "" when all is well */
	uint64_t pushed_up, pushed_down, dropped_up, dropped_down; /* bytes, since start */
};

void sync_node_status(const struct sync_node *n, struct sync_status *out);
const char *sync_phase_name(enum sync_phase p);

/* What is applied, or NULL; valid until the loop's next turn. */
const struct node_info *sync_node_info(const struct sync_node *n);

/* Nodes in the order they were added; NULL ends. */
struct sync_node *sync_first(const struct sync *s);
struct sync_node *sync_next(const struct sync_node *n);

#endif
