/* sync_impl.h - the inside of sync: one node's state, shared by its files.
 *
 *   sync.c        nodes, timers, which question comes next, the gates in front of requests
 *   sync_pull.c   questions: ask, judge, apply
 *   sync_push.c   reports: freeze, send, decide what an answer means
 *   sync_start.c  the first round, back-off, snapshots
 *   sync_log.c    what is said, and that it is said once
 *
 * A node does one thing at a time (SC10).  `todo` holds what is due, `busy` that something is under
 * way: a request, the pause before its repeat, or an apply that the target finishes later. Whatever
 * ends calls node_idle(), and node_next() picks the next thing from the run queue.
 */
#ifndef WEIR_SYNC_IMPL_H
#define WEIR_SYNC_IMPL_H

#include "base/log.h"
#include "sync/alive.h"
#include "sync/snapshot.h"
#include "sync/sync.h"
#include "sync/users.h"

#define SYNC_IN_FLIGHT_MAX 8
#define SYNC_HASH_LEN	   32
#define SYNC_SEEN	   32

#define BIT(a) (1u << (a))
#define PULLS  (BIT(ASK_CONFIG) | BIT(ASK_USERS) | BIT(ASK_ALIVE))

#define CHECK_QUOTA ASKS /* due like a question, asked of ourselves */

/* Where not to ask before `open_at` (SC9): shared by the nodes of one panel. */
struct gate {
	struct list_node link;
	unsigned refs;
	nsec_t open_at;
	char origin[];
};

struct sync {
	struct sync_conf conf;
	char *snapshot_dir;
	struct list_node nodes;
	struct list_node waiting; /* nodes that wait for a free place in flight */
	struct list_node gates;
	unsigned in_flight;
	unsigned stopping; /* nodes that still do */
	sync_stopped *stopped;
	void *stopped_arg;
	struct waiter nothing_to_stop;
};

/* What is known about one document of the panel (C1). */
struct validator {
	char *etag; /* NULL: none */
	uint8_t hash[SYNC_HASH_LEN];
	bool set;
};

struct sync_node {
	struct sync *s;
	struct list_node link, in_waiting;
	struct sync_node_conf conf; /* its texts are ours */
	struct node_target *target;
	struct panel *panel; /* conf.panel */
	struct gate *gate;
	enum sync_phase phase;

	/* what to do */
	unsigned todo; /* BIT() of enum ask */
	enum ask turn; /* what began last */
	enum ask ask;  /* under way, when busy */
	bool busy;
	struct waiter next; /* picks the next thing */
	struct timer pull, push, retry, gated;
	nsec_t pulled_at, pushed_at; /* the last ticks */

	/* the question under way */
	struct http_call call;
	bool called; /* the transport has it */
	struct text url, body;
	char report_id[2 * LEDGER_ID_LEN + 1];
	unsigned tries;
	bool asked_plain; /* the repeat without validator of C3 */
	bool reading;	  /* users are streaming in */
	struct users_reader reader;
	nsec_t reader_ns; /* what reading has taken so far */
	int reader_err;

	/* what was read and is not applied yet */
	struct node_info *new_info;
	struct user_list new_users;
	bool have_new_users;
	char *new_body; /* of new_info, for the snapshot */
	size_t new_body_len;
	struct validator offered[2], applied[2]; /* by ASK_CONFIG, ASK_USERS */
	bool applying;
	struct node_info *info; /* applied */
	bool served;		/* something was applied */

	/* EnforceQuota */
	struct user_list all_users; /* as the panel sent them */
	struct user_list filtered;  /* without those who have spent theirs */
	int64_t *spent;		    /* who that is, ascending */
	size_t n_spent;
	struct ledger_entry *acked; /* by the panel since it made the list */
	size_t n_acked;

	/* starting */
	unsigned attempts, other_path;
	bool path_settled;
	bool from_snapshot; /* what is being applied */
	bool fresh[2];	    /* config, users: from the panel, not from the snapshot */

	/* alive */
	struct alive_list alive; /* read before the first apply */
	nsec_t alive_at;	 /* of the last good list */
	bool alive_known;
	struct {
		unsigned failed;
		nsec_t quiet_until;
	} optional[ASKS];

