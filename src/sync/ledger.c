#include "sync/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "crypto/random.h"
#include "sync/ledger_impl.h"

const char *ledger_error(const struct ledger *l)
{
	return l->why;
}

struct counters *ledger_counters(struct ledger *l)
{
	return l->counters;
}

int ledger_sync_counters(struct ledger *l)
{
	return counters_sync(l->counters);
}

void ledger_path(const struct ledger *l, const char *prefix, const uint8_t *epoch, char *out,
		 size_t size)
{
	int n = snprintf(out, size, "%s/%s", l->dir, prefix);

	for (int i = 0; i < COUNTERS_EPOCH_LEN && n > 0 && (size_t)n + 2 < size; i++)
		n += snprintf(out + n, size - (size_t)n, "%02x", epoch[i]);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Ours alone: SQLite gives its side files the mode of the database. */
static int make_private(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* A file that is not in its directory after a power loss has not been synced at all. */
static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return err;
}

int ledger_open_db(struct ledger *l)
{
	char path[PATH_MAX];
	int err;

	if (!l->dir)
		return ledger_db_open(l, ":memory:");
	snprintf(path, sizeof(path), "%s/ledger.db", l->dir);
	err = make_private(path);
	return err ? err : ledger_db_open(l, path);
}

/* The row first, then the file: a file without a row is none of ours, or has been settled. */
static int start_epoch(struct ledger *l, unsigned workers)
{
	uint8_t name[COUNTERS_EPOCH_LEN];
	char path[PATH_MAX];
	sqlite3_stmt *s;
	int err;

	random_bytes(name, sizeof(name));
	s = ledger_stmt(l, ST_EPOCH_ADD);
	ledger_bind_blob(s, 1, name, sizeof(name));
	ledger_bind(s, 2, ledger_clock());
	err = ledger_exec(l, s);
	if (err)
		return err;
	l->epoch = sqlite3_last_insert_rowid(l->db);
	if (!l->dir)
		return counters_create(NULL, name, workers, &l->counters);
	ledger_path(l, LEDGER_FILE, name, path, sizeof(path));
	err = counters_create(path, name, workers, &l->counters);
	return err ? err : sync_dir(l->dir);
}

static int open_all(struct ledger *l, unsigned workers)
{
	int err = ledger_open_db(l);

	if (!err && l->dir)
		err = ledger_adopt(l);
	return err < 0 ? err : start_epoch(l, workers);
}

int ledger_open(const char *dir, unsigned workers, struct ledger **out, char why[LEDGER_WHY_MAX])
{
	struct ledger *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	if (dir && strlen(dir) > PATH_MAX - 128) {
		free(l);
		return -ENAMETOOLONG;
	}
	l->dir = dir ? strdup(dir) : NULL;
	err = dir && !l->dir ? -ENOMEM : open_all(l, workers);
	if (why)
		snprintf(why, LEDGER_WHY_MAX, "%s", *l->why || !err ? l->why : err_text(err));
	if (err) {
		ledger_close(l);
		return err;
	}
	*out = l;
	return 0;
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	counters_free(l->counters);
	ledger_db_close(l);
	free(l->reported);
	free(l->dir);
	free(l);
}

int ledger_node(struct ledger *l, const char *url, int64_t id, const char *type, uint32_t *node)
{
	enum ledger_statement steps[] = {ST_NODE_FIND, ST_NODE_ADD, ST_NODE_FIND};
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		sqlite3_stmt *s = ledger_stmt(l, steps[i]);

		ledger_bind_text(s, 1, url);
		ledger_bind(s, 2, id);
		ledger_bind_text(s, 3, type);
		err = ledger_row(l, s);
		if (err > 0) {
			*node = (uint32_t)sqlite3_column_int64(s, 0);
			sqlite3_reset(s);
			return 0;
		}
		if (err < 0)
			return err;
	}
	return -ERR_DATABASE;
}

/* ---- steps ------------------------------------------------------------------------------- */

int ledger_set_reported(struct ledger *l, int64_t epoch, uint32_t slot, uint32_t life,
			const struct traffic *t)
{
	sqlite3_stmt *s = ledger_stmt(l, ST_REPORTED_SET);

	if (!epoch) /* no file that somebody would read with it */
		return 0;
	ledger_bind(s, 1, epoch);
	ledger_bind(s, 2, slot);
	ledger_bind(s, 3, life);
	ledger_bind(s, 4, (int64_t)t->up);
	ledger_bind(s, 5, (int64_t)t->down);
	return ledger_exec(l, s);
}

