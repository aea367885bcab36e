/* Freezing: pending bytes of a node become batches (rules TR2, TR3, TR9, TR12).
 *
 * A user's pending bytes may lie in several places: the slot it counts into, slots it has left,
 * rows carried over from users and processes that are gone.  They are gathered, sorted by user, and
 * each user becomes one entry.  One transaction then stores the batches and advances what was taken
 * from.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/grow.h"
#include "crypto/random.h"
#include "sync/ledger_impl.h"

#define BATCH_USERS 5000
#define ENTRY_SIZE  24

struct source {
	int64_t user;
	struct traffic pending, taken;
	int64_t row; /* carried.seq; 0: a slot */
	uint32_t slot;
};

struct freeze {
	struct ledger *l;
	uint32_t node;
	struct source *src;
	size_t n, cap;
	struct ledger_entry *entries;
	size_t nentries;
};

static int one_number(struct ledger *l, sqlite3_stmt *s, int64_t *out)
{
	int err = ledger_row(l, s);

	if (err <= 0)
		return err ? err : -ERR_DATABASE;
	*out = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return 0;
}

static int count_waiting(struct ledger *l, uint32_t node, int64_t *out)
{
	sqlite3_stmt *s = ledger_stmt(l, ST_BATCH_COUNT);

	ledger_bind(s, 1, node);
	return one_number(l, s, out);
}

/* ---- gathering --------------------------------------------------------------------------- */

static int add_source(struct freeze *f, const struct source *src)
{
	struct source *more;

	if (!src->pending.up && !src->pending.down)
		return 0;
	more = grow(f->src, f->n, &f->cap, sizeof(*more));
	if (!more)
		return -ENOMEM;
	f->src = more;
	f->src[f->n++] = *src;
	return 0;
}

static int gather_slots(struct freeze *f)
{
	const struct counters *c = f->l->counters;
	struct counters_owner owner;
	int err = 0;

	for (uint32_t i = 0; i < counters_slots(c) && !err; i++) {
		struct source src = {.slot = i};

		counters_owner(c, i, &owner);
		if (!owner.user || owner.node != f->node)
			continue;
		src.user = owner.user;
		ledger_pending(f->l, i, &src.pending);
		err = add_source(f, &src);
	}
	return err;
}

static int gather_carried(struct freeze *f)
{
	sqlite3_stmt *s = ledger_stmt(f->l, ST_CARRIED_LIST);
	int err;

	ledger_bind(s, 1, f->node);
	while ((err = ledger_row(f->l, s)) > 0) {
		struct source src = {.row = sqlite3_column_int64(s, 0),
				     .user = sqlite3_column_int64(s, 1)};

		src.pending.up = (uint64_t)sqlite3_column_int64(s, 2);
		src.pending.down = (uint64_t)sqlite3_column_int64(s, 3);
		err = add_source(f, &src);
		if (err) {
			sqlite3_reset(s);
			return err;
		}
	}
	return err;
}

static int gather_batch(struct freeze *f, int64_t seq)
{
	struct ledger_batch b;
	int err = ledger_load(f->l, seq, &b);

	if (err)
		return err;
	for (uint32_t i = 0; i < b.n && !err; i++) {
		struct source src = {.user = b.entries[i].user, .row = seq};

		src.pending = (struct traffic){b.entries[i].up, b.entries[i].down};
		err = add_source(f, &src);
	}
	ledger_batch_done(&b);
	return err;
}

static int gather_frozen(struct freeze *f)
{
	struct ledger_batch *heads;
	int64_t waiting;
	int n, err;

	err = count_waiting(f->l, f->node, &waiting);
	if (err)
		return err;
	heads = calloc((size_t)waiting + 1, sizeof(*heads));
	if (!heads)
		return -ENOMEM;
	n = ledger_batches(f->l, f->node, heads, (size_t)waiting);
	err = MIN(n, 0);
	for (int i = 0; i < n && !err; i++)
		err = gather_batch(f, heads[i].seq);
	free(heads);
	return err;
}

