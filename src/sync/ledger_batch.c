/* Batches: what waits for a panel, and what becomes of it (rules TR3 - TR7). */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "sync/ledger_impl.h"

#define ENTRY_SIZE 24
#define DEAD_KEEP  1000 /* dead letters; older ones go */

static int read_head(sqlite3_stmt *s, struct ledger_batch *b)
{
	*b = (struct ledger_batch){
		.seq = sqlite3_column_int64(s, 0),
		.node = (uint32_t)sqlite3_column_int64(s, 1),
		.created = sqlite3_column_int64(s, 3),
		.in_flight = sqlite3_column_int(s, 4) & 1,
		.doubt = sqlite3_column_int(s, 4) & 2,
		.refused = (uint32_t)sqlite3_column_int(s, 5),
		.n = (uint32_t)sqlite3_column_int64(s, 6),
		.total = {(uint64_t)sqlite3_column_int64(s, 7),
			  (uint64_t)sqlite3_column_int64(s, 8)},
	};
	if (sqlite3_column_bytes(s, 2) != LEDGER_ID_LEN)
		return -ERR_DATABASE;
	memcpy(b->report_id, sqlite3_column_blob(s, 2), LEDGER_ID_LEN);
	return 0;
}

int ledger_batches(struct ledger *l, uint32_t node, struct ledger_batch *out, size_t max)
{
	sqlite3_stmt *s = ledger_stmt(l, ST_BATCH_LIST);
	size_t n = 0;
	int err;

	ledger_bind(s, 1, node);
	ledger_bind(s, 2, (int64_t)MIN(max, (size_t)INT32_MAX));
	while ((err = ledger_row(l, s)) > 0) {
		err = n < max ? read_head(s, &out[n]) : -ERR_DATABASE;
		if (err) {
			sqlite3_reset(s);
			return err;
		}
		n++;
	}
	return err ? err : (int)n;
}

static int read_entries(sqlite3_stmt *s, struct ledger_batch *b)
{
	const uint8_t *body = sqlite3_column_blob(s, 10);
	uint64_t v[3];

	if (!b->n || (size_t)sqlite3_column_bytes(s, 10) != b->n * (size_t)ENTRY_SIZE)
		return -ERR_DATABASE;
	b->entries = calloc(b->n, sizeof(*b->entries));
	if (!b->entries)
		return -ENOMEM;
	for (uint32_t i = 0; i < b->n; i++) {
		memcpy(v, body + (size_t)i * ENTRY_SIZE, ENTRY_SIZE);
		b->entries[i] =
			(struct ledger_entry){(int64_t)le64toh(v[0]), le64toh(v[1]), le64toh(v[2])};
	}
	return 0;
}

static int load(struct ledger *l, int64_t seq, struct ledger_batch *out, int64_t *ord)
{
	sqlite3_stmt *s = ledger_stmt(l, ST_BATCH_LOAD);
	struct ledger_batch b;
	int err;

	ledger_bind(s, 1, seq);
	err = ledger_row(l, s);
	if (err <= 0)
		return err ? err : -ENOENT;
	err = read_head(s, &b);
	if (!err)
		err = read_entries(s, &b);
	*ord = sqlite3_column_int64(s, 9);
	sqlite3_reset(s);
	if (!err)
		*out = b;
	return err;
}

int ledger_load(struct ledger *l, int64_t seq, struct ledger_batch *out)
{
	int64_t ord;

	return load(l, seq, out, &ord);
}

void ledger_batch_done(struct ledger_batch *b)
{
	free(b->entries);
	b->entries = NULL;
}

/* One statement about one batch. */
static int change(struct ledger *l, enum ledger_statement which, int64_t seq)
{
	sqlite3_stmt *s = ledger_stmt(l, which);
	int err;

	ledger_bind(s, 1, seq);
	err = ledger_exec(l, s);
	if (err)
		return err;
	return sqlite3_changes(l->db) ? 0 : -ENOENT;
}

int ledger_sending(struct ledger *l, int64_t seq)
{
	return change(l, ST_BATCH_SENDING, seq);
}

int ledger_ack(struct ledger *l, int64_t seq)
{
	return change(l, ST_BATCH_DROP, seq);
}

int ledger_failed(struct ledger *l, int64_t seq)
{
	return change(l, ST_BATCH_FAILED, seq);
}

int ledger_refused(struct ledger *l, int64_t seq)
{
	sqlite3_stmt *s;
	int times, err;

	err = change(l, ST_BATCH_REFUSED, seq);
	if (err)
		return err;
	s = ledger_stmt(l, ST_BATCH_REFUSALS);
	ledger_bind(s, 1, seq);
	err = ledger_row(l, s);
	if (err <= 0)
		return err ? err : -ENOENT;
	times = sqlite3_column_int(s, 0);
	sqlite3_reset(s);
	return times;
}

static int split_locked(struct ledger *l, const struct ledger_batch *b, int64_t ord)
{
	uint32_t half = b->n / 2;
	int err;

	err = ledger_add_batch(l, b->node, ord, b->entries, half);
	if (!err)
		err = ledger_add_batch(l, b->node, ord, b->entries + half, b->n - half);
	return err ? err : change(l, ST_BATCH_DROP, b->seq);
}

int ledger_split(struct ledger *l, int64_t seq)
{
	struct ledger_batch b;
	int64_t ord;
	int err;

	err = load(l, seq, &b, &ord);
	if (err)
		return err;
	if (b.n < 2) {
		err = -EINVAL;
	} else {
		err = ledger_begin(l);
		if (!err)
			err = ledger_end(l, split_locked(l, &b, ord));
	}
	ledger_batch_done(&b);
	return err;
}

static int bury_locked(struct ledger *l, int64_t seq, const char *reason)
{
	sqlite3_stmt *s = ledger_stmt(l, ST_DEAD_ADD);
	int err;

	ledger_bind(s, 1, seq);
	ledger_bind(s, 2, ledger_clock());
	ledger_bind_text(s, 3, reason);
	err = ledger_exec(l, s);
	if (err)
		return err;
	s = ledger_stmt(l, ST_DEAD_TRIM);
	ledger_bind(s, 1, DEAD_KEEP);
	err = ledger_exec(l, s);
	return err ? err : change(l, ST_BATCH_DROP, seq);
}

int ledger_bury(struct ledger *l, int64_t seq, const char *reason)
{
	int err = ledger_begin(l);

	return err ? err : ledger_end(l, bury_locked(l, seq, reason));
}
