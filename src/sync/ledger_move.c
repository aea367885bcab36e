/* Moving in: a ledger that began in memory, because there was no room on the disk, gets its folder.
 *
 * Workers count for numbers of nodes that the memory gave, and pushes are under way for its batches, so
 * those numbers stay: what the folder's database knows is renumbered around them.  All of it is one
 * transaction of the folder's database; before it the memory counts, after it the folder.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/ledger_impl.h"

#define BEYOND ((int64_t)1 << 32) /* no node's number */

static int fail(struct ledger *to, struct ledger *from)
{
	const char *text = sqlite3_errmsg(to->db);

	snprintf(from->why, sizeof(from->why), "%s", text);
	return ledger_db_error(to);
}

/* Every row of `select` there, into `insert` here, column by column. */
static int copy(struct ledger *to, const char *insert, struct ledger *from, const char *select)
{
	sqlite3_stmt *in = NULL, *out = NULL;
	int rc = sqlite3_prepare_v2(from->db, select, -1, &out, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(to->db, insert, -1, &in, NULL);
	while (rc == SQLITE_OK && sqlite3_step(out) == SQLITE_ROW) {
		for (int i = 0; i < sqlite3_column_count(out); i++)
			sqlite3_bind_value(in, i + 1, sqlite3_column_value(out, i));
		sqlite3_step(in);
		rc = sqlite3_reset(in);
	}
	if (sqlite3_reset(out) != SQLITE_OK && rc == SQLITE_OK)
		rc = SQLITE_ERROR;
	sqlite3_finalize(in);
	sqlite3_finalize(out);
	return rc == SQLITE_OK ? 0 : fail(to, from);
}

static int with_two(struct ledger *to, struct ledger *from, const char *sql, int64_t a, int64_t b)
{
	sqlite3_stmt *s;
	int rc = sqlite3_prepare_v2(to->db, sql, -1, &s, NULL);

	if (rc == SQLITE_OK) {
		sqlite3_bind_int64(s, 1, a);
		sqlite3_bind_int64(s, 2, b);
		sqlite3_step(s);
		rc = sqlite3_finalize(s);
	}
	return rc == SQLITE_OK ? 0 : fail(to, from);
}

static int renumber(struct ledger *to, struct ledger *from, int64_t was, int64_t is)
{
	static const char *const steps[] = {
		"UPDATE node SET num=?2 WHERE num=?1",
		"UPDATE carried SET node=?2 WHERE node=?1",
		"UPDATE batch SET node=?2 WHERE node=?1",
		"UPDATE dead SET node=?2 WHERE node=?1",
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(steps) && !err; i++)
		err = with_two(to, from, steps[i], was, is);
	return err;
}

/* The one number that a question has for answer; 0: none. */
static int64_t number(struct ledger *to, const char *sql, struct ledger *from, sqlite3_stmt *key)
{
	int64_t n = 0;
	sqlite3_stmt *s;

	if (sqlite3_prepare_v2(to->db, sql, -1, &s, NULL) != SQLITE_OK)
		return 0;
	for (int i = 0; key && i < sqlite3_bind_parameter_count(s); i++)
		sqlite3_bind_value(s, i + 1, sqlite3_column_value(key, i + 1));
	if (sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return n;
}

/* Out of the way, all of them, with everything that is theirs. */
static int step_aside(struct ledger *to, struct ledger *from)
{
	static const char next[] = "SELECT max(num) FROM node WHERE num < 4294967296";
	int64_t num;
	int err = 0;

	while (!err && (num = number(to, next, from, NULL)) != 0)
		err = renumber(to, from, num, num + BEYOND);
	return err;
}

/* Each of ours takes its number, and what is its from before. */
static int take_numbers(struct ledger *to, struct ledger *from)
{
	static const char same[] = "SELECT num FROM node WHERE url=?1 AND id=?2 AND type=?3";
	static const char ours[] = "SELECT num, url, id, type FROM node";
	sqlite3_stmt *s;
	int err = 0;

	if (sqlite3_prepare_v2(from->db, ours, -1, &s, NULL) != SQLITE_OK)
		return fail(from, from);
	while (!err && sqlite3_step(s) == SQLITE_ROW) {
		int64_t there = number(to, same, from, s);

		if (there)
			err = renumber(to, from, there, sqlite3_column_int64(s, 0));
	}
	sqlite3_finalize(s);
	return err ? err
		   : copy(to,
			  "INSERT OR IGNORE INTO node(num, url, id, type) VALUES(?1, ?2, ?3, ?4)",
			  from, ours);
}

static int number_the_rest(struct ledger *to, struct ledger *from)
{
	static const char waiting[] = "SELECT max(num) FROM node WHERE num >= 4294967296";
	static const char last[] = "SELECT max(num) FROM node WHERE num < 4294967296";
	int64_t num;
	int err = 0;

	while (!err && (num = number(to, waiting, from, NULL)) != 0)
		err = renumber(to, from, num, number(to, last, from, NULL) + 1);
	return err;
}

static int move_rows(struct ledger *to, struct ledger *from)
{
	int err = step_aside(to, from);

	if (!err)
		err = take_numbers(to, from);
	if (!err)
		err = number_the_rest(to, from);
	if (!err)
		err = copy(to, "INSERT INTO carried(node, user, up, down) VALUES(?1, ?2, ?3, ?4)",
			   from, "SELECT node, user, up, down FROM carried ORDER BY seq");
	/* Behind those that wait already, in their order, under their own numbers. */
	if (!err)
		err = copy(
			to,
			"INSERT INTO batch(seq, node, report_id, made, in_flight, refused, n, up, down,"
			" entries, ord) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
			" (SELECT coalesce(max(ord), 0) + 1 FROM batch))",
			from,
			"SELECT seq, node, report_id, made, in_flight, refused, n, up, down, entries"
			" FROM batch ORDER BY ord, seq");
	if (!err)
		err = copy(
			to,
			"INSERT INTO dead(node, report_id, made, buried, reason, n, up, down, entries)"
			" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
			from,
			"SELECT node, report_id, made, buried, reason, n, up, down, entries FROM dead"
			" ORDER BY seq");
	return err;
}

/* What the folder has is settled first: the numbers in its counters files are the old ones. */
static int move(struct ledger *to, struct ledger *from)
{
	int err = ledger_open_db(to);

	if (!err) {
		err = ledger_adopt(to);
		err = MIN(err, 0);
	}
	if (!err)
		err = ledger_begin(to);
	if (err) {
		snprintf(from->why, sizeof(from->why), "%s", to->why);
		return err;
	}
	return ledger_end(to, move_rows(to, from));
}

int ledger_move_in(struct ledger *l, const char *dir)
{
	struct ledger home = {.dir = strdup(dir)};
	int err = home.dir ? move(&home, l) : -ENOMEM;

	if (err) {
		ledger_db_close(&home);
		free(home.dir);
		return err;
	}
	ledger_db_close(l);
	l->db = home.db;
	memcpy(l->st, home.st, sizeof(l->st));
	l->dir = home.dir;
	l->epoch = 0;
	return 0;
}

bool ledger_in_memory(const struct ledger *l)
{
	return !l->dir;
}
