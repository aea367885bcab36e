#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/hex.h"
#include "crypto/random.h"
#include "panel/field.h"
#include "panel/headers.h"
#include "panel/model.h"
#include "panel/settings.h"

#define AT(member) offsetof(struct panel_node, member)

static const struct field fields[] = {
	{"id", FIELD_INT, true, AT(id)},
	{"name", FIELD_TEXT, false, AT(name), 0, PANEL_NAME_MAX},
	{"type", FIELD_TEXT, false, AT(type), 1, sizeof(((struct panel_node *)0)->type) - 1},
	{"host", FIELD_TEXT, false, AT(host), 0, PANEL_HOST_MAX},
	{"port", FIELD_TEXT, false, AT(port), 1, sizeof(((struct panel_node *)0)->port) - 1},
	{"token", FIELD_TEXT, false, AT(token), 8, PANEL_TOKEN_MAX},
	{"enabled", FIELD_BOOL, false, AT(enabled), 1},
	{"u", FIELD_BYTES, false, AT(up), 0, INT64_MAX},
	{"d", FIELD_BYTES, false, AT(down), 0, INT64_MAX},
	{"ignored", FIELD_INT, true, AT(ignored)},
	{"created", FIELD_INT, true, AT(created)},
};

int panel_node_init(struct panel_node *n)
{
	uint8_t token[16];

	*n = (struct panel_node){.enabled = true, .created = time(NULL), .settings = json_object()};
	if (!n->settings)
		return -ENOMEM;
	random_bytes(token, sizeof(token));
	hex_format(token, sizeof(token), n->token);
	return 0;
}

void panel_node_done(struct panel_node *n)
{
	json_decref(n->settings);
	*n = (struct panel_node){0};
}

int node_type_canonical(const char *text, const char *stored, char out[16])
{
	static const char *const names[][2] = {
		{"vless", "vless"},
		{"vmess", "vmess"},
		{"v2ray", "vmess"},
		{"trojan", "trojan"},
		{"shadowsocks", "shadowsocks"},
		{"ss", "shadowsocks"},
		{"shadowsocks2022", "shadowsocks"},
		{"hysteria", "hysteria"},
		{"hy", "hysteria"},
		{"hysteria2", "hysteria2"},
		{"hy2", "hysteria2"},
		{"tuic", "tuic"},
		{"anytls", "anytls"},
		{"socks", "socks"},
		{"socks5", "socks"},
		{"http", "http"},
		{"https", "http"},
		{"naive", "naive"},
		{"mieru", "mieru"},
	};
	size_t len;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strlen(names[i][0]) != len || strncasecmp(names[i][0], text, len) != 0)
			continue;
		const char *name = names[i][1];

		if (!strcmp(name, "hysteria") && stored && !strcmp(stored, "hysteria2"))
			name = stored;
		memcpy(out, name, strlen(name) + 1);
		return 0;
	}
	return -EINVAL;
}

/* "443", "20000-50000", "443,20000-50000" without blanks, numbers in 1..65535. */
static int port_check(const char *port, const char *type, struct fault *why)
{
	const char *range = strchr(port, ',') ? strchr(port, ',') + 1 : port;
	size_t digits = strcspn(port, ",-");
	const char *dash = strchr(range, '-');
	int64_t first, from = 1, to = 65535;

	if (decimal_parse(port, digits, &first) < 0 || first < 1 || first > 65535)
		return fault_set(why, "port: expected a number of 1 to 65535");
	if (!port[digits])
		return 0;
	if (strcmp(type, "hysteria2") != 0)
		return fault_set(why, "port: only hysteria2 listens on a range");
	if (!dash || decimal_parse(range, (size_t)(dash - range), &from) < 0 ||
	    decimal_parse(dash + 1, strlen(dash + 1), &to) < 0 || from < 1 || from >= to ||
	    to > 65535)
		return fault_set(why, "port: expected 20000-50000 or 443,20000-50000");
	return 0;
}

static int host_check(const char *host, struct fault *why)
{
	for (; *host; host++) {
		if (!isalnum((unsigned char)*host) && !strchr(".-_:[]", *host))
			return fault_set(why, "host: expected a name or an address");
	}
	return 0;
}

static int token_check(const char *token, struct fault *why)
{
	for (; *token; token++) {
		if (*token < 0x20 || *token > 0x7e)
			return fault_set(why, "token: expected printable ASCII");
	}
	return 0;
}

/* The port may come as a number: nearly all do. */
static int port_to_text(json_t *from)
{
	json_t *port = json_object_get(from, "port");
	json_t *text;

	if (!json_is_integer(port))
		return 0;
	text = json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(port));
	return json_object_set_new(from, "port", text) < 0 ? -ENOMEM : 0;
}

/* The settings of `from` over a copy of what the node has: others may hold the old object. */
static int settings_read(struct panel_node *n, json_t *from, struct fault *why)
{
	json_t *patch = json_object_get(from, "settings");
	json_t *copy = json_deep_copy(n->settings);
	int err = -ENOMEM;

	if (!copy)
		return -ENOMEM;
	if (patch && !json_is_object(patch))
		err = fault_set(why, "settings: expected an object");
	else if (settings_merge(copy, patch) == 0)
		err = settings_check(copy, why);
	if (!err)
		err = settings_complete(copy, n->type, why);
	if (err) {
		json_decref(copy);
		return err;
	}
	json_decref(n->settings);
	n->settings = copy;
	return 0;
}

