#include "node/inbound.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/random.h"
#include "node/inbound_plugin.h"
#include "node/inbound_proto.h"
#include "node/inbound_reality.h"
#include "node/inbound_tls.h"

#define DIAL_TIMEOUT (15 * NSEC_SEC)
#define UDP_IDLE     (60 * NSEC_SEC)

const struct proto *inbound_type(const struct node_info *info, char why[INBOUND_WHY_MAX])
{
	const struct proto *proto = proto_find(node_type_name(info->type));

	if (!proto)
		inbound_refuse(why, "node type %s is not in this build",
			       node_type_name(info->type));
	return proto;
}

/* What the model can say and this build cannot serve: named, never half done. */
static int check_features(const struct node_info *info, char why[INBOUND_WHY_MAX])
{
	const struct proto *proto = inbound_type(info, why);
	const char *header = info->transport.header_type;

	if (!proto)
		return -ERR_UNSUPPORTED;
	if (info->network != NET_TCP)
		return inbound_refuse(why, "network %s is not in this build",
				      node_network_name(info->network));
	if (info->security == SECURITY_REALITY && !proto->reality)
		return inbound_refuse(why, "REALITY for %s is not in this build",
				      node_type_name(info->type));
	if (header && *header && strcmp(header, "none"))
		return inbound_refuse(why, "header type %s is not in this build", header);
	return 0;
}

/* The panel may ask for padding; whether there is a multiplex at all is the file's to say, for what the
 * panel says is what it tells clients.
 */
static enum proto_singmux singmux_of(const struct config_node *conf, const struct node_info *info)
{
	const struct config_multiplex *own = &conf->multiplex;
	bool padding = info->multiplex.enabled && info->multiplex.padding;

	if (conf_is_set(&config_multiplex_schema, own, padding))
		padding = own->padding;
	if (!own->enable)
		return PROTO_SINGMUX_OFF;
	return padding ? PROTO_SINGMUX_PADDED : PROTO_SINGMUX_ANY;
}

/* ---- addresses --------------------------------------------------------------------------- */

static int add_listen(struct inbound *in, const char *text, uint16_t port,
		      char why[INBOUND_WHY_MAX])
{
	if (in->nlisten == INBOUND_LISTEN_MAX)
		return inbound_refuse(why, "more than %d listen addresses", INBOUND_LISTEN_MAX);
	if (addr_parse_ip(&in->listen[in->nlisten], *text ? text : "::", port))
		return inbound_refuse(why, "ListenIP: %.60s is not an address", text);
	in->nlisten++;
	return 0;
}

/* The file's, else what the panel may say, else the file's default. */
static int listen_addresses(struct inbound *in, const struct config_node *conf,
			    const struct node_info *info, char why[INBOUND_WHY_MAX])
{
	bool own = conf_is_set(&config_node_schema, conf, listen_ip);
	const struct text_list *remote = &info->remote.listen_ip;
	int err = 0;

	if (!own && info->listen_ip)
		return add_listen(in, info->listen_ip, info->port, why);
	if (!own && info->remote.set & REMOTE_LISTEN_IP) {
		for (size_t i = 0; i < remote->n && !err; i++)
			err = add_listen(in, remote->v[i], info->port, why);
		return err;
	}
	for (size_t i = 0; i < conf->listen_ip.count && !err; i++)
		err = add_listen(in, conf->listen_ip.items[i], info->port, why);
	return err;
}

static int source_address(struct inbound *in, const struct config_node *conf,
			  const struct node_info *info, char why[INBOUND_WHY_MAX])
{
	const char *text = conf->send_ip;
	struct addr a;

	if (!conf_is_set(&config_node_schema, conf, send_ip) && info->remote.set & REMOTE_SEND_IP)
		text = info->remote.send_ip;
	if (!*text || !strcmp(text, "0.0.0.0") || !strcmp(text, "::"))
		return 0;
	if (addr_parse_ip(&a, text, 0))
		return inbound_refuse(why, "SendIP: %.60s is not an address", text);
	in->direct.source = in->trusted.source = a;
	return 0;
}

static enum direct_family family_of(int64_t dns_type)
{
	switch (dns_type) {
	case CONFIG_DNS_IP4:
		return DIRECT_IP4_ONLY;
	case CONFIG_DNS_IP6:
		return DIRECT_IP6_ONLY;
	case CONFIG_DNS_IP46:
		return DIRECT_IP4_FIRST;
	case CONFIG_DNS_IP64:
		return DIRECT_IP6_FIRST;
	default:
		return DIRECT_ANY;
	}
}

/* ---- fallbacks and rejection ------------------------------------------------------------- */

