#include "event/loop_impl.h"

#include "event/wheel.h"

void wheel_init(struct wheel *w, nsec_t now)
{
	*w = (struct wheel){.tick = (uint64_t)(now / WHEEL_TICK)};
	list_init(&w->due);
	for (int i = 0; i < WHEEL_LEVELS * WHEEL_SLOTS; i++)
		list_init(&w->slot[i / WHEEL_SLOTS][i % WHEEL_SLOTS]);
}

static void unlink_all(struct list_node *head)
{
	while (list_pop(head))
		;
}

void wheel_done(struct wheel *w)
{
	unlink_all(&w->due);
	for (int i = 0; i < WHEEL_LEVELS * WHEEL_SLOTS; i++)
		unlink_all(&w->slot[i / WHEEL_SLOTS][i % WHEEL_SLOTS]);
}

/* Rounded up: a timer is never early. */
static uint64_t tick_of(nsec_t at)
{
	return (uint64_t)(at / WHEEL_TICK) + (at % WHEEL_TICK != 0);
}

static void place(struct wheel *w, struct timer *t)
{
	uint64_t tick = tick_of(t->at);
	unsigned level, index;

	if (tick <= w->tick) {
		list_add_tail(&w->due, &t->link);
		return;
	}
	level = (63 - (unsigned)__builtin_clzll(tick ^ w->tick)) / WHEEL_BITS;
	index = (tick >> (level * WHEEL_BITS)) % WHEEL_SLOTS;
	list_add_tail(&w->slot[level][index], &t->link);
	w->used[level] |= 1ull << index;
}

void wheel_add(struct wheel *w, struct timer *t, nsec_t now)
{
	if (t->at <= now)
		list_add_tail(&w->due, &t->link);
	else
		place(w, t);
}

/* The first slot that holds a timer, and the tick at which it begins; false when there is none. */
static bool first_slot(struct wheel *w, unsigned *level, unsigned *index, uint64_t *begin)
{
	for (unsigned n = 0; n < WHEEL_LEVELS; n++) {
		while (w->used[n]) {
			unsigned i = (unsigned)__builtin_ctzll(w->used[n]);
			unsigned shift = n * WHEEL_BITS;

			if (list_empty(&w->slot[n][i])) {
				w->used[n] &= ~(1ull << i);
				continue;
			}
			*level = n;
			*index = i;
			*begin = (w->tick >> shift >> WHEEL_BITS << WHEEL_BITS | i) << shift;
			return true;
		}
	}
	return false;
}

void wheel_advance(struct wheel *w, nsec_t now)
{
	uint64_t target = (uint64_t)(now / WHEEL_TICK), begin;
	unsigned level, index;

	while (first_slot(w, &level, &index, &begin) && begin <= target) {
		struct list_node out, *n;

		w->tick = begin;
		w->used[level] &= ~(1ull << index);
		list_init(&out);
		list_splice_tail(&out, &w->slot[level][index]);
		while ((n = list_pop(&out)))
			place(w, list_entry(n, struct timer, link));
	}
	if (target > w->tick)
		w->tick = target;
}

nsec_t wheel_next(struct wheel *w)
{
	unsigned level, index;
	uint64_t begin;

	if (!list_empty(&w->due))
		return 0;
	if (!first_slot(w, &level, &index, &begin))
		return WHEEL_NEVER;
	return (nsec_t)begin * WHEEL_TICK;
}

void timer_set(struct loop *l, struct timer *t, nsec_t at)
{
	list_del(&t->link);
	t->at = MAX(at, (nsec_t)0);
	wheel_add(&l->wheel, t, l->now);
}

void timer_stop(struct timer *t)
{
	list_del(&t->link);
}
