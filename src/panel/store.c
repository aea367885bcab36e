/* The file: opening, migrating, statements, transactions. */
#include "panel/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "panel/store_sql.h"

#define BUSY_MS 10000 /* how long we wait for another process that writes */

/* Each entry takes the file from the version that is its index to the next one.  Never edit one
 * that has been released: append.
 */
static const char *const migrations[] = {
	"CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE gen (one INTEGER PRIMARY KEY CHECK (one = 1), users INTEGER NOT NULL,"
	"  nodes INTEGER NOT NULL);"
	"INSERT INTO gen VALUES (1, 1, 1);"

	/* AUTOINCREMENT: the id of a person who left is never given to another, who would inherit
	 * what nodes still have to report for the first. */
	"CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,"
	"  credential TEXT NOT NULL UNIQUE, speed_mbps REAL NOT NULL, device_limit INTEGER NOT "
	"NULL,"
	"  conn_limit INTEGER NOT NULL, quota INTEGER NOT NULL, expire INTEGER NOT NULL,"
	"  enabled INTEGER NOT NULL, up INTEGER NOT NULL DEFAULT 0, down INTEGER NOT NULL DEFAULT "
	"0,"
	"  created INTEGER NOT NULL);"
	"CREATE TABLE nodes (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,"
	"  type TEXT NOT NULL, host TEXT NOT NULL, port TEXT NOT NULL, token TEXT NOT NULL UNIQUE,"
	"  enabled INTEGER NOT NULL, settings TEXT NOT NULL, up INTEGER NOT NULL DEFAULT 0,"
	"  down INTEGER NOT NULL DEFAULT 0, ignored INTEGER NOT NULL DEFAULT 0,"
	"  created INTEGER NOT NULL);"
	"CREATE TABLE traffic (user INTEGER NOT NULL, node INTEGER NOT NULL, up INTEGER NOT NULL,"
	"  down INTEGER NOT NULL, PRIMARY KEY (user, node)) WITHOUT ROWID;"
	"CREATE TABLE push_keys (seq INTEGER PRIMARY KEY AUTOINCREMENT, node INTEGER NOT NULL,"
	"  key TEXT NOT NULL, at INTEGER NOT NULL, applied INTEGER NOT NULL DEFAULT 0,"
	"  ignored INTEGER NOT NULL DEFAULT 0, UNIQUE (node, key));"

	/* What nodes are told changes the generation, and so do totals, but only where they cross
	 * the quota. */
	"CREATE TRIGGER user_added AFTER INSERT ON users"
	"  BEGIN UPDATE gen SET users = users + 1; END;"
	"CREATE TRIGGER user_removed AFTER DELETE ON users BEGIN"
	"  UPDATE gen SET users = users + 1; DELETE FROM traffic WHERE user = OLD.id; END;"
	"CREATE TRIGGER user_changed AFTER UPDATE OF credential, speed_mbps, device_limit, "
	"conn_limit,"
	"  quota, expire, enabled ON users BEGIN UPDATE gen SET users = users + 1; END;"
	"CREATE TRIGGER user_crossed AFTER UPDATE OF up, down ON users"
	"  WHEN NEW.quota > 0 AND (NEW.up + NEW.down >= NEW.quota) != (OLD.up + OLD.down >= "
	"NEW.quota)"
	"  BEGIN UPDATE gen SET users = users + 1; END;"
	"CREATE TRIGGER node_added AFTER INSERT ON nodes"
	"  BEGIN UPDATE gen SET nodes = nodes + 1; END;"
	"CREATE TRIGGER node_removed AFTER DELETE ON nodes BEGIN"
	"  UPDATE gen SET nodes = nodes + 1; DELETE FROM traffic WHERE node = OLD.id;"
	"  DELETE FROM push_keys WHERE node = OLD.id; END;"
	"CREATE TRIGGER node_changed AFTER UPDATE OF name, type, host, port, token, enabled, "
	"settings"
	"  ON nodes BEGIN UPDATE gen SET nodes = nodes + 1; END;",
};

int store_failed(struct store *s)
{
	switch (sqlite3_extended_errcode(s->db)) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return -EEXIST;
	default:
		break;
	}
	switch (sqlite3_errcode(s->db)) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	default:
		return -ERR_DATABASE;
	}
}

const char *store_error(const struct store *s)
{
	return sqlite3_errmsg(s->db);
}

sqlite3_stmt *store_query(struct store *s, enum query q, const char *sql)
{
	sqlite3_stmt *st = s->stmt[q];

	if (st) {
		sqlite3_clear_bindings(st);
		return st;
	}
	if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) != SQLITE_OK)
		return NULL;
	s->stmt[q] = st;
	return st;
}

sqlite3_stmt *store_query_id(struct store *s, enum query q, const char *sql, int64_t id)
{
	sqlite3_stmt *st = store_query(s, q, sql);

	if (st)
		sqlite3_bind_int64(st, 1, id);
	return st;
}

sqlite3_stmt *store_query_page(struct store *s, enum query q, const char *sql, int64_t after,
			       size_t limit)
{
	sqlite3_stmt *st = store_query_id(s, q, sql, after);

	if (st)
		sqlite3_bind_int64(st, 2, limit ? (sqlite3_int64)limit : -1);
	return st;
}

int store_step(struct store *s, sqlite3_stmt *st)
{
	int rc = st ? sqlite3_step(st) : SQLITE_ERROR;

	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : store_failed(s);
}