static int one_fallback(struct fallback *f, const char *sni, const char *alpn, const char *path,
			const char *dest, int64_t xver, char why[INBOUND_WHY_MAX])
{
	*f = (struct fallback){
		.sni = (char *)(uintptr_t)sni,
		.alpn = (char *)(uintptr_t)alpn,
		.path = (char *)(uintptr_t)path,
		.xver = (uint8_t)xver,
	};
	if (fallback_parse_dest(f, dest))
		return inbound_refuse(why, "fallback: %.80s is no port, host:port or socket path",
				      dest);
	return 0;
}

static int fallback_list(struct inbound *in, const struct config_node *conf,
			 const struct node_info *info, char why[INBOUND_WHY_MAX])
{
	bool own = conf_is_set(&config_node_schema, conf, fallbacks);
	const struct config_fallback *mine = conf->fallbacks.items;
	const struct node_fallback *remote = info->remote.fallbacks.v;
	size_t n = own ? conf->fallbacks.count : info->remote.fallbacks.n;
	struct fallback *v = calloc(n ? n : 1, sizeof(*v));
	int err = v ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !err; i++)
		err = own ? one_fallback(&v[i], mine[i].sni, mine[i].alpn, mine[i].path,
					 mine[i].dest, mine[i].proxy_protocol, why)
			  : one_fallback(&v[i], remote[i].sni, remote[i].alpn, remote[i].path,
					 remote[i].dest, remote[i].proxy_protocol, why);
	if (!err && !(in->fallbacks = fallback_table_new(v, n)))
		err = -ENOMEM;
	for (size_t i = 0; v && i < n; i++)
		free(v[i].unix_path);
	free(v);
	return err;
}

static bool fallback_on(const struct config_node *conf, const struct node_info *info)
{
	if (conf_is_set(&config_node_schema, conf, enable_fallback))
		return conf->enable_fallback;
	return info->remote.set & REMOTE_FALLBACK ? info->remote.enable_fallback : false;
}

/* With a fallback the first read decides.  A client that may send its salt in a segment of its own is not
 * to be told from who belongs to the web server. */
static int can_fall_back(const struct inbound *in, char why[INBOUND_WHY_MAX])
{
	return in->proto->falls_back
		       ? 0
		       : inbound_refuse(why, "EnableFallback does not go with %s", in->proto->name);
}

/* Default: the web server behind, if there is one; else say nothing until the deadline.  To close
 * at once would be to say which beginnings could still become a request.
 */
static int rejection(struct inbound *in, const struct config_node *conf,
		     const struct node_info *info, char why[INBOUND_WHY_MAX])
{
	bool on = fallback_on(conf, info);
	int err = on ? can_fall_back(in, why) : 0;

	if (!err && on)
		err = fallback_list(in, conf, info, why);
	if (err)
		return err;
	switch (conf->reject) {
	case CONFIG_REJECT_DRAIN:
		in->reject = REJECT_DRAIN;
		return 0;
	case CONFIG_REJECT_CLOSE:
		in->reject = REJECT_CLOSE;
		return 0;
	case CONFIG_REJECT_FALLBACK:
		if (fallback_table_empty(in->fallbacks))
			return inbound_refuse(why, "RejectPolicy fallback, but EnableFallback with "
						   "FallBackConfigs is missing");
		in->reject = REJECT_FALLBACK;
		return 0;
	default:
		in->reject = fallback_table_empty(in->fallbacks) ? REJECT_DRAIN : REJECT_FALLBACK;
		return 0;
	}
}

static int trusted_proxies(struct inbound *in, const struct config_node *conf,
			   char why[INBOUND_WHY_MAX])
{
	size_t n = conf->trusted_proxies.count;

	in->proxies = calloc(n ? n : 1, sizeof(*in->proxies));
	if (!in->proxies)
		return -ENOMEM;
	for (; in->nproxies < n; in->nproxies++) {
		const char *text = conf->trusted_proxies.items[in->nproxies];

		if (cidr_parse(&in->proxies[in->nproxies], text))
			return inbound_refuse(why, "TrustedProxies: %.60s is not a network", text);
	}
	return 0;
}

/* ---- together ---------------------------------------------------------------------------- */

static void set_times(struct inbound *in, const struct config_node *conf)
{
	nsec_t stranger = conf->stranger_timeout_s * NSEC_SEC;

	in->times = (struct session_times){
		.handshake = conf->handshake_timeout_s * NSEC_SEC,
		.dial = DIAL_TIMEOUT,
		.udp_idle = UDP_IDLE,
		.relay =
			{
				.idle = conf->idle_timeout_s * NSEC_SEC,
				.linger = conf->linger_timeout_s * NSEC_SEC,
				.splice = true,
			},
		/* no shorter than idle: it only says that a target's last words are read */
		.mirror = {.idle = stranger, .linger = stranger, .splice = true, .resets = true},
	};
}

