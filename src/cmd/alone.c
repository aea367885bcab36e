#include "cmd/alone.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "cmd/daemon.h"
#include "crypto/aead.h"
#include "event/signals.h"
#include "node/memory.h"

#define HOUSEKEEPING (30 * NSEC_SEC)

struct alone {
	const struct alone_conf *conf;
	const char *area;
	struct loop *loop;
	struct signals signals;
	struct workers workers;
	struct http *http;
	struct service *service;
	struct timer housekeeping;
	bool stopping, hurried;
};

/* ---- starting ---------------------------------------------------------------------------- */

static void on_housekeeping(struct timer *t)
{
	struct alone *a = container_of(t, struct alone, housekeeping);

	service_sync(a->service);
	timer_set(a->loop, t, loop_now(a->loop) + HOUSEKEEPING);
}

static unsigned worker_count(const struct alone_conf *c)
{
	long n = c->workers ? (long)c->workers : sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : (unsigned)MIN(n, 256L);
}

static int start_parts(struct alone *a)
{
	const struct alone_conf *c = a->conf;
	struct service_world world = {
		.loop = a->loop, .workers = &a->workers, .state_root = c->state_root};
	int err = workers_start(&a->workers, a->loop, worker_count(c), NULL);

	if (!err)
		err = workers_set_budget(&a->workers, memory_there("") / 2);
	if (!err && c->service.site && !(a->http = http_curl_new(a->loop, "weir/" WEIR_VERSION)))
		err = -ENOMEM;
	world.http = a->http;
	return err ? err : service_start(&world, &c->service, &a->service);
}

/* ---- ending ------------------------------------------------------------------------------ */

static void on_stopped(void *arg)
{
	struct alone *a = arg;

	loop_stop(a->loop);
}

static void on_signal(struct signals *signals, int signo)
{
	struct alone *a = container_of(signals, struct alone, signals);

	if (signo == SIGUSR1 || (signo == SIGHUP && !a->conf->ends_on_hup))
		return;
	log_msg(LOG_INFO, a->area, "%s: stopping%s", signal_name(signo), a->stopping ? " now" : "");
	if (a->stopping) { /* what is not reported is in the ledger */
		a->hurried = true;
		service_hurry(a->service);
		return;
	}
	a->stopping = true;
	service_stop(a->service, 0, on_stopped, a);
}

static void alone_done(struct alone *a)
{
	service_free(a->service);
	http_free(a->http);
	timer_stop(&a->housekeeping);
	if (a->workers.n)
		workers_stop(&a->workers);
	signals_close(&a->signals);
	loop_turn(a->loop, 0); /* frees what was let go */
	loop_free(a->loop);
}

int alone_run(const struct alone_conf *conf)
{
	struct alone a = {.conf = conf, .area = service_conf_area(&conf->service)};
	const char *why = aead_init("auto");
	int err;

	if (why) {
		log_msg(LOG_ERROR, "crypto", "%s", why);
		return -ERR_CONFIG;
	}
	daemon_keep_large_apart();
	signals_block(conf->caught);
	a.loop = loop_new(LOOP_EPOLL, 0);
	if (!a.loop)
		return -ENOMEM;
	timer_init(&a.housekeeping, on_housekeeping);
	err = signals_open(&a.signals, a.loop, conf->caught, on_signal);
	if (!err)
		err = start_parts(&a);
	if (!err) {
		on_housekeeping(&a.housekeeping);
		log_msg(LOG_INFO, a.area, "version %s, %u workers, AEAD by %s", WEIR_VERSION,
			a.workers.n, aead_engine());
		loop_run(a.loop);
	}
	alone_done(&a);
	if (err)
		return err;
	return a.hurried ? ALONE_HURRIED : ALONE_STOPPED;
}
