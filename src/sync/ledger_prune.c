/* Carried rows of those who never take a batch: without this they would only grow in number. */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/grow.h"
#include "sync/ledger_impl.h"

struct row {
	int64_t seq, user;
	struct traffic t;
};

struct rows {
	struct row *v;
	size_t n, cap;
};

static int add_row(struct rows *r, const struct row *row)
{
	struct row *more = grow(r->v, r->n, &r->cap, sizeof(*more));

	if (!more)
		return -ENOMEM;
	r->v = more;
	r->v[r->n++] = *row;
	return 0;
}

static int read_rows(struct ledger *l, uint32_t node, struct rows *r)
{
	sqlite3_stmt *s = ledger_stmt(l, ST_CARRIED_LIST);
	int err;

	ledger_bind(s, 1, node);
	while ((err = ledger_row(l, s)) > 0) {
		const struct row row = {
			.seq = sqlite3_column_int64(s, 0),
			.user = sqlite3_column_int64(s, 1),
			.t.up = (uint64_t)sqlite3_column_int64(s, 2),
			.t.down = (uint64_t)sqlite3_column_int64(s, 3),
		};

		err = add_row(r, &row);
		if (err) {
			sqlite3_reset(s);
			return err;
		}
	}
	return err;
}

static int by_user(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->user != y->user)
		return (x->user > y->user) - (x->user < y->user);
	return (x->seq > y->seq) - (x->seq < y->seq);
}

static int drop(struct ledger *l, const struct row *row)
{
	sqlite3_stmt *s = ledger_stmt(l, ST_CARRIED_DROP);

	ledger_bind(s, 1, row->seq);
	return ledger_exec(l, s);
}

/* The rows of one user become one; what does not fit 63 bits stays in rows of its own. */
static int fold(struct ledger *l, const struct row *v, size_t n)
{
	struct traffic sum = {0};
	sqlite3_stmt *s;
	int err = 0;

	for (size_t i = 0; i < n; i++) {
		sum.up = ledger_add(sum.up, v[i].t.up);
		sum.down = ledger_add(sum.down, v[i].t.down);
	}
	if (n < 2 || sum.up > INT64_MAX || sum.down > INT64_MAX)
		return 0;
	for (size_t i = 1; i < n && !err; i++)
		err = drop(l, &v[i]);
	if (err)
		return err;
	s = ledger_stmt(l, ST_CARRIED_SET);
	ledger_bind(s, 1, v[0].seq);
	ledger_bind(s, 2, (int64_t)sum.up);
	ledger_bind(s, 3, (int64_t)sum.down);
	return ledger_exec(l, s);
}

static int prune(struct ledger *l, const struct rows *r, bool (*keep)(void *arg, int64_t user),
		 void *arg)
{
	size_t end;
	int err = 0;

	for (size_t at = 0; at < r->n && !err; at = end) {
		for (end = at + 1; end < r->n && r->v[end].user == r->v[at].user; end++)
			;
		if (keep(arg, r->v[at].user)) {
			err = fold(l, r->v + at, end - at);
			continue;
		}
		for (size_t i = at; i < end && !err; i++)
			err = drop(l, &r->v[i]);
	}
	return err;
}

int ledger_prune(struct ledger *l, uint32_t node, bool (*keep)(void *arg, int64_t user), void *arg)
{
	struct rows r = {0};
	int err = read_rows(l, node, &r);

	if (!err && r.n) {
		qsort(r.v, r.n, sizeof(*r.v), by_user);
		err = ledger_begin(l);
		if (!err)
			err = ledger_end(l, prune(l, &r, keep, arg));
	}
	free(r.v);
	return err;
}
