/* An engine from its beginning to its end, and what it does by the clock. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "manager/engine_impl.h"

#define TICK	    (2 * NSEC_SEC)
#define RETRY_EVERY (30 * NSEC_SEC) /* unless the configuration says otherwise */

/* ---- settling, trying again -------------------------------------------------------------- */

/* All of them in one step: each costs the ledger a commit on disk. */
void engine_settle(struct engine *e)
{
	struct list_node *pos, *tmp;
	size_t n = 0, at = 0;
	uint32_t *slots;

	list_for_each(pos, &e->dead)
		n += e->ops->slots(list_entry(pos, struct instance, link), NULL);
	slots = calloc(n + 1, sizeof(*slots));
	if (!slots)
		return;
	list_for_each(pos, &e->dead)
		at += e->ops->slots(list_entry(pos, struct instance, link), slots + at);
	if (n && e->conf.settle && e->conf.settle(e->conf.settle_arg, slots, n)) {
		log_msg(LOG_WARN, "manager", "cannot settle %zu accounts, trying again", n);
		free(slots);
		return;
	}
	free(slots);
	list_for_each_safe(pos, tmp, &e->dead) {
		list_del(pos);
		e->ops->free(list_entry(pos, struct instance, link), true);
	}
}

/* By number: what is tried may be given up and forgotten. */
static void retry(struct engine *e)
{
	unsigned port = 0;

	for (size_t i; (i = engine_place(e, port)) < e->n;) {
		struct server *s = e->v[i];

		port = s->port + 1u;
		if (!s->profile || s->run || s->leaving || s->state != ENGINE_WAITING)
			continue;
		server_hold(s);
		server_start(e, s);
		server_release(e, s);
	}
}

static void set_tick(struct engine *e, nsec_t now)
{
	timer_set(e->conf.loop, &e->tick, MIN(now + TICK, e->retry_at));
}

static void on_tick(struct timer *t)
{
	struct engine *e = container_of(t, struct engine, tick);
	nsec_t now = loop_now(e->conf.loop);

	engine_settle(e);
	if (now >= e->retry_at) {
		e->retry_at = now + e->conf.retry_every;
		retry(e);
	}
	set_tick(e, now);
}

/* ---- life -------------------------------------------------------------------------------- */

int engine_make(const struct engine_ops *ops, const struct engine_conf *conf, struct engine **out,
		char why[PROFILE_WHY_MAX])
{
	struct engine *e = calloc(1, ops->size);
	int err = 0;

	*why = '\0';
	if (!e)
		return -ENOMEM;
	e->ops = ops;
	e->conf = *conf;
	if (!e->conf.retry_every)
		e->conf.retry_every = RETRY_EVERY;
	list_init(&e->live);
	list_init(&e->dead);
	timer_init(&e->tick, on_tick);
	if (ops->init)
		err = ops->init(e, why);
	if (err) {
		free(e);
		return err;
	}
	e->retry_at = loop_now(conf->loop) + e->conf.retry_every;
	set_tick(e, loop_now(conf->loop));
	*out = e;
	return 0;
}

int engine_new(const char *kind, const struct engine_conf *conf, struct engine **out,
	       char why[PROFILE_WHY_MAX])
{
	static const struct engine_ops *const kinds[] = {&engine_builtin, &engine_libev,
							 &engine_python};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!strcmp(kinds[i]->kind, kind))
			return engine_make(kinds[i], conf, out, why);
	}
	snprintf(why, PROFILE_WHY_MAX, "%.40s is none of builtin, libev, python", kind);
	return -ERR_CONFIG;
}

void engine_ended(struct engine *e)
{
	engine_settle(e);
	timer_stop(&e->tick);
	if (e->stopped)
		e->stopped(e->stopped_arg);
}

/* From the loop, never from inside a call: everything may have gone already. */
static void on_stop_tick(struct timer *t)
{
	struct engine *e = container_of(t, struct engine, tick);

	if (e->nlive) {
		timer_set(e->conf.loop, t, loop_now(e->conf.loop) + 5 * NSEC_MS);
		return;
	}
	if (e->ending)
		return;
	e->ending = true;
	if (!e->ops->end || e->ops->end(e) == 0)
		engine_ended(e);
}

static void hurry(struct engine *e)
{
	struct list_node *pos, *tmp;

	list_for_each_safe(pos, tmp, &e->live)
		e->ops->stop(list_entry(pos, struct instance, link), 0);
	if (e->ending && e->ops->end)
		(void)!e->ops->end(e);
}

void engine_stop(struct engine *e, nsec_t grace, void (*done)(void *arg), void *arg)
{
	e->stopped = done;
	e->stopped_arg = arg;
	if (e->stopping) {
		if (grace <= 0)
			hurry(e);
		return;
	}
	e->stopping = true;
	for (size_t i = 0; i < e->n; i++) /* nothing is forgotten from here on */
		server_unwant(e, e->v[i], grace);
	e->tick.fire = on_stop_tick;
	timer_set(e->conf.loop, &e->tick, loop_now(e->conf.loop) + NSEC_MS);
}

void engine_hasten(struct engine *e)
{
	struct list_node *pos, *tmp;

	if (!e->ops->hasten)
		return;
	list_for_each_safe(pos, tmp, &e->live)
		e->ops->hasten(list_entry(pos, struct instance, link));
}

/* What could not be settled is in the counters file, for the ledger's next start. */
void engine_free(struct engine *e)
{
	struct list_node *pos, *tmp;

	if (!e)
		return;
	timer_stop(&e->tick);
	list_for_each_safe(pos, tmp, &e->dead)
		e->ops->free(list_entry(pos, struct instance, link), false);
	for (size_t i = 0; i < e->n; i++) {
		askers_answer(server_take_askers(e->v[i]), -ERR_CANCELED, "stopping");
		profile_free(e->v[i]->profile);
		profile_free(e->v[i]->before);
		free(e->v[i]);
	}
	free(e->v);
	if (e->ops->done)
		e->ops->done(e);
	free(e);
}
