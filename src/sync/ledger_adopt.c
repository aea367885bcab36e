/* Adopting: what processes that are gone have counted (rule TR8).
 *
 * A counters file whose lock is free has lost its process.  Its pending bytes are carried, its row
 * is marked settled, both in one transaction; then the file goes.  Dying between any two steps
 * leaves a file that says by its row what is left to do:
 *
 *     row counting, file there     settle it
 *     row settled, file there      delete the file
 *     row settled, no file         delete the row
 *     no row, file there           not ours, or its database is gone: put aside, nothing charged
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "sync/ledger_impl.h"

#define STALE_ROW (24 * 3600) /* a row whose file was never made, or was deleted by hand */

struct reported {
	struct traffic t;
	uint32_t life;
};

static int load_reported(struct ledger *l, int64_t epoch, struct reported *v, uint32_t slots)
{
	sqlite3_stmt *s = ledger_stmt(l, ST_REPORTED_LIST);
	int err;

	ledger_bind(s, 1, epoch);
	while ((err = ledger_row(l, s)) > 0) {
		int64_t slot = sqlite3_column_int64(s, 0);

		if (slot < 0 || slot >= slots)
			continue; /* the file's end did not survive a power loss */
		v[slot].life = (uint32_t)sqlite3_column_int64(s, 1);
		v[slot].t.up = (uint64_t)sqlite3_column_int64(s, 2);
		v[slot].t.down = (uint64_t)sqlite3_column_int64(s, 3);
	}
	return err;
}

static int carry_all(struct ledger *l, const struct counters *c, const struct reported *v)
{
	struct counters_owner owner;
	struct traffic t;
	int err = 0;

	for (uint32_t i = 0; i < counters_slots(c) && !err; i++) {
		counters_owner(c, i, &owner);
		/* Only a power loss makes the file older than the database.  An owner who has been
		 * settled since has no claim; counters behind what was reported have nothing new.
		 */
		if (owner.user <= 0 || owner.life < v[i].life)
			continue;
		counters_total(c, i, &t);
		t.up = ledger_sub(t.up, v[i].t.up);
		t.down = ledger_sub(t.down, v[i].t.down);
		err = ledger_carry(l, owner.node, owner.user, &t);
	}
	return err;
}

static int with_number(struct ledger *l, enum ledger_statement which, int64_t num)
{
	sqlite3_stmt *s = ledger_stmt(l, which);

	ledger_bind(s, 1, num);
	return ledger_exec(l, s);
}

static int close_epoch(struct ledger *l, int64_t epoch)
{
	int err = with_number(l, ST_REPORTED_DROP, epoch);

	return err ? err : with_number(l, ST_EPOCH_SETTLED, epoch);
}

static int settle_file(struct ledger *l, const struct counters *c, int64_t epoch)
{
	struct reported *v = calloc(counters_slots(c) + 1, sizeof(*v));
	int err;

	if (!v)
		return -ENOMEM;
	err = ledger_begin(l);
	if (!err) {
		err = load_reported(l, epoch, v, counters_slots(c));
		if (!err)
			err = carry_all(l, c, v);
		if (!err)
			err = close_epoch(l, epoch);
		err = ledger_end(l, err);
	}
	free(v);
	return err;
}

/* 1: found, 0: not, or an error. */
static int find_epoch(struct ledger *l, const uint8_t *name, int64_t *num, int *state)
{
	sqlite3_stmt *s = ledger_stmt(l, ST_EPOCH_FIND);
	int err;

	ledger_bind_blob(s, 1, name, COUNTERS_EPOCH_LEN);
	err = ledger_row(l, s);
	if (err > 0) {
		*num = sqlite3_column_int64(s, 0);
		*state = sqlite3_column_int(s, 1);
		sqlite3_reset(s);
	}
	sqlite3_clear_bindings(s);
	return err;
}

