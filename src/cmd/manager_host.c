#include "cmd/manager_host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "plugin/plugin.h"

struct manager_host {
	struct service service;
	struct manager_file *file;
	struct manager *manager;
	char state_file[PATH_MAX];
};

static struct manager_host *host_of(struct service *s)
{
	return container_of(s, struct manager_host, service);
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
	struct service *s = &h->service;
	const struct hash_key key = {0};
	char tag[512];
	int n;

	snprintf(tag, sizeof(tag), "%s %d", f->endpoint.address, f->endpoint.port);
	if (f->state_file && *f->state_file) {
		n = snprintf(s->dir, PATH_MAX, "%s.d", f->state_file);
		snprintf(h->state_file, PATH_MAX, "%s", f->state_file);
	} else {
		n = snprintf(s->dir, PATH_MAX, "%s/ss-manager-%016llx",
			     f->workdir && *f->workdir ? f->workdir : s->world.state_root,
			     (unsigned long long)hash_bytes(&key, tag, strlen(tag)));
		if (!f->state_file &&
		    snprintf(h->state_file, PATH_MAX, "%s/ports.json", s->dir) >= PATH_MAX)
			n = PATH_MAX;
	}
	if (n < PATH_MAX)
		n = snprintf(s->run_dir, PATH_MAX, "%s/run", s->dir);
	if (n < PATH_MAX)
		return 0;
	log_msg(service_level(s), "manager", "the path of its state is too long");
	return -ENAMETOOLONG;
}

/* An empty state_file: nothing is kept, not even what has not been reported. */
static int open_state(struct manager_host *h)
{
	const struct service_state state = {
		.kept = !h->file->state_file || *h->file->state_file,
		.url = "ss-manager",
		.type = "shadowsocks",
	};

	return service_open_state(&h->service, &state);
}

/* ---- starting ---------------------------------------------------------------------------- */

static int start_engine(struct manager_host *h)
{
	const struct manager_file *f = h->file;
	struct engine_conf conf = service_engine_conf(&h->service);
	int err;

	conf.retry_every = f->retry_s * NSEC_SEC;
	conf.listen = f->listen;
	conf.allow_private = f->allow_private;
	conf.insecure_methods = f->insecure_methods;
	conf.plugin_path = f->plugin_path;
	conf.plugin_single_host = f->plugin_single_host;
	conf.plugin_stop_timeout = f->plugin_stop_timeout_s * NSEC_SEC;
	conf.program = f->program;
	conf.print_log = true;
	conf.acl = f->acl;
	err = service_start_engine(&h->service, f->server_mode, &conf);
	if (!err && f->program && !strcmp(f->server_mode, "builtin"))
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
		.loop = h->service.world.loop,
		.engine = h->service.engine,
		.ledger = h->service.ledger,
		.ledger_node = h->service.ledger_node,
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
		log_msg(service_level(&h->service), "manager", "%s", *why ? why : err_text(err));
	return err;
}

/* ---- ending ------------------------------------------------------------------------------ */

static void on_stopped(void *arg)
{
	struct manager_host *h = arg;

	manager_report(h->manager);
	h->service.stopped(h->service.stopped_arg);
}

static void manager_host_stop(struct service *s, nsec_t grace)
{
	struct manager_host *h = host_of(s);

	manager_close(h->manager);
	engine_stop(s->engine, grace, on_stopped, h);
}

static void manager_host_hasten(struct service *s)
{
	engine_hasten(s->engine);
}

static void manager_host_hurry(struct service *s)
{
	manager_host_stop(s, 0);
}

static void manager_host_free(struct service *s)
{
	struct manager_host *h = host_of(s);

	manager_free(h->manager);
	service_done(s);
	free(h);
}

static const struct service_ops manager_host_ops = {
	.area = "manager",
	.stop = manager_host_stop,
	.hasten = manager_host_hasten,
	.hurry = manager_host_hurry,
	.free = manager_host_free,
};

/* ---- the whole --------------------------------------------------------------------------- */

int manager_host_start(const struct service_world *world, struct manager_file *f,
		       struct service **out)
{
	struct manager_host *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return -ENOMEM;
	service_init(&h->service, &manager_host_ops, world);
	h->file = f;
	err = choose_dirs(h);
	if (!err)
		err = open_state(h);
	if (!err)
		err = start_engine(h);
	if (!err)
		err = start_manager(h);
	if (err) {
		manager_host_free(&h->service);
		return err;
	}
	manager_file_drop_ports(f);
	log_msg(LOG_INFO, "manager", "at %s, %zu ports by %s, state in %s", f->endpoint.address,
		engine_count(h->service.engine), f->server_mode, h->service.dir);
	*out = &h->service;
	return 0;
}
