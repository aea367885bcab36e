#include "cmd/site.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "sync/snapshot.h"
#include "yassp/push_server.h"

struct site {
	struct service service;
	const struct site_conf *from;
	const struct yassp_conf *conf;
	const char **plugin_path; /* conf's, NULL-terminated */
	struct yassp *y;
	struct push_server *push;
	bool hurried;
};

static struct site *site_of(struct service *s)
{
	return container_of(s, struct site, service);
}

/* ---- the file ---------------------------------------------------------------------------- */

static void complain(struct conf_report *report, const char *file, bool warning, const char *key,
		     const char *what)
{
	conf_report_add(report, warning, file, (struct json_pos){0}, key, "%s", what);
}

static void no_such_section(const struct site_conf *c, struct conf_report *report)
{
	char names[256];
	size_t n = ini_section_names(c->ini, names, sizeof(names));

	conf_report_add(report, false, c->file, (struct json_pos){0}, c->section,
			"there is no such section; write one of DEFAULT%s%s", n ? ", " : "", names);
}

static int read_section(struct site_conf *c, const struct file *f, struct conf_report *report)
{
	size_t before = report->errors;
	char why[FILE_WARNING_MAX], names[256];
	int err = 0;

	if (file_exposed(f, why))
		complain(report, c->file, true, "", why);
	c->ini = ini_parse(f->text, f->len, c->file, report);
	if (!c->ini)
		return -ENOMEM;
	if (!ini_has_section(c->ini, c->section))
		no_such_section(c, report);
	else
		err = yassp_conf_read(c->ini, c->section, c->file, &c->mem, report, &c->conf);
	if (!err && report->errors > before && !strcmp(c->section, "DEFAULT") &&
	    ini_section_names(c->ini, names, sizeof(names)))
		conf_report_add(report, true, c->file, (struct json_pos){0}, "",
				"no section was named; there are %s", names);
	return err ? err : report->errors > before ? -ERR_CONFIG : 0;
}

static int read_site(struct site_conf *c, struct conf_report *report)
{
	struct file f;
	int err = file_read(c->file, INI_FILE_MAX, 0, &f);

	if (err == -ENOMEM)
		return err;
	if (err) {
		complain(report, c->file, false, "", err_text(err));
		return -ERR_CONFIG;
	}
	err = read_section(c, &f, report);
	file_done(&f);
	return err;
}

int site_conf_load(const char *file, const char *section, struct conf_report *report,
		   struct site_conf **out)
{
	struct site_conf *c = calloc(1, sizeof(*c));
	char real[PATH_MAX];
	int err = -ENOMEM;

	if (!c)
		return -ENOMEM;
	arena_init(&c->mem, 0);
	c->file = arena_strdup(&c->mem, file);
	c->section = arena_strdup(&c->mem, section);
	c->real = arena_strdup(&c->mem, realpath(file, real) ? real : file);
	if (c->file && c->section && c->real)
		err = read_site(c, report);
	if (err) {
		site_conf_free(c);
		return err;
	}
	*out = c;
	return 0;
}

void site_conf_free(struct site_conf *c)
{
	if (!c)
		return;
	ini_free(c->ini);
	arena_done(&c->mem);
	free(c);
}

/* ---- folders ----------------------------------------------------------------------------- */

