/* store.h - the panel's memory: nodes, users, traffic and the keys of reports already applied, in
 * one SQLite file.
 *
 * Several processes may work on the file at once: a running server and the command line.  What a
 * server derives from nodes or users it keeps together with store_gen(); triggers in the database
 * move those numbers whenever something that nodes are told about changes, whoever changed it.
 *
 * What was committed survives `kill -9` and, being synced, a power loss.
 *
 * Threads: one at a time for each struct store.  Errors: -ENOENT no such row, -EEXIST a value that
 * must be unique is taken, -EBUSY another process holds the file, -ENOSPC, -ENOMEM, -EROFS, else
 * -ERR_DATABASE; store_error() says more.
 */
#ifndef WEIR_PANEL_STORE_H
#define WEIR_PANEL_STORE_H

#include "base/base.h"
#include "base/err.h"
#include "panel/model.h"
#include "panel/report.h"

struct store;

/* Opens or creates (0600) and migrates.  On failure `why` says what is wrong with the file. */
MUST_CHECK int store_open(const char *path, struct store **out, struct fault *why);
void store_close(struct store *s);
const char *store_error(const struct store *s);

/* Numbers that grow with every change of what nodes see. */
struct store_gen {
	int64_t users, nodes;
};
MUST_CHECK int store_gen(struct store *s, struct store_gen *out);

/* A writing transaction.  After store_begin() either of the others ends it. */
MUST_CHECK int store_begin(struct store *s);
MUST_CHECK int store_commit(struct store *s);
void store_rollback(struct store *s);

/* Users.  `add` sets u->id, unless it asks for one. */
MUST_CHECK int store_user_add(struct store *s, struct panel_user *u);
MUST_CHECK int store_user_get(struct store *s, int64_t id, struct panel_user *out);
MUST_CHECK int store_user_set(struct store *s, const struct panel_user *u);
MUST_CHECK int store_user_del(struct store *s, int64_t id);

/* Calls `each` for users above `after`, ascending, at most `limit` (0: all), until it returns
 * non-zero, which is then returned.  The row is valid during the call.
 */
typedef int (*store_user_fn)(const struct panel_user *u, void *arg);
MUST_CHECK int store_users(struct store *s, int64_t after, size_t limit, store_user_fn each,
			   void *arg);

/* Nodes; as above.  store_node_get() fills a node that is then the caller's. */
MUST_CHECK int store_node_add(struct store *s, struct panel_node *n);
MUST_CHECK int store_node_get(struct store *s, int64_t id, struct panel_node *out);
MUST_CHECK int store_node_set(struct store *s, const struct panel_node *n);
MUST_CHECK int store_node_del(struct store *s, int64_t id);

typedef int (*store_node_fn)(const struct panel_node *n, void *arg);
MUST_CHECK int store_nodes(struct store *s, int64_t after, size_t limit, store_node_fn each,
			   void *arg);

/* Traffic. */
#define PUSH_KEY_MAX 255

struct push_result {
	int64_t applied, ignored; /* entries: for known users, for others */
	bool repeated;		  /* the key was known; nothing was applied now */
};

/* Apply a node's report in one transaction.  With `key` (may be NULL) only if the node has not
 * sent that key before; `now` is wall clock, seconds.
 */
MUST_CHECK int store_push(struct store *s, int64_t node, const char *key,
			  const struct push_report *report, int64_t now, struct push_result *out);

/* Forget keys that are older than seven days, but never one of the newest `keep`; never hold more
 * than `most`.
 */
#define PUSH_KEYS_KEEP 100000
#define PUSH_KEYS_MOST 2000000
MUST_CHECK int store_keys_prune(struct store *s, int64_t now, int64_t keep, int64_t most);

struct traffic_row {
	int64_t user, node, up, down;
};
typedef int (*store_traffic_fn)(const struct traffic_row *row, void *arg);

/* What one user moved over each node. */
MUST_CHECK int store_traffic(struct store *s, int64_t user, store_traffic_fn each, void *arg);

/* Start counting a user from zero. */
MUST_CHECK int store_traffic_reset(struct store *s, int64_t user);

/* Small values of the panel itself, such as the digest of its admin token.  -ENOENT; `out` gets at
 * most cap - 1 bytes and a NUL.
 */
MUST_CHECK int store_note_get(struct store *s, const char *name, char *out, size_t cap);
MUST_CHECK int store_note_set(struct store *s, const char *name, const char *value);

#endif
