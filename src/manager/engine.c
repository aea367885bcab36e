#include "manager/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "manager/engine_impl.h"

#define TICK	    (2 * NSEC_SEC)
#define RETRY_EVERY (30 * NSEC_SEC)

/* ---- the table --------------------------------------------------------------------------- */

/* Where `port` is, or would be. */
static size_t place(const struct engine *e, unsigned port)
{
	size_t lo = 0, hi = e->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (e->v[mid]->port < port)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct server *find(const struct engine *e, uint16_t port)
{
	size_t i = place(e, port);

	return i < e->n && e->v[i]->port == port ? e->v[i] : NULL;
}

static struct server *find_or_make(struct engine *e, uint16_t port)
{
	size_t i = place(e, port), cap = e->cap ? e->cap * 2 : 64;
	struct server **v, *s;

	if (i < e->n && e->v[i]->port == port)
		return e->v[i];
	if (e->n == e->cap) {
		v = reallocarray(e->v, cap, sizeof(struct server *));
		if (!v)
			return NULL;
		e->v = v;
		e->cap = cap;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->port = port;
	memmove(e->v + i + 1, e->v + i, (e->n - i) * sizeof(struct server *));
	e->v[i] = s;
	e->n++;
	return s;
}

/* Callbacks may put and remove, and so end what their caller is busy with. */
static void hold(struct server *s)
{
	s->held++;
}

static void release(struct engine *e, struct server *s)
{
	size_t i;

	if (--s->held || s->profile || s->run || s->leaving || s->askers || e->stopping)
		return;
	i = place(e, s->port);
	memmove(e->v + i, e->v + i + 1, (e->n - i - 1) * sizeof(struct server *));
	e->n--;
	profile_free(s->profile);
	profile_free(s->before);
	free(s);
}

/* ---- telling ----------------------------------------------------------------------------- */

static int ask(struct server *s, engine_done *done, void *arg)
{
	struct asker *a, **at = &s->askers;

	if (!done)
		return 0;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	*a = (struct asker){.done = done, .arg = arg};
	while (*at)
		at = &(*at)->next;
	*at = a;
	return 0;
}

/* Whoever is told may put and remove again. */
static void answer(struct asker *a, int err, const char *why)
{
	while (a) {
		struct asker *next = a->next;

		a->done(a->arg, err, err ? why : "");
		free(a);
		a = next;
	}
}

static struct asker *take_askers(struct server *s)
{
	struct asker *a = s->askers;

	s->askers = NULL;
	return a;
}

static void event(struct engine *e, uint16_t port, enum engine_event what, const char *why)
{
	if (e->conf.event)
		e->conf.event(e->conf.event_arg, port, what, why);
}

static const char *reason(int err, const char *why)
{
	if (!err)
		return "";
	return why && *why ? why : err_text(err);
}

/* ---- instances --------------------------------------------------------------------------- */

/* What it has counted since the last time becomes its server's. */
static void bank(struct instance *i)
{
	struct server *s = i->server;
	struct traffic t;

	if (!s || i->generation != s->generation)
		return;
	i->engine->ops->traffic(i, &t);
	s->banked.up += t.up - i->banked.up;
	s->banked.down += t.down - i->banked.down;
	i->banked = t;
}

/* Its server is done with it; it counts for itself until it has gone. */
static void let_leave(struct instance *i, nsec_t grace)
{
	if (i->stopping)
		return;
	i->stopping = true;
	if (i->server)
		i->server->leaving++;
	bank(i);
	i->engine->ops->stop(i, grace);
}

static void adopt(struct engine *e, struct server *s, struct instance *i, uint32_t generation)
{
	i->engine = e;
	i->server = s;
	i->generation = generation;
	list_add_tail(&e->live, &i->link);
	e->nlive++;
}

static void step(struct engine *e, struct server *s);
static bool unwant_run(struct server *s, nsec_t grace);

/* The wanted profile could not be started, with nothing else running: what now? */
static void fell_through(struct engine *e, struct server *s, int err, const char *why)
{
	struct asker *askers = take_askers(s);

	log_msg(LOG_WARN, "manager", "port %u: cannot be served: %s%s", s->port, reason(err, why),
		s->keep && err != -ERR_CONFIG && err != -ERR_UNSUPPORTED ? ", trying again" : "");
	s->err = err;
	if (s->keep) {
		s->state = err == -ERR_CONFIG || err == -ERR_UNSUPPORTED ? ENGINE_FAILED
									 : ENGINE_WAITING;
	} else if (s->before) {
		profile_free(s->profile);
		s->profile = s->before;
		s->generation = s->before_generation;
		s->keep = true; /* it ran: it shall run again */
		s->before = NULL;
		step(e, s);
	} else {
		profile_free(s->profile);
		s->profile = NULL;
	}
	answer(askers, err, reason(err, why));
}

static void runs(struct engine *e, struct server *s)
{
	bool again = s->state == ENGINE_WAITING;

	s->state = ENGINE_RUNNING;
	s->err = 0;
	profile_free(s->before);
	s->before = NULL;
	answer(take_askers(s), 0, "");
	if (again)
		event(e, s->port, ENGINE_UP, NULL);
}

static void start(struct engine *e, struct server *s)
{
	char why[PROFILE_WHY_MAX] = "";
	struct instance *i = NULL;
	int err = e->ops->start(e, s->profile, s->generation, NULL, &i, why);

	s->lost = false;
	if (err && err != -EINPROGRESS) {
		fell_through(e, s, err, why);
		return;
	}
	adopt(e, s, i, s->generation);
	s->run = i;
	if (!err)
		runs(e, s);
	else if (s->state != ENGINE_WAITING)
		s->state = ENGINE_STARTING;
}

/* Forward as far as it goes without waiting. */
static void step(struct engine *e, struct server *s)
{
	if (s->leaving || s->changing)
		return; /* engine_gone(), or whoever changes it, comes back here */
	if (s->profile && !s->run)
		start(e, s);
}

static void bury(struct instance *i)
{
	struct engine *e = i->engine;

	bank(i);
	if (i->server && i->stopping)
		i->server->leaving--;
	i->server = NULL;
	list_del(&i->link);
	list_add_tail(&e->dead, &i->link);
	e->nlive--;
}

void engine_gone(struct instance *i)
{
	struct engine *e = i->engine;
	struct server *s = i->server;

	bury(i);
	if (!s)
		return;
	hold(s);
	if (s->run == i)
		s->run = NULL;
	if (!e->stopping && (!s->lost || s->askers))
		step(e, s);
	release(e, s);
}

void engine_started(struct instance *i, int err, const char *why)
{
	struct engine *e = i->engine;
	struct server *s = i->server;

	if (s && s->run == i) {
		hold(s);
		if (err) {
			bury(i);
			s->run = NULL;
			fell_through(e, s, err, why);
		} else {
			runs(e, s);
		}
		release(e, s);
	} else if (err) {
		engine_gone(i);
	}
}

void engine_tell(struct instance *i, enum engine_event what, int err, const char *why)
{
	struct server *s = i->server;

	if (!s || s->run != i)
		return;
	s->state = what == ENGINE_UP	 ? ENGINE_RUNNING
		   : what == ENGINE_DOWN ? ENGINE_WAITING
					 : ENGINE_FAILED;
	s->err = what == ENGINE_UP ? 0 : err;
	event(i->engine, s->port, what, why);
}

/* It ran: it shall run again. */
void engine_lost(struct instance *i, int err, const char *why)
{
	struct engine *e = i->engine;
	struct server *s = i->server;

	if (!s || s->run != i)
		return;
	hold(s);
	log_msg(LOG_WARN, "manager", "port %u: cannot be served: %s, trying again", s->port,
		reason(err, why));
	s->keep = s->lost = true;
	s->state = ENGINE_WAITING;
	s->err = err;
	unwant_run(s, 0);
	event(e, s->port, ENGINE_DOWN, reason(err, why));
	release(e, s);
}

/* ---- putting and removing ---------------------------------------------------------------- */

/* True: there was one. */
static bool unwant_run(struct server *s, nsec_t grace)
{
	struct instance *i = s->run;

	if (!i)
		return false;
	s->run = NULL;
	s->changing = true; /* stop() may say at once that it has gone */
	let_leave(i, grace);
	s->changing = false;
	return true;
}

/* Beside the old one, whose sockets it takes over.  False: it has to wait until that has gone. */
static bool replace_beside(struct engine *e, struct server *s, struct profile *p,
			   const struct engine_put *put, engine_done *done, void *arg)
{
	struct instance *old = s->run, *i = NULL;
	char why[PROFILE_WHY_MAX] = "";
	int err = e->ops->start(e, p, put->generation, old, &i, why);

	if (err == -EAGAIN)
		return false;
	if (err && !put->keep) {
		log_msg(LOG_WARN, "manager", "port %u: stays as it is: %s", s->port,
			reason(err, why));
		profile_free(p);
		if (done)
			done(arg, err, reason(err, why));
		return true;
	}
	unwant_run(s, 0);
	if (s->generation != put->generation)
		s->banked = (struct traffic){0};
	s->generation = put->generation;
	profile_free(s->profile);
	s->profile = p;
	s->keep = put->keep;
	if (err) {
		s->err = err;
		s->state = err == -ERR_CONFIG || err == -ERR_UNSUPPORTED ? ENGINE_FAILED
									 : ENGINE_WAITING;
		log_msg(LOG_WARN, "manager", "port %u: cannot be served: %s", s->port,
			reason(err, why));
	} else {
		adopt(e, s, i, put->generation);
		s->run = i;
		s->state = ENGINE_RUNNING;
		s->err = 0;
	}
	if (done)
		done(arg, err, reason(err, why));
	return true;
}

/* A server that only its past is left of, or a new one. */
static void want(struct server *s, struct profile *p, const struct engine_put *put, bool ran)
{
	if (s->profile && ran && !s->before) {
		s->before = s->profile;
		s->before_generation = s->generation;
	} else {
		profile_free(s->profile);
	}
	if (s->generation != put->generation)
		s->banked = (struct traffic){0};
	s->profile = p;
	s->generation = put->generation;
	s->keep = put->keep;
	s->lost = false;
	s->state = ENGINE_STARTING;
}

static void put_again(struct engine *e, struct server *s, const struct engine_put *put,
		      engine_done *done, void *arg)
{
	int err = 0;

	s->keep |= put->keep;
	if (s->state != ENGINE_RUNNING && !(s->run && s->state == ENGINE_WAITING)) {
		err = ask(s, done, arg);
		if (!err) {
			step(e, s);
			return;
		}
	}
	if (done)
		done(arg, err ? err : s->err, err || s->err ? err_text(err ? err : s->err) : "");
}

static void put_server(struct engine *e, struct server *s, struct profile *p,
		       const struct engine_put *put, engine_done *done, void *arg)
{
	struct asker *overtaken = take_askers(s);
	int err;

	if (s->run && !s->leaving && s->state == ENGINE_RUNNING &&
	    replace_beside(e, s, p, put, done, arg)) {
		answer(overtaken, -ERR_CANCELED, "replaced meanwhile");
		return;
	}
	want(s, p, put, unwant_run(s, 0));
	err = ask(s, done, arg);
	answer(overtaken, -ERR_CANCELED, "replaced meanwhile");
	if (err)
		done(arg, err, err_text(err));
	step(e, s);
}

/* Equal to what is there; what was given up is tried once more. */
static bool is_there(const struct server *s, const struct profile *p)
{
	return s->profile && profile_equal(s->profile, p) && s->state != ENGINE_FAILED;
}

void engine_put(struct engine *e, const struct engine_put *put, engine_done *done, void *arg)
{
	struct server *s = e->stopping ? NULL : find_or_make(e, put->profile->port);
	struct profile *p = s ? profile_new(put->profile) : NULL;
	int err = e->stopping ? -ERR_CANCELED : -ENOMEM;

	if (s)
		hold(s);
	if (p && is_there(s, p)) {
		profile_free(p);
		put_again(e, s, put, done, arg);
	} else if (p) {
		put_server(e, s, p, put, done, arg);
	} else if (done) {
		done(arg, err, err_text(err));
	}
	if (s)
		release(e, s);
}

static void remove_server(struct engine *e, struct server *s, nsec_t grace)
{
	struct asker *overtaken = take_askers(s);

	unwant_run(s, grace);
	profile_free(s->profile);
	profile_free(s->before);
	s->profile = s->before = NULL;
	s->banked = (struct traffic){0};
	answer(overtaken, -ERR_CANCELED, "removed meanwhile");
}

void engine_remove(struct engine *e, uint16_t port, engine_done *done, void *arg)
{
	struct server *s = find(e, port);

	if (s && s->profile) {
		hold(s);
		remove_server(e, s, 0);
		release(e, s);
	}
	if (done)
		done(arg, 0, "");
}

/* ---- looking ----------------------------------------------------------------------------- */

static void describe(const struct engine *e, const struct server *s, struct engine_server *out)
{
	struct traffic t;

	*out = (struct engine_server){
		.profile = s->profile,
		.generation = s->generation,
		.state = s->state,
		.err = s->err,
		.traffic = s->banked,
	};
	if (s->run && s->run->generation == s->generation) {
		e->ops->traffic(s->run, &t);
		out->traffic.up += t.up - s->run->banked.up;
		out->traffic.down += t.down - s->run->banked.down;
	}
}

bool engine_get(const struct engine *e, uint16_t port, struct engine_server *out)
{
	const struct server *s = find(e, port);

	if (!s || !s->profile)
		return false;
	describe(e, s, out);
	return true;
}

bool engine_next(const struct engine *e, unsigned port, struct engine_server *out)
{
	for (size_t i = place(e, port + 1); i < e->n; i++) {
		if (!e->v[i]->profile)
			continue;
		describe(e, e->v[i], out);
		return true;
	}
	return false;
}

size_t engine_count(const struct engine *e)
{
	size_t n = 0;

	for (size_t i = 0; i < e->n; i++)
		n += e->v[i]->profile != NULL;
	return n;
}

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

	for (size_t i; (i = place(e, port)) < e->n;) {
		struct server *s = e->v[i];

		port = s->port + 1u;
		if (!s->profile || s->run || s->leaving || s->state != ENGINE_WAITING)
			continue;
		hold(s);
		start(e, s);
		release(e, s);
	}
}

static void on_tick(struct timer *t)
{
	struct engine *e = container_of(t, struct engine, tick);
	nsec_t now = loop_now(e->conf.loop);

	engine_settle(e);
	if (now >= e->retry_at) {
		e->retry_at = now + RETRY_EVERY;
		retry(e);
	}
	timer_set(e->conf.loop, t, now + TICK);
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
	list_init(&e->live);
	list_init(&e->dead);
	timer_init(&e->tick, on_tick);
	if (ops->init)
		err = ops->init(e, why);
	if (err) {
		free(e);
		return err;
	}
	e->retry_at = loop_now(conf->loop) + RETRY_EVERY;
	timer_set(conf->loop, &e->tick, loop_now(conf->loop) + TICK);
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
		remove_server(e, e->v[i], grace);
	e->tick.fire = on_stop_tick;
	timer_set(e->conf.loop, &e->tick, loop_now(e->conf.loop) + NSEC_MS);
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
		answer(take_askers(e->v[i]), -ERR_CANCELED, "stopping");
		profile_free(e->v[i]->profile);
		profile_free(e->v[i]->before);
		free(e->v[i]);
	}
	free(e->v);
	if (e->ops->done)
		e->ops->done(e);
	free(e);
}
