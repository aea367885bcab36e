/* panel_node.c - `weir panel node`. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/cmd.h"
#include "cmd/panel_cmd.h"
#include "node/info.h"
#include "panel/edit.h"

static const struct panel_key keys[] = {
	{"type", "TYPE", "type", "vless, vmess, trojan, shadowsocks, hysteria2, anytls, …"},
	{"port", "PORT", "port", "where it listens; hysteria2 also 20000-50000"},
	{"host", "NAME", "host", "where clients find it"},
	{"name", "TEXT", "name", "for people"},
	{"token", "TEXT", "token", "instead of a random one"},
	{"id", "N", "id", "instead of the next one"},
};

/* Text that is JSON is that; anything else is text; nothing at all takes the key away. */
static json_t *value_of(const char *text)
{
	json_t *v = *text ? json_loads(text, JSON_DECODE_ANY, NULL) : json_null();

	return v ? v : json_string(text);
}

/* "tls_settings.server_name" goes into an object of that name. */
static int put_deep(json_t *o, const char *path, json_t *v)
{
	const char *dot = strchr(path, '.');
	char name[128];
	json_t *in;

	if (!dot)
		return json_object_set_new(o, path, v);
	memcpy(name, path, (size_t)(dot - path));
	name[dot - path] = '\0';
	in = json_object_get(o, name);
	if (!json_is_object(in)) {
		in = json_object();
		if (json_object_set_new(o, name, in) < 0) {
			json_decref(v);
			return -1;
		}
	}
	return put_deep(in, dot + 1, v);
}

/* What a node has beside its settings; every other key is a setting. */
static int node_pair(json_t *body, const char *key, const char *value)
{
	static const char *const own[] = {"name",  "type",    "host", "port",
					  "token", "enabled", "u",    "d"};
	json_t *settings = json_object_get(body, "settings");

	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		if (!strcmp(key, own[i]))
			return json_object_set_new(body, key, json_string(value)) < 0 ? -EINVAL : 0;
	}
	if (!settings) {
		settings = json_object();
		if (json_object_set_new(body, "settings", settings) < 0)
			return -EINVAL;
	}
	if (!strncmp(key, "settings.", 9))
		key += 9;
	return put_deep(settings, key, value_of(value)) < 0 ? -EINVAL : 0;
}

/* --json FILE: an object as the admin API takes it; options and pairs go over it. */
static int node_file(struct panel_args *a)
{
	json_error_t at;
	struct file file;
	json_t *from;

	if (panel_file_read(a->file, &file))
		return CMD_FAILED;
	from = json_loadb(file.text, file.len, 0, &at);
	file_done(&file);
	if (!json_is_object(from)) {
		fprintf(stderr, "weir panel: %s:%d:%d: %s\n", a->file, at.line, at.column,
			from ? "expected an object" : at.text);
		json_decref(from);
		return CMD_FAILED;
	}
	if (json_object_update_recursive(from, a->body) < 0) {
		json_decref(from);
		return CMD_FAILED;
	}
	json_decref(a->body);
	a->body = from;
	return CMD_OK;
}

/* ---- two in one place -------------------------------------------------------------------- */

struct place {
	const struct panel_node *node;
	int64_t taken_by; /* 0: nobody */
};

/* QUIC is UDP; of the others only Shadowsocks has packets of its own. */
static bool may_share(enum node_type a, enum node_type b)
{
	if (node_type_is_quic(a) == node_type_is_quic(b))
		return false;
	return (node_type_is_quic(a) ? b : a) != NODE_SHADOWSOCKS;
}

static int look_at(const struct panel_node *o, void *arg)
{
	struct place *p = arg;
	const struct panel_node *n = p->node;

	if (o->id != n->id && o->enabled && n->host[0] && !strcasecmp(o->host, n->host) &&
	    !strcmp(o->port, n->port) &&
	    !may_share(node_type_parse(o->type), node_type_parse(n->type)))
		p->taken_by = o->id;
	return 0;
}

/* Behind one name may be several machines, so it is no error; but mostly it is a mistake that shows
 * only when the second cannot listen, or when users of the one reach the other.
 */
static void hint_at_place(struct store *s, const struct panel_node *n)
{
	struct place p = {.node = n};

	if (!n->enabled || store_nodes(s, 0, 0, look_at, &p) || !p.taken_by)
		return;
	fprintf(stderr,
		"weir panel: node %lld: warning: %s:%s is the place of node %lld, too; one of them "
		"wants another port\n",
		(long long)n->id, n->host, n->port, (long long)p.taken_by);
}

/* ---- verbs ------------------------------------------------------------------------------- */