/* Those of whom nobody knows yet, or who are no users, cost a connection to the target each. */
static int count_strangers(struct inbound *in, const struct inbound_plan *plan)
{
	unsigned all = (unsigned)plan->conf->stranger_limit, workers = MAX(plan->workers, 1u);

	if (!in->reality)
		return 0;
	in->strangers = calloc(1, sizeof(*in->strangers));
	if (!in->strangers)
		return -ENOMEM;
	random_bytes(&in->strangers->key, sizeof(in->strangers->key));
	in->strangers->max = (unsigned)plan->conf->stranger_limit_per_ip;
	in->strangers_max = (all + workers - 1) / workers;
	return 0;
}

static struct throttle_rule throttle_of(const struct node_throttle *t)
{
	return (struct throttle_rule){
		.after = (uint64_t)t->after_bytes,
		.rate_Bps = (uint64_t)t->bytes_per_s,
		.burst = (uint64_t)t->burst_bytes_per_s,
	};
}

static int fill(struct inbound *in, const struct inbound_plan *plan, char why[INBOUND_WHY_MAX])
{
	const struct config_node *conf = plan->conf;
	const struct node_info *info = plan->info;
	int err;

	in->proto = proto_find(node_type_name(info->type));
	in->memory = plan->memory;
	in->listener = (struct listener_conf){
		.reuseport = true,
		.tfo = conf->tcp_fast_open ? LISTENER_TFO : 0,
		.keepalive = &sock_usual_keepalive,
	};
	in->cap = plan->cap;
	in->proxy_protocol = conf->proxy_protocol || info->transport.accept_proxy_protocol;
	in->direct.family = in->trusted.family = family_of(conf->dns_type);
	in->direct.allow_private = conf->allow_private;
	in->trusted.allow_private = true;
	in->singmux = (uint8_t)singmux_of(conf, info);
	set_times(in, conf);
	in->throttle[RELAY_UP] = throttle_of(&info->reality.limit_up);
	in->throttle[RELAY_DOWN] = throttle_of(&info->reality.limit_down);
	err = listen_addresses(in, conf, info, why);
	if (!err)
		err = source_address(in, conf, info, why);
	if (!err)
		err = inbound_tls(plan, &in->tls, why);
	if (!err)
		err = inbound_reality(plan, in, &in->reality, why);
	if (!err)
		err = count_strangers(in, plan);
	if (!err)
		err = rejection(in, conf, info, why);
	if (!err)
		err = trusted_proxies(in, conf, why);
	if (!err)
		err = inbound_proto(plan, in, why);
	return err;
}

int inbound_build(const struct inbound_plan *plan, struct inbound **out, char why[INBOUND_WHY_MAX])
{
	struct inbound *in;
	int err = check_features(plan->info, why);

	if (err)
		return err;
	in = calloc(1, sizeof(*in));
	if (!in)
		return -ENOMEM;
	in->refs = 1;
	in->workers = plan->workers;
	err = fill(in, plan, why);
	if (err) {
		inbound_put(in);
		return err;
	}
	*out = in;
	return 0;
}

bool inbound_has_udp(const struct inbound *in)
{
	return in->proto->udp != NULL;
}

bool inbound_serves(const struct inbound *in, enum inbound_kind row, bool udp)
{
	return udp ? row != INBOUND_TCP && inbound_has_udp(in) : row != INBOUND_UDP;
}

void inbound_put(struct inbound *in)
{
	if (!in || --in->refs > 0)
		return;
	tls_server_conf_put(in->tls);
	reality_conf_put(in->reality);
	if (in->conf)
		in->proto->conf_free(in->conf);
	fallback_table_free(in->fallbacks);
	free(in->proxies);
	free(in->strangers);
	free(in->obfs);
	inbound_plugin_free(in->plugin);
	free(in);
}

void inbound_user_rules(const struct config_node *conf, const struct node_info *info,
			struct user_rules *out)
{
	const struct config_limit *own = &conf->limit;
	const struct remote_options *r = &info->remote;
	double speed = own->speed_Mbps;
	int64_t devices = own->device_limit, conns = own->conn_limit;
	bool sum = own->speed_sum;

	if (!conf_is_set(&config_limit_schema, own, speed_Mbps) && r->set & REMOTE_SPEED_LIMIT)
		speed = r->speed_limit_mbps;
	if (!conf_is_set(&config_limit_schema, own, speed_sum) && r->set & REMOTE_SPEED_SCOPE)
		sum = r->speed_limit_sum;
	if (!conf_is_set(&config_limit_schema, own, device_limit) && r->set & REMOTE_DEVICE_LIMIT)
		devices = r->device_limit;
	if (!conf_is_set(&config_limit_schema, own, conn_limit) && r->set & REMOTE_CONN_LIMIT)
		conns = r->conn_limit;
	*out = (struct user_rules){
		.speed_bps = (uint64_t)(speed * 1e6),
		.device_limit = (uint32_t)devices,
		.conn_limit = (uint32_t)conns,
		.grace_s = (uint32_t)MAX((int64_t)60, 2 * info->push_interval_s),
		.sum = sum,
	};
}
