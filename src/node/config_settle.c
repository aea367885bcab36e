/* config_settle.c - what rows cannot say: how the options of a node depend on each other, on the
 * cores, and on the other nodes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "net/addr.h"
#include "node/config_load.h"
#include "node/info.h"
#include "session/half_open.h"

#define IS_SET(n, field) conf_is_set(&config_node_schema, n, field)

static int settle_id(struct config_loader *l, struct config_node *n)
{
	bool codes = n->api_type == CONFIG_API_UNIPROXY || n->api_type == CONFIG_API_XBOARD2;
	int64_t id;
	int err;

	if (!*n->node_id)
		return 0; /* missing or refused, which has been said */
	err = json_int_of_text(n->node_id, strlen(n->node_id), &id);
	if (err) {
		if (!codes)
			conf_error(&l->r, n->at, "NodeID",
				   "expected a whole number; only uniproxy panels have texts");
		return 0;
	}
	n->node_id = arena_printf(l->arena, "%" PRId64, id);
	return n->node_id ? 0 : -ENOMEM;
}

static void settle_panel(struct config_loader *l, struct config_node *n)
{
	enum node_type type = *n->node_type ? node_type_parse(n->node_type) : NODE_TYPE_NONE;

	n->node_type = type == NODE_TYPE_NONE ? "" : node_type_name(type);
	if (n->timeout_s <= 0)
		n->timeout_s = 5;
	if (!IS_SET(n, api_host) && !conf_report_has(l->r.report, l->r.file, l->r.path, "ApiHost"))
		conf_warn(&l->r, n->at, "ApiHost", "is missing; %s is asked", n->api_host);
	if (n->api_insecure)
		conf_warn(&l->r, n->at, "ApiInsecure",
			  "the panel's certificate is not verified: whoever is on the way is "
			  "believed");
	if (n->api_type == CONFIG_API_UNIPROXY && !*n->node_type)
		conf_warn(&l->r, n->at, "NodeType", "is missing; most uniproxy panels want it");
	if (n->api_type == CONFIG_API_UNIPROXY && n->push_interval_s > 90)
		conf_warn(&l->r, n->at, "PushInterval",
			  "above 90 s some panels forget who is online in between");
}

static bool is_any(const char *ip)
{
	struct addr a;

	if (addr_parse_ip(&a, ip, 0))
		return false;
	if (a.sa.sa_family == AF_INET)
		return a.in.sin_addr.s_addr == INADDR_ANY;
	return IN6_IS_ADDR_UNSPECIFIED(&a.in6.sin6_addr);
}

static void settle_addresses(struct config_loader *l, struct config_node *n)
{
	static const char *const both[] = {""};

	if (n->listen_ip.count == 0)
		n->listen_ip = (struct json_list){(const char **)both, 1};
	if (is_any(n->send_ip))
		n->send_ip = "";
	if (IS_SET(n, trusted_proxies) && !n->proxy_protocol)
		conf_warn(&l->r, n->at, "TrustedProxies",
			  "has no meaning without EnableProxyProtocol");
}

static void settle_dns(struct config_loader *l, struct config_node *n)
{
	bool type = IS_SET(n, dns_type), strategy = IS_SET(n, domain_strategy);

	if (!n->enable_dns && (type || strategy))
		conf_warn(&l->r, n->at, type ? "DNSType" : "DomainStrategy",
			  "has no meaning without EnableDNS; set that to true too");
	if (!type && strategy)
		n->dns_type = n->domain_strategy;
	if (!n->enable_dns)
		n->dns_type = CONFIG_DNS_AS_IS;
}

static void settle_fallback(struct config_loader *l, struct config_node *n)
{
	if (n->enable_fallback && !n->fallbacks.count)
		conf_error(&l->r, n->at, "FallBackConfigs",
			   "is missing; EnableFallback needs somewhere to go");
	if (!n->enable_fallback && n->fallbacks.count)
		conf_warn(&l->r, n->at, "FallBackConfigs", "has no meaning without EnableFallback");
	if (n->reject == CONFIG_REJECT_FALLBACK && !n->enable_fallback)
		conf_error(&l->r, n->at, "RejectPolicy", "fallback needs EnableFallback");
	n->enable_sniff = n->enable_sniff && !n->disable_sniffing;
}

/* Beyond it the counters of sources fill up, and are shared by who has nothing to do with each other. */
static void settle_strangers(struct config_loader *l, struct config_node *n)
{
	int64_t most = n->stranger_limit_per_ip * HALF_OPEN_EACH;

	if (n->stranger_limit_per_ip && (n->stranger_limit == 0 || n->stranger_limit > most))
		conf_warn(&l->r, n->at, "StrangerLimitPerIP",
			  "newcomers may be refused for what others hold, unless StrangerLimit is "
			  "%" PRId64 " or less",
			  most);
}

