#include "client/from_link.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/hex.h"
#include "client/mux_conf.h"
#include "plugin/options.h"

#define ALPN_MAX 8

PRINTF(2, 3) static int wrong(char why[FROM_LINK_WHY], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, FROM_LINK_WHY, fmt, ap);
	va_end(ap);
	return -ERR_CONFIG;
}

int link_trust_add_pin(struct link_trust *t, const char *text)
{
	char digits[2 * 32 + 1];
	size_t n = 0;

	if (t->npins == FROM_LINK_PINS)
		return -ENOBUFS;
	for (; *text; text++) {
		if (*text == ':')
			continue;
		if (n == sizeof(digits) - 1)
			return -ERR_MALFORMED;
		digits[n++] = *text;
	}
	if (n != sizeof(digits) - 1 || hex_parse(digits, n, t->pins[t->npins], 32) != 32)
		return -ERR_MALFORMED;
	t->npins++;
	return 0;
}

static int make_tls(const struct share_link *link, const struct link_trust *trust,
		    struct outbound_conf *out, char why[FROM_LINK_WHY])
{
	const char *alpn[ALPN_MAX + 1] = {0};
	char mem[256], *rest = mem, *one;
	struct tls_client_options o = {
		.server_name = *link->sni ? link->sni : link->host,
		.verify = TLS_VERIFY_CA,
		.ca_file = trust->ca_file,
		.pins = trust->pins,
		.npins = trust->npins,
	};
	size_t n = 0;

	if (trust->npins)
		o.verify = TLS_VERIFY_PIN;
	else if (trust->insecure || link->insecure)
		o.verify = TLS_VERIFY_NONE;
	snprintf(mem, sizeof(mem), "%s", link->alpn);
	while (n < ALPN_MAX && (one = strsep(&rest, ",")))
		if (*one)
			alpn[n++] = one;
	if (n)
		o.alpn = alpn;
	out->tls = tls_client_conf_new(&o, why, FROM_LINK_WHY);
	return out->tls ? 0 : -ERR_CONFIG;
}

static int set_mldsa(const char *text, struct reality_client_conf *c)
{
	size_t n = strlen(text);

	if (n == 0)
		return 0;
	c->mldsa_public = malloc(REALITY_VERIFY_KEY);
	if (!c->mldsa_public)
		return -ENOMEM;
	return base64_decode(text, n, c->mldsa_public, REALITY_VERIFY_KEY) == REALITY_VERIFY_KEY
		       ? 0
		       : -ERR_MALFORMED;
}

static int make_reality(const struct share_link *link, struct outbound_conf *out,
			char why[FROM_LINK_WHY])
{
	struct reality_client_conf *c = calloc(1, sizeof(*c));
	size_t id = strlen(link->short_id);
	int err;

	out->reality = c;
	if (!c)
		return -ENOMEM;
	if (base64_decode(link->public_key, strlen(link->public_key), c->public_key,
			  sizeof(c->public_key)) != sizeof(c->public_key))
		return wrong(why, "pbk is no public key: base64 of 32 bytes");
	if (id > 2 * REALITY_SHORT_ID ||
	    (id && hex_parse(link->short_id, id, c->short_id, REALITY_SHORT_ID) < 0))
		return wrong(why, "sid: an even number of hexadecimal digits, 16 at most");
	if (strlen(link->sni) >= sizeof(c->server_name))
		return wrong(why, "sni is too long");
	snprintf(c->server_name, sizeof(c->server_name), "%s", link->sni);
	err = set_mldsa(link->mldsa_verify, c);
	return err == -ERR_MALFORMED ? wrong(why, "pqv is no ML-DSA-65 key: base64 of 1952 bytes")
				     : err;
}

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

/* Programs that do nothing but what SIP003 asks of them, under the names that they are installed by. */
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

static int make_shadowsocks(const struct share_link *link, struct outbound_conf *out,
			    char why[FROM_LINK_WHY])
{
	const struct ss_method *m = ss_method_find(link->method);

	out->proto = OUTBOUND_SHADOWSOCKS;
	if (!m)
		return wrong(why, "method %.60s is not in this build", link->method);
	if (ss_client_conf_set(&out->ss, m, link->credential))
		return wrong(why, "the password is no key for %s", m->name);
	out->uot = !strcmp(link->uot, "1") ? 1 : !strcmp(link->uot, "2") ? 2 : 0;
	if (*link->uot && !out->uot)
		return wrong(why, "uot: 1 or 2, not %.20s", link->uot);
	return *link->plugin ? make_obfs(link, out, why) : 0;
}

