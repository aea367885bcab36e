/* flat.c - type, port, routes, intervals: what every flat description has. */
#include "sync/flat.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INTERVAL_DEFAULT 60
#define INTERVAL_MAX	 86400

/* --- type ------------------------------------------------------------------------------------ */

/* `node_type` is believed whatever it says; `protocol` and `type` have other meanings on some
 * panels (old mieru: a number) and count only when they name a type.
 */
static bool answered_type(struct flat *f, enum node_type *out)
{
	struct pick *p = &f->pick;
	const char *name = pick_name(p, KEYS("node_type"));
	static const char *const loose[] = {"protocol", "type"};

	*out = NODE_TYPE_NONE;
	if (name) {
		*out = node_type_parse(name);
		if (*out == NODE_TYPE_NONE) {
			notes_why(p->notes, "node_type \"%.40s\" is not a type we know", name);
			return false;
		}
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(loose) && *out == NODE_TYPE_NONE; i++) {
		const struct json_value *v = pick_value(p, KEYS(loose[i]));

		if (v && v->type == JSON_T_STRING && !v->bad)
			*out = node_type_parse(v->text);
	}
	if (*out == NODE_TYPE_NONE && f->entry_type)
		*out = node_type_parse(f->entry_type);
	return true;
}

/* "hysteria" means both versions; the number decides. */
static bool settle_hysteria(struct flat *f, enum node_type *type)
{
	int64_t version = pick_int(&f->pick, KEYS("version"), 0);

	if (*type == NODE_HYSTERIA && version >= 2)
		*type = NODE_HYSTERIA2;
	if (*type == NODE_HYSTERIA2 && version == 1) {
		notes_why(f->pick.notes, "the type is hysteria2, but the panel says version 1");
		return false;
	}
	if (*type == NODE_HYSTERIA || *type == NODE_HYSTERIA2)
		f->info->hysteria.version = *type == NODE_HYSTERIA ? 1 : version > 2 ? version : 2;
	return true;
}

static bool types_agree(enum node_type configured, enum node_type answered)
{
	return configured == answered ||
	       (configured == NODE_HYSTERIA && answered == NODE_HYSTERIA2);
}

static enum node_type apply_enable_vless(const struct flat *f, enum node_type type)
{
	int local = f->panel->enable_vless;
	bool remote = f->info->remote.set & REMOTE_VLESS && f->info->remote.enable_vless;

	return type == NODE_VMESS && (local > 0 || (local < 0 && remote)) ? NODE_VLESS : type;
}

bool flat_type(struct flat *f)
{
	enum node_type configured = f->panel->type, type;

	if (!answered_type(f, &type))
		return false;
	if (type == NODE_TYPE_NONE)
		type = configured;
	if (type == NODE_TYPE_NONE) {
		notes_why(f->pick.notes, "node_type is missing; set NodeType");
		return false;
	}
	if (!settle_hysteria(f, &type))
		return false;
	type = apply_enable_vless(f, type);
	if (configured != NODE_TYPE_NONE && !types_agree(apply_enable_vless(f, configured), type)) {
		notes_why(f->pick.notes, "NodeType is %s, but the panel says %s",
			  node_type_name(configured), node_type_name(type));
		return false;
	}
	f->info->type = type;
	return true;
}

/* --- port ------------------------------------------------------------------------------------ */

static bool parse_one_port(const char *text, size_t len, uint16_t *out)
{
	int64_t n;

	if (json_int_of_text(text, len, &n) || n < 1 || n > 65535)
		return false;
	*out = (uint16_t)n;
	return true;
}

int flat_parse_port(const char *text, uint16_t *port, uint16_t *from, uint16_t *to)
{
	const char *comma = strchr(text, ','), *range = comma ? comma + 1 : text;
	const char *dash = strchr(range, '-');
	uint16_t first = 0, a = 0, b = 0;

	if (comma && !parse_one_port(text, (size_t)(comma - text), &first))
		return -ERR_MALFORMED;
	if (!dash) {
		if (comma || !parse_one_port(text, strlen(text), &first))
			return -ERR_MALFORMED;
	} else if (!parse_one_port(range, (size_t)(dash - range), &a) ||
		   !parse_one_port(dash + 1, strlen(dash + 1), &b) || a >= b) {
		return -ERR_MALFORMED;
	}
	*port = first ? first : a;
	*from = a;
	*to = b;
	return 0;
}

bool flat_port(struct flat *f)
{
	struct node_info *info = f->info;
	const char *text = pick_text(&f->pick, KEYS("server_port", "port", "ServerPort"));

	if (!text) {
		notes_why(f->pick.notes, f->pick.last < 0 ? "server_port is not a port"
							  : "server_port is missing");
		return false;
	}
	if (flat_parse_port(text, &info->port, &info->hop_from, &info->hop_to)) {
		notes_why(f->pick.notes, "server_port is not a port from 1 to 65535: %.40s", text);
		return false;
	}
	if (info->hop_from && info->type != NODE_HYSTERIA2) {
		notes_add(f->pick.notes, "server_port: a range makes no sense for %s, taking %u",
			  node_type_name(info->type), info->port);
		info->hop_from = info->hop_to = 0;
	}
	return true;
}