/* ---- deciding ---------------------------------------------------------------------------- */

static int by_user(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	return (x->user > y->user) - (x->user < y->user);
}

/* More than the threshold, or carried: who is gone will not gather more. */
static bool worth_it(const struct source *src, size_t n, const struct ledger_freeze *how)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		if (src[i].row)
			return true;
		sum = ledger_add(sum, ledger_add(src[i].pending.up, src[i].pending.down));
	}
	return how->due ? how->due(how->due_arg, src->user, sum) : sum > how->threshold;
}

/* What does not fit a number of 63 bits stays where it is, for the next freeze. */
static void take(struct source *src, size_t n, struct ledger_entry *e)
{
	*e = (struct ledger_entry){.user = src->user};
	for (size_t i = 0; i < n; i++) {
		src[i].taken.up = MIN(src[i].pending.up, (uint64_t)LEDGER_VALUE_MAX - e->up);
		src[i].taken.down = MIN(src[i].pending.down, (uint64_t)LEDGER_VALUE_MAX - e->down);
		e->up += src[i].taken.up;
		e->down += src[i].taken.down;
	}
}

static int decide(struct freeze *f, const struct ledger_freeze *how)
{
	size_t end;

	f->entries = calloc(f->n + 1, sizeof(*f->entries));
	if (!f->entries)
		return -ENOMEM;
	if (f->n)
		qsort(f->src, f->n, sizeof(*f->src), by_user);
	for (size_t at = 0; at < f->n; at = end) {
		for (end = at + 1; end < f->n && f->src[end].user == f->src[at].user; end++)
			;
		if (worth_it(f->src + at, end - at, how))
			take(f->src + at, end - at, &f->entries[f->nentries++]);
	}
	return 0;
}

/* ---- storing ----------------------------------------------------------------------------- */

static int advance_slot(struct ledger *l, const struct source *src)
{
	struct traffic t = l->reported[src->slot];
	struct counters_owner owner;

	t.up += src->taken.up;
	t.down += src->taken.down;
	counters_owner(l->counters, src->slot, &owner);
	return ledger_set_reported(l, l->epoch, src->slot, owner.life, &t);
}

static int advance_row(struct ledger *l, const struct source *src)
{
	uint64_t up = src->pending.up - src->taken.up, down = src->pending.down - src->taken.down;
	sqlite3_stmt *s = ledger_stmt(l, up || down ? ST_CARRIED_SET : ST_CARRIED_DROP);

	ledger_bind(s, 1, src->row);
	if (up || down) {
		ledger_bind(s, 2, (int64_t)up);
		ledger_bind(s, 3, (int64_t)down);
	}
	return ledger_exec(l, s);
}

static int advance(struct freeze *f)
{
	int err = 0;

	for (size_t i = 0; i < f->n && !err; i++) {
		const struct source *src = &f->src[i];

		if (src->taken.up || src->taken.down)
			err = src->row ? advance_row(f->l, src) : advance_slot(f->l, src);
	}
	return err;
}

static void put_entry(uint8_t *to, const struct ledger_entry *e)
{
	uint64_t v[3] = {htole64((uint64_t)e->user), htole64(e->up), htole64(e->down)};

	memcpy(to, v, ENTRY_SIZE);
}

int ledger_add_batch(struct ledger *l, uint32_t node, int64_t ord, const struct ledger_entry *v,
		     size_t n)
{
	sqlite3_stmt *s = ledger_stmt(l, ST_BATCH_ADD);
	uint8_t id[LEDGER_ID_LEN], *body;
	struct traffic sum = {0};
	int err;

	body = malloc(n * ENTRY_SIZE);
	if (!body)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		put_entry(body + i * ENTRY_SIZE, &v[i]);
		sum.up = ledger_add(sum.up, v[i].up);
		sum.down = ledger_add(sum.down, v[i].down);
	}
	random_bytes(id, sizeof(id));
	ledger_bind(s, 1, ord);
	ledger_bind(s, 2, node);
	ledger_bind_blob(s, 3, id, sizeof(id));
	ledger_bind(s, 4, ledger_clock());
	ledger_bind(s, 5, (int64_t)n);
	ledger_bind(s, 6, (int64_t)MIN(sum.up, (uint64_t)INT64_MAX));
	ledger_bind(s, 7, (int64_t)MIN(sum.down, (uint64_t)INT64_MAX));
	ledger_bind_blob(s, 8, body, n * ENTRY_SIZE);
	err = ledger_exec(l, s);
	sqlite3_clear_bindings(s);
	free(body);
	return err;
}