	/* pushing */
	int64_t *batches; /* of this tick, oldest first */
	size_t n_batches, at_batch;
	int64_t last_tried;
	bool listed;	 /* `batches` is of this tick */
	bool push_again; /* another tick came meanwhile */
	struct ledger_batch sending;
	int64_t *undecided; /* ambiguous, waiting for what the next pull says (TR5) */
	size_t n_undecided;
	bool round_failed, round_ok; /* config or users of the present round */
	bool panel_down;	     /* both failed as a whole panel does, in the last round */
	nsec_t round_at;	     /* when that was known */

	/* the panel's mood */
	int denied;	    /* 401, 403, 404 that was logged, or 0 */
	unsigned forbidden; /* configs in a row with 403 or 404 */
	bool suspended;

	/* stopping */
	struct timer budget;
	struct waiter stopped_later;
	sync_stopped *stopped;
	void *stopped_arg;

	/* what has been said */
	uint64_t seen[SYNC_SEEN];
	unsigned seen_at;
	struct {
		enum answer_class class;
		int status, err;
	} complained[ASKS];
	unsigned failures[ASKS];
	struct sync_status status;
};

/* ---- sync.c ---------------------------------------------------------------------------------- */
nsec_t node_now(const struct sync_node *n);
void node_kick(struct sync_node *n);	 /* node_next() in the run queue */
void node_idle(struct sync_node *n);	 /* what was under way is over */
void node_schedule(struct sync_node *n); /* both ticks, after intervals changed */
void node_pull_in(struct sync_node *n, nsec_t delay);
int64_t node_pull_interval(const struct sync_node *n);
int64_t node_push_interval(const struct sync_node *n);

/* The request in n->call, filled in but for what all share.  done() comes in any case. */
void node_send(struct sync_node *n, void (*done)(struct http_call *c));
void node_received(struct sync_node *n); /* first thing in done() */
void node_call_off(struct sync_node *n); /* the request under way, if any */

/* ---- sync_pull.c ----------------------------------------------------------------------------- */
void pull_begin(struct sync_node *n, enum ask a);
void pull_repeat(struct timer *t);		     /* n->retry */
void pull_forget(struct sync_node *n);		     /* what was read and not applied */
void pull_offer(struct sync_node *n);		     /* new_info and new_users to the target */
void pull_alive_age(struct sync_node *n);	     /* D5 */
void pull_optional(struct sync_node *n, enum ask a); /* B.1: does the panel lack it? */
void quota_begin(struct sync_node *n);		     /* leave out who has spent his quota since */
void validator_clear(struct validator *v);

/* ---- sync_start.c ---------------------------------------------------------------------------- */
/* A question of the first rounds was answered (nothing served yet, or only a snapshot). */
void start_answered(struct sync_node *n, enum ask a, enum answer_class class);
void start_applied(struct sync_node *n, int err);
void start_save(struct sync_node *n, bool config, bool users); /* C9 */

/* ---- sync_push.c ----------------------------------------------------------------------------- */
void push_tick(struct sync_node *n);
bool push_begin(struct sync_node *n);	   /* the next batch; false: none left */
bool online_begin(struct sync_node *n);	   /* the online report; false: nobody to report */
void push_round_over(struct sync_node *n); /* config and users of a round are known */
void push_final(struct sync_node *n);
void push_forget(struct sync_node *n);

/* ---- sync_quota.c ---------------------------------------------------------------------------- */
const struct user_list *quota_filter(struct sync_node *n,
				     const struct user_list *list); /* of a new list */
const struct user_list *quota_check(struct sync_node *n);	    /* NULL: nobody more */
void quota_keep(struct sync_node *n, struct user_list *list); /* takes it over where it is needed */
void quota_acked(struct sync_node *n, const struct ledger_batch *b);
void quota_forget(struct sync_node *n);

/* ---- sync_log.c ------------------------------------------------------------------------------ */
void node_log(struct sync_node *n, enum log_level level, const char *fmt, ...) PRINTF(3, 4);
bool node_first_time(struct sync_node *n, const void *bytes, size_t len); /* and never again */
void node_remarks(struct sync_node *n, const struct notes *notes);

/* An answer is judged: counters, status, and a line when it differs from the one before. */
void node_answered(struct sync_node *n, enum ask a, enum answer_class class, const char *why);

#endif
