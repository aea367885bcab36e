/* How what runs on a port becomes what is wanted there. */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "manager/engine_impl.h"

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
void askers_answer(struct asker *a, int err, const char *why)
{
	while (a) {
		struct asker *next = a->next;

		a->done(a->arg, err, err ? why : "");
		free(a);
		a = next;
	}
}

struct asker *server_take_askers(struct server *s)
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
	struct asker *askers = server_take_askers(s);

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
	askers_answer(askers, err, reason(err, why));
}

static void runs(struct engine *e, struct server *s)
{
	bool again = s->state == ENGINE_WAITING;

	s->state = ENGINE_RUNNING;
	s->err = 0;
	profile_free(s->before);
	s->before = NULL;
	askers_answer(server_take_askers(s), 0, "");
	if (again)
		event(e, s->port, ENGINE_UP, NULL);
}

void server_start(struct engine *e, struct server *s)
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
		server_start(e, s);
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
	server_hold(s);
	if (s->run == i)
		s->run = NULL;
	if (!e->stopping && (!s->lost || s->askers))
		step(e, s);
	server_release(e, s);
}

void engine_started(struct instance *i, int err, const char *why)
{
	struct engine *e = i->engine;
	struct server *s = i->server;

	if (s && s->run == i) {
		server_hold(s);
		if (err) {
			bury(i);
			s->run = NULL;
			fell_through(e, s, err, why);
		} else {
			runs(e, s);
		}
		server_release(e, s);
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
	server_hold(s);
	log_msg(LOG_WARN, "manager", "port %u: cannot be served: %s, trying again", s->port,
		reason(err, why));
	s->keep = s->lost = true;
	s->state = ENGINE_WAITING;
	s->err = err;
	unwant_run(s, 0);
	event(e, s->port, ENGINE_DOWN, reason(err, why));
	server_release(e, s);
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
	struct asker *overtaken = server_take_askers(s);
	int err;

	if (s->run && !s->leaving && s->state == ENGINE_RUNNING &&
	    replace_beside(e, s, p, put, done, arg)) {
		askers_answer(overtaken, -ERR_CANCELED, "replaced meanwhile");
		return;
	}
	want(s, p, put, unwant_run(s, 0));
	err = ask(s, done, arg);
	askers_answer(overtaken, -ERR_CANCELED, "replaced meanwhile");
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
	struct server *s = e->stopping ? NULL : server_make(e, put->profile->port);
	struct profile *p = s ? profile_new(put->profile) : NULL;
	int err = e->stopping ? -ERR_CANCELED : -ENOMEM;

	if (s)
		server_hold(s);
	if (p && is_there(s, p)) {
		profile_free(p);
		put_again(e, s, put, done, arg);
	} else if (p) {
		put_server(e, s, p, put, done, arg);
	} else if (done) {
		done(arg, err, err_text(err));
	}
	if (s)
		server_release(e, s);
}

void server_unwant(struct engine *e, struct server *s, nsec_t grace)
{
	struct asker *overtaken = server_take_askers(s);

	unwant_run(s, grace);
	profile_free(s->profile);
	profile_free(s->before);
	s->profile = s->before = NULL;
	s->banked = (struct traffic){0};
	askers_answer(overtaken, -ERR_CANCELED, "removed meanwhile");
}

void engine_remove(struct engine *e, uint16_t port, engine_done *done, void *arg)
{
	struct server *s = server_find(e, port);

	if (s && s->profile) {
		server_hold(s);
		server_unwant(e, s, 0);
		server_release(e, s);
	}
	if (done)
		done(arg, 0, "");
}
