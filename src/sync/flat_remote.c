/* flat_remote.c - what a panel says beside the protocol: certificates, and options of the local
 * file (A3 rule 4, B.4 cert_config).  Paths, environments and keys of others stay out unless the
 * operator let them in.
 */
#include <string.h>

#include "sync/flat.h"

/* "A=1,B=2", as v2node writes it. */
static struct env_list split_env(struct pick *p, const char *key)
{
	struct text_list l = pick_list(p, KEYS(key));
	struct env_list out = {.v = arena_alloc(p->mem, (l.n + 1) * sizeof(*out.v))};

	if (!out.v) {
		p->oom = true;
		return out;
	}
	for (size_t i = 0; i < l.n; i++) {
		const char *eq = strchr(l.v[i], '=');

		if (!eq)
			continue;
		out.v[out.n].name = arena_dup(p->mem, l.v[i], (size_t)(eq - l.v[i]));
		out.v[out.n].value = eq + 1;
		p->oom |= !out.v[out.n].name;
		out.n += out.v[out.n].name != NULL;
	}
	return out;
}

static struct env_list pick_env(struct pick *p, const char *key)
{
	const struct json_value *v = pick_value(p, KEYS(key)), *o;
	struct env_list out = {0};

	if (v && v->type == JSON_T_STRING && strcspn(v->text, "{[") == v->len)
		return split_env(p, key);
	o = pick_object(p, KEYS(key));
	if (!o)
		return out;
	out.v = arena_alloc(p->mem, o->len * sizeof(*out.v));
	if (!out.v) {
		p->oom = true;
		return out;
	}
	for (const struct json_value *m = o->child; m; m = m->next) {
		const char *value = NULL;

		if (m->bad_key || json_to_text(m, p->mem, &value) < 0 || !value) {
			notes_add(p->notes, "%s%s: a value that is not text", p->where, key);
			continue;
		}
		out.v[out.n].name = arena_strdup(p->mem, m->key);
		out.v[out.n].value = arena_strdup(p->mem, value);
		if (!out.v[out.n].name || !out.v[out.n].value) {
			p->oom = true;
			return out;
		}
		out.n++;
	}
	return out;
}

void flat_cert(struct flat *f)
{
	const struct json_value *o = pick_object(&f->pick, KEYS("cert_config", "certConfig"));
	struct pick p = pick_into(&f->pick, "cert_config.", o);
	struct node_cert *c = &f->info->cert;

	if (!o) { /* v2node */
		p.in[0] = pick_object(&f->pick, KEYS("tlsSettings", "tls_settings"));
		p.where = "tls_settings.";
	}

	c->mode = pick_name(&p, KEYS("cert_mode", "mode"));
	c->domain = pick_text(&p, KEYS("domain"));
	c->email = pick_text(&p, KEYS("email"));
	c->provider = pick_text(&p, KEYS("dns_provider", "provider"));
	c->http_port = pick_uint(&p, KEYS("http_port"), 0);
	c->cert_pem = pick_text(&p, KEYS("cert_content"));
	c->key_pem = pick_text(&p, KEYS("key_content"));
	if (f->panel->allow_remote) {
		c->cert_file = pick_text(&p, KEYS("cert_file"));
		c->key_file = pick_text(&p, KEYS("key_file"));
		c->dns_env = pick_env(&p, "dns_env");
	} else if (pick_value(&p, KEYS("cert_file", "key_file", "dns_env"))) {
		notes_add(p.notes, "%scert_file, key_file, dns_env need AllowRemoteOptions",
			  p.where);
	}
	f->pick.oom |= p.oom;
}

/* --- options --------------------------------------------------------------------------------- */

static void note_set(const struct pick *p, struct remote_options *r, enum remote_option bit)
{
	if (p->last == 0)
		r->set |= bit;
}

static void remote_limits(struct pick *in, struct remote_options *r)
{
	struct pick p = pick_into(in, "LimitConfig.", pick_object(in, KEYS("LimitConfig")));
	const char *scope;

	r->speed_limit_mbps = pick_decimal(&p, KEYS("SpeedLimit"), 0);
	if (r->speed_limit_mbps < 0)
		r->speed_limit_mbps = 0;
	note_set(&p, r, REMOTE_SPEED_LIMIT);
	r->device_limit = pick_uint(&p, KEYS("DeviceLimit", "IPLimit"), 0);
	note_set(&p, r, REMOTE_DEVICE_LIMIT);
	r->conn_limit = pick_uint(&p, KEYS("ConnLimit"), 0);
	note_set(&p, r, REMOTE_CONN_LIMIT);
	scope = pick_name(&p, KEYS("SpeedLimitScope"));
	note_set(&p, r, REMOTE_SPEED_SCOPE);
	r->speed_limit_sum = scope && !strcmp(scope, "sum");
	in->oom |= p.oom;
}