int store_step_one(struct store *s, sqlite3_stmt *st)
{
	int got = store_step(s, st);

	return got > 0 ? 0 : got < 0 ? got : -ENOENT;
}

int store_run(struct store *s, sqlite3_stmt *st)
{
	int err = store_step(s, st);

	sqlite3_reset(st);
	return MIN(err, 0);
}

int store_run_on_row(struct store *s, sqlite3_stmt *st)
{
	int err = store_run(s, st);

	return err ? err : sqlite3_changes(s->db) ? 0 : -ENOENT;
}

void store_text(sqlite3_stmt *st, int col, char *out, size_t cap)
{
	const char *text = (const char *)sqlite3_column_text(st, col);
	size_t len = text ? strlen(text) : 0;

	len = MIN(len, cap - 1);
	if (len)
		memcpy(out, text, len);
	out[len] = '\0';
}

int store_begin(struct store *s)
{
	return store_run(s, store_query(s, Q_BEGIN, "BEGIN IMMEDIATE"));
}

int store_commit(struct store *s)
{
	return store_run(s, store_query(s, Q_COMMIT, "COMMIT"));
}

void store_rollback(struct store *s)
{
	/* SQLite has ended the transaction itself after some errors. */
	if (!sqlite3_get_autocommit(s->db) &&
	    store_run(s, store_query(s, Q_ROLLBACK, "ROLLBACK")) < 0)
		sqlite3_interrupt(s->db);
}

static int store_version(struct store *s, int *out)
{
	sqlite3_stmt *st;

	if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &st, NULL) != SQLITE_OK)
		return store_failed(s);
	if (sqlite3_step(st) != SQLITE_ROW) {
		sqlite3_finalize(st);
		return store_failed(s);
	}
	*out = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return 0;
}

static int store_exec(struct store *s, const char *sql)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_failed(s);
}

/* Inside a transaction: two processes may open a new file at the same moment. */
static int store_migrate(struct store *s, struct fault *why)
{
	char sql[64];
	int version = 0, err;

	err = store_version(s, &version);
	if (err)
		return err;
	if (version > (int)ARRAY_LEN(migrations)) {
		fault_set(why, "the database is of version %d; this program knows up to %zu",
			  version, ARRAY_LEN(migrations));
		return -ERR_UNSUPPORTED;
	}
	for (; !err && version < (int)ARRAY_LEN(migrations); version++)
		err = store_exec(s, migrations[version]);
	if (err)
		return err;
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", version);
	return store_exec(s, sql);
}

static int store_setup(struct store *s, struct fault *why)
{
	int err;

	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	/* FULL: a node drops its batch once we have said 200, so 200 must mean that it is on disk.
	 */
	err = store_exec(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			    "PRAGMA foreign_keys = ON; PRAGMA cache_size = -32768;"
			    "PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = OFF");
	if (!err)
		err = store_begin(s);
	if (err)
		return err;
	err = store_migrate(s, why);
	if (!err)
		return store_commit(s);
	store_rollback(s);
	return err;
}

/* Tokens and credentials lie in it: nobody else may ever have been able to read it.  A file that
 * is there is left alone: closing any descriptor of it would drop the locks of every connection
 * that this process already has to it, and the next program to end would then believe itself the
 * last one and take the write-ahead log away from under us.
 */
static int store_create(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno == EEXIST ? 0 : -errno;
	close(fd);
	return 0;
}

int store_open(const char *path, struct store **out, struct fault *why)
{
	struct store *s = calloc(1, sizeof(*s));
	int err;

	if (!s) {
		fault_set(why, "%s", err_text(-ENOMEM));
		return -ENOMEM;
	}
	err = store_create(path);
	if (err) {
		fault_set(why, "%s", err_text(err));
		free(s);
		return err;
	}
	why->text[0] = '\0';
	if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK)
		err = s->db ? store_failed(s) : -ENOMEM;
	else
		err = store_setup(s, why);
	if (!err) {
		*out = s;
		return 0;
	}
	if (!why->text[0])
		fault_set(why, "%s", s->db ? store_error(s) : err_text(-ENOMEM));
	store_close(s);
	return err;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	for (int q = 0; q < QUERIES; q++)
		sqlite3_finalize(s->stmt[q]);
	sqlite3_close(s->db);
	free(s);
}

int store_gen(struct store *s, struct store_gen *out)
{
	sqlite3_stmt *st = store_query(s, Q_GEN, "SELECT users, nodes FROM gen");
	int err = store_step_one(s, st);

	if (!err) {
		out->users = sqlite3_column_int64(st, 0);
		out->nodes = sqlite3_column_int64(st, 1);
	}
	sqlite3_reset(st);
	return err;
}

int store_note_get(struct store *s, const char *name, char *out, size_t cap)
{
	sqlite3_stmt *st = store_query(s, Q_NOTE_GET, "SELECT value FROM notes WHERE name = ?1");
	int err;

	if (st)
		sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	err = store_step_one(s, st);
	if (!err)
		store_text(st, 0, out, cap);
	sqlite3_reset(st);
	return err;
}

int store_note_set(struct store *s, const char *name, const char *value)
{
	sqlite3_stmt *st =
		store_query(s, Q_NOTE_SET, "INSERT OR REPLACE INTO notes VALUES (?1, ?2)");

	if (st) {
		sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
		sqlite3_bind_text(st, 2, value, -1, SQLITE_STATIC);
	}
	return store_run(s, st);
}
