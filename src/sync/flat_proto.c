/* flat_proto.c - the fields that belong to one protocol (A.4.2, A.4.5-A.4.7, B.4). */
#include <string.h>

#include "sync/flat.h"

static bool is_one_of(const char *s, const char *const words[])
{
	for (; *words; words++) {
		if (!strcmp(s, *words))
			return true;
	}
	return false;
}

/* --- vless ----------------------------------------------------------------------------------- */

static void pick_flow(struct flat *f)
{
	const char *flow = pick_name(&f->pick, KEYS("flow"));

	if (!flow || !strcmp(flow, "none"))
		return;
	f->info->vless.vision =
		is_one_of(flow, KEYS("xtls-rprx-vision", "xtls-rprx-vision-udp443"));
	if (!f->info->vless.vision)
		notes_add(f->pick.notes, "flow: not one we know, taking none");
}

/* A.4.5: the parts of the decryption string, joined by dots. */
static bool join_decryption(struct flat *f, const char *method)
{
	const struct json_value *o =
		pick_object(&f->pick, KEYS("encryption_settings", "encryptionSettings"));
	struct pick p = pick_into(&f->pick, "encryption_settings.", o);
	const char *mode = pick_name(&p, KEYS("mode")), *ticket = pick_text(&p, KEYS("ticket"));
	const char *padding = pick_text(&p, KEYS("server_padding", "serverPadding"));
	const char *key = pick_text(&p, KEYS("private_key", "privateKey"));

	if (!key) {
		notes_why(p.notes, "encryption %s needs encryption_settings.private_key", method);
		return false;
	}
	mode = mode ? mode : "native";
	if (!is_one_of(mode, KEYS("native", "xorpub", "random"))) {
		notes_why(p.notes, "encryption_settings.mode is none of native, xorpub, random");
		return false;
	}
	f->info->vless.decryption =
		arena_printf(p.mem, "%s.%s.%s%s%s.%s", method, mode, ticket ? ticket : "600s",
			     padding ? "." : "", padding ? padding : "", key);
	f->pick.oom |= p.oom || !f->info->vless.decryption;
	return true;
}

static bool pick_vless(struct flat *f)
{
	const char *given = pick_text(&f->pick, KEYS("decryption"));
	const char *method = pick_name(&f->pick, KEYS("encryption"));

	pick_flow(f);
	if (given && strcmp(given, "none") != 0) {
		f->info->vless.decryption = given;
		return true;
	}
	if (!method || !strcmp(method, "none"))
		return true;
	if (strcmp(method, "mlkem768x25519plus") != 0) {
		notes_why(f->pick.notes, "encryption \"%.40s\" is not one that VLESS has", method);
		return false;
	}
	return join_decryption(f, method);
}

/* --- shadowsocks ----------------------------------------------------------------------------- */

static void pick_ss_obfs(struct flat *f)
{
	const char *obfs = pick_name(&f->pick, KEYS("obfs"));
	const struct json_value *o = pick_object(&f->pick, KEYS("obfs_settings", "obfsSettings"));
	struct pick p = pick_into(&f->pick, "obfs_settings.", o);
	const char *path = pick_text(&p, KEYS("path")), *host = pick_text(&p, KEYS("host"));

	f->pick.oom |= p.oom;
	if (!obfs && (f->info->ss.obfs_path || f->info->ss.obfs_host))
		obfs = "http"; /* v2node: in network_settings */
	if (!obfs || is_one_of(obfs, KEYS("none", "plain"))) {
		f->info->ss.obfs_path = f->info->ss.obfs_host = NULL;
		return;
	}
	f->info->ss.obfs = obfs;
	f->info->ss.obfs_path = path ? path : f->info->ss.obfs_path;
	f->info->ss.obfs_host = host ? host : f->info->ss.obfs_host;
}

static bool pick_shadowsocks(struct flat *f)
{
	struct node_info *info = f->info;

	info->ss.cipher = pick_name(&f->pick, KEYS("cipher", "method"));
	if (!info->ss.cipher) {
		notes_why(f->pick.notes, "cipher is missing");
		return false;
	}
	info->ss.server_key = pick_text(&f->pick, KEYS("server_key", "serverKey"));
	if (!info->ss.server_key && !strncmp(info->ss.cipher, "2022-", 5)) {
		notes_why(f->pick.notes, "server_key is missing, which %s needs", info->ss.cipher);
		return false;
	}
	info->ss.plugin = pick_text(&f->pick, KEYS("plugin"));
	info->ss.plugin_opts = pick_text(&f->pick, KEYS("plugin_opts", "pluginOpts"));
	pick_ss_obfs(f);
	return true;
}

/* --- hysteria -------------------------------------------------------------------------------- */

static bool is_off(const char *obfs)
{
	return !obfs || is_one_of(obfs, KEYS("plain", "none", "null"));
}

