/* service.h - what serves Shadowsocks ports beside nodes, or alone: a manager (manager_host.h), a YaSSP
 * site (site.h).  What is asked of both is here, and what both work with: a folder of state, a ledger, an
 * engine.
 *
 *     service_start(&world, &conf, &s)
 *     service_stop(s, grace, stopped, arg)
 *     service_free(s)                         from the loop, once `stopped` has come
 *
 * Threads: control only.
 */
#ifndef WEIR_CMD_SERVICE_H
#define WEIR_CMD_SERVICE_H

#include <limits.h>

#include "manager/engine.h"
#include "sync/http.h"
#include "sync/ledger.h"

struct service;

struct service_world {
	struct loop *loop;
	struct workers *workers;
	struct http *http; /* of sites; a manager needs none */
	const char
		*state_root; /* of the folder of state, unless the configuration says otherwise */
	bool again;	     /* what is wrong has been told: to the debug log */
};

/* ---- whoever runs one ------------------------------------------------------------------------ */

/* What it serves: one of them is there. */
struct service_conf {
	struct manager_file *manager;
	struct site_conf *site;
};

/* What `conf` points to outlives it; a manager's ports are the engine's from then on.  0, or an error that
 * has been logged, and everything is as before.
 */
MUST_CHECK int service_start(const struct service_world *world, const struct service_conf *conf,
			     struct service **out);
void service_conf_free(struct service_conf *conf);		/* and it is empty then */
const char *service_conf_area(const struct service_conf *conf); /* in the log */

static inline bool service_conf_given(const struct service_conf *conf)
{
	return conf->manager || conf->site;
}

void service_sync(struct service *s); /* counters to disk, now and then */

/* Once: nothing more is asked for, ports close, connections end within `grace`, everything is reported. */
void service_stop(struct service *s, nsec_t grace, void (*stopped)(void *arg), void *arg);

/* After that: no more patience with connections; and none with whoever is to hear the last report. */
void service_hasten(struct service *s);
void service_hurry(struct service *s);
void service_free(struct service *s); /* after `stopped`, not from within it */

/* ---- the kinds ------------------------------------------------------------------------------- */

struct service_ops {
	const char *area; /* in the log */
	void (*stop)(struct service *s, nsec_t grace);
	void (*hasten)(struct service *s);
	void (*hurry)(struct service *s);
	void (*free)(struct service *s); /* whatever has been started of it */
};

/* The first member of a manager_host, a site. */
struct service {
	const struct service_ops *ops;
	struct service_world world;
	char dir[PATH_MAX]; /* of state */
	char run_dir[PATH_MAX];
	int lock;
	struct ledger *ledger;
	uint32_t ledger_node;
	struct engine *engine;
	void (*stopped)(void *arg); /* since it was told to */
	void *stopped_arg;
};

void service_init(struct service *s, const struct service_ops *ops,
		  const struct service_world *world);

/* How loud it is that it cannot start. */
enum log_level service_level(const struct service *s);

/* The whole ledger of one service is that of one node. */
struct service_state {
	bool kept; /* else what is counted and not reported is lost at the end */
	const char *url, *type;
};

/* The state folder, which has been named, and the ledger.  0, or an error that has been logged. */
MUST_CHECK int service_open_state(struct service *s, const struct service_state *state);

/* To be completed; then the engine itself, and run_dir where it is another program's.  0, or an error that
 * has been logged, or one with a sentence (or none) in `why`.
 */
struct engine_conf service_engine_conf(const struct service *s);
MUST_CHECK int service_try_engine(struct service *s, const char *kind,
				  const struct engine_conf *conf, char why[PROFILE_WHY_MAX]);
MUST_CHECK int service_start_engine(struct service *s, const char *kind,
				    const struct engine_conf *conf);

void service_done(struct service *s); /* the engine, then the rest */

#endif
