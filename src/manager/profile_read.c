/* profile_read.c - a profile out of a JSON object, whoever wrote it. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/jout.h"
#include "manager/profile.h"

#define TIMEOUT_MAX (365 * 86400)
#define LISTEN_MAX  8
#define READ_MEMORY (16 << 20)

struct reading {
	const struct json_value *object;
	const struct profile_rules *rules;
	struct arena mem;
	struct profile p;
	char *why;
};

#define refuse(r, ...) err_say(-ERR_CONFIG, (r)->why, PROFILE_WHY_MAX, __VA_ARGS__)

static void warn(const struct reading *r, const char *what)
{
	if (r->rules->warn)
		r->rules->warn(r->rules->warn_arg, what);
}

/* 0 and set, JSON_DEFAULT and untouched, or refused. */
static int text_of(struct reading *r, const char *key, const char **out)
{
	int err = json_to_text(json_get(r->object, key), &r->mem, out);

	if (err < 0)
		return err == -ENOMEM ? err : refuse(r, "%s is not text", key);
	return err;
}

static int bool_of(struct reading *r, const char *key, bool *out)
{
	int err = json_to_bool(json_get(r->object, key), out);

	return err < 0 ? refuse(r, "%s is neither true nor false", key) : 0;
}

static int read_port(struct reading *r)
{
	static const char *const keys[] = {"server_port", "port", NULL};
	int64_t port = 0;
	int err = json_to_int(json_get_any(r->object, keys), &port);

	if (err == JSON_DEFAULT)
		return refuse(r, "server_port is missing");
	if (err < 0 || port < 1 || port > 65535)
		return refuse(r, "server_port is no number from 1 to 65535");
	r->p.port = (uint16_t)port;
	return 0;
}

/* "${NAME}" is what the environment has under that name. */
static int from_environment(struct reading *r)
{
	const char *text = r->p.password, *value;
	size_t len = strlen(text);
	char *name;

	if (!r->rules->own_env || len < 4 || strncmp(text, "${", 2) != 0 || text[len - 1] != '}')
		return 0;
	name = arena_dup(&r->mem, text + 2, len - 3);
	if (!name)
		return -ENOMEM;
	value = getenv(name);
	if (!value)
		return refuse(r, "password: the environment has no %.64s", name);
	r->p.password = value;
	return 0;
}

static int read_password(struct reading *r)
{
	int err = text_of(r, "password", &r->p.password);

	if (err < 0)
		return err;
	if (!err)
		err = from_environment(r);
	if (err < 0)
		return err;
	if (!r->p.password || !*r->p.password)
		return refuse(r, "password is missing");
	if (strlen(r->p.password) > PROFILE_PASSWORD_MAX)
		return refuse(r, "password is longer than %d bytes", PROFILE_PASSWORD_MAX);
	return 0;
}

