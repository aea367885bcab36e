/* flat_tls.c - tls, tls_settings, REALITY (A.4.2, A.4.4). */
#include <string.h>

#include "base/base64.h"
#include "base/hex.h"
#include "sync/flat.h"

#define SHORT_ID_MAX 16

/* What tls means when the panel does not say.  "https" is http with TLS. */
static int64_t default_tls(struct flat *f)
{
	const char *name = pick_name(&f->pick, KEYS("node_type", "protocol"));
	enum node_type t = f->info->type;

	if (t == NODE_HTTP && name && !strcmp(name, "https"))
		return 1;
	return t == NODE_TROJAN || t == NODE_ANYTLS || t == NODE_NAIVE || node_type_is_quic(t);
}

static bool pick_security(struct flat *f)
{
	enum node_type t = f->info->type;
	int64_t otherwise = default_tls(f), tls = pick_int(&f->pick, KEYS("tls"), otherwise);
	bool wrong = f->pick.last < 0 || tls < 0 || tls > 2;

	if (t == NODE_SHADOWSOCKS || t == NODE_MIERU || node_type_is_quic(t) || t == NODE_ANYTLS) {
		tls = otherwise;
	} else if (wrong) { /* a guess might serve in clear */
		notes_why(f->pick.notes, "tls is none of 0, 1, 2");
		return false;
	}
	f->info->security = (enum node_security)tls;
	return true;
}

/* The places of tls_settings: the object that wins, then those that only fill its gaps. */
static struct pick settings_of(struct flat *f)
{
	struct pick p = pick_into(&f->pick, "tls_settings.", NULL);

	p.in[0] = pick_object(&f->pick, KEYS("tlsSettings", "tls_settings"));
	p.in[1] = pick_object(&f->pick, KEYS("security_settings"));
	p.in[2] = pick_object(&f->pick, KEYS("reality_settings"));
	return p;
}

static struct text_list pick_server_names(struct pick *p)
{
	struct text_list l = pick_list(p, KEYS("server_names", "serverNames"));

	return l.n ? l : pick_list(p, KEYS("server_name", "serverName", "sni"));
}

static void pick_tls(struct pick *p, struct node_info *info, bool remote_paths)
{
	struct node_tls *t = &info->tls;
	struct pick ech = pick_into(p, "tls_settings.ech.", NULL);

	t->server_names = pick_server_names(p);
	if (!t->server_names.n && info->server_name &&
	    text_list_add(p->mem, &t->server_names, info->server_name, strlen(info->server_name)))
		p->oom = true;
	t->server_name = t->server_names.n ? t->server_names.v[0] : NULL;
	t->alpn = pick_list(p, KEYS("alpn"));
	t->reject_unknown_sni = pick_bool(p, KEYS("reject_unknown_sni", "rejectUnknownSni"), false);
	ech.in[0] = pick_object(p, KEYS("ech"));
	t->ech_enabled = pick_bool(&ech, KEYS("enabled"), false);
	if (t->ech_enabled) {
		t->ech_key = pick_text(&ech, KEYS("key"));
		t->ech_config = pick_text(&ech, KEYS("config"));
		t->ech_query_name = pick_text(&ech, KEYS("query_server_name"));
		if (!remote_paths && pick_value(&ech, KEYS("key_path")))
			notes_add(p->notes,
				  "tls_settings.ech.key_path: paths need AllowRemoteOptions");
	}
	p->oom |= ech.oom;
}

/* --- REALITY --------------------------------------------------------------------------------- */

static bool missing(struct pick *p, const char *name)
{
	notes_why(p->notes, "REALITY needs %s%s", p->where, name);
	return false;
}

static bool pick_private_key(struct pick *p, uint8_t out[REALITY_KEY_LEN])
{
	const char *text = pick_text(p, KEYS("private_key", "privateKey"));
	uint8_t raw[REALITY_KEY_LEN + 1];
	ssize_t n;

	if (!text)
		return missing(p, "private_key");
	n = base64_decode(text, strlen(text), raw, sizeof(raw));
	if (n != REALITY_KEY_LEN) {
		notes_why(p->notes, "%sprivate_key is not the base64 of 32 bytes", p->where);
		return false;
	}
	memcpy(out, raw, REALITY_KEY_LEN);
	explicit_bzero(raw, sizeof(raw));
	return true;
}

static bool add_short_id(struct pick *p, const char *text, struct text_list *out)
{
	char lower[SHORT_ID_MAX + 1];
	uint8_t raw[SHORT_ID_MAX / 2];
	ssize_t n = hex_parse(text, strlen(text), raw, sizeof(raw));

	if (n < 0) {
		notes_add(p->notes, "%sshort_id: not hexadecimal of even length up to 16",
			  p->where);
		return false;
	}
	hex_format(raw, (size_t)n, lower);
	if (!text_list_has(out, lower) && text_list_add(p->mem, out, lower, strlen(lower)))
		p->oom = true;
	return true;
}

