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
#include "cmd/daemon.h"
#include "sync/snapshot.h"
#include "yassp/push_server.h"

struct site {
	struct site_world world;
	const struct site_conf *from;
	const struct yassp_conf *conf;
	char dir[PATH_MAX], run_dir[PATH_MAX];
	const char **plugin_path; /* conf's, NULL-terminated */
	int lock;
	struct ledger *ledger;
	uint32_t ledger_node;
	struct engine *engine;
	struct yassp *y;
	struct push_server *push;
	bool hurried;
};

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

static enum log_level level(const struct site *s)
{
	return s->world.again ? LOG_DEBUG : LOG_ERROR;
}

/* One for each file and section, whatever they are called. */
static int choose_dir(struct site *s)
{
	char name[SNAPSHOT_NAME_LEN + 1];
	int n, err;

	if (*s->conf->state) {
		n = snprintf(s->dir, sizeof(s->dir), "%s", s->conf->state);
		return n < PATH_MAX ? 0 : -ENAMETOOLONG;
	}
	err = snapshot_name(s->from->real, s->from->section, "yassp", name);
	if (err)
		return err;
	n = snprintf(s->dir, sizeof(s->dir), "%s/yassp-%s", s->world.state_root, name);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int make_run_dir(struct site *s)
{
	const struct hash_key key = {0};
	int n, err;

	if (*s->conf->temp_dir) /* which several of one process may share */
		n = snprintf(s->run_dir, PATH_MAX, "%s/weir-%d-%08x", s->conf->temp_dir, getpid(),
			     (unsigned)hash_bytes(&key, s->dir, strlen(s->dir)));
	else
		n = snprintf(s->run_dir, PATH_MAX, "%s/run", s->dir);
	err = n < PATH_MAX ? daemon_make_run_dir(s->run_dir) : -ENAMETOOLONG;
	if (err)
		log_msg(level(s), "yassp", "cannot use the folder %s: %s%s", s->run_dir,
			err_text(err),
			err == -EPERM ? ": it is a link, or not ours alone to write in" : "");
	return err;
}

static int open_state(struct site *s)
{
	char why[LEDGER_WHY_MAX] = "";
	int err = choose_dir(s);

	if (!err)
		err = daemon_make_dir(s->dir);
	if (!err)
		err = daemon_lock_dir(s->dir, &s->lock);
	if (err == -EBUSY) {
		log_msg(level(s), "yassp", "%s: another process runs this site", s->from->section);
		return err;
	}
	/* The last column is control's: what external servers report. */
	if (!err)
		err = ledger_open(s->dir, s->world.workers->n + 1, &s->ledger, why);
	/* By host name: a panel that moves gets what was counted before. */
	if (!err)
		err = ledger_node(s->ledger, "yassp", 0, s->conf->hostname, &s->ledger_node);
	if (err)
		log_msg(level(s), "yassp", "cannot use the state folder %s: %s%s%s", s->dir,
			err_text(err), *why ? ": " : "", why);
	else if (*why)
		log_msg(LOG_WARN, "yassp", "%s", why);
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

static int start_engine(struct site *s)
{
	struct engine_conf c = {
		.loop = s->world.loop,
		.workers = s->world.workers,
		.counters = ledger_counters(s->ledger),
		.ledger_node = s->ledger_node,
		.settle = ledger_settle,
		.settle_arg = s->ledger,
		.event = on_event,
		.retry_every = s->conf->retry_s * NSEC_SEC,
		.listen = {.items = (const char **)(uintptr_t)&s->conf->bind, .count = 1},
		.allow_private = s->conf->allow_private,
		.insecure_methods = s->conf->insecure_methods,
		.plugin_path = s->plugin_path,
		.plugin_stop_timeout = s->conf->plugin_stop_timeout_s * NSEC_SEC,
		.program = s->conf->program,
		.run_dir = s->run_dir,
		.print_log = s->conf->print_log,
	};
	const char *kind = yassp_daemon_name(s->conf->daemon);
	char why[PROFILE_WHY_MAX] = "";
	int err = engine_new(kind, &c, &s->engine, why);

	if (err && s->conf->fallback && s->conf->daemon != YASSP_BUILTIN) {
		log_msg(LOG_WARN, "yassp", "%s cannot be used (%s): serving the ports ourselves",
			kind, *why ? why : err_text(err));
		err = engine_new("builtin", &c, &s->engine, why);
	}
	if (err)
		log_msg(level(s), "yassp", "the ports cannot be served: %s",
			*why ? why : err_text(err));
	return err;
}

static int start_yassp(struct site *s)
{
	const struct yassp_env env = {
		.loop = s->world.loop,
		.http = s->world.http,
		.ledger = s->ledger,
		.ledger_node = s->ledger_node,
		.engine = s->engine,
		.conf = s->conf,
		.tag = s->from->section,
		.snapshot_dir = s->dir,
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
	err = push_server_start(s->world.loop, s->y, s->conf, &s->push);
	if (err) {
		log_msg(level(s), "yassp", "the push server cannot listen on %s, port %d: %s",
			s->conf->push_address, (int)s->conf->push_port, err_text(err));
		return err;
	}
	push_server_at(s->push, &at);
	log_msg(LOG_INFO, "yassp", "push server on %s", addr_format(&at, text));
	return 0;
}

int site_start(const struct site_world *world, const struct site_conf *conf, struct site **out)
{
	struct site *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->world = *world;
	s->from = conf;
	s->conf = &conf->conf;
	s->lock = -1;
	err = open_state(s);
	if (!err)
		err = make_run_dir(s);
	if (!err)
		err = end_path(s);
	if (!err)
		err = start_engine(s);
	if (!err)
		err = start_yassp(s);
	if (!err)
		err = start_push(s);
	if (err) {
		site_free(s);
		return err;
	}
	*out = s;
	return 0;
}

const char *site_dir(const struct site *s)
{
	return s->dir;
}

void site_sync(struct site *s)
{
	ledger_sync_counters(s->ledger);
}

/* ---- ending ------------------------------------------------------------------------------ */

void site_stop(struct site *s, nsec_t grace, void (*stopped)(void *arg), void *arg)
{
	push_server_stop(s->push);
	s->push = NULL;
	yassp_stop(s->y, grace, stopped, arg);
}

void site_hasten(struct site *s)
{
	yassp_hasten(s->y);
}

void site_hurry(struct site *s)
{
	if (!s->hurried)
		yassp_hurry(s->y);
	s->hurried = true;
}

void site_free(struct site *s)
{
	if (!s)
		return;
	push_server_stop(s->push);
	yassp_free(s->y);
	engine_free(s->engine);
	ledger_close(s->ledger);
	if (s->lock >= 0)
		close(s->lock);
	if (*s->run_dir)
		rmdir(s->run_dir);
	free(s->plugin_path);
	free(s);
}