static int read_method(struct reading *r)
{
	const char *text = NULL;
	char *lower;
	int err = text_of(r, "method", &text);

	if (err < 0)
		return err;
	if (!text || !*text)
		return r->rules->need_method ? refuse(r, "method is missing") : 0;
	lower = arena_strdup(&r->mem, text);
	if (!lower)
		return -ENOMEM;
	for (char *c = lower; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	r->p.method = lower;
	return 0;
}

static int net_of(struct reading *r, const char *key, uint8_t *out)
{
	const char *text = NULL;
	unsigned net;
	int err = text_of(r, key, &text);

	if (err < 0)
		return err;
	if (!text || !*text)
		return JSON_DEFAULT;
	if (profile_net_parse(text, &net))
		return refuse(r, "%s is none of tcp_only, tcp_and_udp, udp_only", key);
	*out = (uint8_t)net;
	return 0;
}

/* `mode`, else `udp` of YaSSP. */
static int read_mode(struct reading *r)
{
	bool udp = true;
	int err = net_of(r, "mode", &r->p.mode);

	if (err <= 0)
		return err;
	err = json_to_bool(json_get(r->object, "udp"), &udp);
	if (err < 0)
		return refuse(r, "udp is neither true nor false");
	if (err == 0)
		r->p.mode = udp ? PROFILE_BOTH : PROFILE_TCP;
	return 0;
}

static int read_flags(struct reading *r)
{
	int64_t timeout = r->p.timeout_s;
	int err = bool_of(r, "fast_open", &r->p.fast_open);

	if (!err)
		err = bool_of(r, "no_delay", &r->p.no_delay);
	if (err)
		return err;
	err = json_to_int(json_get(r->object, "timeout"), &timeout);
	if (err < 0 || timeout < 0 || timeout > TIMEOUT_MAX)
		return refuse(r, "timeout is no number of seconds");
	r->p.timeout_s = (uint32_t)timeout;
	return 0;
}

/* ---- plugin ------------------------------------------------------------------------------ */

/* A plugin of its own does not get the options of the default one. */
static int read_plugin_name(struct reading *r)
{
	const char *name = NULL;
	int err = text_of(r, "plugin", &name);

	if (err < 0)
		return err;
	if (err == 0) {
		if (!r->p.plugin || strcmp(name, r->p.plugin) != 0) {
			r->p.plugin_opts = NULL;
			r->p.plugin_args = (struct json_list){0};
			r->p.plugin_mode = PROFILE_TCP;
		}
		r->p.plugin = *name ? name : NULL;
	}
	if (err == 0 && r->p.plugin && r->rules->plugin_allowed &&
	    !r->rules->plugin_allowed(r->rules->plugin_arg, r->p.plugin))
		return refuse(r, "plugin %.64s is not allowed here", r->p.plugin);
	return 0;
}

static int read_plugin_args(struct reading *r)
{
	const struct json_value *v = json_get(r->object, "plugin_args");
	int err;

	if (!v || v->type == JSON_T_NULL)
		return 0;
	if (!r->rules->own_args) {
		warn(r, "plugin_args is ignored: only a local file may have it");
		return 0;
	}
	err = json_to_list(v, &r->mem, &r->p.plugin_args);
	return err < 0 ? refuse(r, "plugin_args is no list of texts") : 0;
}

static int read_plugin(struct reading *r)
{
	const char *opts = r->p.plugin_opts;
	int err = read_plugin_name(r);

	if (err)
		return err;
	opts = r->p.plugin_opts;
	err = text_of(r, "plugin_opts", &opts);
	if (err < 0)
		return err;
	if (opts && !*opts)
		opts = NULL;
	if (opts && (strlen(opts) > PROFILE_OPTIONS_MAX || strchr(opts, '\n')))
		return refuse(r, "plugin_opts is too long or has a newline");
	if (opts && !r->p.plugin) {
		warn(r, "plugin_opts is ignored: there is no plugin");
		opts = NULL;
	}
	r->p.plugin_opts = opts;
	err = read_plugin_args(r);
	if (!err)
		err = net_of(r, "plugin_mode", &r->p.plugin_mode);
	if (err < 0)
		return err;
	if (!r->p.plugin) {
		r->p.plugin_mode = PROFILE_TCP;
		r->p.plugin_args = (struct json_list){0};
	} else if (!(r->p.mode & r->p.plugin_mode)) {
		return refuse(r, "plugin_mode %s does not fit mode %s",
			      profile_net_name(r->p.plugin_mode), profile_net_name(r->p.mode));
	}
	return 0;
}

/* ---- lists ------------------------------------------------------------------------------- */

static int read_listen(struct reading *r)
{
	static const char *const keys[] = {"server", "address", "host", NULL};
	const struct json_value *v = json_get_any(r->object, keys);
	int err;

	if (!v)
		return 0;
	if (!r->rules->own_listen) {
		warn(r, "server is ignored: the listen address is ours");
		return 0;
	}
	err = json_to_list(v, &r->mem, &r->p.listen);
	if (err < 0)
		return refuse(r, "server is no list of addresses");
	return r->p.listen.count > LISTEN_MAX
		       ? refuse(r, "more than %d addresses in server", LISTEN_MAX)
		       : 0;
}

static int read_one_user(struct reading *r, const struct json_value *v, struct profile_user *u)
{
	*u = (struct profile_user){.name = ""};
	if (v->type != JSON_T_OBJECT || json_to_text(json_get(v, "name"), &r->mem, &u->name) < 0 ||
	    json_to_text(json_get(v, "password"), &r->mem, &u->key) || !*u->key ||
	    strlen(u->key) > PROFILE_PASSWORD_MAX)
		return refuse(r, "users: an entry without name and password");
	return 0;
}

static int read_users(struct reading *r)
{
	const struct json_value *v = json_get(r->object, "users");
	struct profile_user *users;
	int err = 0;

	if (!v || v->type == JSON_T_NULL)
		return 0;
	if (v->type != JSON_T_ARRAY || v->len > UINT16_MAX)
		return refuse(r, "users is no list, or too long");
	users = arena_alloc(&r->mem, (v->len + 1) * sizeof(*users));
	if (!users)
		return -ENOMEM;
	for (const struct json_value *c = v->child; c && !err; c = c->next)
		err = read_one_user(r, c, &users[r->p.nusers++]);
	r->p.users = users;
	return err;
}

/* ---- what nobody knows ------------------------------------------------------------------- */

static bool known(const char *key)
{
	static const char *const keys[] = {
		"server_port",	"port",		 "password",
		"method",	"mode",		 "udp",
		"timeout",	"fast_open",	 "no_delay",
		"plugin",	"plugin_opts",	 "plugin_mode",
		"plugin_args",	"server",	 "address",
		"host",		"users",	 "manager_address",
		"manager_port", "port_password", "generation",
		"disabled",	"ota",		 "auth",
	};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (!strcasecmp(key, keys[i]))
			return true;
	}
	return false;
}