/* Plural and singular together; nothing at all means the empty one. */
static bool pick_short_ids(struct pick *p, struct text_list *out)
{
	static const char *const plural[] = {"short_ids", "shortIds", NULL};
	static const char *const single[] = {"short_id", "shortId", NULL};
	struct text_list lists[] = {pick_list(p, plural), pick_list(p, single)};
	bool wrong = false;

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		for (size_t j = 0; j < lists[i].n; j++)
			wrong |= !add_short_id(p, lists[i].v[j], out);
	}
	if (out->n)
		return true;
	if (wrong) {
		notes_why(p->notes, "%sshort_id: none of them is usable", p->where);
		return false;
	}
	return add_short_id(p, "", out);
}

/* "host", "host:port", "[v6]:port", "443" alone, or the path of a unix socket. */
static bool split_dest(struct pick *p, const char *text, struct node_reality *r)
{
	const char *colon = strrchr(text, ':');
	size_t host = colon ? (size_t)(colon - text) : strlen(text);
	int64_t port = r->dest_port;

	if (*text == '/' || *text == '@') {
		r->dest = text;
		r->dest_port = 0;
		return true;
	}
	if (!text[strspn(text, "0123456789")]) {
		r->dest = "127.0.0.1";
		return !json_int_of_text(text, strlen(text), &port) && port >= 1 && port <= 65535 &&
		       (r->dest_port = (uint16_t)port, true);
	}
	if (*text == '[') {
		const char *end = strchr(text, ']');

		if (!end)
			return false;
		host = (size_t)(end - text) + 1;
		colon = end[1] == ':' ? end + 1 : NULL;
		if (end[1] && !colon)
			return false;
		text++;
		host -= 2;
	} else if (colon && memchr(text, ':', host)) {
		colon = NULL; /* several: a bare IPv6 address */
		host = strlen(text);
	}
	if (colon &&
	    (json_int_of_text(colon + 1, strlen(colon + 1), &port) || port < 1 || port > 65535))
		return false;
	r->dest = arena_dup(p->mem, text, host);
	p->oom |= !r->dest;
	r->dest_port = (uint16_t)port;
	return host > 0;
}

static bool pick_dest(struct pick *p, struct node_reality *r)
{
	const char *dest = pick_text(p, KEYS("dest", "target"));
	int64_t port = pick_int(p, KEYS("server_port", "serverPort", "dest_port"), 443);

	if (p->last < 0 || port < 1 || port > 65535) {
		notes_why(p->notes, "%sserver_port is not a port", p->where);
		return false;
	}
	r->dest_port = (uint16_t)port;
	if (!split_dest(p, dest ? dest : r->server_names.v[0], r)) {
		notes_why(p->notes, "%sdest is not an address", p->where);
		return false;
	}
	return true;
}

static struct node_throttle pick_throttle(struct pick *p, const char *const keys[],
					  const char *where)
{
	const struct json_value *v = pick_object(p, keys);
	struct node_throttle t = {0};
	struct pick in;

	if (!v)
		return t;
	in = pick_into(p, where, v);
	t.after_bytes = pick_uint(&in, KEYS("afterBytes", "after_bytes"), 0);
	t.bytes_per_s = pick_uint(&in, KEYS("bytesPerSec", "bytes_per_sec"), 0);
	t.burst_bytes_per_s = pick_uint(&in, KEYS("burstBytesPerSec", "burst_bytes_per_sec"), 0);
	p->oom |= in.oom;
	return t;
}

static bool pick_reality(struct pick *p, struct node_info *info)
{
	struct node_reality *r = &info->reality;

	r->server_names = pick_server_names(p);
	if (!r->server_names.n)
		return missing(p, "server_name");
	if (!pick_private_key(p, r->private_key) || !pick_dest(p, r) ||
	    !pick_short_ids(p, &r->short_ids))
		return false;
	r->mldsa65_seed = pick_text(p, KEYS("mldsa65Seed", "mldsa65_seed"));
	r->xver = pick_uint(p, KEYS("xver"), 0);
	if (r->xver > 2) {
		notes_add(p->notes, "%sxver: none of 0, 1, 2", p->where);
		r->xver = 0;
	}
	r->min_client_ver = pick_text(p, KEYS("min_client_ver", "minClientVer"));
	r->max_client_ver = pick_text(p, KEYS("max_client_ver", "maxClientVer"));
	r->max_time_diff_ms = pick_duration_ms(p, KEYS("max_time_diff", "maxTimeDiff"), 1, 0);
	r->limit_up = pick_throttle(p, KEYS("limitFallbackUpload", "limit_fallback_upload"),
				    "tls_settings.limitFallbackUpload.");
	r->limit_down = pick_throttle(p, KEYS("limitFallbackDownload", "limit_fallback_download"),
				      "tls_settings.limitFallbackDownload.");
	return true;
}

bool flat_security(struct flat *f)
{
	struct pick p;
	bool ok = true;

	if (!pick_security(f))
		return false;
	p = settings_of(f);
	if (f->info->security == SECURITY_TLS)
		pick_tls(&p, f->info, f->panel->allow_remote);
	if (f->info->security == SECURITY_REALITY)
		ok = pick_reality(&p, f->info);
	f->pick.oom |= p.oom;
	return ok;
}
