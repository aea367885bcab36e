/* from_xray.c - an outbound as Xray's JSON writes it, read into a link. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "client/from_link.h"
#include "client/mux_conf.h"

#define wrong(why, ...) err_say(-ERR_CONFIG, why, FROM_LINK_WHY, __VA_ARGS__)

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
