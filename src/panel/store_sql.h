/* store_sql.h - inside the store: statements by number, prepared when first used, and kept. */
#ifndef WEIR_PANEL_STORE_SQL_H
#define WEIR_PANEL_STORE_SQL_H

#include <sqlite3.h>

#include "panel/store.h"

enum query {
	Q_BEGIN,
	Q_COMMIT,
	Q_ROLLBACK,
	Q_GEN,
	Q_NOTE_GET,
	Q_NOTE_SET,
	Q_USER_ADD,
	Q_USER_GET,
	Q_USER_SET,
	Q_USER_DEL,
	Q_USERS,
	Q_NODE_ADD,
	Q_NODE_GET,
	Q_NODE_SET,
	Q_NODE_DEL,
	Q_NODES,
	Q_KEY_ADD,
	Q_KEY_GET,
	Q_KEY_RESULT,
	Q_KEYS_PRUNE,
	Q_PUSH_USER,
	Q_PUSH_PAIR,
	Q_PUSH_NODE,
	Q_TRAFFIC,
	Q_TRAFFIC_RESET,
	Q_TRAFFIC_RESET_USER,
	QUERIES,
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *stmt[QUERIES];
};

/* The statement `q`, fresh; its text is given each time but read once.  NULL: see store_failed().
 */
sqlite3_stmt *store_query(struct store *s, enum query q, const char *sql);

/* The same with ?1 set to an id; and, for a page of a table, to the id that comes before it, with ?2 how
 * many rows it has at most (0: all).
 */
sqlite3_stmt *store_query_id(struct store *s, enum query q, const char *sql, int64_t id);
sqlite3_stmt *store_query_page(struct store *s, enum query q, const char *sql, int64_t after,
			       size_t limit);

/* To the next row.  1: `st` stands on it.  0: there is none.  <0: the error.  Whoever has begun
 * resets.
 */
MUST_CHECK int store_step(struct store *s, sqlite3_stmt *st);

/* To the only row: 0, -ENOENT, or the error. */
MUST_CHECK int store_step_one(struct store *s, sqlite3_stmt *st);

/* Runs a statement that gives no rows: 0 or the error.  It is reset. */
MUST_CHECK int store_run(struct store *s, sqlite3_stmt *st);

/* The same, and -ENOENT where no row was changed. */
MUST_CHECK int store_run_on_row(struct store *s, sqlite3_stmt *st);

/* The error of the last call as one of ours. */
int store_failed(struct store *s);

/* A column as text into a struct's array. */
void store_text(sqlite3_stmt *st, int col, char *out, size_t cap);

#endif
