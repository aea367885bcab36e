/* yassp.c - `weir yassp CONFIG [SECTION]`: yassp-server's job, by its INI (spec D). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/daemon.h"
#include "cmd/opt.h"
#include "cmd/site.h"
#include "conf/report.h"
#include "crypto/aead.h"
#include "event/signals.h"
#include "node/memory.h"

#define HOUSEKEEPING (30 * NSEC_SEC)

static const int caught[] = {SIGTERM, SIGINT, SIGHUP, 0};

struct host {
	struct site_conf *conf;
	struct loop *loop;
	struct signals signals;
	struct workers workers;
	struct http *http;
	struct site *site;
	struct timer housekeeping;
	bool stopping, hurried;
};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "weir yassp: %s: %s\n", what, why);
	return CMD_FAILED;
}

/* Every problem has been printed. */
static int load(struct host *h, const char *file, const char *section)
{
	struct conf_report report;
	int err;

	conf_report_init(&report);
	err = site_conf_load(file, section, &report, &h->conf);
	conf_report_print(&report, stderr);
	conf_report_done(&report);
	if (err == -ENOMEM)
		fail(file, err_text(err));
	return err;
}

/* ---- starting ---------------------------------------------------------------------------- */

static void on_housekeeping(struct timer *t)
{
	struct host *h = container_of(t, struct host, housekeeping);

	site_sync(h->site);
	timer_set(h->loop, t, loop_now(h->loop) + HOUSEKEEPING);
}

static unsigned worker_count(const struct yassp_conf *c)
{
	long n = c->daemon == YASSP_BUILTIN || c->fallback ? sysconf(_SC_NPROCESSORS_ONLN) : 1;

	return n < 1 ? 1 : (unsigned)MIN(n, 256L);
}

static int start_parts(struct host *h)
{
	char root[PATH_MAX];
	struct site_world world = {
		.loop = h->loop, .workers = &h->workers, .state_root = daemon_state_root(root)};
	int err = workers_start(&h->workers, h->loop, worker_count(&h->conf->conf), NULL);

	if (!err)
		err = workers_set_budget(&h->workers, memory_there("") / 2);
	if (!err && !(h->http = http_curl_new(h->loop, "weir/" WEIR_VERSION)))
		err = -ENOMEM;
	world.http = h->http;
	return err ? err : site_start(&world, h->conf, &h->site);
}

/* ---- ending ------------------------------------------------------------------------------ */

static void on_stopped(void *arg)
{
	struct host *h = arg;

	loop_stop(h->loop);
}

static void on_signal(struct signals *signals, int signo)
{
	struct host *h = container_of(signals, struct host, signals);

	log_msg(LOG_INFO, "yassp", "%s: stopping%s", signal_name(signo), h->stopping ? " now" : "");
	if (h->stopping) { /* what is not reported is in the ledger */
		h->hurried = true;
		site_hurry(h->site);
		return;
	}
	h->stopping = true;
	site_stop(h->site, 0, on_stopped, h);
}

static void host_done(struct host *h)
{
	site_free(h->site);
	http_free(h->http);
	timer_stop(&h->housekeeping);
	if (h->workers.n)
		workers_stop(&h->workers);
	signals_close(&h->signals);
	loop_turn(h->loop, 0); /* frees what was let go */
	loop_free(h->loop);
}

static int serve(struct host *h)
{
	const struct yassp_conf *c = &h->conf->conf;
	const char *why = aead_init("auto");
	int err;

	if (why)
		return fail("crypto", why);
	log_set_level((enum log_level)c->log_level);
	daemon_keep_large_apart();
	signals_block(caught);
	daemon_raise_files();
	h->loop = loop_new(LOOP_EPOLL, 0);
	if (!h->loop)
		return fail("cannot start", err_text(-ENOMEM));
	timer_init(&h->housekeeping, on_housekeeping);
	err = signals_open(&h->signals, h->loop, caught, on_signal);
	if (!err)
		err = start_parts(h);
	if (!err) {
		on_housekeeping(&h->housekeeping);
		log_msg(LOG_INFO, "yassp", "%s: version %s, ports by %s, state in %s",
			h->conf->section, WEIR_VERSION, yassp_daemon_name(c->daemon),
			site_dir(h->site));
		loop_run(h->loop);
	}
	host_done(h);
	if (err)
		return fail("cannot start", err_text(err));
	return h->hurried ? CMD_FAILED : CMD_OK;
}

/* The original knows one exit status for all that is wrong. */
static int one_status(int status)
{
	return status == CMD_OK ? CMD_OK : CMD_FAILED;
}

int cmd_yassp(int argc, char **argv)
{
	const struct opt_page page = {
		"weir yassp", "CONFIG [SECTION]",
		"Serves the Shadowsocks ports that a YaSSP panel lists, as the INI file of yassp-server\n"
		"says; SECTION is DEFAULT unless given.  SIGTERM, SIGINT and SIGHUP end it after the "
		"last report.",
		"weir yassp sites.cfg site-1", NULL};
	struct host h = {0};
	int n = opt_parse(&page, argc, argv), status = CMD_FAILED;

	if (n < 0)
		return one_status(~n);
	if (n < 1 || n > 2)
		return one_status(opt_wrong(&page, "one CONFIG, and maybe a SECTION"));
	if (!load(&h, argv[1], n > 1 ? argv[2] : INI_DEFAULT))
		status = serve(&h);
	site_conf_free(h.conf);
	return status;
}
