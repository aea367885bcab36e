/* Shadowsocks: cipher, keys, and what the operator allows; simple-obfs; a plugin before it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "node/inbound_plugin.h"
#include "node/inbound_proto.h"
#include "plugin/options.h"
#include "proto/shadowsocks/ss_memory.h"

/* Ciphers without integrity are for who names them, never because a panel says so. */
static bool allowed(const struct config_node *conf, const struct ss_method *m)
{
	for (size_t i = 0; i < conf->insecure_ciphers.count; i++) {
		const struct ss_method *named = ss_method_find(conf->insecure_ciphers.items[i]);

		if (named == m)
			return true;
	}
	return false;
}

/* NULL when this can be served, else a sentence that says why not. */
static const char *why_not(const struct config_node *conf, const struct node_info *info)
{
	const struct ss_method *m = ss_method_find(info->ss.cipher);
	uint8_t key[SS_KEY_MAX];

	if (!m)
		return "no cipher of that name";
	if (ss_method_insecure(m) && !allowed(conf, m))
		return "it protects nothing; name it in InsecureCiphers to serve it all the same";
	if (m->class == SS_2022 &&
	    (!info->ss.server_key ||
	     ss_key(m, info->ss.server_key, strlen(info->ss.server_key), key)))
		return "server_key is not the base64 of as many bytes as the cipher's key has";
	return NULL;
}

/* ---- simple-obfs --------------------------------------------------------------------------- */

static int refuse_obfs(char why[INBOUND_WHY_MAX], const char *what, const char *text)
{
	return inbound_refuse(why, "%s %.60s is not in this build", what, text);
}

static int make_obfs(struct inbound *in, const char *mode, const char *host,
		     char why[INBOUND_WHY_MAX])
{
	if (!mode || strcasecmp(mode, "http") != 0)
		return refuse_obfs(why, "obfs", mode ? mode : "without a mode");
	in->obfs = malloc(sizeof(*in->obfs));
	if (!in->obfs)
		return -ENOMEM;
	return httpobfs_conf_set(in->obfs, host, NULL, 0) ? refuse_obfs(why, "obfs host", host) : 0;
}

static bool is_simple_obfs(const char *plugin)
{
	static const char *const names[] = {"obfs", "obfs-local", "obfs-server", "simple-obfs"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!strcmp(plugin, names[i]))
			return true;
	}
	return false;
}

/* Panels name it in two ways: as `obfs`, and as the plugin with its options. */
static int inbound_obfs(const struct node_info *info, struct inbound *in, char why[INBOUND_WHY_MAX])
{
	struct plugin_options o;
	const char *what, *mode;
	int err;

	if (info->ss.obfs)
		return make_obfs(in, info->ss.obfs, info->ss.obfs_host, why);
	if (!info->ss.plugin || !is_simple_obfs(info->ss.plugin))
		return 0;
	err = plugin_options_parse(info->ss.plugin_opts ? info->ss.plugin_opts : "", &o, &what);
	if (err)
		return refuse_obfs(why, "plugin_opts: ", what);
	mode = plugin_options_get(&o, "obfs");
	if (mode && !strcasecmp(mode, "http")) /* the rest is for who has it installed */
		err = make_obfs(in, mode, plugin_options_get(&o, "obfs-host"), why);
	plugin_options_done(&o);
	return err;
}

static void remember(struct ss_conf *c, const struct ss_memory *m, bool salts)
{
	if (salts)
		ss_memory_of_salts(m, c);
	c->sessions = m->sessions;
	c->known = m->known;
}

static int make_conf(const struct inbound_plan *plan, struct inbound *in, const struct ss_method *m)
{
	const char *key = plan->info->ss.server_key;
	struct ss_conf *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	in->conf = c;
	*c = (struct ss_conf){.method = m, .named = m->identity, .uot = plan->conf->uot};
	/* SIP022 has no session without it. */
	if (plan->memory)
		remember(c, plan->memory, !plan->conf->disable_iv_check || m->class == SS_2022);
	return m->class == SS_2022 ? ss_key(m, key, strlen(key), c->psk) : 0;
}

int inbound_ss(const struct inbound_plan *plan, struct inbound *in, char why[INBOUND_WHY_MAX])
{
	const struct node_info *info = plan->info;
	const char *refused = why_not(plan->conf, info);
	int err;

	if (refused)
		return inbound_refuse(why, "cipher %.60s: %s", info->ss.cipher, refused);
	err = make_conf(plan, in, ss_method_find(info->ss.cipher));
	if (!err)
		err = inbound_obfs(info, in, why);
	return err ? err : inbound_plugin(plan, in, why);
}
