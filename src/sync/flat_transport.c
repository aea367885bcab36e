/* flat_transport.c - network and network_settings (A.4.2, A.4.3). */
#include <stdlib.h>
#include <string.h>

#include "sync/flat.h"

#define SETTINGS KEYS("networkSettings", "network_settings")

static void pick_head(struct pick *in, const char *key, const char *where, struct node_http_head *h)
{
	struct pick p = pick_into(in, where, pick_object(in, KEYS(key)));

	h->version = pick_text(&p, KEYS("version"));
	h->method = pick_text(&p, KEYS("method"));
	h->status = pick_text(&p, KEYS("status"));
	h->reason = pick_text(&p, KEYS("reason"));
	h->paths = pick_list(&p, KEYS("path"));
	h->headers = pick_headers(&p, KEYS("headers"), NULL);
	in->oom |= p.oom;
}

static void pick_disguise(struct pick *in, struct node_transport *t)
{
	struct pick p = pick_into(in, "network_settings.header.", pick_object(in, KEYS("header")));

	t->header_type = pick_name(&p, KEYS("type"));
	if (t->header_type && !strcmp(t->header_type, "none"))
		t->header_type = NULL;
	if (t->header_type && !strcmp(t->header_type, "http")) {
		pick_head(&p, "request", "network_settings.header.request.", &t->request);
		pick_head(&p, "response", "network_settings.header.response.", &t->response);
	}
	in->oom |= p.oom;
}

/* Takes "ed=N" out of the query of a path in place; returns N, 0 when there is none. */
static int64_t take_early_data(char *path)
{
	char *query = strchr(path, '?');
	int64_t ed = 0;

	for (char *s = query; s && *s;) {
		size_t len = strcspn(s + 1, "&") + 1;

		if (strncmp(s + 1, "ed=", 3) != 0 || json_int_of_text(s + 4, len - 4, &ed)) {
			s += len;
			continue;
		}
		memmove(s, s + len, strlen(s + len) + 1);
		if (s == query && *s == '&')
			*s = '?';
		break;
	}
	return ed > 0 && ed <= INT32_MAX ? ed : 0;
}

static void pick_path(struct pick *p, bool early_data, struct node_transport *t)
{
	const char *given = pick_text(p, KEYS("path"));
	char *path =
		arena_printf(p->mem, "%s%s", given && *given == '/' ? "" : "/", given ? given : "");

	if (!path) {
		p->oom = true;
		return;
	}
	if (early_data)
		t->early_data = take_early_data(path);
	t->path = path;
}

static void pick_http_like(struct pick *p, bool early_data, struct node_transport *t)
{
	struct text_list host_header = {0};

	pick_path(p, early_data, t);
	t->headers = pick_headers(p, KEYS("headers"), &host_header);
	t->hosts = pick_list(p, KEYS("host"));
	if (!t->hosts.n)
		t->hosts = host_header;
}

static void pick_grpc(struct pick *p, struct node_transport *t)
{
	t->service_name = pick_text(p, KEYS("serviceName", "service_name"));
	t->multi_mode = pick_bool(p, KEYS("multiMode", "multi_mode"), false);
	t->authority = pick_text(p, KEYS("authority"));
}

static void pick_kcp(struct pick *p, struct node_transport *t)
{
	t->mtu = pick_uint(p, KEYS("mtu"), 0);
	t->tti = pick_uint(p, KEYS("tti"), 0);
	t->uplink_capacity = pick_uint(p, KEYS("uplinkCapacity"), 0);
	t->downlink_capacity = pick_uint(p, KEYS("downlinkCapacity"), 0);
	t->congestion = pick_bool(p, KEYS("congestion"), false);
	t->read_buffer = pick_uint(p, KEYS("readBufferSize"), 0);
	t->write_buffer = pick_uint(p, KEYS("writeBufferSize"), 0);
	t->seed = pick_text(p, KEYS("seed"));
	pick_disguise(p, t);
}

static void pick_settings(struct pick *p, enum node_network network, struct node_transport *t)
{
	t->accept_proxy_protocol = pick_bool(p, KEYS("acceptProxyProtocol"), false);
	switch (network) {
	case NET_TCP:
		pick_disguise(p, t);
		break;
	case NET_WS:
		pick_http_like(p, true, t);
		t->heartbeat_s = pick_uint(p, KEYS("heartbeatPeriod"), 0);
		break;
	case NET_XHTTP:
		t->mode = pick_name(p, KEYS("mode"));
		t->extra = pick_json(p, KEYS("extra"));
		pick_http_like(p, false, t);
		break;
	case NET_HTTPUPGRADE:
	case NET_H2:
		pick_http_like(p, false, t);
		break;
	case NET_GRPC:
		pick_grpc(p, t);
		break;
	case NET_KCP:
		pick_kcp(p, t);
		break;
	case NET_QUIC:
		t->quic_security = pick_name(p, KEYS("security"));
		t->quic_key = pick_text(p, KEYS("key"));
		pick_disguise(p, t);
		break;
	case NODE_NETWORKS:
		break;
	}
}

/* Only these ride on a transport that the panel chooses. */
static bool has_network(enum node_type t)
{
	return t == NODE_VLESS || t == NODE_VMESS || t == NODE_TROJAN || t == NODE_SHADOWSOCKS;
}

bool flat_transport(struct flat *f)
{
	struct node_info *info = f->info;
	const struct json_value *settings;
	const char *name;
	struct pick p;

	if (!has_network(info->type))
		return true;
	name = pick_text(&f->pick, KEYS("network", "transport"));
	if (name && node_network_parse(name, &info->network)) {
		notes_why(f->pick.notes, "network \"%.40s\" is not one we know", name);
		return false;
	}
	settings = pick_object(&f->pick, SETTINGS);
	p = pick_into(&f->pick, "network_settings.", settings);
	pick_settings(&p, info->network, &info->transport);
	if (info->type == NODE_SHADOWSOCKS) { /* v2node's obfuscation stands here */
		info->ss.obfs_path = pick_text(&p, KEYS("path"));
		info->ss.obfs_host = pick_text(&p, KEYS("Host"));
	}
	f->pick.oom |= p.oom;
	return true;
}
