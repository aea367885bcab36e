#include "yassp/due.h"

#include <stdlib.h>

#include "base/grow.h"

void yassp_due_begin(struct yassp_due *d, nsec_t now)
{
	d->now = now;
	d->at = d->new.n = 0;
}

/* Since when: `old` is walked once, both go upwards. */
static nsec_t since(struct yassp_due *d, int64_t id)
{
	while (d->at < d->old.n && d->old.v[d->at].id < id)
		d->at++;
	return d->at < d->old.n && d->old.v[d->at].id == id ? d->old.v[d->at].since : d->now;
}

static bool remember(struct yassp_ages *a, struct yassp_age age)
{
	struct yassp_age *more = grow(a->v, a->n, &a->cap, sizeof(*more));

	if (!more)
		return false;
	a->v = more;
	a->v[a->n++] = age;
	return true;
}

bool yassp_due(struct yassp_due *d, int64_t id, uint64_t bytes)
{
	nsec_t from = since(d, id);

	if (bytes >= d->threshold || !d->timeout || d->now - from > d->timeout)
		return true;
	/* Whose age cannot be remembered had better go now. */
	return !remember(&d->new, (struct yassp_age){id, from});
}

void yassp_due_end(struct yassp_due *d, bool taken)
{
	struct yassp_ages old = d->old;

	if (taken) {
		d->old = d->new;
		d->new = old;
	}
	d->new.n = 0;
}

void yassp_due_done(struct yassp_due *d)
{
	free(d->old.v);
	free(d->new.v);
	d->old = d->new = (struct yassp_ages){0};
}
