/* VLESS: the flow, and its encryption. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "node/inbound_proto.h"
#include "proto/vless/vless.h"
#include "proto/vlessenc/vlessenc_conf.h"

static bool wants_encryption(const struct node_info *info)
{
	const char *text = info->vless.decryption;

	return text && *text && strcmp(text, "none") != 0;
}

/* What the panel says; where it says nothing, EnableXTLS gives the flow to what can have it. */
static bool flow_of(const struct config_node *conf, const struct node_info *info)
{
	bool wanted = conf->enable_xtls;

	if (!conf_is_set(&config_node_schema, conf, enable_xtls) && info->remote.set & REMOTE_XTLS)
		wanted = info->remote.enable_xtls;
	return info->vless.vision ||
	       (wanted && info->network == NET_TCP && info->security != SECURITY_NONE);
}

/* Without records below there is no flow: every user who asked for it would be closed. */
static int check_flow(const struct vless_conf *c, const struct node_info *info,
		      char why[INBOUND_WHY_MAX])
{
	if (c->vision && info->security == SECURITY_NONE && !wants_encryption(info))
		return inbound_refuse(why,
				      "flow xtls-rprx-vision needs TLS, REALITY or encryption");
	return 0;
}

/* VLESS Encryption.  There is nothing behind it to fall back to: what arrives is noise to a web
 * server.
 */
static int encryption(struct vless_conf *c, const struct inbound *in,
		      const struct inbound_plan *plan, char why[INBOUND_WHY_MAX])
{
	const char *what;
	int err;

	if (!wants_encryption(plan->info))
		return 0;
	if (!fallback_table_empty(in->fallbacks))
		return inbound_refuse(why, "fallbacks do not go with VLESS encryption");
	err = vlessenc_server_conf_new(plan->info->vless.decryption, plan->memory, &c->encryption,
				       &what);
	if (err == -ERR_CONFIG)
		return inbound_refuse(why, "decryption: %s", what);
	return err;
}

int inbound_vless(const struct inbound_plan *plan, struct inbound *in, char why[INBOUND_WHY_MAX])
{
	struct vless_conf *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	in->conf = c;
	c->vision = flow_of(plan->conf, plan->info);
	err = check_flow(c, plan->info, why);
	return err ? err : encryption(c, in, plan, why);
}