static int make_vless(const struct share_link *link, struct outbound_conf *out,
		      char why[FROM_LINK_WHY])
{
	const char *what;
	int err;

	out->proto = OUTBOUND_VLESS;
	if (vless_id_of_text(link->credential, strlen(link->credential), out->id))
		return wrong(why, "the id is neither a UUID nor a text of 1 to 30 bytes");
	if (!*link->encryption || !strcmp(link->encryption, "none"))
		return 0;
	err = vlessenc_client_conf_new(link->encryption, &out->encryption, &what);
	return err == -ERR_CONFIG ? wrong(why, "encryption: %s", what) : err;
}

static int make_vmess(const struct share_link *link, struct outbound_conf *out,
		      char why[FROM_LINK_WHY])
{
	int err = vmess_client_conf_set(&out->vmess, link->credential, link->encryption);

	out->proto = OUTBOUND_VMESS;
	if (strstr(link->experiments, "AuthenticatedLength"))
		out->vmess.option |= VMESS_SEALED_LENGTH;
	if (err == -ERR_UNSUPPORTED)
		return wrong(why, "cipher %.40s of VMess is not in this build", link->encryption);
	if (err == -ERR_MALFORMED)
		return wrong(why, "the id is neither a UUID nor a text of 1 to 30 bytes");
	return err;
}

/* Only of links of VLESS: others have no word for it. */
static int make_flow(const struct share_link *link, struct outbound_conf *out,
		     char why[FROM_LINK_WHY])
{
	if (!*link->flow || link->kind != SHARE_VLESS)
		return 0;
	out->udp443 = !strcmp(link->flow, "xtls-rprx-vision-udp443");
	out->vision = out->udp443 || !strcmp(link->flow, "xtls-rprx-vision");
	if (!out->vision)
		return wrong(why, "flow %.60s is not in this build", link->flow);
	if (link->security == SECURITY_NONE && !out->encryption)
		return wrong(why, "flow %.60s needs TLS, REALITY or encryption", link->flow);
	return 0;
}

static int make_credential(const struct share_link *link, struct outbound_conf *out,
			   char why[FROM_LINK_WHY])
{
	size_t len = strlen(link->credential);

	if (link->kind == SHARE_TROJAN) {
		out->proto = OUTBOUND_TROJAN;
		return trojan_key_of_password(link->credential, len, out->key);
	}
	if (link->kind == SHARE_SHADOWSOCKS)
		return make_shadowsocks(link, out, why);
	if (link->kind == SHARE_VMESS)
		return make_vmess(link, out, why);
	return make_vless(link, out, why);
}

int outbound_conf_of_link(const struct share_link *link, const struct link_trust *trust,
			  struct outbound_conf *out, char why[FROM_LINK_WHY])
{
	struct outbound_conf c = {.mux = trust->mux};
	const char *what;
	int err;

	if (link->network != NET_TCP || (*link->header_type && strcmp(link->header_type, "none")))
		return wrong(why, "network %s is not in this build",
			     node_network_name(link->network));
	if (dest_set_name(&c.server, link->host, strlen(link->host), link->port))
		return wrong(why, "the host is neither a name nor an address");
	err = make_credential(link, &c, why);
	if (!err)
		err = make_flow(link, &c, why);
	if (!err && mux_conf_settle(&c, &what))
		err = wrong(why, "%s", what);
	if (!err && link->security == SECURITY_TLS)
		err = make_tls(link, trust, &c, why);
	if (!err && link->security == SECURITY_REALITY)
		err = make_reality(link, &c, why);
	if (err)
		outbound_conf_done(&c);
	else
		*out = c;
	return err;
}

void outbound_conf_done(struct outbound_conf *c)
{
	tls_client_conf_put(c->tls);
	c->tls = NULL;
	reality_client_conf_free(c->reality);
	c->reality = NULL;
	free(c->obfs);
	c->obfs = NULL;
	vlessenc_conf_free(c->encryption);
	c->encryption = NULL;
}

/* ---- Xray's JSON ------------------------------------------------------------------------- */

static const char *text_at(const struct json_value *v, const char *key, struct arena *mem)
{
	const char *text = "";

	return json_to_text(json_get(v, key), mem, &text) < 0 ? "" : text;
}

static int port_at(const struct json_value *v, uint16_t *port)
{
	int64_t n = 0;

	if (json_to_int(json_get(v, "port"), &n) < 0 || n < 1 || n > 65535)
		return -ERR_MALFORMED;
	*port = (uint16_t)n;
	return 0;
}

/* Xray writes the one server, and its one user, with or without a list around them. */
static const struct json_value *first_of(const struct json_value *array,
					 const struct json_value *plain)
{
	if (!array)
		return plain;
	return array->type == JSON_T_ARRAY ? array->child : NULL;
}

