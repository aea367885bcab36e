/* v2sp.c - one URL, `action=` in its query. */
#include "sync/v2sp.h"

#include <string.h>

static const char *const actions[ASKS] = {
	[ASK_CONFIG] = "config", [ASK_USERS] = "user",	  [ASK_ALIVE] = "alivelist",
	[TELL_TRAFFIC] = "push", [TELL_ONLINE] = "alive",
};

static void v2sp_url(const struct panel *p, enum ask a, struct text *out)
{
	enum node_type type = p->type ? p->type : p->learned;

	if (p->path)
		url_join(out, p->host, p->path);
	else
		text_adds(out, p->host);
	url_first_param(out, "action", actions[a]);
	url_param(out, "node_id", p->node_id);
	if (type)
		url_param(out, "node_type", node_type_name(type));
	url_param(out, "token", p->key);
}

static const char *v2sp_other_path(const struct panel *p, unsigned n)
{
	static const char *const paths[] = {"/api/v2sp", "/api"};

	return url_is_bare(p->host) && n < ARRAY_LEN(paths) ? paths[n] : NULL;
}

const struct dialect dialect_v2sp = {
	.name = "v2sp",
	.batch_users = 5000,
	.whole_push = true,
	.conditional = true,
	.url = v2sp_url,
	.other_path = v2sp_other_path,
	.config = v2sp_config,
	.user = v2sp_user,
};
