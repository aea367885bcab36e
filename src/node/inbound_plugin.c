#include "node/inbound_plugin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "plugin/launch.h"
#include "plugin/options.h"

/* ---- which ------------------------------------------------------------------------------- */

const char *const *inbound_plugin_list(const struct json_list *l,
				       const char *out[INBOUND_PLUGIN_LIST + 1])
{
	size_t n = MIN(l->count, (size_t)INBOUND_PLUGIN_LIST);

	for (size_t i = 0; i < n; i++)
		out[i] = l->items[i];
	out[n] = NULL;
	return out;
}

bool inbound_plugin_allowed(const struct config *file, const char *name)
{
	const char *list[INBOUND_PLUGIN_LIST + 1];

	return plugin_allowed(inbound_plugin_list(&file->plugins.allow, list), name);
}

static int check(const struct inbound_plan *plan, char why[INBOUND_WHY_MAX])
{
	const struct config_plugins *own = &plan->file->plugins;
	const char *name = plan->info->ss.plugin;
	const char *list[INBOUND_PLUGIN_LIST + 1];
	char file[PATH_MAX];
	int err;

	if (!inbound_plugin_allowed(plan->file, name))
		return inbound_refuse(why, "plugin %.60s is not in Plugins.Allow", name);
	if (plan->info->ss.plugin_opts && plugin_options_check(plan->info->ss.plugin_opts))
		return inbound_refuse(why, "plugin_opts are longer than %d bytes or hold a newline",
				      PLUGIN_OPTIONS_MAX);
	err = plugin_find(name, inbound_plugin_list(&own->path, list), file);
	return err ? inbound_refuse(why, "plugin %.60s: %s", name, err_text(err)) : 0;
}

static int copy_texts(struct inbound_plugin *p, const struct node_info *info)
{
	p->name = strdup(info->ss.plugin);
	p->options = strdup(info->ss.plugin_opts ? info->ss.plugin_opts : "");
	p->port = info->port;
	return p->name && p->options ? 0 : -ENOMEM;
}

/* ---- where ------------------------------------------------------------------------------- */

/* Public addresses keep what the plugin does not take; none of them may be left. */
static void keep_public(struct inbound *in)
{
	const struct inbound_plugin *p = in->plugin;
	bool tcp = p->tcp == PLUGIN_PUBLIC, udp = p->udp == PLUGIN_PUBLIC;

	if (!tcp && !udp)
		in->nlisten = 0;
	for (unsigned i = 0; i < in->nlisten; i++)
		in->kind[i] = tcp ? INBOUND_TCP : INBOUND_UDP;
}

static int add_inner(const struct inbound_plan *plan, struct inbound *in, const char *const *hosts,
		     unsigned n, char why[INBOUND_WHY_MAX])
{
	struct inbound_plugin *p = in->plugin;
	struct addr at = plugin_loopback(hosts, n);
	bool tcp = p->tcp == PLUGIN_LOOPBACK, udp = p->udp == PLUGIN_LOOPBACK;

	if (in->nlisten == INBOUND_LISTEN_MAX)
		return inbound_refuse(why, "more than %d listen addresses", INBOUND_LISTEN_MAX);
	/* the number that it has already, so that a plugin may go on with it */
	if (plan->inner.len && plan->inner.sa.sa_family == at.sa.sa_family)
		at = plan->inner;
	in->hidden_tcp = tcp;
	in->hidden_udp = udp;
	p->inner = in->nlisten++;
	in->listen[p->inner] = at;
	in->kind[p->inner] = tcp && udp ? INBOUND_FULL : tcp ? INBOUND_TCP : INBOUND_UDP;
	return 0;
}

static int rearrange(const struct inbound_plan *plan, struct inbound *in, char why[INBOUND_WHY_MAX])
{
	char texts[INBOUND_LISTEN_MAX][ADDR_TEXT_MAX], joined[PLUGIN_HOST_MAX];
	const char *hosts[INBOUND_LISTEN_MAX];
	unsigned n = in->nlisten;
	int err;

	for (unsigned i = 0; i < n; i++)
		hosts[i] = addr_format_ip(&in->listen[i], texts[i]);
	err = plugin_hosts_join(hosts, n, joined);
	if (!err && !(in->plugin->hosts = strdup(joined)))
		err = -ENOMEM;
	if (err)
		return err;
	keep_public(in);
	return add_inner(plan, in, hosts, n, why);
}

/* A plugin that has to go first holds the port: for the moment we take what it leaves us. */
static void leave_out(struct inbound *in, const struct inbound_plan *plan)
{
	const struct inbound_plugin *held = plan->held;
	unsigned n = 0;

	if (!held)
		return;
	for (unsigned i = 0; i < in->nlisten; i++) {
		bool tcp = in->kind[i] != INBOUND_UDP, udp = in->kind[i] != INBOUND_TCP;
		bool mine = addr_port(&in->listen[i]) == held->port &&
			    !(in->plugin && in->plugin->inner == i);

		if (mine && ((tcp && held->tcp == PLUGIN_LOOPBACK) ||
			     (udp && held->udp == PLUGIN_LOOPBACK))) {
			in->partial = true;
			tcp = tcp && held->tcp != PLUGIN_LOOPBACK;
			udp = udp && held->udp != PLUGIN_LOOPBACK;
		}
		if (!tcp && !udp)
			continue;
		if (in->plugin && in->plugin->inner == i)
			in->plugin->inner = n;
		in->listen[n] = in->listen[i];
		in->kind[n++] = tcp && udp ? INBOUND_FULL : tcp ? INBOUND_TCP : INBOUND_UDP;
	}
	in->nlisten = n;
}

int inbound_plugin(const struct inbound_plan *plan, struct inbound *in, char why[INBOUND_WHY_MAX])
{
	const char *name = plan->info->ss.plugin;
	int err = 0;

	if (name && *name && !in->obfs) {
		err = check(plan, why);
		if (!err && !(in->plugin = calloc(1, sizeof(*in->plugin))))
			err = -ENOMEM;
		if (!err)
			err = copy_texts(in->plugin, plan->info);
		if (!err)
			err = plugin_places(PLUGIN_TCP_AND_UDP,
					    (enum plugin_net)plan->conf->plugin_mode,
					    &in->plugin->tcp, &in->plugin->udp);
		if (!err)
			err = rearrange(plan, in, why);
	}
	if (!err)
		leave_out(in, plan);
	return err;
}

void inbound_plugin_free(struct inbound_plugin *p)
{
	if (!p)
		return;
	free(p->name);
	free(p->options);
	free(p->hosts);
	free(p);
}

bool inbound_plugin_same(const struct inbound *a, const struct inbound *b)
{
	const struct inbound_plugin *p = a ? a->plugin : NULL, *q = b ? b->plugin : NULL;

	if (!p || !q)
		return p == q;
	return !strcmp(p->name, q->name) && !strcmp(p->options, q->options) &&
	       !strcmp(p->hosts, q->hosts) && p->port == q->port && p->tcp == q->tcp &&
	       p->udp == q->udp && addr_equal(&a->listen[p->inner], &b->listen[q->inner]);
}
