/* uniproxy.c - v2board's interface and its successors (panel-apis B): UniProxy itself, Xboard's
 * second version of it, and v2node, which has a configuration of its own and UniProxy for the rest.
 *
 * The fields are those of v2sp.  What differs is where questions go, and that these panels bill a
 * report entry by entry: one that failed on the way may not be sent again.
 */
#include <stdio.h>

#include "sync/v2sp.h"

#define V1 "/api/v1/server/UniProxy/"
#define V2 "/api/v2/server/"

static const char *const names[ASKS] = {
	[ASK_CONFIG] = "config", [ASK_USERS] = "user",	  [ASK_ALIVE] = "alivelist",
	[TELL_TRAFFIC] = "push", [TELL_ONLINE] = "alive",
};

static void build(const struct panel *p, const char *folder, enum ask a, const char *type,
		  struct text *out)
{
	char path[64];

	snprintf(path, sizeof(path), "%s%s", folder, names[a]);
	url_join(out, p->host, path);
	if (type) {
		url_first_param(out, "node_type", type);
		url_param(out, "node_id", p->node_id);
	} else {
		url_first_param(out, "node_id", p->node_id);
	}
	url_param(out, "token", p->key);
}

static const char *type_of(const struct panel *p)
{
	enum node_type t = p->type ? p->type : p->learned;

	return t ? node_type_name(t) : NULL;
}

static void uniproxy_url(const struct panel *p, enum ask a, struct text *out)
{
	build(p, V1, a, type_of(p), out);
}

static void xboard2_url(const struct panel *p, enum ask a, struct text *out)
{
	build(p, V2, a, type_of(p), out);
}

static void v2node_url(const struct panel *p, enum ask a, struct text *out)
{
	build(p, a == ASK_CONFIG ? V2 : V1, a, "v2node", out);
}

const struct dialect dialect_uniproxy = {
	.name = "uniproxy",
	.batch_users = 5000,
	.may_lack_alive = true,
	.conditional = true,
	.url = uniproxy_url,
	.config = v2sp_config,
	.user = v2sp_user,
};

const struct dialect dialect_xboard2 = {
	.name = "xboard2",
	.batch_users = 5000,
	.may_lack_alive = true,
	.conditional = true,
	.url = xboard2_url,
	.config = v2sp_config,
	.user = v2sp_user,
};

const struct dialect dialect_v2node = {
	.name = "v2node",
	.batch_users = 5000,
	.may_lack_alive = true,
	.conditional = true,
	.url = v2node_url,
	.config = v2sp_config,
	.user = v2sp_user,
};
