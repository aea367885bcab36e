/* yassp.c - `weir yassp CONFIG [SECTION]`: yassp-server's job, by its INI (spec D). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/daemon.h"
#include "cmd/opt.h"
#include "conf/report.h"
#include "crypto/aead.h"
#include "event/signals.h"
#include "manager/engine.h"
#include "node/memory.h"
#include "node/workers.h"
#include "sync/snapshot.h"
#include "yassp/push_server.h"
#include "yassp/yassp.h"

#define HOUSEKEEPING (30 * NSEC_SEC)

static const int caught[] = {SIGTERM, SIGINT, SIGHUP, 0};

struct site {
	struct yassp_conf conf;
	const char *file, *section;
	char dir[PATH_MAX], run_dir[PATH_MAX];
	const char **plugin_path; /* conf's, NULL-terminated */
	struct loop *loop;
	struct signals signals;
	int lock;
	struct ledger *ledger;
	uint32_t ledger_node;
	struct workers workers;
	struct http *http;
	struct engine *engine;
	struct yassp *y;
	struct push_server *push;
	struct timer housekeeping;
	bool stopping, hurried;
};

/* ---- the file ---------------------------------------------------------------------------- */

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "weir yassp: %s: %s\n", what, why);
	return CMD_FAILED;
}

/* NULL: an error has been printed. */
static char *read_file(const char *path, size_t *len, bool *exposed)
{
	FILE *f = fopen(path, "re");
	struct stat st;
	char *text;

	if (!f || fstat(fileno(f), &st) < 0) {
		fail(path, err_text(-errno));
		if (f)
			fclose(f);
		return NULL;
	}
	*exposed = st.st_mode & (S_IRGRP | S_IROTH);
	text = malloc(INI_FILE_MAX + 2); /* a byte more than may be, so that too much is seen */
	if (text)
		*len = fread(text, 1, INI_FILE_MAX + 1, f);
	if (text && ferror(f)) {
		fail(path, "cannot be read");
		free(text);
		text = NULL;
	}
	fclose(f);
	return text;
}

/* The section of the file, whose texts stay in `ini` and `mem`; every problem has been printed. */
static int load(struct site *s, struct ini **ini, struct arena *mem)
{
	struct conf_report report;
	bool exposed = false;
	size_t len = 0;
	char *text = read_file(s->file, &len, &exposed);
	int err = -ERR_CONFIG;

	if (!text)
		return -ERR_CONFIG;
	conf_report_init(&report);
	if (exposed)
		conf_report_add(&report, true, s->file, (struct json_pos){0}, "",
				"others may read it, and it holds the psk; chmod 600");
	*ini = ini_parse(text, len, s->file, &report);
	explicit_bzero(text, len);
	free(text);
	if (*ini && !ini_has_section(*ini, s->section))
		conf_report_add(&report, false, s->file, (struct json_pos){0}, s->section,
				"there is no such section");
	else if (*ini)
		err = yassp_conf_read(*ini, s->section, s->file, mem, &report, &s->conf);
	conf_report_print(&report, stderr);
	if (report.errors)
		err = -ERR_CONFIG;
	conf_report_done(&report);
	return err;
}

/* ---- folders ----------------------------------------------------------------------------- */

