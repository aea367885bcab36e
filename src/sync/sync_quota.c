/* sync_quota.c - EnforceQuota: a user whose u + d of the panel, and whose bytes since, reach
 * transfer_enable is left out of the list that the node serves (A.6).
 *
 * "Since" is what the panel has not acknowledged and what it has since it made the list: between
 * the acknowledgement of a report and a list that contains it, a user would seem to have bytes
 * left.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/sync_impl.h"

/* Bytes by user, ascending. */
struct since {
	struct ledger_entry *v;
	size_t n;
};

static int by_user(const void *a, const void *b)
{
	const struct ledger_entry *x = a, *y = b;

	return (x->user > y->user) - (x->user < y->user);
}

static void merge(struct since *s)
{
	size_t to = 0;

	qsort(s->v, s->n, sizeof(*s->v), by_user);
	for (size_t i = 1; i < s->n; i++) {
		if (s->v[i].user == s->v[to].user) {
			s->v[to].up += s->v[i].up;
			s->v[to].down += s->v[i].down;
		} else {
			s->v[++to] = s->v[i];
		}
	}
	s->n = s->n ? to + 1 : 0;
}

static int gather(struct sync_node *n, struct since *out)
{
	struct ledger_entry *v;
	int count = ledger_unreported(n->s->conf.ledger, n->conf.ledger_node, &v);

	if (count < 0)
		return count;
	out->n = (size_t)count + n->n_acked;
	out->v = realloc(v, (out->n + 1) * sizeof(*v));
	if (!out->v) {
		free(v);
		return -ENOMEM;
	}
	if (n->n_acked)
		memcpy(out->v + count, n->acked, n->n_acked * sizeof(*n->acked));
	merge(out);
	return 0;
}

static uint64_t since_of(const struct since *s, int64_t id)
{
	struct ledger_entry key = {.user = id}, *e;

	e = s->n ? bsearch(&key, s->v, s->n, sizeof(key), by_user) : NULL;
	return e ? e->up + e->down : 0;
}

static int by_id(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static bool is_out(const struct sync_node *n, int64_t id)
{
	return n->n_spent && bsearch(&id, n->spent, n->n_spent, sizeof(id), by_id);
}

/* The ids of `list` that are out, with those that were before unless the list is new.  Returns how
 * many came to it, or a negative error with the set as it was.
 */
static int find_spent(struct sync_node *n, const struct user_list *list, bool fresh)
{
	int64_t *spent = calloc(list->n + 1, sizeof(*spent));
	size_t count = 0, added = 0;
	struct since since = {0};
	int err;

	if (fresh)
		n->n_acked = 0;
	err = spent ? gather(n, &since) : -ENOMEM;
	if (err) {
		free(spent);
		return err;
	}
	for (size_t i = 0; i < list->n; i++) {
		const struct user_entry *e = &list->v[i];
		bool before = !fresh && is_out(n, e->id);

		if (!before && (!e->quota || e->used + since_of(&since, e->id) < e->quota))
			continue;
		spent[count++] = e->id;
		added += !before;
	}
	free(since.v);
	qsort(spent, count, sizeof(*spent), by_id);
	free(n->spent);
	n->spent = spent;
	n->n_spent = count;
	return (int)added;
}

static int copy_without_spent(struct sync_node *n, const struct user_list *list)
{
	int err = 0;

	user_list_done(&n->filtered);
	user_list_init(&n->filtered);
	for (size_t i = 0; i < list->n && !err; i++) {
		if (!is_out(n, list->v[i].id))
			err = user_list_add(&n->filtered, &list->v[i]);
	}
	return err;
}

const struct user_list *quota_filter(struct sync_node *n, const struct user_list *list)
{
	int added;

	if (!n->conf.enforce_quota || !n->s->conf.ledger)
		return list;
	added = find_spent(n, list, true);
	if (added <= 0 || copy_without_spent(n, list))
		return list;
	node_log(n, LOG_INFO, "%d users have spent their quota", added);
	return &n->filtered;
}

const struct user_list *quota_check(struct sync_node *n)
{
	int added = find_spent(n, &n->all_users, false);

	if (added <= 0 || copy_without_spent(n, &n->all_users))
		return NULL;
	node_log(n, LOG_INFO, "%d users more have spent their quota", added);
	return &n->filtered;
}

void quota_keep(struct sync_node *n, struct user_list *list)
{
	if (!n->conf.enforce_quota)
		return;
	user_list_done(&n->all_users);
	n->all_users = *list;
	user_list_init(list);
}

void quota_acked(struct sync_node *n, const struct ledger_batch *b)
{
	struct ledger_entry *v;
	struct since all;

	if (!n->conf.enforce_quota || !b->n)
		return;
	v = realloc(n->acked, (n->n_acked + b->n) * sizeof(*v));
	if (!v) /* the next list will say it */
		return;
	memcpy(v + n->n_acked, b->entries, b->n * sizeof(*v));
	n->acked = v;
	all = (struct since){v, n->n_acked + b->n};
	merge(&all); /* a list that never changes must not make this grow */
	n->n_acked = all.n;
}

void quota_forget(struct sync_node *n)
{
	free(n->acked);
	user_list_done(&n->all_users);
	user_list_done(&n->filtered);
	free(n->spent);
}
