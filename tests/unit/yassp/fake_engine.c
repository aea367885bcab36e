#include "fake_engine.h"

#include <stdlib.h>

#include "unit.h"

struct engine *fake_engine_new(struct loop *loop, struct ledger *ledger, uint32_t node)
{
	struct engine *e = calloc(1, sizeof(*e));

	e->loop = loop;
	e->ledger = ledger;
	e->node = node;
	return e;
}

void fake_engine_move(struct engine *e, uint16_t port, uint64_t up, uint64_t down)
{
	const struct counters *c = ledger_counters(e->ledger);

	assert_true(e->v[port].there);
	counters_add(c, 0, e->v[port].slot, TRAFFIC_UP, up);
	counters_add(c, 0, e->v[port].slot, TRAFFIC_DOWN, down);
}

static void on_latency(struct timer *t)
{
	struct fake_answer *a = container_of(t, struct fake_answer, t);

	a->done(a->arg, a->err, a->err ? "as the test wants" : "");
	free(a);
}

static void answer(struct engine *e, engine_done *done, void *arg, int err)
{
	struct fake_answer *a;

	if (!done)
		return;
	if (!e->latency) {
		done(arg, err, err ? "as the test wants" : "");
		return;
	}
	a = calloc(1, sizeof(*a));
	*a = (struct fake_answer){.done = done, .arg = arg, .err = err};
	timer_init(&a->t, on_latency);
	timer_set(e->loop, &a->t, loop_now(e->loop) + e->latency);
}

static void settle(struct engine *e, struct fake_server *s)
{
	if (!s->there)
		return;
	assert_int_equal(ledger_settle(e->ledger, &s->slot, 1), 0);
	counters_release(ledger_counters(e->ledger), s->slot);
	profile_free(s->profile);
	s->profile = NULL;
	s->there = false;
	e->n--;
}

void engine_put(struct engine *e, const struct engine_put *put, engine_done *done, void *arg)
{
	struct fake_server *s = &e->v[put->profile->port];

	assert_true(put->keep);
	assert_false(e->stopped);
	e->puts++;
	s->puts++;
	if (s->there && s->generation != put->generation)
		settle(e, s);
	if (!s->there) {
		assert_int_equal(counters_alloc(ledger_counters(e->ledger), e->node,
						traffic_id(put->profile->port, put->generation, 0),
						&s->slot),
				 0);
		s->there = true;
		e->n++;
	}
	profile_free(s->profile);
	s->profile = profile_new(put->profile);
	s->generation = put->generation;
	answer(e, done, arg, e->err_of[put->profile->port]);
}

void engine_remove(struct engine *e, uint16_t port, engine_done *done, void *arg)
{
	e->removes++;
	e->v[port].removes++;
	settle(e, &e->v[port]);
	answer(e, done, arg, 0);
}

bool engine_get(const struct engine *e, uint16_t port, struct engine_server *out)
{
	const struct fake_server *s = &e->v[port];

	if (!s->there)
		return false;
	*out = (struct engine_server){
		.profile = s->profile, .generation = s->generation, .state = ENGINE_RUNNING};
	return true;
}

bool engine_next(const struct engine *e, unsigned port, struct engine_server *out)
{
	while (++port < 65536) {
		if (engine_get(e, (uint16_t)port, out))
			return true;
	}
	return false;
}

void engine_settle(struct engine *e)
{
}

void engine_stop(struct engine *e, nsec_t grace, void (*done)(void *arg), void *arg)
{
	for (unsigned port = 0; port < 65536; port++)
		settle(e, &e->v[port]);
	e->stopped = true;
	done(arg);
}

void engine_hasten(struct engine *e)
{
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	for (unsigned port = 0; port < 65536; port++)
		profile_free(e->v[port].profile);
	free(e);
}

size_t engine_count(const struct engine *e)
{
	return e->n;
}
