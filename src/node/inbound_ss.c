#include "node/inbound_ss.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

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

const char *inbound_ss_refuse(const struct config_node *conf, const struct node_info *info)
{
	const struct ss_method *m = ss_method_find(info->ss.cipher);
	uint8_t key[SS_KEY_MAX];

	if (!m)
		return "no cipher of that name";
	if (ss_method_insecure(m) && !allowed(conf, m))
		return "it protects nothing; name it in InsecureCiphers to serve it all the same";
	if (ss_method_insecure(m))
		return "ciphers without integrity are not in this build";
	if (m->class == SS_2022 &&
	    (!info->ss.server_key ||
	     ss_key(m, info->ss.server_key, strlen(info->ss.server_key), key)))
		return "server_key is not the base64 of as many bytes as the cipher's key has";
	return NULL;
}

int inbound_ss(const struct inbound_plan *plan, struct ss_conf *out, char why[INBOUND_WHY_MAX])
{
	const struct node_info *info = plan->info;
	const char *refused = inbound_ss_refuse(plan->conf, info);
	const struct ss_method *m = ss_method_find(info->ss.cipher);
	int err;

	if (refused) {
		snprintf(why, INBOUND_WHY_MAX, "cipher %.60s: %s", info->ss.cipher, refused);
		return -ERR_UNSUPPORTED;
	}
	*out = (struct ss_conf){.method = m, .named = m->identity, .uot = plan->conf->uot};
	/* SIP022 has no session without it. */
	if (!plan->conf->disable_iv_check || m->class == SS_2022)
		out->replay = plan->replay[m->class == SS_2022];
	out->packets = m->class == SS_AEAD && out->replay ? plan->packets : NULL;
	if (m->class != SS_2022)
		return 0;
	err = ss_key(m, info->ss.server_key, strlen(info->ss.server_key), out->psk);
	return err;
}
