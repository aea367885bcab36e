#include "manager/manager_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define FILE_MEMORY	((size_t)1 << 30)
#define STAT_INTERVAL	10
#define RETRY_INTERVAL	30
#define PLUGIN_STOP	3
#define SOCKET_MODE_MAX 0777

struct reading {
	struct manager_file *f;
	struct arena mem;	      /* while reading */
	const struct json_value *doc; /* NULL: no file */
	const struct manager_args *args;
	struct profile_rules rules;
	void (*warn)(void *arg, const char *what);
	void *warn_arg;
	size_t cap;
	char *why;
};

PRINTF(2, 3) static int refuse(struct reading *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->why, PROFILE_WHY_MAX, fmt, ap);
	va_end(ap);
	return -ERR_CONFIG;
}

PRINTF(2, 3) static void tell(struct reading *r, const char *fmt, ...)
{
	char text[PROFILE_WHY_MAX + 64];
	va_list ap;

	if (!r->warn)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->warn(r->warn_arg, text);
}

/* The document goes when it has been read: of thousands of ports it is larger than what they become. */
static int text_of(struct reading *r, const char *key, const char **out)
{
	const char *text;
	int err = json_to_text(json_get(r->doc, key), &r->mem, &text);

	if (err == JSON_DEFAULT || err == -ENOMEM)
		return err < 0 ? err : 0;
	if (err)
		return refuse(r, "%s is not text", key);
	text = arena_strdup(&r->f->mem, text);
	if (!text)
		return -ENOMEM;
	*out = text;
	return 0;
}

static int bool_of(struct reading *r, const char *key, bool *out)
{
	return json_to_bool(json_get(r->doc, key), out) < 0
		       ? refuse(r, "%s is neither true nor false", key)
		       : 0;
}

static int int_of(struct reading *r, const char *key, int64_t min, int64_t max, int64_t *out)
{
	int64_t v = *out;

	if (json_to_int(json_get(r->doc, key), &v) < 0 || v < min || v > max)
		return refuse(r, "%s is no number from %lld to %lld", key, (long long)min,
			      (long long)max);
	*out = v;
	return 0;
}

static int list_of(struct reading *r, const char *key, struct json_list *out)
{
	struct json_list l = {0};
	int err = json_to_list(json_get(r->doc, key), &r->mem, &l);

	if (err < 0)
		return err == -ENOMEM ? err : refuse(r, "%s is no list of texts", key);
	if (!l.count)
		return 0;
	out->items = arena_alloc(&r->f->mem, l.count * sizeof(*l.items));
	for (out->count = 0; out->items && out->count < l.count; out->count++) {
		out->items[out->count] = arena_strdup(&r->f->mem, l.items[out->count]);
		if (!out->items[out->count])
			return -ENOMEM;
	}
	return out->items ? 0 : -ENOMEM;
}

/* The index of the word in `words`. */
static int word_of(struct reading *r, const char *key, const char *over, const char *const *words,
		   int *out)
{
	const char *text = NULL;
	int err = text_of(r, key, &text);

	if (err)
		return err;
	if (over)
		text = over;
	if (!text || !*text)
		return 0;
	for (int i = 0; words[i]; i++) {
		if (strcmp(words[i], text) != 0)
			continue;
		*out = i;
		return 0;
	}
	return refuse(r, "%s: %.40s is none of %s, %s", key, text, words[0], words[1]);
}

/* ---- the manager itself ------------------------------------------------------------------ */

static int read_address(struct reading *r)
{
	struct endpoint_conf *e = &r->f->endpoint;
	int64_t port = 0, mode = 0;
	const char *octal = NULL;
	int err = text_of(r, "manager_address", &e->address);

	if (!err)
		err = int_of(r, "manager_port", 0, 65535, &port);
	if (!err)
		err = bool_of(r, "manager_allow_remote", &e->allow_remote);
	if (!err)
		err = text_of(r, "manager_socket_mode", &octal);
	if (err)
		return err;
	if (r->args->address) {
		e->address = r->args->address;
		port = 0;
	}
	if (octal && *octal) {
		char *end;

		mode = strtol(octal, &end, 8);
		if (*end || mode <= 0 || mode > SOCKET_MODE_MAX)
			return refuse(r, "manager_socket_mode %.20s is no mode like \"0660\"",
				      octal);
	}
	e->port = (int)port;
	e->mode = (unsigned)mode;
	return 0;
}

