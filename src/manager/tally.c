/* tally.c - what servers outside of this process say they have moved. */
#include "manager/engine_impl.h"

int tally_new(struct engine *e, uint16_t port, uint32_t generation, struct tally *out)
{
	struct tally t = {0};
	int err = counters_alloc(e->conf.counters, e->conf.ledger_node,
				 traffic_id(port, generation, 0), &t.slot);

	if (err)
		return err;
	counters_total(e->conf.counters, t.slot, &t.base);
	*out = t;
	return 0;
}

/* They do not say which way: it is what their sum is for. */
void tally_add(struct engine *e, struct tally *t, uint64_t bytes)
{
	counters_add(e->conf.counters, e->conf.counters->workers - 1, t->slot, TRAFFIC_DOWN, bytes);
}

/* Totals only grow while a process lives. */
void tally_total(struct engine *e, struct tally *t, uint64_t total)
{
	tally_add(e, t, total >= t->last ? total - t->last : total);
	t->last = total;
}

void tally_restart(struct tally *t)
{
	t->last = 0;
}

void tally_traffic(const struct engine *e, const struct tally *t, struct traffic *out)
{
	counters_total(e->conf.counters, t->slot, out);
	out->up -= t->base.up;
	out->down -= t->base.down;
}

void tally_end(struct engine *e, struct tally *t, bool settled)
{
	if (settled)
		counters_release(e->conf.counters, t->slot);
}