/* Returns how many. */
static int add_batches(struct freeze *f, uint32_t batch_users)
{
	int64_t ord;
	int made = 0, err;

	err = one_number(f->l, ledger_stmt(f->l, ST_BATCH_LAST), &ord);
	for (size_t at = 0; at < f->nentries && !err; at += batch_users, made++)
		err = ledger_add_batch(f->l, f->node, ++ord, f->entries + at,
				       MIN((size_t)batch_users, f->nentries - at));
	return err ? err : made;
}

static int too_many_waiting(struct ledger *l, uint32_t node, const struct ledger_freeze *how)
{
	int64_t waiting;
	int err;

	if (how->always)
		return 0;
	err = count_waiting(l, node, &waiting);
	return err ? err : waiting > (how->max_waiting ? how->max_waiting : LEDGER_MAX_WAITING);
}

static int freeze_locked(struct freeze *f, const struct ledger_freeze *how, int *made)
{
	int err = too_many_waiting(f->l, f->node, how);

	*made = 0;
	if (err)
		return MIN(err, 0);
	err = gather_slots(f);
	if (!err)
		err = gather_carried(f);
	if (!err)
		err = decide(f, how);
	if (!err && f->nentries)
		err = advance(f);
	if (err || !f->nentries)
		return err;
	*made = add_batches(f, how->batch_users ? how->batch_users : BATCH_USERS);
	return MIN(*made, 0);
}

int ledger_freeze(struct ledger *l, uint32_t node, const struct ledger_freeze *how)
{
	struct freeze f = {.l = l, .node = node};
	int made, err;

	if (ledger_cover_slots(l) < 0)
		return -ENOMEM;
	err = ledger_begin(l);
	if (err)
		return err;
	err = ledger_end(l, freeze_locked(&f, how, &made));
	for (size_t i = 0; i < f.n && !err; i++) {
		if (f.src[i].row)
			continue;
		l->reported[f.src[i].slot].up += f.src[i].taken.up;
		l->reported[f.src[i].slot].down += f.src[i].taken.down;
	}
	free(f.src);
	free(f.entries);
	return err ? err : made;
}

/* ---- and the same without freezing ------------------------------------------------------- */

static int sum_up(struct freeze *f)
{
	f->entries = calloc(f->n + 1, sizeof(*f->entries));
	if (!f->entries)
		return -ENOMEM;
	if (f->n)
		qsort(f->src, f->n, sizeof(*f->src), by_user);
	for (size_t i = 0; i < f->n; i++) {
		struct ledger_entry *e;

		if (!i || f->src[i].user != f->src[i - 1].user)
			f->entries[f->nentries++].user = f->src[i].user;
		e = &f->entries[f->nentries - 1];
		e->up = ledger_add(e->up, f->src[i].pending.up);
		e->down = ledger_add(e->down, f->src[i].pending.down);
	}
	return (int)f->nentries;
}

int ledger_unreported(struct ledger *l, uint32_t node, struct ledger_entry **out)
{
	struct freeze f = {.l = l, .node = node};
	int n;

	n = gather_slots(&f);
	if (!n)
		n = gather_carried(&f);
	if (!n)
		n = gather_frozen(&f);
	if (!n)
		n = sum_up(&f);
	free(f.src);
	if (n < 0) {
		free(f.entries);
		return n;
	}
	*out = f.entries;
	return n;
}