static int read_protocol(struct reading *r)
{
	static const char *const dialects[] = {"wiki", "libev", NULL};
	static const char *const subscribers[] = {"last", "all", NULL};
	struct manager_file *f = r->f;
	int dialect = MANAGER_WIKI, who = SUBSCRIBERS_LAST, err;

	f->stat_interval_s = STAT_INTERVAL;
	f->retry_s = RETRY_INTERVAL;
	err = word_of(r, "manager_dialect", r->args->dialect, dialects, &dialect);
	if (!err)
		err = word_of(r, "stat_subscribers", NULL, subscribers, &who);
	if (!err)
		err = int_of(r, "stat_interval", 1, 86400, &f->stat_interval_s);
	if (!err)
		err = int_of(r, "port_retry_interval", 1, 86400, &f->retry_s);
	if (!err)
		err = bool_of(r, "manager_reply_newline", &f->reply_newline);
	if (!err)
		err = text_of(r, "state_file", &f->state_file);
	if (r->args->state_file)
		f->state_file = r->args->state_file;
	f->dialect = (enum manager_dialect)dialect;
	f->subscribers = (enum manager_subscribers)who;
	return err;
}

static int read_process(struct reading *r)
{
	struct manager_file *f = r->f;
	int err = text_of(r, "user", &f->user);

	if (!err)
		err = text_of(r, "workdir", &f->workdir);
	if (!err)
		err = text_of(r, "acl", &f->acl);
	if (!err)
		err = text_of(r, "log_level", &f->log_level);
	if (!err)
		err = text_of(r, "executable", &f->program);
	if (!err)
		err = int_of(r, "nofile", 0, INT32_MAX, &f->nofile);
	if (!err)
		err = int_of(r, "workers", 0, 256, &f->workers);
	if (!err)
		err = bool_of(r, "allow_private", &f->allow_private);
	if (r->args->acl)
		f->acl = r->args->acl;
	if (r->args->program)
		f->program = r->args->program;
	return err;
}

static int read_mode_of_servers(struct reading *r)
{
	static const char *const modes[] = {"builtin", "libev", "python", NULL};
	int mode = 0, err = word_of(r, "server_mode", r->args->server_mode, modes, &mode);

	r->f->server_mode = modes[mode];
	return err;
}

/* A list that ends in NULL; *out stays NULL where the key is absent. */
static int names_of(struct reading *r, const char *key, const char *const **out)
{
	struct json_list l = {0};
	const char **v;
	int err;

	if (!json_get(r->doc, key))
		return 0;
	err = list_of(r, key, &l);
	if (err)
		return err;
	v = arena_alloc(&r->f->mem, (l.count + 1) * sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < l.count; i++)
		v[i] = l.items[i];
	*out = v;
	return 0;
}

static int read_insecure(struct reading *r)
{
	struct json_list *l = &r->f->insecure_methods;
	int err = list_of(r, "insecure_methods", l);

	for (size_t i = 0; i < l->count && !err; i++) {
		if (!engine_method_insecure(l->items[i]))
			err = refuse(r, "insecure_methods: %.40s is no method without integrity",
				     l->items[i]);
	}
	return err;
}

static int read_plugins(struct reading *r)
{
	int err = names_of(r, "plugin_path", &r->f->plugin_path);

	r->f->plugin_stop_timeout_s = PLUGIN_STOP;
	if (!err)
		err = bool_of(r, "plugin_single_host", &r->f->plugin_single_host);
	if (!err)
		err = int_of(r, "plugin_stop_timeout", 1, 60, &r->f->plugin_stop_timeout_s);
	return err ? err : names_of(r, "plugin_allow", &r->f->plugin_allow);
}

/* ---- what holds for every port ----------------------------------------------------------- */