/* A.4.7.  The type's text is the password itself on panels of the sing-box era. */
static void pick_hysteria2_obfs(struct flat *f)
{
	const char *type = pick_text(&f->pick, KEYS("obfs", "obfs_type", "obfsType"));
	const char *password =
		pick_text(&f->pick, KEYS("obfs_password", "obfs-password", "obfsPassword"));

	if (is_off(type))
		return;
	f->info->hysteria.obfs_type = password ? type : "salamander";
	f->info->hysteria.obfs_password = password ? password : type;
}

static bool pick_hysteria(struct flat *f)
{
	struct node_info *info = f->info;
	const char *obfs;

	info->hysteria.up_mbps = pick_uint(&f->pick, KEYS("up_mbps", "up"), 0);
	info->hysteria.down_mbps = pick_uint(&f->pick, KEYS("down_mbps", "down"), 0);
	if (f->panel->swap_bandwidth) {
		int64_t up = info->hysteria.up_mbps;

		info->hysteria.up_mbps = info->hysteria.down_mbps;
		info->hysteria.down_mbps = up;
	}
	info->hysteria.ignore_client_bandwidth =
		pick_bool(&f->pick, KEYS("ignore_client_bandwidth", "ignoreClientBandwidth"),
			  false) ||
		(!info->hysteria.up_mbps && !info->hysteria.down_mbps);
	if (info->type == NODE_HYSTERIA2) {
		pick_hysteria2_obfs(f);
		return true;
	}
	obfs = pick_text(&f->pick, KEYS("obfs", "obfs_type"));
	if (obfs) {
		info->hysteria.obfs_type = "xplus";
		info->hysteria.obfs_password = obfs;
	}
	return true;
}

/* --- the others ------------------------------------------------------------------------------ */

static bool pick_tuic(struct flat *f)
{
	const char *cc = pick_name(&f->pick, KEYS("congestion_control", "congestionControl"));

	f->info->tuic.version = pick_int(&f->pick, KEYS("version"), 5);
	f->info->tuic.congestion_control = "cubic";
	if (cc && is_one_of(cc, KEYS("cubic", "new_reno", "bbr")))
		f->info->tuic.congestion_control = cc;
	else if (cc)
		notes_add(f->pick.notes, "congestion_control: none of cubic, new_reno, bbr");
	f->info->tuic.zero_rtt =
		pick_bool(&f->pick, KEYS("zero_rtt_handshake", "zeroRttHandshake"), false);
	f->info->tuic.auth_timeout_ms =
		pick_duration_ms(&f->pick, KEYS("auth_timeout"), 1000, 3000);
	f->info->tuic.heartbeat_ms = pick_duration_ms(&f->pick, KEYS("heartbeat"), 1000, 3000);
	return true;
}

static bool pick_mieru(struct flat *f)
{
	const char *transport = pick_name(&f->pick, KEYS("transport"));

	f->info->mieru.transport = transport && !strcmp(transport, "udp") ? "udp" : "tcp";
	f->info->mieru.traffic_pattern = pick_text(&f->pick, KEYS("traffic_pattern"));
	return true;
}

static void pick_multiplex(struct flat *f)
{
	struct node_mux *m = &f->info->multiplex;
	struct pick p = pick_into(&f->pick, "multiplex.", pick_object(&f->pick, KEYS("multiplex")));
	struct pick b = pick_into(&f->pick, "multiplex.brutal.", pick_object(&p, KEYS("brutal")));

	m->enabled = pick_bool(&p, KEYS("enabled"), false);
	m->protocol = pick_name(&p, KEYS("protocol"));
	m->max_connections = pick_uint(&p, KEYS("max_connections"), 0);
	m->padding = pick_bool(&p, KEYS("padding"), false);
	m->brutal = pick_bool(&b, KEYS("enabled"), false);
	m->brutal_up_mbps = pick_uint(&b, KEYS("up_mbps"), 0);
	m->brutal_down_mbps = pick_uint(&b, KEYS("down_mbps"), 0);
	f->pick.oom |= p.oom || b.oom;
}

bool flat_protocol(struct flat *f)
{
	pick_multiplex(f);
	switch (f->info->type) {
	case NODE_VLESS:
		return pick_vless(f);
	case NODE_SHADOWSOCKS:
		return pick_shadowsocks(f);
	case NODE_HYSTERIA:
	case NODE_HYSTERIA2:
		return pick_hysteria(f);
	case NODE_TUIC:
		return pick_tuic(f);
	case NODE_ANYTLS:
		f->info->padding_scheme =
			pick_lines(&f->pick, KEYS("padding_scheme", "paddingScheme"));
		return true;
	case NODE_MIERU:
		return pick_mieru(f);
	default:
		return true;
	}
}
