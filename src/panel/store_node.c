#include <errno.h>
#include <stdlib.h>

#include "panel/store_sql.h"

#define COLUMNS "id, name, type, host, port, token, enabled, settings, up, down, created, ignored"

/* The parameters of a row that is added or changed; `settings` must live until the statement has run. */
static void node_bind(sqlite3_stmt *st, const struct panel_node *n, const char *settings)
{
	if (n->id)
		sqlite3_bind_int64(st, 1, n->id);
	sqlite3_bind_text(st, 2, n->name, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, n->type, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 4, n->host, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 5, n->port, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 6, n->token, -1, SQLITE_STATIC);
	sqlite3_bind_int(st, 7, n->enabled);
	sqlite3_bind_text(st, 8, settings, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 9, n->up);
	sqlite3_bind_int64(st, 10, n->down);
}

static int node_row(sqlite3_stmt *st, struct panel_node *n)
{
	const char *settings = (const char *)sqlite3_column_text(st, 7);

	n->settings = json_loads(settings ? settings : "{}", 0, NULL);
	if (!json_is_object(n->settings)) {
		json_decref(n->settings);
		return -ERR_DATABASE;
	}
	n->id = sqlite3_column_int64(st, 0);
	store_text(st, 1, n->name, sizeof(n->name));
	store_text(st, 2, n->type, sizeof(n->type));
	store_text(st, 3, n->host, sizeof(n->host));
	store_text(st, 4, n->port, sizeof(n->port));
	store_text(st, 5, n->token, sizeof(n->token));
	n->enabled = sqlite3_column_int(st, 6);
	n->up = sqlite3_column_int64(st, 8);
	n->down = sqlite3_column_int64(st, 9);
	n->created = sqlite3_column_int64(st, 10);
	n->ignored = sqlite3_column_int64(st, 11);
	return 0;
}

static int node_write(struct store *s, sqlite3_stmt *st, const struct panel_node *n)
{
	char *settings;
	int err;

	if (!st)
		return store_failed(s);
	settings = json_dumps(n->settings, JSON_COMPACT);
	if (!settings)
		return -ENOMEM;
	node_bind(st, n, settings);
	err = store_run_on_row(s, st);
	sqlite3_clear_bindings(st);
	free(settings);
	return err;
}

int store_node_add(struct store *s, struct panel_node *n)
{
	sqlite3_stmt *st = store_query(
		s, Q_NODE_ADD,
		"INSERT INTO nodes (id, name, type, host, port, token, enabled, settings,"
		" up, down, created) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)");
	int err;

	if (st)
		sqlite3_bind_int64(st, 11, n->created);
	err = node_write(s, st, n);
	if (!err)
		n->id = sqlite3_last_insert_rowid(s->db);
	return err;
}

int store_node_get(struct store *s, int64_t id, struct panel_node *out)
{
	sqlite3_stmt *st =
		store_query_id(s, Q_NODE_GET, "SELECT " COLUMNS " FROM nodes WHERE id = ?1", id);
	int err = store_step_one(s, st);

	if (!err)
		err = node_row(st, out);
	sqlite3_reset(st);
	return err;
}

int store_node_set(struct store *s, const struct panel_node *n)
{
	sqlite3_stmt *st = store_query(
		s, Q_NODE_SET,
		"UPDATE nodes SET name=?2, type=?3, host=?4, port=?5, token=?6, enabled=?7,"
		" settings=?8, up=?9, down=?10 WHERE id = ?1");

	return node_write(s, st, n);
}

int store_node_del(struct store *s, int64_t id)
{
	return store_run_on_row(
		s, store_query_id(s, Q_NODE_DEL, "DELETE FROM nodes WHERE id = ?1", id));
}

int store_nodes(struct store *s, int64_t after, size_t limit, store_node_fn each, void *arg)
{
	sqlite3_stmt *st = store_query_page(
		s, Q_NODES, "SELECT " COLUMNS " FROM nodes WHERE id > ?1 ORDER BY id LIMIT ?2",
		after, limit);
	struct panel_node n;
	int err = 0;

	while (!err && (err = store_step(s, st)) > 0) {
		err = node_row(st, &n);
		if (err)
			break;
		err = each(&n, arg);
		panel_node_done(&n);
	}
	sqlite3_reset(st);
	return err;
}
