#include "manager/manager_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/grow.h"
#include "manager/manager_keys.h"
#include "manager/profile_check.h"

#define FILE_MEMORY ((size_t)1 << 30)

static const char *const server_modes[] = {"builtin", "libev", "python"};

struct reading {
	struct manager_file *f;
	struct conf_reader *r;
	struct manager_keys k;
	const struct json_value *doc; /* NULL: no file */
	const struct json_value *at;  /* the port that is being read */
	const struct manager_args *args;
	struct profile_rules rules;
	bool bad_default; /* the method of ports that name none: told */
	size_t cap;
};

static bool given(const struct reading *r, size_t offset)
{
	return conf_field_is_set(&manager_schema, &r->k, offset);
}
#define GIVEN(r, field) given((r), offsetof(struct manager_keys, field))

/* ---- what stays ----------------------------------------------------------------------------
 * The document goes when it has been read: of thousands of ports it is larger than what they become.
 */
static int keep_text(struct reading *r, const char *text, const char **out)
{
	const char *copy = arena_strdup(&r->f->mem, text);

	if (!copy)
		return -ENOMEM;
	*out = copy;
	return 0;
}

/* *out stays as it is where nothing was said, or no more than "". */
static int keep_word(struct reading *r, const char *text, const char **out)
{
	return *text ? keep_text(r, text, out) : 0;
}

static int keep_list(struct reading *r, const struct json_list *l, struct json_list *out)
{
	if (!l->count)
		return 0;
	out->items = arena_alloc(&r->f->mem, l->count * sizeof(*l->items));
	for (out->count = 0; out->items && out->count < l->count; out->count++) {
		out->items[out->count] = arena_strdup(&r->f->mem, l->items[out->count]);
		if (!out->items[out->count])
			return -ENOMEM;
	}
	return out->items ? 0 : -ENOMEM;
}

