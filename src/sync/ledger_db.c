/* The ledger's database: its tables, and SQLite with fewer words. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/err.h"
#include "sync/ledger_impl.h"

sqlite3_stmt *ledger_stmt(struct ledger *l, enum ledger_statement which)
{
	sqlite3_clear_bindings(l->st[which]);
	return l->st[which];
}

void ledger_bind(sqlite3_stmt *s, int i, int64_t v)
{
	sqlite3_bind_int64(s, i, v);
}

void ledger_bind_blob(sqlite3_stmt *s, int i, const void *v, size_t len)
{
	sqlite3_bind_blob64(s, i, v, len, SQLITE_STATIC);
}

void ledger_bind_text(sqlite3_stmt *s, int i, const char *v)
{
	sqlite3_bind_text(s, i, v, -1, SQLITE_STATIC);
}

int ledger_db_error(struct ledger *l)
{
	int os = sqlite3_system_errno(l->db), code = sqlite3_errcode(l->db);

	snprintf(l->why, sizeof(l->why), "%s", sqlite3_errmsg(l->db));
	/* No room for the side files looks like any other failure to read or to open them. */
	if (code == SQLITE_FULL ||
	    ((code == SQLITE_IOERR || code == SQLITE_CANTOPEN) && (os == ENOSPC || os == EDQUOT)))
		return -ENOSPC;
	return -ERR_DATABASE;
}

int ledger_row(struct ledger *l, sqlite3_stmt *s)
{
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW)
		return 1;
	rc = rc == SQLITE_DONE ? 0 : ledger_db_error(l);
	sqlite3_reset(s);
	return rc;
}

int ledger_exec(struct ledger *l, sqlite3_stmt *s)
{
	int err;

	do {
		err = ledger_row(l, s);
	} while (err > 0);
	return err;
}

int ledger_begin(struct ledger *l)
{
	return ledger_exec(l, l->st[ST_BEGIN]);
}

int ledger_end(struct ledger *l, int err)
{
	if (!err)
		err = ledger_exec(l, l->st[ST_COMMIT]);
	/* After some failures SQLite has rolled back already. */
	if (err && !sqlite3_get_autocommit(l->db)) {
		sqlite3_step(l->st[ST_ROLLBACK]);
		sqlite3_reset(l->st[ST_ROLLBACK]);
	}
	return err;
}

int64_t ledger_clock(void)
{
	return (int64_t)time(NULL);
}

/* Every column NOT NULL: see ledger_stmt().  Bytes beyond 2^63 in `reported` wrap into the sign.
 * batch.in_flight: 1 in flight, 2 in doubt.
 */
static const char SCHEMA[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE node(num INTEGER PRIMARY KEY, url TEXT NOT NULL, id INTEGER NOT NULL,"
	" type TEXT NOT NULL, UNIQUE(url, id, type));"
	"CREATE TABLE epoch(num INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB NOT NULL UNIQUE,"
	" state INTEGER NOT NULL, made INTEGER NOT NULL);"
	"CREATE TABLE reported(epoch INTEGER NOT NULL, slot INTEGER NOT NULL, life INTEGER NOT "
	"NULL,"
	" up INTEGER NOT NULL, down INTEGER NOT NULL, PRIMARY KEY(epoch, slot)) WITHOUT ROWID;"
	"CREATE TABLE carried(seq INTEGER PRIMARY KEY, node INTEGER NOT NULL, user INTEGER NOT "
	"NULL,"
	" up INTEGER NOT NULL, down INTEGER NOT NULL);"
	"CREATE INDEX carried_node ON carried(node);"
	"CREATE TABLE batch(seq INTEGER PRIMARY KEY AUTOINCREMENT, ord INTEGER NOT NULL,"
	" node INTEGER NOT NULL, report_id BLOB NOT NULL UNIQUE, made INTEGER NOT NULL,"
	" in_flight INTEGER NOT NULL, refused INTEGER NOT NULL, n INTEGER NOT NULL,"
	" up INTEGER NOT NULL, down INTEGER NOT NULL, entries BLOB NOT NULL);"
	"CREATE INDEX batch_node ON batch(node, ord, seq);"
	"CREATE TABLE dead(seq INTEGER PRIMARY KEY AUTOINCREMENT, node INTEGER NOT NULL,"
	" report_id BLOB NOT NULL, made INTEGER NOT NULL, buried INTEGER NOT NULL,"
	" reason TEXT NOT NULL, n INTEGER NOT NULL, up INTEGER NOT NULL, down INTEGER NOT NULL,"
	" entries BLOB NOT NULL);"
	"PRAGMA user_version = 1;"
	"COMMIT;";

static const char *const SQL[ST_COUNT] = {
#define X(name, sql) sql,
	LEDGER_STATEMENTS(X)
#undef X
};

static int run(struct ledger *l, const char *sql)
{
	if (sqlite3_exec(l->db, sql, NULL, NULL, NULL) != SQLITE_OK) {
		int err = ledger_db_error(l);

		sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL); /* harmless outside of one */
		return err;
	}
	return 0;
}

static int schema_version(struct ledger *l, int *version)
{
	sqlite3_stmt *s;
	int err = 0;

	if (sqlite3_prepare_v2(l->db, "PRAGMA user_version", -1, &s, NULL) != SQLITE_OK)
		return ledger_db_error(l);
	if (sqlite3_step(s) == SQLITE_ROW)
		*version = sqlite3_column_int(s, 0);
	else
		err = ledger_db_error(l);
	sqlite3_finalize(s);
	return err;
}

static int prepare_all(struct ledger *l)
{
	for (int i = 0; i < ST_COUNT; i++)
		if (sqlite3_prepare_v3(l->db, SQL[i], -1, SQLITE_PREPARE_PERSISTENT, &l->st[i],
				       NULL) != SQLITE_OK)
			return ledger_db_error(l);
	return 0;
}

int ledger_db_open(struct ledger *l, const char *path)
{
	int version = 0, err;

	if (sqlite3_open_v2(path, &l->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
	    SQLITE_OK)
		return l->db ? ledger_db_error(l) : -ERR_DATABASE;
	sqlite3_busy_timeout(l->db, 5000); /* the process that handed over to us may be writing */
	err = run(l, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;");
	if (!err)
		err = schema_version(l, &version);
	if (!err && version == 0)
		err = run(l, SCHEMA);
	/* Their numbers may go along to a folder that has numbers of its own: ledger_move_in(). */
	if (!err && !l->dir)
		err = run(l, "INSERT INTO sqlite_sequence(name, seq)"
			     " VALUES('batch', CAST(strftime('%s') AS INTEGER) << 20)");
	if (!err && version > 1) {
		snprintf(l->why, sizeof(l->why), "made by a newer version (schema %d)", version);
		err = -ERR_DATABASE;
	}
	return err ? err : prepare_all(l);
}

void ledger_db_close(struct ledger *l)
{
	for (int i = 0; i < ST_COUNT; i++)
		sqlite3_finalize(l->st[i]);
	sqlite3_close(l->db);
}
