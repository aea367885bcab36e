/* engine.h - who runs Shadowsocks servers, seen by those who want them run: the manager protocol,
 * YaSSP, configuration files.
 *
 * Three kinds: `builtin` runs every port in this process, `libev` starts one ss-server process per
 * port, `python` one process for all ports that takes commands.  One server per port.
 *
 *     engine_put(e, &(struct engine_put){.profile = p, .generation = 7, .keep = true}, done, arg);
 *     engine_remove(e, port, done, arg);
 *     engine_stop(e, grace, done, arg);   then engine_free(e)
 *
 * Bytes are counted under a traffic id, which is port and generation: the generation is whatever
 * number the caller chooses; with another one a new count begins, so whoever wants the account
 * closed when a port is removed or its password changes puts the next server under a new number.
 * All kinds count into slots of the same counters file, external servers by what they report, and a
 * slot nobody counts in any more is settled: with the ledger behind it (sync/ledger.h) traffic is
 * exact over restarts and kill -9 of this process as well as over the end of a server's process.
 * A caller freezes, sends and acknowledges batches of its ledger node, whose users are traffic ids:
 * those of removed ports go with the next freeze, whatever the threshold.
 *
 * Threads: control only.
 */
#ifndef WEIR_MANAGER_ENGINE_H
#define WEIR_MANAGER_ENGINE_H

#include "manager/profile.h"
#include "node/workers.h"
#include "user/counters.h"

/* ---- traffic ids: the "user" of counters and ledger ------------------------------------------
 * One port with several users has one per user, which differ in `user` only.
 */
static inline int64_t traffic_id(uint16_t port, uint32_t generation, uint16_t user)
{
	return (int64_t)(((uint64_t)(generation & 0x7fffffffu) << 32) | ((uint64_t)user << 16) |
			 port);
}

static inline uint16_t traffic_port(int64_t id)
{
	return (uint16_t)id;
}

static inline uint32_t traffic_generation(int64_t id)
{
	return (uint32_t)((uint64_t)id >> 32);
}

static inline uint16_t traffic_user(int64_t id)
{
	return (uint16_t)((uint64_t)id >> 16);
}

/* ---- one engine ------------------------------------------------------------------------------ */

struct engine;

enum engine_state {
	ENGINE_STARTING, /* on the way: a process or a command that has not answered yet */
	ENGINE_RUNNING,
	ENGINE_WAITING, /* could not be started or has ended; is tried again */
	ENGINE_FAILED,	/* given up until it is put again */
};

struct engine_server {
	const struct profile *profile;
	uint32_t generation;
	enum engine_state state;
	int err;		/* of the last failure; 0: none since it was put */
	struct traffic traffic; /* of this generation in this process's life; never shrinks */
};

/* Something that happened by itself; the engine has logged it.  `why` may be NULL. */
enum engine_event {
	ENGINE_UP,	/* runs, after a failure */
	ENGINE_DOWN,	/* its process or plugin has ended, or never came; is tried again */
	ENGINE_GAVE_UP, /* will not be tried again */
};

struct engine_conf {
	struct loop *loop;	 /* control's */
	struct workers *workers; /* builtin: where connections live; others: not looked at */
	/* Of the ledger, one column more than there are workers: the last is control's, for what
	 * external servers report.
	 */
	struct counters *counters;
	uint32_t ledger_node;
	/* ledger_settle() and its ledger; NULL: what removed ports have moved is dropped (tests) */
	int (*settle)(void *arg, const uint32_t *slots, size_t n);
	void *settle_arg;
	void (*event)(void *arg, uint16_t port, enum engine_event what, const char *why);
	void *event_arg; /* event may be NULL */

	nsec_t retry_every;	 /* of what could not be started; 0: 30 s */
	struct json_list listen; /* for profiles without their own; empty: 0.0.0.0 */
	bool allow_private;	 /* builtin: private and loopback destinations */
	/* builtin: methods without integrity that may be served, by name */
	struct json_list insecure_methods;
	const char *const
		*plugin_path;	    /* folders, searched before PATH, NULL-terminated; NULL: none */
	bool plugin_single_host;    /* a plugin is told the first of several addresses only */
	nsec_t plugin_stop_timeout; /* of plugins, from TERM to KILL; 0: 3 s */
	/* external kinds */
	const char *program;	 /* ss-server, ssserver: name or path */
	const char *run_dir;	 /* ours alone, 0700: sockets, files with passwords */
	bool print_log;		 /* what the program prints goes to our log, else nowhere */
	const char *acl;	 /* libev: passed on; NULL: none */
	const char *const *args; /* further arguments; NULL: none */
};

/* `conf` is copied, what it points to outlives the engine.  -ERR_CONFIG with a sentence in `why`: the
 * program is not there, and the like.
 */
MUST_CHECK int engine_new(const char *kind, const struct engine_conf *conf, struct engine **out,
			  char why[PROFILE_WHY_MAX]);

/* A method without integrity, such as `none`: a name for insecure_methods. */
bool engine_method_insecure(const char *name);

/* Comes once, maybe before the call that it was given to returns.  `why` is a sentence without a
 * secret, "" with 0.
 */
typedef void engine_done(void *arg, int err, const char *why);

struct engine_put {
	const struct profile *profile; /* copied */
	uint32_t generation;
	/* Wanted whatever comes (a file, a panel): what cannot be started is reported and tried
	 * again every 30 s.  Otherwise a server that cannot be started is forgotten, and one that it
	 * was to replace goes on with its old profile.
	 */
	bool keep;
};

/* This server, in place of the port's present one, whose connections are closed.  Equal to the
 * present one: no-op, which keeps its generation.  `done` (may be NULL) comes when its sockets are
 * bound or its program has taken it:
 *
 *     0                              it runs
 *     -ERR_CONFIG, -ERR_UNSUPPORTED  this can never run: method, key, plugin; with `keep` too
 *     others                         it cannot run now: -EADDRINUSE, -EACCES, -ENOMEM, ...
 */
void engine_put(struct engine *e, const struct engine_put *put, engine_done *done, void *arg);

/* Not an error when nothing is there.  Its bytes are settled once its connections have ended, which
 * is within a second; those of an ss-server when it has reported once more, within six.
 */
void engine_remove(struct engine *e, uint16_t port, engine_done *done, void *arg);

/* False: nothing on this port.  *out holds until the next call that changes it. */
bool engine_get(const struct engine *e, uint16_t port, struct engine_server *out);

/* The next server above `port` (0: the first), in ascending order; false: no more. */
bool engine_next(const struct engine *e, unsigned port, struct engine_server *out);
size_t engine_count(const struct engine *e);

/* Settle what can be settled now, before a freeze.  It also happens by itself, every few seconds. */
void engine_settle(struct engine *e);

/* Everything ends: no listeners, connections end within `grace` (0: now), processes are asked and
 * then killed, all slots are settled.  Then `done`, and engine_free() is due.
 */
void engine_stop(struct engine *e, nsec_t grace, void (*done)(void *arg), void *arg);

/* After that: connections end now, and all is counted as before.  engine_stop() again with 0 waits for
 * nobody's last count either.
 */
void engine_hasten(struct engine *e);
void engine_free(struct engine *e);

#endif