static int read_listen(struct reading *r)
{
	struct json_list *l = &r->f->listen;

	if (!r->args->nservers)
		return list_of(r, "server", l);
	l->items = arena_alloc(&r->f->mem, r->args->nservers * sizeof(*l->items));
	if (!l->items)
		return -ENOMEM;
	for (size_t i = 0; i < r->args->nservers; i++)
		l->items[l->count++] = r->args->servers[i];
	return 0;
}

static int net_of(struct reading *r, const char *key, const char *over, uint8_t *out)
{
	const char *text = NULL;
	unsigned net;
	int err = text_of(r, key, &text);

	if (err)
		return err;
	if (over)
		text = over;
	if (!text || !*text)
		return 0;
	if (profile_net_parse(text, &net))
		return refuse(r, "%s is none of tcp_only, tcp_and_udp, udp_only", key);
	*out = (uint8_t)net;
	return 0;
}

static int read_defaults(struct reading *r)
{
	struct profile *d = &r->f->defaults;
	const struct manager_args *a = r->args;
	int64_t timeout = 0;
	int err;

	*d = (struct profile){.mode = PROFILE_BOTH, .plugin_mode = PROFILE_TCP};
	err = text_of(r, "method", &d->method);
	if (!err)
		err = text_of(r, "plugin", &d->plugin);
	if (!err)
		err = text_of(r, "plugin_opts", &d->plugin_opts);
	if (!err)
		err = list_of(r, "plugin_args", &d->plugin_args);
	if (!err)
		err = net_of(r, "mode", NULL, &d->mode);
	if (!err)
		err = net_of(r, "plugin_mode", a->plugin_mode, &d->plugin_mode);
	if (!err)
		err = bool_of(r, "fast_open", &d->fast_open);
	if (!err)
		err = bool_of(r, "no_delay", &d->no_delay);
	if (!err)
		err = int_of(r, "timeout", 0, 365 * 86400, &timeout);
	if (err)
		return err;
	d->timeout_s = (uint32_t)(a->timeout_s >= 0 ? a->timeout_s : timeout);
	d->method = a->method ? a->method : d->method;
	if (a->plugin)
		d->plugin_opts = NULL;
	d->plugin = a->plugin ? a->plugin : d->plugin;
	d->plugin_opts = a->plugin_opts ? a->plugin_opts : d->plugin_opts;
	d->mode = a->mode >= 0 ? (uint8_t)a->mode : d->mode;
	d->fast_open = a->fast_open >= 0 ? a->fast_open : d->fast_open;
	d->no_delay = a->no_delay >= 0 ? a->no_delay : d->no_delay;
	if (d->plugin && !*d->plugin)
		d->plugin = NULL;
	return 0;
}

/* ---- ports ------------------------------------------------------------------------------- */

static int add_port(struct reading *r, struct profile *p)
{
	struct manager_file *f = r->f;
	size_t cap = r->cap ? r->cap * 2 : 64;
	struct profile **v;

	for (size_t i = 0; i < f->nports; i++) {
		if (f->ports[i]->port != p->port)
			continue;
		tell(r, "port %u is there twice: the later one counts", p->port);
		profile_free(f->ports[i]);
		f->ports[i] = p;
		return 0;
	}
	if (f->nports == r->cap) {
		v = reallocarray(f->ports, cap, sizeof(*v));
		if (!v) {
			profile_free(p);
			return -ENOMEM;
		}
		f->ports = v;
		r->cap = cap;
	}
	f->ports[f->nports++] = p;
	return 0;
}

/* A port that cannot be is the file's only loss. */
static int read_port(struct reading *r, const struct json_value *object, const char *where)
{
	char why[PROFILE_WHY_MAX];
	struct profile *p;
	int err = profile_read(object, &r->rules, &p, why);

	if (err == -ENOMEM)
		return err;
	if (err) {
		tell(r, "%s: left out: %s", where, why);
		return 0;
	}
	return add_port(r, p);
}

