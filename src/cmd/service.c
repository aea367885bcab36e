#include "cmd/service.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "cmd/daemon.h"

/* ---- the kinds ------------------------------------------------------------------------------- */

void service_init(struct service *s, const struct service_ops *ops,
		  const struct service_world *world)
{
	s->ops = ops;
	s->world = *world;
	s->lock = -1;
}

enum log_level service_level(const struct service *s)
{
	return s->world.again ? LOG_DEBUG : LOG_ERROR;
}

static int lock_state(struct service *s)
{
	int err = daemon_make_dir(s->dir);

	if (!err)
		err = daemon_lock_dir(s->dir, &s->lock);
	if (err == -EBUSY)
		log_msg(service_level(s), s->ops->area, "another process has the state folder %s",
			s->dir);
	else if (err)
		log_msg(service_level(s), s->ops->area, "cannot use the state folder %s: %s",
			s->dir, err_text(err));
	return err;
}

static int open_ledger(struct service *s, const struct service_state *state)
{
	char why[LEDGER_WHY_MAX] = "";
	/* The last column is control's: what external servers report. */
	int err =
		ledger_open(state->kept ? s->dir : NULL, s->world.workers->n + 1, &s->ledger, why);

	if (!err)
		err = ledger_node(s->ledger, state->url, 0, state->type, &s->ledger_node);
	if (err)
		log_msg(service_level(s), s->ops->area, "cannot use the state folder %s: %s%s%s",
			s->dir, err_text(err), *why ? ": " : "", why);
	else if (*why)
		log_msg(LOG_WARN, s->ops->area, "%s", why);
	return err;
}

int service_open_state(struct service *s, const struct service_state *state)
{
	int err = lock_state(s);

	return err ? err : open_ledger(s, state);
}

struct engine_conf service_engine_conf(const struct service *s)
{
	return (struct engine_conf){
		.loop = s->world.loop,
		.workers = s->world.workers,
		.counters = ledger_counters(s->ledger),
		.ledger_node = s->ledger_node,
		.settle = ledger_settle,
		.settle_arg = s->ledger,
		.run_dir = s->run_dir,
	};
}

/* What is built in puts nothing into the folder, and may run where none can be made. */
int service_try_engine(struct service *s, const char *kind, const struct engine_conf *conf,
		       char why[PROFILE_WHY_MAX])
{
	int err = strcmp(kind, "builtin") != 0 ? daemon_make_run_dir(s->run_dir) : 0;

	if (err == -EPERM)
		return err_say(err, why, PROFILE_WHY_MAX,
			       "the folder %s is a link, or not ours alone to write in",
			       s->run_dir);
	if (err)
		return err_say(err, why, PROFILE_WHY_MAX, "cannot use the folder %s: %s",
			       s->run_dir, err_text(err));
	return engine_new(kind, conf, &s->engine, why);
}

int service_start_engine(struct service *s, const char *kind, const struct engine_conf *conf)
{
	char why[PROFILE_WHY_MAX] = "";
	int err = service_try_engine(s, kind, conf, why);

	if (err)
		log_msg(service_level(s), s->ops->area, "the ports cannot be served: %s",
			*why ? why : err_text(err));
	return err;
}

void service_done(struct service *s)
{
	engine_free(s->engine);
	ledger_close(s->ledger);
	if (s->lock < 0)
		return; /* whoever has it needs the folder */
	if (*s->run_dir)
		rmdir(s->run_dir);
	close(s->lock);
}

/* ---- whoever runs one ------------------------------------------------------------------------ */

void service_sync(struct service *s)
{
	ledger_sync_counters(s->ledger);
}

void service_stop(struct service *s, nsec_t grace, void (*stopped)(void *arg), void *arg)
{
	s->stopped = stopped;
	s->stopped_arg = arg;
	s->ops->stop(s, grace);
}

void service_hasten(struct service *s)
{
	s->ops->hasten(s);
}

void service_hurry(struct service *s)
{
	s->ops->hurry(s);
}

void service_free(struct service *s)
{
	if (s)
		s->ops->free(s);
}