static void put_aside(struct ledger *l, const char *path, const char *name, const char *what)
{
	char to[PATH_MAX];

	snprintf(to, sizeof(to), "%s/%s-%s", l->dir, what, name);
	snprintf(l->why, sizeof(l->why), "%s is %s and was put aside", name, what);
	if (rename(path, to) < 0)
		log_msg(LOG_ERROR, "ledger", "%s is %s and cannot be put aside: %s", path, what,
			err_text(-errno));
	else
		log_msg(LOG_ERROR, "ledger", "%s: kept as %s-%s, nothing of it is reported", l->why,
			what, name);
}

/* 1: settled, 0: nothing to do or put aside, or an error. */
static int adopt_file(struct ledger *l, const char *name)
{
	char path[PATH_MAX];
	struct counters *c;
	int64_t num = 0;
	int state = 0, err;

	snprintf(path, sizeof(path), "%s/%s", l->dir, name);
	err = counters_open(path, &c);
	if (err == -EWOULDBLOCK || err == -ENOENT)
		return 0; /* its process lives; or was quicker than we */
	if (err == -ERR_MALFORMED) {
		put_aside(l, path, name, "damaged");
		return 0;
	}
	if (err)
		return err;
	err = find_epoch(l, c->epoch, &num, &state);
	if (err == 0) {
		put_aside(l, path, name, "foreign");
	} else if (err > 0) {
		err = state == EPOCH_COUNTING ? settle_file(l, c, num) : 0;
		if (!err) {
			unlink(path); /* if it stays, its row says that it is settled */
			err = 1;
		}
	}
	counters_free(c);
	return err;
}

/* The next row, after *num, that may be of no more use. */
static int next_row(struct ledger *l, int64_t *num, uint8_t *name)
{
	sqlite3_stmt *s = ledger_stmt(l, ST_EPOCH_LIST);
	int err;

	ledger_bind(s, 1, *num);
	ledger_bind(s, 2, ledger_clock() - STALE_ROW);
	err = ledger_row(l, s);
	if (err <= 0)
		return err;
	*num = sqlite3_column_int64(s, 0);
	if (sqlite3_column_bytes(s, 1) == COUNTERS_EPOCH_LEN)
		memcpy(name, sqlite3_column_blob(s, 1), COUNTERS_EPOCH_LEN);
	else
		memset(name, 0, COUNTERS_EPOCH_LEN);
	sqlite3_reset(s);
	return 1;
}

/* Only who is surely not there is gone: without its row a file is nobody's, and its bytes too. */
static bool is_gone(const char *path)
{
	return access(path, F_OK) < 0 && errno == ENOENT;
}

static int drop_rows(struct ledger *l)
{
	uint8_t name[COUNTERS_EPOCH_LEN];
	char path[PATH_MAX], draft[PATH_MAX + 4];
	int64_t num = 0;
	int err;

	while ((err = next_row(l, &num, name)) > 0) {
		ledger_path(l, LEDGER_FILE, name, path, sizeof(path));
		if (num == l->epoch || !is_gone(path))
			continue;
		snprintf(draft, sizeof(draft), "%s.new", path);
		unlink(draft); /* of a process that died while it made the file */
		err = with_number(l, ST_REPORTED_DROP, num);
		if (!err)
			err = with_number(l, ST_EPOCH_DROP, num);
		if (err)
			break;
	}
	return err;
}

/* Not the ".new" of a process that is starting right now. */
static bool is_ours(const char *name)
{
	size_t prefix = strlen(LEDGER_FILE);

	return strncmp(name, LEDGER_FILE, prefix) == 0 &&
	       strlen(name) == prefix + (size_t)2 * COUNTERS_EPOCH_LEN;
}

int ledger_adopt(struct ledger *l)
{
	struct dirent *e;
	int settled = 0, err = 0;
	DIR *d;

	if (!l->dir)
		return 0;
	d = opendir(l->dir);
	if (!d)
		return -errno;
	while (err >= 0 && (e = readdir(d))) {
		if (!is_ours(e->d_name))
			continue;
		err = adopt_file(l, e->d_name);
		settled += err > 0;
	}
	closedir(d);
	if (err >= 0)
		err = drop_rows(l);
	return err < 0 ? err : settled;
}