static int read_server(const struct json_value *o, struct arena *mem, struct share_link *link,
		       char why[FROM_LINK_WHY])
{
	const char *protocol = text_at(o, "protocol", mem);
	const struct json_value *settings = json_get(o, "settings"), *server;

	if (!strcmp(protocol, "trojan")) {
		server = first_of(json_get(settings, "servers"), settings);
		link->kind = SHARE_TROJAN;
		link->credential = text_at(server, "password", mem);
	} else if (!strcmp(protocol, "shadowsocks")) {
		server = first_of(json_get(settings, "servers"), settings);
		link->kind = SHARE_SHADOWSOCKS;
		link->credential = text_at(server, "password", mem);
		link->method = text_at(server, "method", mem);
	} else if (!strcmp(protocol, "vless") || !strcmp(protocol, "vmess")) {
		const struct json_value *user;

		server = first_of(json_get(settings, "vnext"), settings);
		user = first_of(json_get(server, "users"), server);
		link->kind = !strcmp(protocol, "vless") ? SHARE_VLESS : SHARE_VMESS;
		link->credential = text_at(user, "id", mem);
		link->flow = text_at(user, "flow", mem);
		link->experiments = text_at(user, "experiments", mem);
		link->encryption =
			text_at(user, link->kind == SHARE_VMESS ? "security" : "encryption", mem);
	} else {
		return wrong(why, "protocol: vless, vmess, trojan or shadowsocks, not \"%.40s\"",
			     protocol);
	}
	link->host = text_at(server, "address", mem);
	if (!*link->host || port_at(server, &link->port))
		return wrong(why, "settings: address and port (1 to 65535) of the server");
	return 0;
}

static int read_tls(const struct json_value *tls, struct arena *mem, struct share_link *link,
		    struct link_trust *trust, char why[FROM_LINK_WHY])
{
	struct json_list list = {0};
	struct wr w;
	char *alpn = arena_alloc(mem, 256);
	const char *pins = text_at(tls, "pinnedPeerCertSha256", mem);

	if (!alpn)
		return -ENOMEM;
	w = wr_of(alpn, 255);
	link->sni = text_at(tls, "serverName", mem);
	if (json_to_bool(json_get(tls, "allowInsecure"), &trust->insecure) < 0 ||
	    json_to_list(json_get(tls, "alpn"), mem, &list) < 0)
		return wrong(why, "tlsSettings: allowInsecure is a boolean, alpn a list");
	for (size_t i = 0; i < list.count; i++) {
		wr_str(&w, i ? "," : "");
		wr_str(&w, list.items[i]);
	}
	if (w.err)
		return wrong(why, "alpn: longer than 255 characters");
	alpn[w.len] = '\0';
	link->alpn = alpn;
	if (*pins && link_trust_add_pin(trust, pins))
		return wrong(why, "pinnedPeerCertSha256: 64 hexadecimal digits");
	return 0;
}

static int read_reality(const struct json_value *v, struct arena *mem, struct share_link *link,
			char why[FROM_LINK_WHY])
{
	const char *key = text_at(v, "publicKey", mem);

	link->security = SECURITY_REALITY;
	link->public_key = *key ? key : text_at(v, "password", mem);
	link->short_id = text_at(v, "shortId", mem);
	link->sni = text_at(v, "serverName", mem);
	link->spider = text_at(v, "spiderX", mem);
	link->fingerprint = text_at(v, "fingerprint", mem);
	link->mldsa_verify = text_at(v, "mldsa65Verify", mem);
	return *link->public_key ? 0 : wrong(why, "realitySettings: the server's publicKey");
}

int link_of_xray(const struct json_value *o, struct arena *mem, struct share_link *link,
		 struct link_trust *trust, char why[FROM_LINK_WHY])
{
	const struct json_value *stream = json_get(o, "streamSettings");
	const char *security, *network, *what;
	int err;

	*link = share_link_empty();
	err = read_server(o, mem, link, why);
	if (err)
		return err;
	if (mux_conf_of_xray(json_get(o, "mux"), &trust->mux, &what))
		return wrong(why, "%s", what);
	network = text_at(stream, "network", mem);
	if (node_network_parse(network, &link->network))
		return wrong(why, "network: \"%.40s\" is none", network);
	security = text_at(stream, "security", mem);
	if (!strcmp(security, "tls")) {
		link->security = SECURITY_TLS;
		return read_tls(json_get(stream, "tlsSettings"), mem, link, trust, why);
	}
	if (!strcmp(security, "reality"))
		return read_reality(json_get(stream, "realitySettings"), mem, link, why);
	if (!*security || !strcmp(security, "none"))
		return 0;
	return wrong(why, "security: none, tls or reality, not \"%.40s\"", security);
}
