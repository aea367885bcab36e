/* ledger_impl.h - what the files of the ledger share. */
#ifndef WEIR_SYNC_LEDGER_IMPL_H
#define WEIR_SYNC_LEDGER_IMPL_H

#include <sqlite3.h>

#include "sync/ledger.h"

#define LEDGER_FILE "counters-" /* and the epoch in hexadecimal */

enum ledger_epoch_state {
	EPOCH_COUNTING, /* its file has bytes that only it knows */
	EPOCH_SETTLED,	/* its bytes are carried; the file may still be there */
};

/* clang-format off */
#define LEDGER_STATEMENTS(X) \
	X(BEGIN,           "BEGIN IMMEDIATE") \
	X(COMMIT,          "COMMIT") \
	X(ROLLBACK,        "ROLLBACK") \
	X(NODE_FIND,       "SELECT num FROM node WHERE url=?1 AND id=?2 AND type=?3") \
	X(NODE_ADD,        "INSERT INTO node(url, id, type) VALUES(?1, ?2, ?3)") \
	X(EPOCH_ADD,       "INSERT INTO epoch(name, state, made) VALUES(?1, 0, ?2)") \
	X(EPOCH_FIND,      "SELECT num, state FROM epoch WHERE name=?1") \
	X(EPOCH_SETTLED,   "UPDATE epoch SET state=1 WHERE num=?1") \
	X(EPOCH_LIST,      "SELECT num, name FROM epoch WHERE num > ?1 AND (state=1 OR made < ?2) ORDER BY num") \
	X(EPOCH_DROP,      "DELETE FROM epoch WHERE num=?1") \
	X(REPORTED_LIST,   "SELECT slot, life, up, down FROM reported WHERE epoch=?1") \
	X(REPORTED_SET,    "INSERT INTO reported(epoch, slot, life, up, down) VALUES(?1, ?2, ?3, ?4, ?5)" \
	                   " ON CONFLICT(epoch, slot) DO UPDATE SET life=?3, up=?4, down=?5") \
	X(REPORTED_DROP,   "DELETE FROM reported WHERE epoch=?1") \
	X(CARRIED_ADD,     "INSERT INTO carried(node, user, up, down) VALUES(?1, ?2, ?3, ?4)") \
	X(CARRIED_LIST,    "SELECT seq, user, up, down FROM carried WHERE node=?1") \
	X(CARRIED_SET,     "UPDATE carried SET up=?2, down=?3 WHERE seq=?1") \
	X(CARRIED_DROP,    "DELETE FROM carried WHERE seq=?1") \
	X(BATCH_COUNT,     "SELECT count(*) FROM batch WHERE node=?1") \
	X(BATCH_ADD,       "INSERT INTO batch(ord, node, report_id, made, in_flight, refused, n, up, down, entries)" \
	                   " VALUES(?1, ?2, ?3, ?4, 0, 0, ?5, ?6, ?7, ?8)") \
	X(BATCH_LAST,      "SELECT coalesce(max(ord), 0) FROM batch") \
	X(BATCH_LIST,      "SELECT seq, node, report_id, made, in_flight, refused, n, up, down FROM batch" \
	                   " WHERE node=?1 ORDER BY ord, seq LIMIT ?2") \
	X(BATCH_LOAD,      "SELECT seq, node, report_id, made, in_flight, refused, n, up, down, ord, entries" \
	                   " FROM batch WHERE seq=?1") \
	X(BATCH_DROP,      "DELETE FROM batch WHERE seq=?1") \
	X(BATCH_SENDING,   "UPDATE batch SET in_flight=(in_flight & 2) | ((in_flight & 1) * 2) | 1 WHERE seq=?1") \
	X(BATCH_FAILED,    "UPDATE batch SET in_flight=in_flight & 2, refused=0 WHERE seq=?1") \
	X(BATCH_REFUSED,   "UPDATE batch SET in_flight=in_flight & 2, refused=refused+1 WHERE seq=?1") \
	X(BATCH_REFUSALS,  "SELECT refused FROM batch WHERE seq=?1") \
	X(DEAD_ADD,        "INSERT INTO dead(node, report_id, made, buried, reason, n, up, down, entries)" \
	                   " SELECT node, report_id, made, ?2, ?3, n, up, down, entries FROM batch WHERE seq=?1") \
	X(DEAD_TRIM,       "DELETE FROM dead WHERE seq <= (SELECT max(seq) FROM dead) - ?1") \
	X(DEAD_LIST,       "SELECT up, down FROM dead WHERE node=?1")
/* clang-format on */

enum ledger_statement {
#define X(name, sql) ST_##name,
	LEDGER_STATEMENTS(X)
#undef X
		ST_COUNT
};

struct ledger {
	sqlite3 *db;
	sqlite3_stmt *st[ST_COUNT];
	char *dir; /* NULL: in memory */
	struct counters *counters;
	int64_t epoch;		  /* ours: epoch.num; 0: no file, see ledger_move_in() */
	struct traffic *reported; /* by slot of our counters: what batches and carried rows hold */
	uint32_t reported_cap;
	char why[LEDGER_WHY_MAX];
};

int ledger_open_db(struct ledger *l); /* that of l->dir */
int ledger_db_open(struct ledger *l, const char *path);
int ledger_db_error(struct ledger *l); /* what SQLite has met, noted in l->why */
void ledger_db_close(struct ledger *l);

/* ---- SQLite, a step shorter ------------------------------------------------------------------ */

/* A statement ready to be bound.  Binding cannot be seen to fail: a value that could not be bound
 * is NULL, which no column takes.
 */
sqlite3_stmt *ledger_stmt(struct ledger *l, enum ledger_statement which);
void ledger_bind(sqlite3_stmt *s, int i, int64_t v);
void ledger_bind_blob(sqlite3_stmt *s, int i, const void *v, size_t len);
void ledger_bind_text(sqlite3_stmt *s, int i, const char *v);

int ledger_exec(struct ledger *l, sqlite3_stmt *s); /* to its end: 0 or -ERR_DATABASE */
int ledger_row(struct ledger *l,
	       sqlite3_stmt *s); /* 1: a row, 0: no more, reset; or negative, reset */

int ledger_begin(struct ledger *l);
int ledger_end(struct ledger *l, int err); /* commit if err is 0, else roll back; the outcome */

int64_t ledger_clock(void); /* seconds since 1970 */

/* ---- shared steps, inside a transaction -------------------------------------------------- */

int ledger_set_reported(struct ledger *l, int64_t epoch, uint32_t slot, uint32_t life,
			const struct traffic *t);
int ledger_carry(struct ledger *l, uint32_t node, int64_t user, const struct traffic *t);
int ledger_add_batch(struct ledger *l, uint32_t node, int64_t ord, const struct ledger_entry *v,
		     size_t n);

/* Room in `reported` for every slot of the counters.  0 or -ENOMEM. */
int ledger_cover_slots(struct ledger *l);

void ledger_path(const struct ledger *l, const char *prefix, const uint8_t *epoch, char *out,
		 size_t size);

static inline uint64_t ledger_add(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

static inline uint64_t ledger_sub(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

#endif
