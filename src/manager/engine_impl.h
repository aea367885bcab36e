/* engine_impl.h - what the kinds of engines share: the table of servers, and how one of them changes.
 *
 * A server is what is wanted on a port; an instance is something that runs for it.  The engine keeps
 * the first, a kind makes and ends the second:
 *
 *     start()              0: runs; -EINPROGRESS: engine_started() tells; else nothing is there
 *     stop()               engine_gone() tells, maybe at once, when nothing counts for it any more
 *     traffic(), slots()   also of one that has gone, until free()
 *
 * A server has at most one instance that is not on its way out.  A replacement that can take over the
 * sockets of the old instance is started beside it; any other waits until it has gone, and if it cannot
 * be started then, what was there before comes back.
 */
#ifndef WEIR_MANAGER_ENGINE_IMPL_H
#define WEIR_MANAGER_ENGINE_IMPL_H

#include "base/list.h"
#include "manager/engine.h"

struct instance;

struct engine_ops {
	const char *kind;
	size_t size; /* of its struct, which begins with struct engine */
	int (*init)(struct engine *e, char why[PROFILE_WHY_MAX]); /* may be NULL */
	/* `old`: running until now on the same port, may be NULL; -EAGAIN: not while it is there. */
	int (*start)(struct engine *e, const struct profile *p, uint32_t generation,
		     struct instance *old, struct instance **out, char why[PROFILE_WHY_MAX]);
	void (*stop)(struct instance *i, nsec_t grace); /* again: hurry */
	/* Being stopped: connections end now.  NULL: what stops waits for none of them anyway. */
	void (*hasten)(struct instance *i);
	void (*traffic)(const struct instance *i, struct traffic *out);
	size_t (*slots)(const struct instance *i, uint32_t *out); /* out NULL: how many */
	void (*free)(struct instance *i, bool settled); /* settled: its slots are released */
	/* Every instance has gone: end what is left.  NULL, or 0: nothing is; else engine_ended() comes.
	 * Again: hurry.
	 */
	int (*end)(struct engine *e);
	void (*done)(struct engine *e); /* may be NULL */
};

/* The first member of a kind's own struct. */
struct instance {
	struct engine *engine;
	struct server *server; /* NULL: replaced or removed */
	struct list_node link; /* in `live` or `dead` */
	uint32_t generation;
	struct traffic banked; /* of it, in its server's account */
	bool stopping;
};

/* Who waits for an answer. */
struct asker {
	struct asker *next;
	engine_done *done;
	void *arg;
};

struct server {
	uint16_t port;
	bool keep;
	bool before_keep;
	enum engine_state state;
	uint32_t generation;
	uint32_t before_generation;
	struct profile *profile; /* wanted; NULL: removed, only the rest of its past is left */
	struct profile *before;	 /* what a replacement that fails falls back to */
	struct instance *run;	 /* present, maybe still starting */
	struct asker *askers;
	struct traffic banked; /* of this generation, by earlier instances */
	unsigned leaving;      /* earlier ones that have not gone yet */
	int err;
	unsigned held; /* by functions that go on with it */
	bool changing; /* no step before the change is complete */
	bool lost;     /* the last one was: the next one waits for its turn */
};

struct engine {
	const struct engine_ops *ops;
	struct engine_conf conf;
	struct server **v; /* ascending by port */
	size_t n, cap;
	struct list_node live, dead; /* instances */
	size_t nlive;
	struct timer tick; /* settling, and trying again */
	nsec_t retry_at;
	bool stopping, ending;
	void (*stopped)(void *arg);
	void *stopped_arg;
};

extern const struct engine_ops engine_builtin, engine_libev, engine_python;

/* engine_new() of a kind that is no name: for tests. */
MUST_CHECK int engine_make(const struct engine_ops *ops, const struct engine_conf *conf,
			   struct engine **out, char why[PROFILE_WHY_MAX]);

/* ---- between engine*.c ------------------------------------------------------------------------ */

size_t engine_place(const struct engine *e, unsigned port); /* where it is, or would be */
struct server *server_find(const struct engine *e, uint16_t port);
struct server *server_make(struct engine *e, uint16_t port); /* found, or new; NULL: no memory */

/* Callbacks may put and remove, and so end what their caller is busy with: who goes on with a server
 * holds it.
 */
void server_hold(struct server *s);
void server_release(struct engine *e, struct server *s);

void server_start(struct engine *e, struct server *s);		      /* nothing runs for it */
void server_unwant(struct engine *e, struct server *s, nsec_t grace); /* its past is left */
struct asker *server_take_askers(struct server *s);
void askers_answer(struct asker *a, int err,
		   const char *why); /* whoever is told may put and remove */

/* ---- what a kind tells ----------------------------------------------------------------------- */

/* After -EINPROGRESS.  With an error the instance has gone as by engine_gone(). */
void engine_started(struct instance *i, int err, const char *why);
void engine_gone(struct instance *i);

/* Of a running one: ENGINE_DOWN until ENGINE_UP, or ENGINE_GAVE_UP. */
void engine_tell(struct instance *i, enum engine_event what, int err, const char *why);

/* A running one serves no more: it is stopped, and its server tried again later.  Else nothing. */
void engine_lost(struct instance *i, int err, const char *why);
void engine_ended(struct engine *e);

/* ---- slots of external servers ---------------------------------------------------------------- */

/* Their numbers are counted by control, in the last column. */
struct tally {
	uint32_t slot;
	struct traffic base;
	uint64_t last; /* the total it said last; a lower one is a restart (D27) */
};

MUST_CHECK int tally_new(struct engine *e, uint16_t port, uint32_t generation, struct tally *out);
void tally_add(struct engine *e, struct tally *t, uint64_t bytes);
void tally_total(struct engine *e, struct tally *t, uint64_t total);
void tally_restart(struct tally *t); /* a new process: it counts from 0 */
void tally_end(struct engine *e, struct tally *t, bool settled);
void tally_traffic(const struct engine *e, const struct tally *t, struct traffic *out);

#endif
