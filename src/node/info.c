/* info.c - the model's memory, names, and its comparison.
 *
 * Comparison is a table: a row per field says where it lies, how two of its kind compare, and what
 * a difference asks for.  A field that is missing here would be changed on a panel without effect.
 */
#include "node/info.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

#define INFO_MEMORY_MAX (64 << 20) /* a config document is at most 4 MiB of text */

/* --- names --------------------------------------------------------------------------------- */

static const char *const type_names[NODE_TYPES] = {
	[NODE_TYPE_NONE] = "unknown",
	[NODE_VLESS] = "vless",
	[NODE_VMESS] = "vmess",
	[NODE_TROJAN] = "trojan",
	[NODE_SHADOWSOCKS] = "shadowsocks",
	[NODE_HYSTERIA] = "hysteria",
	[NODE_HYSTERIA2] = "hysteria2",
	[NODE_TUIC] = "tuic",
	[NODE_ANYTLS] = "anytls",
	[NODE_SOCKS] = "socks",
	[NODE_HTTP] = "http",
	[NODE_NAIVE] = "naive",
	[NODE_MIERU] = "mieru",
};

static const char *const network_names[NODE_NETWORKS] = {
	[NET_TCP] = "tcp",     [NET_WS] = "ws",
	[NET_GRPC] = "grpc",   [NET_HTTPUPGRADE] = "httpupgrade",
	[NET_XHTTP] = "xhttp", [NET_H2] = "h2",
	[NET_KCP] = "kcp",     [NET_QUIC] = "quic",
};

struct alias {
	const char *name;
	int value;
};

static const struct alias type_aliases[] = {
	{"v2ray", NODE_VMESS}, {"ss", NODE_SHADOWSOCKS}, {"shadowsocks2022", NODE_SHADOWSOCKS},
	{"hy", NODE_HYSTERIA}, {"hy2", NODE_HYSTERIA2},	 {"socks5", NODE_SOCKS},
	{"https", NODE_HTTP},
};

static const struct alias network_aliases[] = {
	{"", NET_TCP},	   {"raw", NET_TCP},	     {"websocket", NET_WS},
	{"gun", NET_GRPC}, {"splithttp", NET_XHTTP}, {"http", NET_H2},
	{"mkcp", NET_KCP},
};

#define NAME_MAX_LEN 31

/* Trimmed and lower-case; an empty text when it is longer than any name. */
static void fold_name(const char *text, char out[NAME_MAX_LEN + 1])
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	len = strlen(text);
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	if (len > NAME_MAX_LEN) {
		memcpy(out, "?", 2);
		return;
	}
	for (size_t i = 0; i < len; i++)
		out[i] = (char)tolower((unsigned char)text[i]);
	out[len] = '\0';
}

static int find_name(const char *text, const char *const *names, int first, int n,
		     const struct alias *aliases, size_t n_aliases)
{
	char name[NAME_MAX_LEN + 1];

	fold_name(text, name);
	for (int i = first; i < n; i++) {
		if (!strcmp(name, names[i]))
			return i;
	}
	for (size_t i = 0; i < n_aliases; i++) {
		if (!strcmp(name, aliases[i].name))
			return aliases[i].value;
	}
	return -1;
}

enum node_type node_type_parse(const char *text)
{
	int i = find_name(text, type_names, NODE_TYPE_NONE + 1, NODE_TYPES, type_aliases,
			  ARRAY_LEN(type_aliases));

	return i < 0 ? NODE_TYPE_NONE : (enum node_type)i;
}

const char *node_type_name(enum node_type t)
{
	return (unsigned)t < NODE_TYPES ? type_names[t] : type_names[NODE_TYPE_NONE];
}

int node_network_parse(const char *text, enum node_network *out)
{
	int i = find_name(text, network_names, 0, NODE_NETWORKS, network_aliases,
			  ARRAY_LEN(network_aliases));

	if (i < 0)
		return -ERR_UNSUPPORTED;
	*out = (enum node_network)i;
	return 0;
}

const char *node_network_name(enum node_network n)
{
	return (unsigned)n < NODE_NETWORKS ? network_names[n] : "unknown";
}

const char *node_security_name(enum node_security s)
{
	switch (s) {
	case SECURITY_NONE:
		return "none";
	case SECURITY_TLS:
		return "tls";
	case SECURITY_REALITY:
		return "reality";
	}
	return "unknown";
}