static void settle_cert(struct config_loader *l, struct config_node *n)
{
	if (n->cert.mode == CONFIG_CERT_DNS && !*n->cert.provider)
		conf_error(&l->r, n->at, "CertConfig.Provider",
			   "is missing; CertMode dns needs it");
}

/* XrayConnectionConfig of the cores holds for every session (G.9). */
static void settle_times(const struct config *c, struct config_node *n)
{
	const struct config_core_connection *conn = &c->engine.connection;
	const struct conf_schema *s = &config_core_connection_schema;

	if (conf_is_set(s, conn, handshake_s) && conn->handshake_s)
		n->handshake_timeout_s = conn->handshake_s;
	if (conf_is_set(s, conn, idle_s) && conn->idle_s)
		n->idle_timeout_s = conn->idle_s;
	if (conf_is_set(s, conn, uplink_only_s) || conf_is_set(s, conn, downlink_only_s))
		n->linger_timeout_s = MAX(conn->uplink_only_s, conn->downlink_only_s);
	n->linger_timeout_s = MAX(n->linger_timeout_s, (int64_t)1);
}

static bool has_core(const struct config *c, const char *name, const char *type)
{
	const struct config_core *core = c->cores.items;

	for (size_t i = 0; i < c->cores.count; i++) {
		if ((type && !strcmp(core[i].type, type)) || !strcmp(core[i].name, name))
			return true;
	}
	return c->cores.count == 0 && type;
}

static void settle_core(struct config_loader *l, struct config_node *n)
{
	const struct config *c = l->conf;

	if (*n->core && !config_core_type(n->core))
		conf_error(&l->r, n->at, "Core",
			   "\"%.40s\" is no core; write xray, sing or hysteria2", n->core);
	else if (*n->core && !has_core(c, n->core, config_core_type(n->core)))
		conf_error(&l->r, n->at, "Core", "Cores has no entry of type %.40s", n->core);
	if (*n->core_name && !has_core(c, n->core_name, config_core_type(n->core_name)))
		conf_error(&l->r, n->at, "CoreName", "Cores has no entry with the Name \"%.40s\"",
			   n->core_name);
}

static int settle_name(struct config_loader *l, struct config_node *n)
{
	char host[256];

	if (*n->name)
		return 0;
	n->name = arena_printf(l->arena, "[%s]-%s%s%s",
			       conf_redact_url(n->api_host, host, sizeof(host)), n->node_type,
			       *n->node_type ? ":" : "", n->node_id);
	return n->name ? 0 : -ENOMEM;
}

int config_node_settle(struct config_loader *l, struct config_node *n)
{
	int err;

	if (!IS_SET(n, api_type))
		n->api_type = l->conf->api_type;
	err = settle_id(l, n);
	settle_panel(l, n);
	settle_addresses(l, n);
	settle_dns(l, n);
	settle_fallback(l, n);
	settle_strangers(l, n);
	settle_cert(l, n);
	settle_times(l->conf, n);
	settle_core(l, n);
	return err ? err : settle_name(l, n);
}

/* --- between nodes ------------------------------------------------------------------------- */

/* Two that ask the same panel for the same node steal each other's traffic. */
static bool same_node(const struct config_node *a, const struct config_node *b)
{
	return !strcasecmp(a->api_host, b->api_host) && !strcmp(a->node_id, b->node_id) &&
	       !strcmp(a->node_type, b->node_type);
}

static void complain_at(struct config_loader *l, const struct config_node *n, const char *member,
			const char *what, const struct config_node *first)
{
	char path[CONF_PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s%s%s", n->where, *n->where ? "." : "", member);
	conf_report_add(l->r.report, false, n->file, n->at, path, "%s (line %u of %s)", what,
			first->at.line, first->file);
}

void config_nodes_compare(struct config_loader *l)
{
	const struct config_node *const *nodes = l->conf->nodes;

	for (size_t i = 0; i < l->conf->nnodes; i++) {
		for (size_t j = 0; j < i; j++) {
			if (*nodes[i]->node_id && same_node(nodes[i], nodes[j]))
				complain_at(l, nodes[i], "NodeID",
					    "the same node of the same panel again; the two would "
					    "steal each "
					    "other's traffic",
					    nodes[j]);
			else if (!strcmp(nodes[i]->name, nodes[j]->name))
				complain_at(l, nodes[i], "Name", "already taken; names are unique",
					    nodes[j]);
		}
	}
}
