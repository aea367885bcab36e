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

/* Runs a statement that gives no rows: 0 or the error.  It is reset. */
MUST_CHECK int store_run(struct store *s, sqlite3_stmt *st);

/* The error of the last call as one of ours. */
int store_failed(struct store *s);

/* A column as text into a struct's array. */
void store_text(sqlite3_stmt *st, int col, char *out, size_t cap);

#endif