const char *node_protection_name(const struct node_info *i, enum node_security served)
{
	if (served == SECURITY_NONE && i->type == NODE_SHADOWSOCKS && i->ss.cipher)
		return i->ss.cipher;
	if (served == SECURITY_NONE && i->type == NODE_VLESS && i->vless.decryption &&
	    *i->vless.decryption && strcmp(i->vless.decryption, "none") != 0)
		return "VLESS Encryption";
	if (served == SECURITY_NONE && i->type == NODE_VMESS)
		return "VMess encryption";
	return node_security_name(served);
}

bool node_type_is_quic(enum node_type t)
{
	return t == NODE_HYSTERIA || t == NODE_HYSTERIA2 || t == NODE_TUIC;
}

/* --- memory -------------------------------------------------------------------------------- */

struct node_info *node_info_new(void)
{
	struct node_info *info = calloc(1, sizeof(*info));

	if (!info)
		return NULL;
	arena_init(&info->mem, INFO_MEMORY_MAX);
	info->refs = 1;
	info->vless.decryption = "none";
	info->push_interval_s = info->pull_interval_s = 60;
	info->report_min_kb = info->online_min_kb = -1;
	return info;
}

struct node_info *node_info_get(struct node_info *info)
{
	info->refs++;
	return info;
}

void node_info_put(struct node_info *info)
{
	if (!info || --info->refs)
		return;
	arena_done(&info->mem);
	explicit_bzero(info, sizeof(*info));
	free(info);
}

int text_list_add(struct arena *mem, struct text_list *l, const char *text, size_t len)
{
	const char *copy = arena_dup(mem, text, len);

	if (!copy)
		return -ENOMEM;
	if ((l->n & (l->n - 1)) == 0) { /* grows at each power of two */
		const char **v = arena_alloc(mem, (l->n ? 2 * l->n : 1) * sizeof(*v));

		if (!v)
			return -ENOMEM;
		if (l->n)
			memcpy(v, l->v, l->n * sizeof(*v));
		l->v = v;
	}
	l->v[l->n++] = copy;
	return 0;
}

bool text_list_has(const struct text_list *l, const char *text)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!strcmp(l->v[i], text))
			return true;
	}
	return false;
}

/* --- comparison ---------------------------------------------------------------------------- */

static bool text_equal(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

bool text_list_equal(const struct text_list *a, const struct text_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	}
	return true;
}

static bool headers_equal(const struct header_list *a, const struct header_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (strcasecmp(a->v[i].name, b->v[i].name) != 0 ||
		    !text_list_equal(&a->v[i].values, &b->v[i].values))
			return false;
	}
	return true;
}

static bool env_equal(const struct env_list *a, const struct env_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (strcmp(a->v[i].name, b->v[i].name) != 0 ||
		    strcmp(a->v[i].value, b->v[i].value) != 0)
			return false;
	}
	return true;
}

static bool routes_equal(const struct route_list *a, const struct route_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct node_route *x = &a->v[i], *y = &b->v[i];

		if (x->id != y->id || strcmp(x->action, y->action) != 0 ||
		    !text_equal(x->value, y->value) || !text_list_equal(&x->match, &y->match))
			return false;
	}
	return true;
}

static bool fallbacks_equal(const struct fallback_list *a, const struct fallback_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct node_fallback *x = &a->v[i], *y = &b->v[i];

		if (strcmp(x->sni, y->sni) != 0 || strcmp(x->alpn, y->alpn) != 0 ||
		    strcmp(x->path, y->path) != 0 || strcmp(x->dest, y->dest) != 0 ||
		    x->proxy_protocol != y->proxy_protocol)
			return false;
	}
	return true;
}

enum kind {
	BYTES, /* numbers, enums, booleans, keys: compared by their bytes */
	TEXT,
	LIST,
	HEADERS,
	ENV,
	ROUTES,
	FALLBACKS,
};

struct row {
	const char *name;
	enum kind kind;
	enum node_change change;
	size_t at, size;
};

#define ROW(kind, change, field)                                                \
	{                                                                       \
#field, kind, NODE_##change, offsetof(struct node_info, field), \
			sizeof(((struct node_info *)0)->field)                  \
	}