/* --- routes ---------------------------------------------------------------------------------- */

/* Text, or an object as its text; NULL: none. */
static const char *route_value(struct flat *f, const struct json_value *route)
{
	struct pick p = pick_into(&f->pick, "routes[].", route);
	const struct json_value *v = pick_value(&p, KEYS("action_value"));

	if (!v)
		return NULL;
	return v->type == JSON_T_OBJECT || v->type == JSON_T_ARRAY
		       ? pick_json(&p, KEYS("action_value"))
		       : pick_text(&p, KEYS("action_value"));
}

static void add_route(struct flat *f, const struct json_value *v, struct route_list *out)
{
	struct pick p = pick_into(&f->pick, "routes[].", v);
	struct node_route r = {0};

	if (v->type != JSON_T_OBJECT) {
		notes_add(p.notes, "routes: an entry that is not an object");
		return;
	}
	r.id = pick_int(&p, KEYS("id"), 0);
	r.action = pick_name(&p, KEYS("action"));
	if (!r.action) {
		notes_add(p.notes, "routes[]: action is missing (id %lld)", (long long)r.id);
		return;
	}
	r.match = pick_list(&p, KEYS("match"));
	if (p.last < 0)
		return;
	r.value = route_value(f, v);
	f->pick.oom |= p.oom;
	out->v[out->n++] = r;
}

void flat_routes(struct flat *f)
{
	const struct json_value *v = pick_value(&f->pick, KEYS("routes"));
	struct route_list out = {0};
	struct json_value *inner;

	if (v && v->type == JSON_T_STRING && !v->bad &&
	    !json_parse(v->text, v->len, 0, f->pick.mem, &inner, NULL, NULL))
		v = inner;
	/* an object: a PHP list with gaps */
	if (v && v->type != JSON_T_ARRAY && v->type != JSON_T_OBJECT) {
		notes_add(f->pick.notes, "routes: not a list");
		v = NULL;
	}
	if (v) {
		out.v = arena_alloc(f->pick.mem, ((size_t)v->len + 1) * sizeof(*out.v));
		if (!out.v) {
			f->pick.oom = true;
			return;
		}
		for (const struct json_value *e = v->child; e; e = e->next)
			add_route(f, e, &out);
	}
	f->info->routes = out;
	f->info->custom_outbounds = pick_json(&f->pick, KEYS("custom_outbounds"));
	f->info->custom_routes = pick_json(&f->pick, KEYS("custom_routes"));
	f->info->custom_route_rules = pick_json(&f->pick, KEYS("custom_route_rules"));
}

/* --- intervals ------------------------------------------------------------------------------- */

static int64_t pick_interval(struct pick *p, const char *key)
{
	int64_t s = pick_int(p, KEYS(key), INTERVAL_DEFAULT);

	return s <= 0 ? INTERVAL_DEFAULT : MIN(s, (int64_t)INTERVAL_MAX);
}

void flat_base(struct flat *f)
{
	const struct json_value *o = pick_object(&f->pick, KEYS("base_config", "baseConfig"));
	struct pick p = pick_into(&f->pick, "base_config.", o);

	f->info->push_interval_s = pick_interval(&p, "push_interval");
	f->info->pull_interval_s = pick_interval(&p, "pull_interval");
	f->info->report_min_kb = pick_uint(&p, KEYS("node_report_min_traffic"), -1);
	f->info->online_min_kb = pick_uint(&p, KEYS("device_online_min_traffic"), -1);
}

/* --- the whole ------------------------------------------------------------------------------- */

static void pick_names(struct flat *f)
{
	const char *listen = pick_text(&f->pick, KEYS("listen_ip"));

	if (f->panel->accept_listen_ip)
		f->info->listen_ip = listen;
	f->info->host = pick_text(&f->pick, KEYS("host"));
	f->info->server_name = pick_text(&f->pick, KEYS("server_name", "sni"));
	if (!f->info->server_name)
		f->info->server_name = f->info->host;
}

enum answer_class flat_decode(struct flat *f)
{
	bool ok;

	flat_remote(f); /* first: EnableVless changes the type */
	pick_names(f);
	ok = flat_type(f) && flat_port(f) && flat_transport(f) && flat_security(f) &&
	     flat_protocol(f);
	if (!ok)
		return ANSWER_VALID;
	flat_routes(f);
	flat_base(f);
	flat_cert(f);
	if (f->pick.oom) {
		notes_why(f->pick.notes, "the document needs too much memory");
		return ANSWER_VALID;
	}
	return ANSWER_OK;
}
