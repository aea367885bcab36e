#include "panel/yassp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/jout.h"

static const char *setting(const struct roster_node *n, const char *key)
{
	const char *s = json_string_value(json_object_get(n->node.settings, key));

	return s ? s : "";
}

bool yassp_is_host(const struct panel_node *n)
{
	const char *host = json_string_value(json_object_get(n->settings, "yassp_host"));

	return host && *host && !strcmp(n->type, "shadowsocks");
}

struct roster_node *yassp_node(struct roster *r, const char *host)
{
	for (size_t i = 0; i < r->n_nodes; i++) {
		struct roster_node *n = &r->nodes[i];

		if (n->node.enabled && *setting(n, "yassp_host") &&
		    !strcmp(n->node.type, "shadowsocks") && !strcmp(setting(n, "yassp_host"), host))
			return n;
	}
	return NULL;
}

static int64_t port_of(const struct panel_node *n, int64_t user)
{
	return user > 65535 ? 65536 : strtol(n->port, NULL, 10) + user;
}

/* The password of a port.  2022 ciphers want a key: the start of the credential, as nodes of the
 * other dialects derive it (spec 3.2).  False: the credential is too short for one.
 */
static bool password_of(const char *cipher, const char *credential,
			char out[PANEL_CREDENTIAL_MAX + 1])
{
	size_t len = strlen(credential), want = strstr(cipher, "128") ? 16 : 32;

	if (strncmp(cipher, "2022-", 5) != 0) {
		memcpy(out, credential, len + 1);
		return true;
	}
	if (len < want)
		return false;
	base64_encode(BASE64_STD, credential, want, out);
	return true;
}

int yassp_place(const struct panel_node *n, const struct panel_user *u, struct yassp_place *out)
{
	const char *cipher = json_string_value(json_object_get(n->settings, "cipher"));
	int64_t port = port_of(n, u->id);

	if (port > 65535 || !cipher || !password_of(cipher, u->credential, out->password))
		return -ERR_CONFIG;
	out->port = (uint16_t)port;
	return 0;
}

/* The list while it is written. */
struct writing {
	const struct roster_node *node;
	struct jout j;
	int64_t now;
	bool any;
};

static int profile_add(const struct panel_user *u, void *arg)
{
	struct writing *w = arg;
	const char *cipher = setting(w->node, "cipher");
	char password[PANEL_CREDENTIAL_MAX + 1];
	int64_t port = port_of(&w->node->node, u->id);

	if (port > 65535 || !panel_user_active(u, w->now) ||
	    !password_of(cipher, u->credential, password))
		return 0;
	jout_str(&w->j, w->any ? ",{\"port\":" : "{\"port\":");
	jout_int(&w->j, port);
	jout_str(&w->j, ",\"method\":");
	jout_quoted(&w->j, cipher);
	jout_str(&w->j, ",\"password\":");
	jout_quoted(&w->j, password);
	if (*setting(w->node, "plugin")) {
		jout_str(&w->j, ",\"plugin\":");
		jout_quoted(&w->j, setting(w->node, "plugin"));
		jout_str(&w->j, ",\"plugin_opts\":");
		jout_quoted(&w->j, setting(w->node, "plugin_opts"));
	}
	jout_str(&w->j, "}");
	w->any = true;
	return 0;
}

static int profiles_make(struct roster *r, struct roster_node *n, int64_t now)
{
	struct writing w = {.node = n, .now = now};
	struct node_memory *m = &n->memory;
	char etag[RESOURCE_TAG];
	int err;

	jout_str(&w.j, "[");
	err = store_users(r->store, 0, 0, profile_add, &w);
	jout_str(&w.j, "]");
	if (!err && w.j.failed)
		err = -ENOMEM;
	if (!err)
		err = resource_tag(w.j.at, w.j.len, etag);
	if (err) {
		free(w.j.at);
		return err;
	}
	if (strcmp(m->profiles_etag, etag) != 0) {
		memcpy(m->profiles_etag, etag, sizeof(etag));
		m->profiles_since = now;
	}
	return resource_set(&n->profiles, w.j.at, w.j.len, m->profiles_since);
}

int yassp_profiles(struct roster *r, struct roster_node *n, int64_t now)
{
	int err = roster_users(r, now);

	/* The roster is rebuilt whenever the set of users who may be served can have changed. */
	if (err || (n->profiles.plain && n->profiles_gen == r->users_gen.users &&
		    n->profiles_built == r->built))
		return err;
	err = profiles_make(r, n, now);
	if (!err) {
		n->profiles_gen = r->users_gen.users;
		n->profiles_built = r->built;
	}
	return err;
}

void yassp_ports_to_users(const struct roster_node *n, struct push_report *report)
{
	int64_t base = strtol(n->node.port, NULL, 10);

	/* Ports at or below the base are nobody's: 0 is no user's id. */
	for (size_t i = 0; i < report->n; i++)
		report->entries[i].user = MAX(report->entries[i].user - base, (int64_t)0);
}
