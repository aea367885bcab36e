#include "cmd/manager_host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "cmd/daemon.h"
#include "plugin/plugin.h"

struct manager_host {
	struct manager_world world;
	struct manager_file *file;
	struct ledger *ledger;
	uint32_t ledger_node;
	struct engine *engine;
	struct manager *manager;
	char dir[PATH_MAX], run_dir[PATH_MAX], state_file[PATH_MAX];
	int lock;
	void (*stopped)(void *arg);
	void *stopped_arg;
};

static enum log_level level(const struct manager_host *h)
{
	return h->world.again ? LOG_DEBUG : LOG_ERROR;
}

static void warn(void *arg, const char *what)
{
	log_msg(LOG_WARN, "manager", "%s: %s", (const char *)arg, what);
}

/* ---- folders ----------------------------------------------------------------------------- */

/* One for each manager's address. */
static int choose_dirs(struct manager_host *h)
{
	const struct manager_file *f = h->file;
	const struct hash_key key = {0};
	char tag[512];
	int n;

	snprintf(tag, sizeof(tag), "%s %d", f->endpoint.address, f->endpoint.port);
	if (f->state_file && *f->state_file) {
		n = snprintf(h->dir, PATH_MAX, "%s.d", f->state_file);
		snprintf(h->state_file, PATH_MAX, "%s", f->state_file);
	} else {
		n = snprintf(h->dir, PATH_MAX, "%s/ss-manager-%016llx",
			     f->workdir && *f->workdir ? f->workdir : h->world.state_root,
			     (unsigned long long)hash_bytes(&key, tag, strlen(tag)));
		if (!f->state_file &&
		    snprintf(h->state_file, PATH_MAX, "%s/ports.json", h->dir) >= PATH_MAX)
			n = PATH_MAX;
	}
	if (n < PATH_MAX)
		n = snprintf(h->run_dir, PATH_MAX, "%s/run", h->dir);
	if (n < PATH_MAX)
		return 0;
	log_msg(level(h), "manager", "the path of its state is too long");
	return -ENAMETOOLONG;
}

/* An empty state_file: nothing is kept, not even what has not been reported. */
static int open_state(struct manager_host *h)
{
	bool keep = !h->file->state_file || *h->file->state_file;
	char why[LEDGER_WHY_MAX] = "";
	int err = daemon_make_dir(h->dir);

	if (!err)
		err = daemon_lock_dir(h->dir, &h->lock);
	if (err == -EBUSY) {
		log_msg(level(h), "manager", "another manager runs with %s", h->dir);
		return err;
	}
	/* The last column is control's: what external servers report. */
	if (!err)
		err = ledger_open(keep ? h->dir : NULL, h->world.workers->n + 1, &h->ledger, why);
	if (!err)
		err = ledger_node(h->ledger, "ss-manager", 0, "shadowsocks", &h->ledger_node);
	if (!err)
		err = daemon_make_run_dir(h->run_dir);
	if (err)
		log_msg(level(h), "manager", "cannot use the state folder %s: %s%s%s", h->dir,
			err_text(err), *why ? ": " : "", why);
	else if (*why)
		log_msg(LOG_WARN, "manager", "%s", why);
	return err;
}

/* ---- starting ---------------------------------------------------------------------------- */

static int start_engine(struct manager_host *h)
{
	const struct manager_file *f = h->file;
	const struct engine_conf conf = {
		.loop = h->world.loop,
		.workers = h->world.workers,
		.counters = ledger_counters(h->ledger),
		.ledger_node = h->ledger_node,
		.settle = ledger_settle,
		.settle_arg = h->ledger,
		.retry_every = f->retry_s * NSEC_SEC,
		.listen = f->listen,
		.allow_private = f->allow_private,
		.insecure_methods = f->insecure_methods,
		.plugin_path = f->plugin_path,
		.plugin_single_host = f->plugin_single_host,
		.plugin_stop_timeout = f->plugin_stop_timeout_s * NSEC_SEC,
		.program = f->program,
		.run_dir = h->run_dir,
		.print_log = true,
		.acl = f->acl,
	};
	char why[PROFILE_WHY_MAX] = "";
	int err = engine_new(f->server_mode, &conf, &h->engine, why);

	if (err)
		log_msg(level(h), "manager", "the ports cannot be served: %s",
			*why ? why : err_text(err));
	else if (f->program && !strcmp(f->server_mode, "builtin"))
		log_msg(LOG_INFO, "manager",
			"--executable is not used: the ports are served in this process");
	return err;
}

/* Whoever can write to our unix socket is us; over UDP the file has to name what may be started. */
static bool allow_plugin(void *arg, const char *plugin)
{
	const struct manager_host *h = arg;
	const char *address = h->file->endpoint.address;

	if (h->file->plugin_allow)
		return plugin_allowed(h->file->plugin_allow, plugin);
	return *address == '/' ||
	       (!h->file->endpoint.port && !strchr(address, ':') && *address != '@');
}

static int start_manager(struct manager_host *h)
{
	const struct manager_file *f = h->file;
	const struct manager_conf conf = {
		.loop = h->world.loop,
		.engine = h->engine,
		.ledger = h->ledger,
		.ledger_node = h->ledger_node,
		.endpoint = f->endpoint,
		.dialect = f->dialect,
		.subscribers = f->subscribers,
		.stat_interval = f->stat_interval_s * NSEC_SEC,
		.reply_newline = f->reply_newline,
		.rules = {.defaults = &f->defaults,
			  .own_listen = true,
			  .plugin_allowed = allow_plugin,
			  .plugin_arg = h,
			  .warn = warn,
			  .warn_arg = (void *)(uintptr_t) "add"},
		.ports = f->ports,
		.nports = f->nports,
		.state_file = *h->state_file ? h->state_file : NULL,
	};
	char why[PROFILE_WHY_MAX] = "";
	int err = manager_new(&conf, &h->manager, why);

	if (err)
		log_msg(level(h), "manager", "%s", *why ? why : err_text(err));
	return err;
}

int manager_host_start(const struct manager_world *world, struct manager_file *f,
		       struct manager_host **out)
{
	struct manager_host *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return -ENOMEM;
	h->world = *world;
	h->file = f;
	h->lock = -1;
	err = choose_dirs(h);
	if (!err)
		err = open_state(h);
	if (!err)
		err = start_engine(h);
	if (!err)
		err = start_manager(h);
	if (err) {
		manager_host_free(h);
		return err;
	}
	manager_file_drop_ports(f);
	*out = h;
	return 0;
}

const char *manager_host_dir(const struct manager_host *h)
{
	return h->dir;
}

size_t manager_host_ports(const struct manager_host *h)
{
	return engine_count(h->engine);
}

void manager_host_sync(struct manager_host *h)
{
	ledger_sync_counters(h->ledger);
}

/* ---- ending ------------------------------------------------------------------------------ */

static void on_stopped(void *arg)
{
	struct manager_host *h = arg;

	manager_report(h->manager);
	h->stopped(h->stopped_arg);
}

void manager_host_stop(struct manager_host *h, nsec_t grace, void (*stopped)(void *arg), void *arg)
{
	h->stopped = stopped;
	h->stopped_arg = arg;
	manager_close(h->manager);
	engine_stop(h->engine, grace, on_stopped, h);
}

void manager_host_hasten(struct manager_host *h)
{
	engine_hasten(h->engine);
}

void manager_host_free(struct manager_host *h)
{
	if (!h)
		return;
	manager_free(h->manager);
	engine_free(h->engine);
	ledger_close(h->ledger);
	if (h->lock >= 0)
		close(h->lock);
	rmdir(h->run_dir);
	free(h);
}