int panel_node_read(struct panel_node *n, json_t *from, struct fault *why)
{
	static const char *const elsewhere[] = {"settings", NULL};
	char type[sizeof(n->type)];
	int err;

	err = port_to_text(from);
	if (!err)
		err = fields_read(fields, ARRAY_LEN(fields), from, elsewhere, n, why);
	if (err)
		return err;
	if (node_type_canonical(n->type, NULL, type) < 0)
		return fault_set(
			why, "type: expected vless, vmess, trojan, shadowsocks, hysteria2, anytls, "
			     "socks, http, tuic, naive, mieru or hysteria");
	memcpy(n->type, type, sizeof(type));
	if ((err = port_check(n->port, n->type, why)) || (err = host_check(n->host, why)) ||
	    (err = token_check(n->token, why)))
		return err;
	return settings_read(n, from, why);
}

/* The port as a number where it is one: programs differ in which form they take, all take that. */
static json_t *port_emit(const struct panel_node *n)
{
	int64_t port;

	if (decimal_parse(n->port, strlen(n->port), &port) == 0)
		return json_integer(port);
	return json_string(n->port);
}

json_t *panel_node_emit(const struct panel_node *n)
{
	json_t *out = fields_emit(fields, ARRAY_LEN(fields), n);

	if (!out || json_object_set_new(out, "port", port_emit(n)) < 0 ||
	    json_object_set_new(out, "settings", json_deep_copy(n->settings)) < 0) {
		json_decref(out);
		return NULL;
	}
	return out;
}

/* The settings that have a place of their own: an object each, present even when empty, because
 * programs exist that fail without them; and under both names that programs look for.
 */
static int config_objects(json_t *out, json_t *settings)
{
	static const char *const names[][2] = {{"network_settings", "networkSettings"},
					       {"tls_settings", "tlsSettings"}};
	json_t *password = json_object_get(settings, "obfs_password");
	json_t *routes = json_object_get(settings, "routes");
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		json_t *o = json_object_get(settings, names[i][0]);

		o = o ? json_incref(o) : json_object();
		err |= json_object_set(out, names[i][0], o);
		err |= json_object_set_new(out, names[i][1], o);
	}
	if (password) {
		err |= json_object_set(out, "obfs_password", password);
		err |= json_object_set(out, "obfs-password", password);
	}
	return err |
	       json_object_set_new(out, "routes", routes ? json_incref(routes) : json_array());
}

/* What a node would assume anyway, said aloud for programs that insist on reading it. */
static int config_defaults(json_t *out, const char *type)
{
	bool plain = !strcmp(type, "vless") || !strcmp(type, "vmess");
	int err = 0;

	if ((plain || !strcmp(type, "trojan")) && !json_object_get(out, "network"))
		err |= json_object_set_new(out, "network", json_string("tcp"));
	if (plain && !json_object_get(out, "tls"))
		err |= json_object_set_new(out, "tls", json_integer(0));
	return err;
}

/* Log, Cores, Nodes: the second shape of A.4.1. */
static int config_file_shape(json_t *out, const struct panel_node *n)
{
	json_t *options = json_object_get(n->settings, "options");
	json_t *entry = options ? json_deep_copy(options) : json_object();
	int err = 0;

	err |= json_object_set_new(entry, "NodeID", json_integer(n->id));
	err |= json_object_set_new(entry, "NodeType", json_string(n->type));
	err |= json_object_set_new(out, "Log", json_pack("{s:s}", "Level", "info"));
	err |= json_object_set_new(out, "Cores", json_pack("[{s:s}]", "Type", "xray"));
	return err | json_object_set_new(out, "Nodes", json_pack("[o]", entry));
}

json_t *panel_node_config(const struct panel_node *n)
{
	json_t *out = json_object(), *v;
	json_t *base = json_pack("{s:i, s:i}", "push_interval", 60, "pull_interval", 60);
	const char *key;
	int err = 0;

	err |= json_object_set_new(out, "node_type", json_string(n->type));
	err |= json_object_set_new(out, "server_port", port_emit(n));
	if (n->host[0])
		err |= json_object_set_new(out, "host", json_string(n->host));
	json_object_foreach(n->settings, key, v)
	{
		if (setting_place(key) == SETTING_FLAT)
			err |= json_object_set(out, key, v);
		else if (setting_place(key) == SETTING_BASE)
			err |= json_object_set(base, key, v);
	}
	err |= config_defaults(out, n->type);
	err |= config_objects(out, n->settings);
	err |= json_object_set_new(out, "base_config", base);
	err |= config_file_shape(out, n);
	v = json_object_get(n->settings, "extra");
	if (v)
		err |= json_object_update(out, v);
	if (err) {
		json_decref(out);
		return NULL;
	}
	return out;
}