/* In as many rows as numbers of 63 bits take. */
int ledger_carry(struct ledger *l, uint32_t node, int64_t user, const struct traffic *t)
{
	struct traffic left = *t;
	int err = 0;

	while ((left.up || left.down) && !err) {
		uint64_t up = MIN(left.up, (uint64_t)LEDGER_VALUE_MAX);
		uint64_t down = MIN(left.down, (uint64_t)LEDGER_VALUE_MAX);
		sqlite3_stmt *s = ledger_stmt(l, ST_CARRIED_ADD);

		ledger_bind(s, 1, node);
		ledger_bind(s, 2, user);
		ledger_bind(s, 3, (int64_t)up);
		ledger_bind(s, 4, (int64_t)down);
		err = ledger_exec(l, s);
		left.up -= up;
		left.down -= down;
	}
	return err;
}

int ledger_cover_slots(struct ledger *l)
{
	uint32_t n = counters_slots(l->counters), cap = l->reported_cap;
	struct traffic *more;

	if (n <= cap)
		return 0;
	cap = (n + COUNTERS_SEG_SLOTS - 1) / COUNTERS_SEG_SLOTS * COUNTERS_SEG_SLOTS;
	more = reallocarray(l->reported, cap, sizeof(*more));
	if (!more)
		return -ENOMEM;
	memset(more + l->reported_cap, 0, (cap - l->reported_cap) * sizeof(*more));
	l->reported = more;
	l->reported_cap = cap;
	return 0;
}

void ledger_pending(const struct ledger *l, uint32_t slot, struct traffic *out)
{
	struct traffic t;

	counters_total(l->counters, slot, &t);
	if (slot < l->reported_cap) {
		t.up -= l->reported[slot].up;
		t.down -= l->reported[slot].down;
	}
	*out = t;
}

/* ---- leaving: settle --------------------------------------------------------------------- */

static int settle_slot(struct ledger *l, uint32_t slot, struct traffic *total)
{
	struct counters_owner owner;
	struct traffic pending;
	int err;

	counters_owner(l->counters, slot, &owner);
	counters_total(l->counters, slot, total);
	pending = (struct traffic){total->up - l->reported[slot].up,
				   total->down - l->reported[slot].down};
	err = ledger_carry(l, owner.node, owner.user, &pending);
	if (err)
		return err;
	/* The next life: should the file be older than this row after a power loss, then it names
	 * an owner who has nothing to do with what is counted there by then.
	 */
	return ledger_set_reported(l, l->epoch, slot, owner.life + 1, total);
}

int ledger_settle(void *ledger, const uint32_t *slots, size_t n)
{
	struct ledger *l = ledger;
	struct traffic *totals;
	int err;

	if (!n)
		return 0;
	totals = calloc(n, sizeof(*totals));
	if (!totals || ledger_cover_slots(l) < 0) {
		free(totals);
		return -ENOMEM;
	}
	err = ledger_begin(l);
	if (!err) {
		for (size_t i = 0; i < n && !err; i++)
			err = settle_slot(l, slots[i], &totals[i]);
		err = ledger_end(l, err);
	}
	for (size_t i = 0; i < n && !err; i++)
		l->reported[slots[i]] = totals[i];
	free(totals);
	return err;
}

/* ---- questions --------------------------------------------------------------------------- */

static int sum_rows(struct ledger *l, enum ledger_statement which, uint32_t node, int column,
		    struct traffic *sum, uint32_t *rows)
{
	sqlite3_stmt *s = ledger_stmt(l, which);
	int err;

	ledger_bind(s, 1, node);
	if (which == ST_BATCH_LIST)
		ledger_bind(s, 2, -1);
	while ((err = ledger_row(l, s)) > 0) {
		sum->up = ledger_add(sum->up, (uint64_t)sqlite3_column_int64(s, column));
		sum->down = ledger_add(sum->down, (uint64_t)sqlite3_column_int64(s, column + 1));
		++*rows;
	}
	return err;
}

int ledger_totals(struct ledger *l, uint32_t node, struct ledger_totals *out)
{
	struct ledger_totals t = {0};
	struct counters_owner owner;
	struct traffic p;
	uint32_t carried = 0;
	int err;

	for (uint32_t i = 0; i < counters_slots(l->counters); i++) {
		counters_owner(l->counters, i, &owner);
		if (!owner.user || owner.node != node)
			continue;
		ledger_pending(l, i, &p);
		t.users += p.up || p.down;
		t.pending.up = ledger_add(t.pending.up, p.up);
		t.pending.down = ledger_add(t.pending.down, p.down);
	}
	err = sum_rows(l, ST_CARRIED_LIST, node, 2, &t.carried, &carried);
	if (!err)
		err = sum_rows(l, ST_BATCH_LIST, node, 7, &t.frozen, &t.batches);
	if (!err)
		err = sum_rows(l, ST_DEAD_LIST, node, 0, &t.dead, &t.dead_letters);
	if (err)
		return err;
	t.users += carried;
	*out = t;
	return 0;
}