/* {"8381":"password"}, and as we also take it {"8381":{"password":...}}: as an object of its own. */
static int read_port_password(struct reading *r)
{
	const struct json_value *map = json_get(r->doc, "port_password");
	int err = 0;

	if (!map || map->type == JSON_T_NULL)
		return 0;
	if (map->type != JSON_T_OBJECT)
		return refuse(r, "port_password is no object");
	for (const struct json_value *m = map->child; m && !err; m = m->next) {
		struct json_value password = *m, port, object;
		char where[64];

		snprintf(where, sizeof(where), "port_password %.16s", m->bad_key ? "?" : m->key);
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
		err = read_port(r, &object, where);
	}
	return err;
}

static int read_servers(struct reading *r)
{
	const struct json_value *list = json_get(r->doc, "servers");
	size_t i = 0;
	int err = 0;

	if (!list || list->type == JSON_T_NULL)
		return 0;
	if (list->type != JSON_T_ARRAY)
		return refuse(r, "servers is no list");
	for (const struct json_value *s = list->child; s && !err; s = s->next, i++) {
		bool disabled = false;
		char where[32];

		snprintf(where, sizeof(where), "servers[%zu]", i);
		if (!json_to_bool(json_get(s, "disabled"), &disabled) && disabled)
			continue;
		err = read_port(r, s, where);
	}
	return err;
}

/* The one port of an ordinary server's file: what is about the manager in it is not about the port. */
static int read_single(struct reading *r)
{
	const struct json_value *port = json_get(r->doc, "server_port");
	const struct json_value *secret = json_get(r->doc, "password");
	const struct json_value *list = json_get(r->doc, "users");
	struct json_value number, password, users, object;

	if (!port || (!secret && !r->args->password))
		return 0;
	object = (struct json_value){.type = JSON_T_OBJECT, .child = &number, .len = 2};
	number = *port;
	number.next = &password;
	if (r->args->password)
		password = (struct json_value){.type = JSON_T_STRING,
					       .key = "password",
					       .text = r->args->password,
					       .len = (uint32_t)strlen(r->args->password)};
	else
		password = *secret;
	password.next = NULL;
	if (list) {
		users = *list;
		users.next = NULL;
		password.next = &users;
	}
	return read_port(r, &object, "server_port");
}

/* ---- together ---------------------------------------------------------------------------- */

static void profile_warning(void *arg, const char *what)
{
	tell(arg, "%s", what);
}

/* Who relies on its rules shall hear that nobody enforces them. */
static void check_acl(struct reading *r)
{
	const struct manager_file *f = r->f;

	if (f->acl && *f->acl && strcmp(f->server_mode, "libev") != 0)
		tell(r, "acl is not enforced: server_mode %s has no such rules", f->server_mode);
}

static int read_all(struct reading *r)
{
	static int (*const steps[])(struct reading * r) = {
		read_address, read_protocol,	  read_process, read_mode_of_servers,
		read_plugins, read_insecure,	  read_listen,	read_defaults,
		read_single,  read_port_password, read_servers,
	};
	int err = 0;

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

int manager_file_parse(const char *text, size_t len, const struct manager_args *args,
		       void (*warn)(void *arg, const char *what), void *warn_arg,
		       struct manager_file **out, char why[PROFILE_WHY_MAX])
{
	struct reading r = {.args = args, .warn = warn, .warn_arg = warn_arg, .why = why};
	struct json_value *doc = NULL;
	struct json_pos at;
	const char *what;
	int err = 0;

	*why = '\0';
	r.f = calloc(1, sizeof(*r.f));
	if (!r.f)
		return -ENOMEM;
	arena_init(&r.f->mem, FILE_MEMORY);
	arena_init(&r.mem, FILE_MEMORY);
	if (text)
		err = json_parse(text, len, JSON_RELAXED, &r.mem, &doc, &at, &what);
	if (err && err != -ENOMEM)
		err = refuse(&r, "line %u, column %u: %s", at.line, at.column, what);
	else if (!err && doc && doc->type != JSON_T_OBJECT)
		err = refuse(&r, "the file is no object");
	r.doc = doc;
	if (!err)
		err = read_all(&r);
	arena_done(&r.mem);
	if (err) {
		manager_file_free(r.f);
		return err;
	}
	*out = r.f;
	return 0;
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
