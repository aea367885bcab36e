#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "client/outbound_proto.h"
#include "plugin/options.h"

/* ---- links ------------------------------------------------------------------------------- */

static bool is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && !memcmp(text, word, len);
}

static bool is_obfs(const char *plugin, size_t name)
{
	return is_word(plugin, name, "obfs-local") || is_word(plugin, name, "simple-obfs");
}

bool link_plugin_is_built_in(const char *plugin)
{
	size_t name = strcspn(plugin, ";");
	struct plugin_options o;
	const char *what, *mode;
	bool is;

	if (!is_obfs(plugin, name) || !plugin[name] ||
	    plugin_options_parse(plugin + name + 1, &o, &what))
		return false;
	mode = plugin_options_get(&o, "obfs");
	is = mode && !strcmp(mode, "http");
	plugin_options_done(&o);
	return is;
}

/* Plugins of SIP003 under the names that they are installed by. */
bool link_plugin_is_known(const char *plugin)
{
	static const char *const known[] = {
		"obfs-local",  "simple-obfs", "v2ray-plugin",  "ss-v2ray-plugin", "xray-plugin",
		"gost-plugin", "kcptun",      "kcptun-client", "cloak",		  "ck-client",
		"shadow-tls",  "simple-tls",  "qtun-client",
	};
	size_t name = strcspn(plugin, ";");

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (is_word(plugin, name, known[i]))
			return true;
	}
	return false;
}

/* What some of them take from their options before they look at what SIP003 says: where to listen and whom
 * to call, which side they are, and files.  `key` is such a file, but kcptun's secret.
 */
static bool is_not_of_links(const char *key, bool kcptun)
{
	static const char *const never[] = {
		"localAddr",  "localPort",  "localHost", "remoteAddr", "remotePort",
		"remoteHost", "listenAddr", "server",	 "cert",       "log",
		"snmplog",    "config",	    "c",	 "pprof",
	};

	for (size_t i = 0; i < ARRAY_LEN(never); i++) {
		if (!strcasecmp(key, never[i]))
			return true;
	}
	return !kcptun && !strcasecmp(key, "key");
}

int link_plugin_check_options(const char *plugin, char why[FROM_LINK_WHY])
{
	size_t name = strcspn(plugin, ";");
	bool kcptun = is_word(plugin, name, "kcptun") || is_word(plugin, name, "kcptun-client");
	struct plugin_options o;
	const char *what;
	int err = 0;

	if (!plugin[name])
		return 0;
	if (plugin_options_parse(plugin + name + 1, &o, &what))
		return wrong(why, "options of the plugin: %s", what);
	for (size_t i = 0; i < o.n && !err; i++) {
		if (is_not_of_links(o.v[i].key, kcptun))
			err = wrong(why,
				    "the link gives its plugin the option %.20s, which is not a "
				    "link's to say; if it is meant, name the plugin by --plugin",
				    o.v[i].key);
	}
	plugin_options_done(&o);
	return err;
}

/* Of the plugins one is built in. */
static int make_obfs(const struct share_link *link, struct outbound_conf *out,
		     char why[FROM_LINK_WHY])
{
	size_t name = strcspn(link->plugin, ";");
	const char *text = link->plugin + name, *what, *host;
	struct plugin_options o;
	int err = 0;

	if (!is_obfs(link->plugin, name))
		return wrong(why, "plugin %.*s is not in this build", (int)MIN(name, (size_t)60),
			     link->plugin);
	if (plugin_options_parse(*text ? text + 1 : "", &o, &what))
		return wrong(why, "options of the plugin: %s", what);
	host = plugin_options_get(&o, "obfs-host");
	out->obfs = malloc(sizeof(*out->obfs));
	if (!out->obfs)
		err = -ENOMEM;
	else if (!plugin_options_get(&o, "obfs") || strcmp(plugin_options_get(&o, "obfs"), "http"))
		err = wrong(why, "of obfs only obfs=http is in this build");
	else if (httpobfs_conf_set(out->obfs, host ? host : link->host,
				   plugin_options_get(&o, "obfs-uri"), link->port))
		err = wrong(why, "obfs-host or obfs-uri that no HTTP request has");
	plugin_options_done(&o);
	return err;
}

static int of_link(const struct share_link *link, struct outbound_conf *out,
		   char why[FROM_LINK_WHY])
{
	const struct ss_method *m = ss_method_find(link->method);

	if (!m)
		return wrong(why, "method %.60s is not in this build", link->method);
	if (ss_client_conf_set(&out->ss, m, link->credential))
		return wrong(why, "the password is no key for %s", m->name);
	out->uot = !strcmp(link->uot, "1") ? 1 : !strcmp(link->uot, "2") ? 2 : 0;
	if (*link->uot && !out->uot)
		return wrong(why, "uot: 1 or 2, not %.20s", link->uot);
	out->apart = !out->uot;
	return *link->plugin ? make_obfs(link, out, why) : 0;
}

/* ---- layers ------------------------------------------------------------------------------ */

static struct stream *stream(struct stream *lower, const struct outbound_conf *c,
			     const struct dest *to)
{
	return ss_client_new(lower, &c->ss, to);
}

static struct dgram *packets(struct stream *lower, const struct outbound_conf *c,
			     const struct dest *first)
{
	return ss_client_uot(lower, &c->ss, c->uot);
}

static struct dgram *packets_apart(struct dgram *lower, const struct outbound_conf *c,
				   const struct dest *server)
{
	return ss_client_udp(lower, server, &c->ss);
}

const struct outbound_proto outbound_shadowsocks = {
	.of_link = of_link,
	.stream = stream,
	.packets = packets,
	.packets_apart = packets_apart,
};