static void remote_flags(struct pick *p, struct remote_options *r)
{
	r->enable_xtls = pick_bool(p, KEYS("EnableXTLS"), false);
	note_set(p, r, REMOTE_XTLS);
	r->enable_vless = pick_bool(p, KEYS("EnableVless"), false);
	note_set(p, r, REMOTE_VLESS);
	r->disable_sniffing = pick_bool(p, KEYS("DisableSniffing"), false);
	note_set(p, r, REMOTE_DISABLE_SNIFFING);
	r->enable_sniff = pick_bool(p, KEYS("EnableSniff", "SniffEnabled"), true);
	note_set(p, r, REMOTE_SNIFF);
	r->sniff_override = pick_bool(p, KEYS("SniffOverrideDestination"), true);
	note_set(p, r, REMOTE_SNIFF_OVERRIDE);
	r->enable_fallback = pick_bool(p, KEYS("EnableFallback"), false);
	note_set(p, r, REMOTE_FALLBACK);
}

static void add_fallback(struct pick *in, const struct json_value *v, struct fallback_list *out)
{
	struct pick p = pick_into(in, "FallBackConfigs[].", v);
	struct node_fallback fb = {.sni = pick_text(&p, KEYS("SNI")),
				   .alpn = pick_text(&p, KEYS("Alpn")),
				   .path = pick_text(&p, KEYS("Path")),
				   .dest = pick_text(&p, KEYS("Dest")),
				   .proxy_protocol = pick_uint(&p, KEYS("ProxyProtocolVer"), 0)};

	in->oom |= p.oom;
	if (!fb.dest) {
		notes_add(p.notes, "FallBackConfigs: an entry without Dest");
		return;
	}
	fb.sni = fb.sni ? fb.sni : "";
	fb.alpn = fb.alpn ? fb.alpn : "";
	fb.path = fb.path ? fb.path : "";
	out->v[out->n++] = fb;
}

static void remote_fallbacks(struct pick *p, struct remote_options *r)
{
	const struct json_value *v = pick_value(p, KEYS("FallBackConfigs"));

	if (!v || (v->type != JSON_T_ARRAY && v->type != JSON_T_OBJECT))
		return;
	r->fallbacks.v = arena_alloc(p->mem, ((size_t)v->len + 1) * sizeof(*r->fallbacks.v));
	if (!r->fallbacks.v) {
		p->oom = true;
		return;
	}
	r->set |= REMOTE_FALLBACKS;
	if (v->type == JSON_T_OBJECT) {
		add_fallback(p, v, &r->fallbacks);
		return;
	}
	for (const struct json_value *e = v->child; e; e = e->next) {
		if (e->type == JSON_T_OBJECT)
			add_fallback(p, e, &r->fallbacks);
	}
}

static void remote_cert(struct pick *in, struct remote_options *r, bool paths)
{
	struct pick p = pick_into(in, "CertConfig.", pick_object(in, KEYS("CertConfig")));

	r->cert_mode = pick_name(&p, KEYS("CertMode"));
	note_set(&p, r, REMOTE_CERT_MODE);
	r->cert_domain = pick_text(&p, KEYS("CertDomain"));
	note_set(&p, r, REMOTE_CERT_DOMAIN);
	r->cert_provider = pick_text(&p, KEYS("Provider"));
	note_set(&p, r, REMOTE_CERT_PROVIDER);
	r->cert_email = pick_text(&p, KEYS("Email"));
	note_set(&p, r, REMOTE_CERT_EMAIL);
	if (paths) {
		r->cert_file = pick_text(&p, KEYS("CertFile"));
		note_set(&p, r, REMOTE_CERT_FILE);
		r->key_file = pick_text(&p, KEYS("KeyFile"));
		note_set(&p, r, REMOTE_KEY_FILE);
		r->dns_env = pick_env(&p, "DNSEnv");
		note_set(&p, r, REMOTE_DNS_ENV);
	}
	in->oom |= p.oom;
}

void flat_remote(struct flat *f)
{
	struct remote_options *r = &f->info->remote;
	struct pick p = pick_into(&f->pick, "", f->options);

	if (!f->options)
		return;
	r->listen_ip = pick_list(&p, KEYS("ListenIP"));
	note_set(&p, r, REMOTE_LISTEN_IP);
	r->send_ip = pick_text(&p, KEYS("SendIP"));
	note_set(&p, r, REMOTE_SEND_IP);
	r->online_min_kb = pick_uint(&p, KEYS("DeviceOnlineMinTraffic"), 0);
	note_set(&p, r, REMOTE_ONLINE_MIN);
	r->report_min_kib = pick_uint(&p, KEYS("ReportMinTraffic", "MinReportTraffic"), 0);
	note_set(&p, r, REMOTE_REPORT_MIN);
	remote_limits(&p, r);
	remote_flags(&p, r);
	remote_fallbacks(&p, r);
	remote_cert(&p, r, f->panel->allow_remote);
	f->pick.oom |= p.oom;
}