static int node_add(struct panel_args *a, struct store *s)
{
	struct panel_node n;
	struct fault why;
	int err = a->file ? node_file(a) : CMD_OK;

	if (err)
		return err;
	err = edit_node_add(s, a->body, &n, &why);
	if (err)
		return panel_complain(s, err, "node", "add", &why);
	printf("id: %lld\ntoken: %s\n", (long long)n.id, n.token);
	panel_node_hint(&n);
	hint_at_place(s, &n);
	panel_node_done(&n);
	return CMD_OK;
}

static int list_row(const struct panel_node *n, void *arg)
{
	printf("%-6lld %-12s %-14s %-24s %-8s %15lld %15lld  %s\n", (long long)n->id, n->type,
	       n->port, n->host[0] ? n->host : "-", n->enabled ? "enabled" : "disabled",
	       (long long)n->up, (long long)n->down, n->name);
	return 0;
}

static int list_json(const struct panel_node *n, void *arg)
{
	return json_array_append_new(arg, panel_node_emit(n)) < 0 ? -ENOMEM : 0;
}

static int node_list(struct panel_args *a, struct store *s)
{
	json_t *rows = a->json ? json_array() : NULL;
	int err;

	if (!a->json)
		printf("%-6s %-12s %-14s %-24s %-8s %15s %15s  %s\n", "ID", "TYPE", "PORT", "HOST",
		       "STATE", "UP", "DOWN", "NAME");
	err = store_nodes(s, 0, 0, a->json ? list_json : list_row, rows);
	if (err) {
		json_decref(rows);
		return panel_complain(s, err, "node", "list", NULL);
	}
	return a->json ? panel_print(a, rows) : CMD_OK;
}

static int node_show(struct panel_args *a, struct store *s)
{
	struct panel_node n;
	int64_t id;
	int err = panel_id(a->words[0], &id);

	if (err)
		return err;
	err = store_node_get(s, id, &n);
	if (err)
		return panel_complain(s, err, "node", a->words[0], NULL);
	err = panel_print(a, panel_node_emit(&n));
	panel_node_done(&n);
	return err;
}

static int node_set(struct panel_args *a, struct store *s)
{
	struct panel_node n;
	struct fault why;
	int64_t id;
	int err = panel_id(a->words[0], &id);

	if (!err && a->file)
		err = node_file(a);
	if (err)
		return err;
	err = edit_node_change(s, id, a->body, &n, &why);
	if (err)
		return panel_complain(s, err, "node", a->words[0], &why);
	panel_node_hint(&n);
	hint_at_place(s, &n);
	panel_node_done(&n);
	return CMD_OK;
}

static int node_rm(struct panel_args *a, struct store *s)
{
	int64_t id;
	int err = 0;

	for (int i = 0; i < a->n && !err; i++) {
		err = panel_id(a->words[i], &id);
		if (!err && (err = store_node_del(s, id)) < 0)
			return panel_complain(s, err, "node", a->words[i], NULL);
	}
	return err;
}

static const struct panel_verb verbs[] = {
	{.name = "add",
	 .page = {"weir panel node add", "--type TYPE --port PORT [OPTION…] [KEY=VALUE…]",
		  "Adds a node and prints its id and token.  Keys of REALITY and Shadowsocks are made.",
		  "weir panel node add --type vless --port 443 --host n.example.net \\\n"
		  "             --set tls=2 tls_settings.server_name=www.example.com"},
	 .keys = keys,
	 .n_keys = ARRAY_LEN(keys),
	 .pair = node_pair,
	 .reads_file = true,
	 .makes = true,
	 .run = node_add},
	{.name = "list",
	 .page = {"weir panel node list", "", "Lists the nodes.", "weir panel node list"},
	 .run = node_list},
	{.name = "show",
	 .page = {"weir panel node show", "ID", "Shows a node, its token too.",
		  "weir panel node show 7"},
	 .min_words = 1,
	 .max_words = 1,
	 .run = node_show},
	{.name = "set",
	 .page = {"weir panel node set", "ID KEY=VALUE…",
		  "Changes a node; an empty value takes a setting away.",
		  "weir panel node set 7 port=8443 network=ws network_settings.path=/live"},
	 .keys = keys,
	 .n_keys = ARRAY_LEN(keys) - 1,
	 .pair = node_pair,
	 .reads_file = true,
	 .min_words = 1,
	 .max_words = 1,
	 .run = node_set},
	{.name = "rm",
	 .page = {"weir panel node rm", "ID…", "Removes nodes, and what was counted over them.",
		  "weir panel node rm 7"},
	 .min_words = 1,
	 .max_words = INT_MAX,
	 .run = node_rm},
};

int panel_node_run(int argc, char **argv)
{
	return panel_verb_run(verbs, ARRAY_LEN(verbs), "weir panel node", argc, argv);
}