int manager_file_names(struct manager_file *f, const struct json_list *l, const char *const **out)
{
	const char **v = arena_alloc(&f->mem, (l->count + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < l->count; i++) {
		v[i] = arena_strdup(&f->mem, l->items[i]);
		if (!v[i])
			return -ENOMEM;
	}
	v[l->count] = NULL;
	*out = v;
	return 0;
}

/* ---- the manager itself ------------------------------------------------------------------ */

static int keep_address(struct reading *r)
{
	struct endpoint_conf *e = &r->f->endpoint;
	int err = keep_word(r, r->k.address, &e->address);

	e->allow_remote = r->k.allow_remote;
	e->port = (int)r->k.port;
	e->mode = (unsigned)strtoul(r->k.socket_mode, NULL, 8);
	if (r->args->address) {
		e->address = r->args->address;
		e->port = 0;
	}
	return err;
}

/* A word of the command line, in place of the file's. */
static void overrule(struct reading *r, const char *key, const char *word, int64_t *out)
{
	const struct conf_row *row = conf_row_find(&manager_schema, key);

	if (!word || !*word)
		return;
	for (const struct conf_word *w = row->words; w->name; w++) {
		if (strcmp(w->name, word) != 0)
			continue;
		*out = w->value;
		return;
	}
	conf_error(r->r, (struct json_pos){0}, key, "%.40s is none of %s, %s", word,
		   row->words[0].name, row->words[1].name);
}

static int keep_protocol(struct reading *r)
{
	struct manager_file *f = r->f;
	int err = 0;

	overrule(r, "manager_dialect", r->args->dialect, &r->k.dialect);
	f->dialect = (enum manager_dialect)r->k.dialect;
	f->subscribers = (enum manager_subscribers)r->k.subscribers;
	f->stat_interval_s = r->k.stat_interval_s;
	f->retry_s = r->k.retry_s;
	f->reply_newline = r->k.reply_newline;
	if (GIVEN(r, state_file))
		err = keep_text(r, r->k.state_file, &f->state_file);
	if (r->args->state_file)
		f->state_file = r->args->state_file;
	return err;
}

static int keep_process(struct reading *r)
{
	struct manager_file *f = r->f;
	int err;

	overrule(r, "server_mode", r->args->server_mode, &r->k.server_mode);
	f->server_mode = server_modes[r->k.server_mode];
	f->nofile = r->k.nofile;
	f->workers = r->k.workers;
	f->log_level = GIVEN(r, log_level) ? r->k.log_level : -1;
	f->allow_private = r->k.allow_private;
	err = keep_word(r, r->k.user, &f->user);
	if (!err)
		err = keep_word(r, r->k.workdir, &f->workdir);
	if (!err)
		err = keep_word(r, r->k.acl, &f->acl);
	if (!err)
		err = keep_word(r, r->k.program, &f->program);
	if (!err)
		err = keep_list(r, &r->k.insecure_methods, &f->insecure_methods);
	if (r->args->acl)
		f->acl = r->args->acl;
	if (r->args->program)
		f->program = r->args->program;
	return err;
}

static int keep_plugins(struct reading *r)
{
	struct manager_file *f = r->f;
	int err = 0;

	f->plugin_single_host = r->k.plugin_single_host;
	f->plugin_stop_timeout_s = r->k.plugin_stop_timeout_s;
	if (GIVEN(r, plugin_path))
		err = manager_file_names(f, &r->k.plugin_path, &f->plugin_path);
	if (!err && GIVEN(r, plugin_allow))
		err = manager_file_names(f, &r->k.plugin_allow, &f->plugin_allow);
	return err;
}

/* ---- what holds for every port ----------------------------------------------------------- */

static int keep_listen(struct reading *r)
{
	struct json_list *l = &r->f->listen;

	if (!r->args->nservers)
		return keep_list(r, &r->k.server, l);
	l->items = arena_alloc(&r->f->mem, r->args->nservers * sizeof(*l->items));
	if (!l->items)
		return -ENOMEM;
	for (size_t i = 0; i < r->args->nservers; i++)
		l->items[l->count++] = r->args->servers[i];
	return 0;
}

static int keep_default_plugin(struct reading *r)
{
	struct profile *d = &r->f->defaults;
	const struct manager_args *a = r->args;
	int err = keep_word(r, r->k.plugin, &d->plugin);

	overrule(r, "plugin_mode", a->plugin_mode, &r->k.plugin_mode);
	d->plugin_mode = (uint8_t)r->k.plugin_mode;
	if (!err && !a->plugin)
		err = keep_word(r, r->k.plugin_opts, &d->plugin_opts);
	if (!err)
		err = keep_list(r, &r->k.plugin_args, &d->plugin_args);
	d->plugin = a->plugin ? a->plugin : d->plugin;
	d->plugin_opts = a->plugin_opts ? a->plugin_opts : d->plugin_opts;
	if (d->plugin && !*d->plugin)
		d->plugin = NULL;
	return err;
}

static struct json_pos place_of(const struct reading *r, const char *key)
{
	const struct json_value *v = json_get(r->doc, key);

	return v ? v->at : (struct json_pos){0};
}

static void check_defaults(struct reading *r)
{
	const struct manager_file *f = r->f;
	const struct ss_method *m;
	char why[PROFILE_WHY_MAX];

	if (strcmp(f->server_mode, "builtin") != 0)
		return;
	r->bad_default = f->defaults.method &&
			 profile_method(f->defaults.method, &f->insecure_methods, &m, why);
	if (r->bad_default)
		conf_warn(r->r, place_of(r, "method"), "method",
			  "ports that name no other will not be served: %s", why);
	if (profile_check_listen(&f->listen, why))
		conf_warn(r->r, place_of(r, "server"), "server", "ports will not be served: %s",
			  why);
}

static int keep_defaults(struct reading *r)
{
	struct profile *d = &r->f->defaults;
	const struct manager_args *a = r->args;
	int err = keep_word(r, r->k.method, &d->method);

	d->method = a->method ? a->method : d->method;
	d->mode = (uint8_t)(a->mode >= 0 ? a->mode : r->k.mode);
	d->timeout_s = (uint32_t)(a->timeout_s >= 0 ? a->timeout_s : r->k.timeout_s);
	d->fast_open = a->fast_open >= 0 ? a->fast_open : r->k.fast_open;
	d->no_delay = a->no_delay >= 0 ? a->no_delay : r->k.no_delay;
	if (!err)
		check_defaults(r);
	return err ? err : keep_default_plugin(r);
}

/* ---- ports ------------------------------------------------------------------------------- */

/* What this process could not serve; other servers have their own opinion.  The engine refuses the
 * port when its time comes: who checks a file hears of it before.
 */
static void check_port(struct reading *r, const struct profile *p)
{
	char why[PROFILE_WHY_MAX];

	if (strcmp(r->f->server_mode, "builtin") != 0)
		return;
	if (r->bad_default && !strcmp(p->method, r->f->defaults.method))
		return; /* told once for all */
	if (profile_check(p, &r->f->insecure_methods, why))
		conf_warn(r->r, r->at->at, NULL, "will not be served: %s", why);
}

static int add_port(struct reading *r, struct profile *p)
{
	struct manager_file *f = r->f;
	struct profile **v;

	for (size_t i = 0; i < f->nports; i++) {
		if (f->ports[i]->port != p->port)
			continue;
		conf_warn(r->r, r->at->at, NULL, "port %u is there twice: the later one counts",
			  p->port);
		profile_free(f->ports[i]);
		f->ports[i] = p;
		return 0;
	}
	v = grow(f->ports, f->nports, &r->cap, sizeof(*v));
	if (!v) {
		profile_free(p);
		return -ENOMEM;
	}
	f->ports = v;
	f->ports[f->nports++] = p;
	return 0;
}

/* A port that cannot be is the file's only loss. */
static int read_port(struct reading *r, const struct json_value *object,
		     const struct json_value *at, const char *where)
{
	char why[PROFILE_WHY_MAX];
	struct profile *p;
	size_t mark = conf_enter(r->r, where, -1);
	int err;

	r->at = at;
	err = profile_read(object, &r->rules, &p, why);
	if (err == -ERR_CONFIG)
		conf_warn(r->r, at->at, NULL, "left out: %s", why);
	if (!err)
		check_port(r, p);
	if (!err)
		err = add_port(r, p);
	conf_leave(r->r, mark);
	return err == -ERR_CONFIG ? 0 : err;
}

/* {"8381":"password"}, and as we also take it {"8381":{"password":...}}: as an object of its own. */
static int read_port_password(struct reading *r)
{
	const struct json_value *map = r->k.port_password;
	int err = 0;

	if (map && map->type != JSON_T_OBJECT)
		conf_error(r->r, map->at, "port_password",
			   "expected an object: { \"PORT\": \"PASSWORD\" }");
	if (!map || map->type != JSON_T_OBJECT)
		return 0;
	for (const struct json_value *m = map->child; m && !err; m = m->next) {
		struct json_value password = *m, port, object;
		char where[64];

		snprintf(where, sizeof(where), "port_password.%.16s", m->bad_key ? "?" : m->key);
		port = (struct json_value){.type = JSON_T_STRING,
					   .key = "server_port",
					   .text = m->key,
					   .len = (uint32_t)strlen(m->key),
					   .bad = m->bad_key};
		object = (struct json_value){.type = JSON_T_OBJECT, .child = &port, .len = 2};
		if (m->type == JSON_T_OBJECT) {
			port.next = m->child;
		} else {
			password.key = "password";
			password.next = NULL;
			port.next = &password;
		}
		err = read_port(r, &object, m, where);
	}
	return err;
}

static int read_servers(struct reading *r)
{
	const struct json_value *list = r->k.servers;
	size_t i = 0;
	int err = 0;

	if (list && list->type != JSON_T_ARRAY)
		conf_error(r->r, list->at, "servers", "expected an array of objects");
	if (!list || list->type != JSON_T_ARRAY)
		return 0;
	for (const struct json_value *s = list->child; s && !err; s = s->next, i++) {
		bool disabled = false;
		char where[32];

		snprintf(where, sizeof(where), "servers[%zu]", i);
		if (!json_to_bool(json_get(s, "disabled"), &disabled) && disabled)
			continue;
		err = read_port(r, s, s, where);
	}
	return err;
}

/* The one port of an ordinary server's file: what is about the manager in it is not about the port. */
static int read_single(struct reading *r)
{
	const char *secret = r->args->password ? r->args->password : r->k.password;
	const struct json_value *at = json_get(r->doc, "server_port");
	struct json_value number, password, users, object;
	char text[24];

	if (GIVEN(r, password) && !GIVEN(r, server_port))
		conf_warn(r->r, place_of(r, "password"), "password",
			  "is of no port: there is no server_port");
	if (!GIVEN(r, server_port) || (!r->args->password && !GIVEN(r, password)))
		return 0;
	snprintf(text, sizeof(text), "%lld", (long long)r->k.server_port);
	object = (struct json_value){.type = JSON_T_OBJECT, .child = &number, .len = 2};
	number = (struct json_value){.type = JSON_T_NUMBER,
				     .key = "server_port",
				     .text = text,
				     .len = (uint32_t)strlen(text),
				     .next = &password};
	password = (struct json_value){.type = JSON_T_STRING,
				       .key = "password",
				       .text = secret,
				       .len = (uint32_t)strlen(secret)};
	if (r->k.users) {
		users = *r->k.users;
		users.key = "users";
		users.next = NULL;
		password.next = &users;
	}
	return read_port(r, &object, at, "server_port");
}

/* ---- together ---------------------------------------------------------------------------- */

static void profile_warning(void *arg, const char *what)
{
	struct reading *r = arg;

	conf_warn(r->r, r->at->at, NULL, "%s", what);
}

/* Who relies on its rules shall hear that nobody enforces them. */
static void check_acl(struct reading *r)
{
	const struct manager_file *f = r->f;
	const struct json_value *acl = json_get(r->doc, "acl");

	if (f->acl && *f->acl && strcmp(f->server_mode, "libev") != 0)
		conf_warn(r->r, acl ? acl->at : (struct json_pos){0}, "acl",
			  "it is not enforced: server_mode %s has no such rules", f->server_mode);
}

static int read_all(struct reading *r)
{
	static int (*const steps[])(struct reading * r) = {
		keep_address,  keep_protocol, keep_process,	  keep_plugins, keep_listen,
		keep_defaults, read_single,   read_port_password, read_servers,
	};
	int err = conf_read(r->r, &manager_schema, r->doc, &r->k);

	r->rules = (struct profile_rules){
		.defaults = &r->f->defaults,
		.own_listen = true,
		.own_args = true,
		.own_env = true,
		.warn = profile_warning,
		.warn_arg = r,
	};
	for (size_t i = 0; i < ARRAY_LEN(steps) && !err; i++)
		err = steps[i](r);
	if (!err)
		check_acl(r);
	return err;
}

int manager_file_read(struct conf_reader *reader, const struct json_value *object,
		      const struct manager_args *args, struct manager_file **out)
{
	struct reading r = {.r = reader, .doc = object, .args = args};
	size_t before = reader->report->errors;
	int err;

	r.f = calloc(1, sizeof(*r.f));
	if (!r.f)
		return -ENOMEM;
	arena_init(&r.f->mem, FILE_MEMORY);
	err = read_all(&r);
	if (!err && reader->report->errors > before)
		err = -ERR_CONFIG;
	if (err) {
		manager_file_free(r.f);
		return err;
	}
	*out = r.f;
	return 0;
}

/* *doc stays NULL when that is in the report. */
static int parse(struct conf_reader *r, const char *text, size_t len, const struct json_value **doc)
{
	struct json_value *v = NULL;
	struct json_pos at = {0};
	const char *what = "";
	int err = json_parse(text, len, JSON_RELAXED, r->arena, &v, &at, &what);

	if (err == -ENOMEM)
		return err;
	if (err)
		conf_error(r, at, NULL, "%s", what);
	else if (v->type != JSON_T_OBJECT)
		conf_error(r, v->at, NULL, "the file is no object");
	else
		*doc = v;
	return 0;
}

int manager_file_parse(const char *text, size_t len, const char *name,
		       const struct manager_args *args, struct conf_report *report,
		       struct manager_file **out)
{
	struct arena mem; /* while reading */
	struct conf_reader r = {.arena = &mem, .report = report, .file = name};
	const struct json_value *doc = NULL;
	int err = 0;

	arena_init(&mem, FILE_MEMORY);
	if (text)
		err = parse(&r, text, len, &doc);
	if (!err && text && !doc)
		err = -ERR_CONFIG;
	if (!err)
		err = manager_file_read(&r, doc, args, out);
	arena_done(&mem);
	return err;
}

void manager_file_drop_ports(struct manager_file *f)
{
	for (size_t i = 0; i < f->nports; i++)
		profile_free(f->ports[i]);
	free(f->ports);
	f->ports = NULL;
	f->nports = 0;
}

void manager_file_free(struct manager_file *f)
{
	if (!f)
		return;
	manager_file_drop_ports(f);
	arena_done(&f->mem);
	free(f);
}