/* One for each file and section, whatever they are called. */
static int choose_dir(struct site *s)
{
	char root[PATH_MAX], name[SNAPSHOT_NAME_LEN + 1];
	char *path = realpath(s->file, NULL);
	int n, err;

	if (*s->conf.state) {
		n = snprintf(s->dir, sizeof(s->dir), "%s", s->conf.state);
		free(path);
		return n < PATH_MAX ? 0 : -ENAMETOOLONG;
	}
	err = snapshot_name(path ? path : s->file, s->section, "yassp", name);
	free(path);
	if (err)
		return err;
	n = snprintf(s->dir, sizeof(s->dir), "%s/yassp-%s", daemon_state_root(root), name);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int open_state(struct site *s, unsigned nworkers)
{
	char why[LEDGER_WHY_MAX] = "";
	int err = choose_dir(s);

	if (!err)
		err = daemon_make_dir(s->dir);
	if (!err)
		err = daemon_lock_dir(s->dir, &s->lock);
	if (err == -EBUSY) {
		log_msg(LOG_ERROR, "yassp", "%s: another process runs this site", s->section);
		return err;
	}
	/* The last column is control's: what external servers report. */
	if (!err)
		err = ledger_open(s->dir, nworkers + 1, &s->ledger, why);
	/* By host name: a panel that moves gets what was counted before. */
	if (!err)
		err = ledger_node(s->ledger, "yassp", 0, s->conf.hostname, &s->ledger_node);
	if (err)
		log_msg(LOG_ERROR, "yassp", "cannot use the state folder %s: %s%s%s", s->dir,
			err_text(err), *why ? ": " : "", why);
	else if (*why)
		log_msg(LOG_WARN, "yassp", "%s", why);
	return err;
}

/* ---- the engine -------------------------------------------------------------------------- */

static void on_event(void *arg, uint16_t port, enum engine_event what, const char *why)
{
	/* It has been logged. */
}

static int make_run_dir(struct site *s)
{
	int n = *s->conf.temp_dir
			? snprintf(s->run_dir, PATH_MAX, "%s/weir-%d", s->conf.temp_dir, getpid())
			: snprintf(s->run_dir, PATH_MAX, "%s/run", s->dir);

	return n < PATH_MAX ? daemon_make_dir(s->run_dir) : -ENAMETOOLONG;
}

static int end_path(struct site *s)
{
	const struct json_list *path = &s->conf.plugin_path;

	s->plugin_path = calloc(path->count + 1, sizeof(*s->plugin_path));
	for (size_t i = 0; s->plugin_path && i < path->count; i++)
		s->plugin_path[i] = path->items[i];
	return s->plugin_path ? 0 : -ENOMEM;
}

static int start_engine(struct site *s)
{
	struct engine_conf c = {
		.loop = s->loop,
		.workers = &s->workers,
		.counters = ledger_counters(s->ledger),
		.ledger_node = s->ledger_node,
		.settle = ledger_settle,
		.settle_arg = s->ledger,
		.event = on_event,
		.retry_every = s->conf.retry_s * NSEC_SEC,
		.listen = {.items = &s->conf.bind, .count = 1},
		.allow_private = s->conf.allow_private,
		.insecure_methods = s->conf.insecure_methods,
		.plugin_path = s->plugin_path,
		.plugin_stop_timeout = s->conf.plugin_stop_timeout_s * NSEC_SEC,
		.program = s->conf.program,
		.run_dir = s->run_dir,
		.print_log = s->conf.print_log,
	};
	const char *kind = yassp_daemon_name(s->conf.daemon);
	char why[PROFILE_WHY_MAX] = "";
	int err = engine_new(kind, &c, &s->engine, why);

	if (err && s->conf.fallback && s->conf.daemon != YASSP_BUILTIN) {
		log_msg(LOG_WARN, "yassp", "%s cannot be used (%s): serving the ports ourselves",
			kind, *why ? why : err_text(err));
		err = engine_new("builtin", &c, &s->engine, why);
	}
	if (err)
		log_msg(LOG_ERROR, "yassp", "the ports cannot be served: %s",
			*why ? why : err_text(err));
	return err;
}

/* ---- starting ---------------------------------------------------------------------------- */

static void on_housekeeping(struct timer *t)
{
	struct site *s = container_of(t, struct site, housekeeping);

	ledger_sync_counters(s->ledger);
	timer_set(s->loop, t, loop_now(s->loop) + HOUSEKEEPING);
}

static int start_site(struct site *s)
{
	const struct yassp_env env = {
		.loop = s->loop,
		.http = s->http,
		.ledger = s->ledger,
		.ledger_node = s->ledger_node,
		.engine = s->engine,
		.conf = &s->conf,
		.tag = s->section,
		.snapshot_dir = s->dir,
	};

	return yassp_new(&env, &s->y);
}

static int start_push(struct site *s)
{
	char text[ADDR_TEXT_MAX];
	struct addr at;
	int err;

	if (!s->conf.push)
		return 0;
	err = push_server_start(s->loop, s->y, &s->conf, &s->push);
	if (err) {
		log_msg(LOG_ERROR, "yassp", "the push server cannot listen on %s, port %d: %s",
			s->conf.push_address, (int)s->conf.push_port, err_text(err));
		return err;
	}
	push_server_at(s->push, &at);
	log_msg(LOG_INFO, "yassp", "push server on %s", addr_format(&at, text));
	return 0;
}

static unsigned worker_count(const struct site *s)
{
	long n = s->conf.daemon == YASSP_BUILTIN || s->conf.fallback ? sysconf(_SC_NPROCESSORS_ONLN)
								     : 1;

	return n < 1 ? 1 : (unsigned)MIN(n, 256L);
}

static int start_parts(struct site *s)
{
	unsigned n = worker_count(s);
	int err = open_state(s, n);

	if (!err)
		err = workers_start(&s->workers, s->loop, n, ledger_counters(s->ledger));
	if (!err)
		err = workers_set_budget(&s->workers, memory_there("") / 2);
	if (!err)
		err = make_run_dir(s);
	if (!err)
		err = end_path(s);
	if (!err && !(s->http = http_curl_new(s->loop, "weir/" WEIR_VERSION)))
		err = -ENOMEM;
	if (!err)
		err = start_engine(s);
	if (!err)
		err = start_site(s);
	if (!err)
		err = start_push(s);
	return err;
}

/* ---- ending ------------------------------------------------------------------------------ */

static void on_stopped(void *arg)
{
	struct site *s = arg;

	loop_stop(s->loop);
}

static void on_signal(struct signals *signals, int signo)
{
	struct site *s = container_of(signals, struct site, signals);

	log_msg(LOG_INFO, "yassp", "signal %d: stopping%s", signo, s->stopping ? " now" : "");
	if (s->stopping) { /* what is not reported is in the ledger */
		if (!s->hurried)
			yassp_hurry(s->y);
		s->hurried = true;
		return;
	}
	s->stopping = true;
	push_server_stop(s->push);
	s->push = NULL;
	yassp_stop(s->y, on_stopped, s);
}

static void site_done(struct site *s)
{
	push_server_stop(s->push);
	yassp_free(s->y);
	engine_free(s->engine);
	http_free(s->http);
	timer_stop(&s->housekeeping);
	if (s->workers.n)
		workers_stop(&s->workers);
	ledger_close(s->ledger);
	if (s->lock >= 0)
		close(s->lock);
	if (*s->run_dir)
		rmdir(s->run_dir);
	free(s->plugin_path);
	signals_close(&s->signals);
	loop_turn(s->loop, 0); /* frees what was let go */
	loop_free(s->loop);
}

static int serve(struct site *s)
{
	const char *why = aead_init("auto");
	int err;

	if (why)
		return fail("crypto", why);
	log_set_level((enum log_level)s->conf.log_level);
	daemon_keep_large_apart();
	signals_block(caught);
	daemon_raise_files();
	s->lock = -1;
	s->loop = loop_new(LOOP_EPOLL, 0);
	if (!s->loop)
		return fail("cannot start", err_text(-ENOMEM));
	timer_init(&s->housekeeping, on_housekeeping);
	err = signals_open(&s->signals, s->loop, caught, on_signal);
	if (!err)
		err = start_parts(s);
	if (!err) {
		on_housekeeping(&s->housekeeping);
		log_msg(LOG_INFO, "yassp", "%s: version %s, ports by %s, state in %s", s->section,
			WEIR_VERSION, yassp_daemon_name(s->conf.daemon), s->dir);
		loop_run(s->loop);
	}
	site_done(s);
	if (err)
		return fail("cannot start", err_text(err));
	return s->hurried ? CMD_FAILED : CMD_OK;
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
	static struct site s;
	struct arena mem;
	struct ini *ini = NULL;
	int n = opt_parse(&page, argc, argv), status = CMD_FAILED;

	if (n < 0)
		return one_status(~n);
	if (n < 1 || n > 2)
		return one_status(opt_wrong(&page, "one CONFIG, and maybe a SECTION"));
	s.file = argv[1];
	s.section = n > 1 ? argv[2] : INI_DEFAULT;
	arena_init(&mem, 0);
	if (!load(&s, &ini, &mem))
		status = serve(&s);
	ini_free(ini);
	arena_done(&mem);
	return status;
}
