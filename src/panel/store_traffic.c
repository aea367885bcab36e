#include <errno.h>
#include <string.h>

#include "panel/store_sql.h"

#define KEY_DAYS 7

/* column + ?n that stops at 2^63-1.  SQLite would turn the sum into a real number. */
#define SATURATED(column, n) \
	"iif(" column " > 9223372036854775807 - ?" #n ", 9223372036854775807, " column " + ?" #n ")"

static int64_t add_saturated(int64_t a, int64_t b)
{
	return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* Claim `key` for this transaction.  1 when it was known, with what came of it. */
static int key_claim(struct store *s, int64_t node, const char *key, int64_t now,
		     struct push_result *known)
{
	sqlite3_stmt *st =
		store_query(s, Q_KEY_ADD,
			    "INSERT OR IGNORE INTO push_keys (node, key, at) VALUES (?1, ?2, ?3)");
	int err;

	if (st) {
		sqlite3_bind_int64(st, 1, node);
		sqlite3_bind_text(st, 2, key, -1, SQLITE_STATIC);
		sqlite3_bind_int64(st, 3, now);
	}
	err = store_run(s, st);
	if (err || sqlite3_changes(s->db))
		return err;

	st = store_query(s, Q_KEY_GET,
			 "SELECT applied, ignored FROM push_keys WHERE node = ?1 AND key = ?2");
	if (st) {
		sqlite3_bind_int64(st, 1, node);
		sqlite3_bind_text(st, 2, key, -1, SQLITE_STATIC);
	}
	err = store_step_one(s, st);
	if (!err) {
		known->applied = sqlite3_column_int64(st, 0);
		known->ignored = sqlite3_column_int64(st, 1);
		err = 1;
	}
	sqlite3_reset(st);
	return err;
}

static int key_result(struct store *s, int64_t node, const char *key, const struct push_result *r)
{
	sqlite3_stmt *st = store_query(
		s, Q_KEY_RESULT,
		"UPDATE push_keys SET applied = ?3, ignored = ?4 WHERE node = ?1 AND key = ?2");

	if (st) {
		sqlite3_bind_int64(st, 1, node);
		sqlite3_bind_text(st, 2, key, -1, SQLITE_STATIC);
		sqlite3_bind_int64(st, 3, r->applied);
		sqlite3_bind_int64(st, 4, r->ignored);
	}
	return store_run(s, st);
}

/* One entry: the user's total, then the pair's.  0 for a user that is not there. */
static int entry_apply(struct store *s, int64_t node, const struct push_entry *e)
{
	sqlite3_stmt *st =
		store_query(s, Q_PUSH_USER,
			    "UPDATE users SET up = " SATURATED("up", 2) ", down = " SATURATED(
				    "down", 3) " WHERE id = ?1");
	int err;

	if (st) {
		sqlite3_bind_int64(st, 1, e->user);
		sqlite3_bind_int64(st, 2, e->up);
		sqlite3_bind_int64(st, 3, e->down);
	}
	err = store_run(s, st);
	if (err || !sqlite3_changes(s->db))
		return err;

	st = store_query(s, Q_PUSH_PAIR,
			 "INSERT INTO traffic (user, node, up, down) VALUES (?1, ?4, ?2, ?3)"
			 " ON CONFLICT DO UPDATE SET up = " SATURATED(
				 "up", 2) ", down = " SATURATED("down", 3));
	if (st) {
		sqlite3_bind_int64(st, 1, e->user);
		sqlite3_bind_int64(st, 2, e->up);
		sqlite3_bind_int64(st, 3, e->down);
		sqlite3_bind_int64(st, 4, node);
	}
	err = store_run(s, st);
	return err ? err : 1;
}

static int node_apply(struct store *s, int64_t node, int64_t up, int64_t down, int64_t ignored)
{
	sqlite3_stmt *st = store_query(
		s, Q_PUSH_NODE,
		"UPDATE nodes SET up = " SATURATED("up", 2) ", down = " SATURATED(
			"down", 3) ", ignored = " SATURATED("ignored", 4) " WHERE id = ?1");

	if (st) {
		sqlite3_bind_int64(st, 1, node);
		sqlite3_bind_int64(st, 2, up);
		sqlite3_bind_int64(st, 3, down);
		sqlite3_bind_int64(st, 4, ignored);
	}
	return store_run_on_row(s, st);
}

/* Inside the transaction.  1: the key was known. */
static int push_apply(struct store *s, int64_t node, const char *key,
		      const struct push_report *report, int64_t now, struct push_result *r)
{
	int64_t up = 0, down = 0;
	int err = key ? key_claim(s, node, key, now, r) : 0;

	if (err)
		return err;
	for (size_t i = 0; i < report->n; i++) {
		const struct push_entry *e = &report->entries[i];

		err = entry_apply(s, node, e);
		if (err < 0)
			return err;
		if (err == 0) {
			r->ignored++;
			continue;
		}
		r->applied++;
		up = add_saturated(up, e->up);
		down = add_saturated(down, e->down);
	}
	err = node_apply(s, node, up, down, r->ignored);
	if (!err && key)
		err = key_result(s, node, key, r);
	return err;
}

int store_push(struct store *s, int64_t node, const char *key, const struct push_report *report,
	       int64_t now, struct push_result *out)
{
	struct push_result r = {0};
	int err = store_begin(s);

	if (err)
		return err;
	err = push_apply(s, node, key, report, now, &r);
	if (err < 0 || err == 1) {
		store_rollback(s);
		r.repeated = true;
	} else {
		err = store_commit(s);
		if (err)
			store_rollback(s);
	}
	if (err < 0)
		return err;
	*out = r;
	return 0;
}

int store_keys_prune(struct store *s, int64_t now, int64_t keep, int64_t most)
{
	/* By number, not by time alone: a clock that jumps ahead must not make us forget a report
	 * that a node is about to repeat.  In bites, so that no push waits long behind it. */
	sqlite3_stmt *st = store_query(
		s, Q_KEYS_PRUNE,
		"DELETE FROM push_keys WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM"
		" push_keys ORDER BY seq LIMIT 2000), (SELECT max(seq) AS top FROM push_keys)"
		" WHERE (seq <= top - ?2 AND at < ?1) OR seq <= top - ?3)");

	if (st) {
		sqlite3_bind_int64(st, 1, now - KEY_DAYS * 86400);
		sqlite3_bind_int64(st, 2, keep);
		sqlite3_bind_int64(st, 3, most);
	}
	return store_run(s, st);
}

int store_traffic(struct store *s, int64_t user, store_traffic_fn each, void *arg)
{
	sqlite3_stmt *st = store_query_id(
		s, Q_TRAFFIC, "SELECT node, up, down FROM traffic WHERE user = ?1 ORDER BY node",
		user);
	int err = 0;

	while (!err && (err = store_step(s, st)) > 0) {
		const struct traffic_row row = {
			.user = user,
			.node = sqlite3_column_int64(st, 0),
			.up = sqlite3_column_int64(st, 1),
			.down = sqlite3_column_int64(st, 2),
		};

		err = each(&row, arg);
	}
	sqlite3_reset(st);
	return err;
}

int store_traffic_reset(struct store *s, int64_t user)
{
	int err = store_run_on_row(
		s, store_query_id(s, Q_TRAFFIC_RESET_USER,
				  "UPDATE users SET up = 0, down = 0 WHERE id = ?1", user));

	if (err)
		return err;
	return store_run(
		s, store_query_id(s, Q_TRAFFIC_RESET, "DELETE FROM traffic WHERE user = ?1", user));
}
