/* manager_state.c - any bytes as the state file of a manager, over an engine whose servers are nothing:
 * what is restored is saved, and what is saved is restored as it was.
 *
 * The first byte: whether each of several subscribers has his account there.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/jout.h"
#include "base/log.h"
#include "manager/engine_impl.h"
#include "manager/manager_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* ---- servers that are nothing ------------------------------------------------------------ */

static int start(struct engine *e, const struct profile *p, uint32_t generation,
		 struct instance *old, struct instance **out, char why[PROFILE_WHY_MAX])
{
	struct instance *i = calloc(1, sizeof(*i));

	assert(i);
	*out = i;
	return 0;
}

static void stop(struct instance *i, nsec_t grace)
{
	engine_gone(i);
}

static void traffic(const struct instance *i, struct traffic *out)
{
	*out = (struct traffic){0};
}

static size_t slots(const struct instance *i, uint32_t *out)
{
	return 0;
}

static void instance_free(struct instance *i, bool settled)
{
	free(i);
}

static const struct engine_ops nothing = {
	.kind = "nothing",
	.size = sizeof(struct engine),
	.start = start,
	.stop = stop,
	.traffic = traffic,
	.slots = slots,
	.free = instance_free,
};

/* ---- a manager without a socket ---------------------------------------------------------- */

static struct loop *l;

static void open_manager(struct manager *m, bool accounts)
{
	const struct engine_conf conf = {.loop = l};
	char why[PROFILE_WHY_MAX];

	*m = (struct manager){.conf.subscribers = accounts ? SUBSCRIBERS_ALL : SUBSCRIBERS_LAST};
	assert(engine_make(&nothing, &conf, &m->conf.engine, why) == 0);
}

static void stopped(void *arg)
{
	*(bool *)arg = true;
}

static void close_manager(struct manager *m)
{
	bool done = false;

	engine_stop(m->conf.engine, 0, stopped, &done);
	for (int i = 0; i < 20 && !done; i++)
		loop_turn(l, NSEC_SEC);
	assert(done);
	engine_free(m->conf.engine);
	for (unsigned i = 0; i < m->nclients; i++)
		free(m->clients[i].owed);
	loop_turn(l, 0);
}

/* Ports, generations and accounts. */
static void check_same(const struct manager *a, const struct manager *b)
{
	struct engine_server x, y;
	unsigned port = 0;

	assert(engine_count(a->conf.engine) == engine_count(b->conf.engine));
	while (engine_next(a->conf.engine, port, &x)) {
		port = x.profile->port;
		assert(engine_get(b->conf.engine, x.profile->port, &y));
		assert(profile_equal(x.profile, y.profile) && x.generation == y.generation);
	}
	assert(a->generation == b->generation && a->nclients == b->nclients);
	for (unsigned i = 0; i < a->nclients; i++) {
		assert(a->clients[i].nowed == b->clients[i].nowed);
		assert(!a->clients[i].nowed ||
		       !memcmp(a->clients[i].owed, b->clients[i].owed,
			       a->clients[i].nowed * sizeof(*a->clients[i].owed)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct manager m, again;
	struct jout j = {0};

	if (!l) {
		log_set_level(LOG_NONE);
		l = loop_new(LOOP_VIRTUAL, 1);
		assert(l);
	}
	if (len == 0)
		return 0;
	open_manager(&m, data[0] & 1);
	if (manager_state_restore(&m, (const char *)data + 1, len - 1) == 0) {
		open_manager(&again, data[0] & 1);
		manager_state_emit(&m, &j);
		assert(!j.failed && manager_state_restore(&again, j.at, j.len) == 0);
		check_same(&m, &again);
		close_manager(&again);
		free(j.at);
	}
	close_manager(&m);
	return 0;
}