static const struct row rows[] = {
	ROW(BYTES, REBUILD, type),
	ROW(TEXT, REBUILD, listen_ip),
	ROW(BYTES, REBUILD, port),
	ROW(BYTES, REBUILD, hop_from),
	ROW(BYTES, REBUILD, hop_to),
	ROW(BYTES, REBUILD, network),
	ROW(BYTES, REBUILD, security),

	ROW(BYTES, REBUILD, transport.accept_proxy_protocol),
	ROW(TEXT, REBUILD, transport.header_type),
	ROW(TEXT, REBUILD, transport.request.version),
	ROW(TEXT, REBUILD, transport.request.method),
	ROW(TEXT, REBUILD, transport.request.status),
	ROW(TEXT, REBUILD, transport.request.reason),
	ROW(LIST, REBUILD, transport.request.paths),
	ROW(HEADERS, REBUILD, transport.request.headers),
	ROW(TEXT, REBUILD, transport.response.version),
	ROW(TEXT, REBUILD, transport.response.method),
	ROW(TEXT, REBUILD, transport.response.status),
	ROW(TEXT, REBUILD, transport.response.reason),
	ROW(LIST, REBUILD, transport.response.paths),
	ROW(HEADERS, REBUILD, transport.response.headers),
	ROW(TEXT, REBUILD, transport.path),
	ROW(BYTES, REBUILD, transport.early_data),
	ROW(LIST, REBUILD, transport.hosts),
	ROW(HEADERS, REBUILD, transport.headers),
	ROW(BYTES, REBUILD, transport.heartbeat_s),
	ROW(TEXT, REBUILD, transport.service_name),
	ROW(BYTES, REBUILD, transport.multi_mode),
	ROW(TEXT, REBUILD, transport.authority),
	ROW(TEXT, REBUILD, transport.mode),
	ROW(TEXT, REBUILD, transport.extra),
	ROW(BYTES, REBUILD, transport.mtu),
	ROW(BYTES, REBUILD, transport.tti),
	ROW(BYTES, REBUILD, transport.uplink_capacity),
	ROW(BYTES, REBUILD, transport.downlink_capacity),
	ROW(BYTES, REBUILD, transport.read_buffer),
	ROW(BYTES, REBUILD, transport.write_buffer),
	ROW(BYTES, REBUILD, transport.congestion),
	ROW(TEXT, REBUILD, transport.seed),
	ROW(TEXT, REBUILD, transport.quic_security),
	ROW(TEXT, REBUILD, transport.quic_key),

	ROW(TEXT, REBUILD, tls.server_name),
	ROW(LIST, REBUILD, tls.server_names),
	ROW(LIST, REBUILD, tls.alpn),
	ROW(BYTES, REBUILD, tls.reject_unknown_sni),
	ROW(BYTES, REBUILD, tls.ech_enabled),
	ROW(TEXT, REBUILD, tls.ech_key),
	ROW(TEXT, REBUILD, tls.ech_config),
	ROW(TEXT, REBUILD, tls.ech_query_name),
	ROW(TEXT, REBUILD, reality.dest),
	ROW(BYTES, REBUILD, reality.dest_port),
	ROW(LIST, REBUILD, reality.server_names),
	ROW(LIST, REBUILD, reality.short_ids),
	ROW(BYTES, REBUILD, reality.private_key),
	ROW(BYTES, REBUILD, reality.xver),
	ROW(TEXT, REBUILD, reality.mldsa65_seed),
	ROW(TEXT, REBUILD, reality.min_client_ver),
	ROW(TEXT, REBUILD, reality.max_client_ver),
	ROW(BYTES, REBUILD, reality.max_time_diff_ms),
	ROW(BYTES, REBUILD, reality.limit_up),
	ROW(BYTES, REBUILD, reality.limit_down),
	ROW(TEXT, REBUILD, host),
	ROW(TEXT, REBUILD, server_name),

	ROW(BYTES, REBUILD, vless.vision),
	ROW(TEXT, REBUILD, vless.decryption),
	ROW(TEXT, REBUILD, ss.cipher),
	ROW(TEXT, REBUILD, ss.server_key),
	ROW(TEXT, REBUILD, ss.plugin),
	ROW(TEXT, REBUILD, ss.plugin_opts),
	ROW(TEXT, REBUILD, ss.obfs),
	ROW(TEXT, REBUILD, ss.obfs_path),
	ROW(TEXT, REBUILD, ss.obfs_host),
	ROW(BYTES, REBUILD, hysteria.version),
	ROW(BYTES, REBUILD, hysteria.up_mbps),
	ROW(BYTES, REBUILD, hysteria.down_mbps),
	ROW(TEXT, REBUILD, hysteria.obfs_type),
	ROW(TEXT, REBUILD, hysteria.obfs_password),
	ROW(BYTES, REBUILD, hysteria.ignore_client_bandwidth),
	ROW(BYTES, REBUILD, tuic.version),
	ROW(TEXT, REBUILD, tuic.congestion_control),
	ROW(BYTES, REBUILD, tuic.zero_rtt),
	ROW(BYTES, REBUILD, tuic.auth_timeout_ms),
	ROW(BYTES, REBUILD, tuic.heartbeat_ms),
	ROW(LIST, REBUILD, padding_scheme),
	ROW(TEXT, REBUILD, mieru.transport),
	ROW(TEXT, REBUILD, mieru.traffic_pattern),
	ROW(BYTES, REBUILD, multiplex.enabled),
	ROW(BYTES, REBUILD, multiplex.padding),
	ROW(BYTES, REBUILD, multiplex.brutal),
	ROW(TEXT, REBUILD, multiplex.protocol),
	ROW(BYTES, REBUILD, multiplex.max_connections),
	ROW(BYTES, REBUILD, multiplex.brutal_up_mbps),
	ROW(BYTES, REBUILD, multiplex.brutal_down_mbps),

	ROW(TEXT, REBUILD, cert.mode),
	ROW(TEXT, REBUILD, cert.domain),
	ROW(TEXT, REBUILD, cert.email),
	ROW(TEXT, REBUILD, cert.provider),
	ROW(ENV, REBUILD, cert.dns_env),
	ROW(BYTES, REBUILD, cert.http_port),
	ROW(TEXT, REBUILD, cert.cert_file),
	ROW(TEXT, REBUILD, cert.key_file),
	ROW(TEXT, REBUILD, cert.cert_pem),
	ROW(TEXT, REBUILD, cert.key_pem),

	ROW(ROUTES, LIVE, routes),
	ROW(TEXT, LIVE, custom_outbounds),
	ROW(TEXT, LIVE, custom_routes),
	ROW(TEXT, LIVE, custom_route_rules),
	ROW(BYTES, LIVE, push_interval_s),
	ROW(BYTES, LIVE, pull_interval_s),
	ROW(BYTES, LIVE, report_min_kb),
	ROW(BYTES, LIVE, online_min_kb),

	/* Which of the panel's options are there decides what they do: a rebuild is always right.
	 */
	ROW(LIST, REBUILD, remote.listen_ip),
	ROW(TEXT, REBUILD, remote.send_ip),
	ROW(BYTES, REBUILD, remote.enable_xtls),
	ROW(BYTES, REBUILD, remote.enable_vless),
	ROW(BYTES, REBUILD, remote.disable_sniffing),
	ROW(BYTES, REBUILD, remote.enable_sniff),
	ROW(BYTES, REBUILD, remote.sniff_override),
	ROW(BYTES, REBUILD, remote.enable_fallback),
	ROW(FALLBACKS, REBUILD, remote.fallbacks),
	ROW(TEXT, REBUILD, remote.cert_mode),
	ROW(TEXT, REBUILD, remote.cert_domain),
	ROW(TEXT, REBUILD, remote.cert_provider),
	ROW(TEXT, REBUILD, remote.cert_email),
	ROW(TEXT, REBUILD, remote.cert_file),
	ROW(TEXT, REBUILD, remote.key_file),
	ROW(ENV, REBUILD, remote.dns_env),
	ROW(BYTES, LIVE, remote.online_min_kb),
	ROW(BYTES, LIVE, remote.report_min_kib),
	ROW(BYTES, LIVE, remote.speed_limit_mbps),
	ROW(BYTES, LIVE, remote.speed_limit_sum),
	ROW(BYTES, LIVE, remote.device_limit),
	ROW(BYTES, LIVE, remote.conn_limit),
	ROW(BYTES, LIVE, remote.set),
};

static bool row_equal(const struct row *r, const struct node_info *a, const struct node_info *b)
{
	const void *x = (const char *)a + r->at, *y = (const char *)b + r->at;

	switch (r->kind) {
	case BYTES:
		return !memcmp(x, y, r->size);
	case TEXT:
		return text_equal(*(const char *const *)x, *(const char *const *)y);
	case LIST:
		return text_list_equal(x, y);
	case HEADERS:
		return headers_equal(x, y);
	case ENV:
		return env_equal(x, y);
	case ROUTES:
		return routes_equal(x, y);
	case FALLBACKS:
		return fallbacks_equal(x, y);
	}
	return false;
}

enum node_change node_info_diff(const struct node_info *a, const struct node_info *b,
				const char **field)
{
	enum node_change change = NODE_SAME;
	const char *name = NULL;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].change <= change || row_equal(&rows[i], a, b))
			continue;
		change = rows[i].change;
		name = rows[i].name;
	}
	if (field)
		*field = name;
	return change;
}

bool node_info_equal(const struct node_info *a, const struct node_info *b)
{
	return node_info_diff(a, b, NULL) == NODE_SAME;
}