/* `port_password` of a file would hand every port's password to one server, and so on. */
static int read_extra(struct reading *r)
{
	struct jout j = {0};
	size_t n = 0;

	jout_str(&j, "{");
	for (const struct json_value *c = r->object->child; c; c = c->next) {
		if (c->bad_key || c->bad || known(c->key))
			continue;
		jout_str(&j, n++ ? "," : "");
		jout_quoted(&j, c->key);
		jout_str(&j, ":");
		jout_value(&j, c);
	}
	jout_str(&j, "}");
	if (!j.failed)
		r->p.extra = arena_strdup(&r->mem, j.at);
	free(j.at);
	return j.failed || !r->p.extra ? -ENOMEM : 0;
}

/* ---- together ---------------------------------------------------------------------------- */

static void begin(struct reading *r)
{
	if (r->rules->defaults)
		r->p = *r->rules->defaults;
	else
		r->p = (struct profile){.mode = PROFILE_BOTH, .plugin_mode = PROFILE_TCP};
	r->p.port = 0;
	r->p.password = NULL;
	r->p.users = NULL;
	r->p.nusers = 0;
	r->p.extra = "{}";
}

int profile_read(const struct json_value *object, const struct profile_rules *rules,
		 struct profile **out, char why[PROFILE_WHY_MAX])
{
	static int (*const steps[])(struct reading * r) = {
		read_port,   read_password, read_method, read_mode,  read_flags,
		read_plugin, read_listen,   read_users,	 read_extra,
	};
	struct reading r = {.object = object, .rules = rules, .why = why};
	struct profile *p = NULL;
	int err = 0;

	*why = '\0';
	if (!object || object->type != JSON_T_OBJECT)
		return refuse(&r, "not an object");
	arena_init(&r.mem, READ_MEMORY);
	begin(&r);
	for (size_t i = 0; i < ARRAY_LEN(steps) && !err; i++)
		err = steps[i](&r);
	if (!err && !(p = profile_new(&r.p)))
		err = -ENOMEM;
	arena_done(&r.mem);
	if (err)
		return err;
	*out = p;
	return 0;
}