/* One for each file and section, whatever they are called. */
static int choose_dir(struct site *s)
{
	char name[SNAPSHOT_NAME_LEN + 1], *dir = s->service.dir;
	int n, err;

	if (*s->conf->state) {
		n = snprintf(dir, PATH_MAX, "%s", s->conf->state);
		return n < PATH_MAX ? 0 : -ENAMETOOLONG;
	}
	err = snapshot_name(s->from->real, s->from->section, "yassp", name);
	if (err)
		return err;
	n = snprintf(dir, PATH_MAX, "%s/yassp-%s", s->service.world.state_root, name);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int choose_run_dir(struct site *s)
{
	const struct hash_key key = {0};
	const char *dir = s->service.dir;
	int n;

	if (*s->conf->temp_dir) /* which several of one process may share */
		n = snprintf(s->service.run_dir, PATH_MAX, "%s/weir-%d-%08x", s->conf->temp_dir,
			     getpid(), (unsigned)hash_bytes(&key, dir, strlen(dir)));
	else
		n = snprintf(s->service.run_dir, PATH_MAX, "%s/run", dir);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int open_state(struct site *s)
{
	/* By host name: a panel that moves gets what was counted before. */
	const struct service_state state = {
		.kept = true, .url = "yassp", .type = s->conf->hostname};
	int err = choose_dir(s);

	if (!err)
		err = choose_run_dir(s);
	if (!err)
		return service_open_state(&s->service, &state);
	log_msg(service_level(&s->service), "yassp", "%s: its state has no folder: %s",
		s->from->section, err_text(err));
	return err;
}

/* ---- starting ---------------------------------------------------------------------------- */

static void on_event(void *arg, uint16_t port, enum engine_event what, const char *why)
{
	/* It has been logged. */
}

static int end_path(struct site *s)
{
	const struct json_list *path = &s->conf->plugin_path;

	s->plugin_path = calloc(path->count + 1, sizeof(*s->plugin_path));
	for (size_t i = 0; s->plugin_path && i < path->count; i++)
		s->plugin_path[i] = path->items[i];
	return s->plugin_path ? 0 : -ENOMEM;
}

static struct engine_conf engine_conf_of(struct site *s)
{
	struct engine_conf c = service_engine_conf(&s->service);

	c.event = on_event;
	c.retry_every = s->conf->retry_s * NSEC_SEC;
	c.listen =
		(struct json_list){.items = (const char **)(uintptr_t)&s->conf->bind, .count = 1};
	c.allow_private = s->conf->allow_private;
	c.insecure_methods = s->conf->insecure_methods;
	c.plugin_path = s->plugin_path;
	c.plugin_stop_timeout = s->conf->plugin_stop_timeout_s * NSEC_SEC;
	c.program = s->conf->program;
	c.print_log = s->conf->print_log;
	return c;
}

static int start_engine(struct site *s)
{
	struct engine_conf c = engine_conf_of(s);
	const char *kind = yassp_daemon_name(s->conf->daemon);
	char why[PROFILE_WHY_MAX] = "";
	int err;

	if (s->conf->fallback && s->conf->daemon != YASSP_BUILTIN) {
		err = service_try_engine(&s->service, kind, &c, why);
		if (!err)
			return 0;
		log_msg(LOG_WARN, "yassp", "%s cannot be used (%s): serving the ports ourselves",
			kind, *why ? why : err_text(err));
		kind = "builtin";
	}
	return service_start_engine(&s->service, kind, &c);
}

static int start_yassp(struct site *s)
{
	const struct yassp_env env = {
		.loop = s->service.world.loop,
		.http = s->service.world.http,
		.ledger = s->service.ledger,
		.ledger_node = s->service.ledger_node,
		.engine = s->service.engine,
		.conf = s->conf,
		.tag = s->from->section,
		.snapshot_dir = s->service.dir,
	};

	return yassp_new(&env, &s->y);
}

static int start_push(struct site *s)
{
	char text[ADDR_TEXT_MAX];
	struct addr at;
	int err;

	if (!s->conf->push)
		return 0;
	err = push_server_start(s->service.world.loop, s->y, s->conf, &s->push);
	if (err) {
		log_msg(service_level(&s->service), "yassp",
			"the push server cannot listen on %s, port %d: %s", s->conf->push_address,
			(int)s->conf->push_port, err_text(err));
		return err;
	}
	push_server_at(s->push, &at);
	log_msg(LOG_INFO, "yassp", "push server on %s", addr_format(&at, text));
	return 0;
}

/* ---- ending ------------------------------------------------------------------------------ */

static void site_stop(struct service *service, nsec_t grace)
{
	struct site *s = site_of(service);

	push_server_stop(s->push);
	s->push = NULL;
	yassp_stop(s->y, grace, service->stopped, service->stopped_arg);
}

static void site_hasten(struct service *service)
{
	yassp_hasten(site_of(service)->y);
}

static void site_hurry(struct service *service)
{
	struct site *s = site_of(service);

	if (!s->hurried)
		yassp_hurry(s->y);
	s->hurried = true;
}

static void site_free(struct service *service)
{
	struct site *s = site_of(service);

	push_server_stop(s->push);
	yassp_free(s->y);
	service_done(service);
	free(s->plugin_path);
	free(s);
}

static const struct service_ops site_ops = {
	.area = "yassp",
	.stop = site_stop,
	.hasten = site_hasten,
	.hurry = site_hurry,
	.free = site_free,
};

/* ---- the whole --------------------------------------------------------------------------- */

static int start_parts(struct site *s)
{
	int err = open_state(s);

	if (!err)
		err = end_path(s);
	if (!err)
		err = start_engine(s);
	if (!err)
		err = start_yassp(s);
	return err ? err : start_push(s);
}

int site_start(const struct service_world *world, const struct site_conf *conf,
	       struct service **out)
{
	struct site *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	service_init(&s->service, &site_ops, world);
	s->from = conf;
	s->conf = &conf->conf;
	err = start_parts(s);
	if (err) {
		site_free(&s->service);
		return err;
	}
	log_msg(LOG_INFO, "yassp", "%s: ports by %s, state in %s", conf->section,
		yassp_daemon_name(conf->conf.daemon), s->service.dir);
	*out = &s->service;
	return 0;
}
