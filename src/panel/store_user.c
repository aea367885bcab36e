#include "panel/store_sql.h"

#define COLUMNS                                                                                    \
	"id, name, credential, speed_mbps, device_limit, conn_limit, quota, expire, enabled, up, " \
	"down, created"

/* The parameters of COLUMNS, in its order, but for the last, which is never changed; id 0 lets the
 * table choose.
 */
static void user_bind(sqlite3_stmt *st, const struct panel_user *u)
{
	if (u->id)
		sqlite3_bind_int64(st, 1, u->id);
	sqlite3_bind_text(st, 2, u->name, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, u->credential, -1, SQLITE_STATIC);
	sqlite3_bind_double(st, 4, u->speed_mbps);
	sqlite3_bind_int64(st, 5, u->device_limit);
	sqlite3_bind_int64(st, 6, u->conn_limit);
	sqlite3_bind_int64(st, 7, u->quota);
	sqlite3_bind_int64(st, 8, u->expire);
	sqlite3_bind_int(st, 9, u->enabled);
	sqlite3_bind_int64(st, 10, u->up);
	sqlite3_bind_int64(st, 11, u->down);
}

static void user_row(sqlite3_stmt *st, struct panel_user *u)
{
	u->id = sqlite3_column_int64(st, 0);
	store_text(st, 1, u->name, sizeof(u->name));
	store_text(st, 2, u->credential, sizeof(u->credential));
	u->speed_mbps = sqlite3_column_double(st, 3);
	u->device_limit = sqlite3_column_int64(st, 4);
	u->conn_limit = sqlite3_column_int64(st, 5);
	u->quota = sqlite3_column_int64(st, 6);
	u->expire = sqlite3_column_int64(st, 7);
	u->enabled = sqlite3_column_int(st, 8);
	u->up = sqlite3_column_int64(st, 9);
	u->down = sqlite3_column_int64(st, 10);
	u->created = sqlite3_column_int64(st, 11);
}

int store_user_add(struct store *s, struct panel_user *u)
{
	sqlite3_stmt *st = store_query(s, Q_USER_ADD,
				       "INSERT INTO users (" COLUMNS
				       ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)");
	int err;

	if (st) {
		user_bind(st, u);
		sqlite3_bind_int64(st, 12, u->created);
	}
	err = store_run(s, st);
	if (!err)
		u->id = sqlite3_last_insert_rowid(s->db);
	return err;
}

int store_user_get(struct store *s, int64_t id, struct panel_user *out)
{
	sqlite3_stmt *st =
		store_query_id(s, Q_USER_GET, "SELECT " COLUMNS " FROM users WHERE id = ?1", id);
	int err = store_step_one(s, st);

	if (!err)
		user_row(st, out);
	sqlite3_reset(st);
	return err;
}

int store_user_set(struct store *s, const struct panel_user *u)
{
	sqlite3_stmt *st = store_query(
		s, Q_USER_SET,
		"UPDATE users SET name=?2, credential=?3, speed_mbps=?4, device_limit=?5,"
		" conn_limit=?6, quota=?7, expire=?8, enabled=?9, up=?10, down=?11 WHERE id = ?1");

	if (st)
		user_bind(st, u);
	return store_run_on_row(s, st);
}

int store_user_del(struct store *s, int64_t id)
{
	return store_run_on_row(
		s, store_query_id(s, Q_USER_DEL, "DELETE FROM users WHERE id = ?1", id));
}

int store_users(struct store *s, int64_t after, size_t limit, store_user_fn each, void *arg)
{
	sqlite3_stmt *st = store_query_page(
		s, Q_USERS, "SELECT " COLUMNS " FROM users WHERE id > ?1 ORDER BY id LIMIT ?2",
		after, limit);
	struct panel_user u;
	int err = 0;

	while (!err && (err = store_step(s, st)) > 0) {
		user_row(st, &u);
		err = each(&u, arg);
	}
	sqlite3_reset(st);
	return err;
}
