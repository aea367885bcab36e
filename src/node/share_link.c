#include "node/share_link.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "net/dest.h"
#include "node/share_ss.h"
#include "node/share_vmess.h"

/* --- parameters: one table for both directions ----------------------------------------------- */

struct param {
	const char *name;
	size_t field; /* offset of a const char * */
};

#define PARAM(name, f)                                 \
	{                                              \
		(name), offsetof(struct share_link, f) \
	}
static const struct param params[] = {
	PARAM("encryption", encryption),
	PARAM("flow", flow),
	PARAM("sni", sni),
	PARAM("alpn", alpn),
	PARAM("fp", fingerprint),
	PARAM("pbk", public_key),
	PARAM("sid", short_id),
	PARAM("spx", spider),
	PARAM("pqv", mldsa_verify),
	PARAM("path", path),
	PARAM("host", http_host),
	PARAM("serviceName", service_name),
	PARAM("authority", authority),
	PARAM("mode", mode),
	PARAM("headerType", header_type),
	PARAM("seed", seed),
	/* of ss alone */
	PARAM("plugin", plugin),
	PARAM("uot", uot),
	/* of vmess alone, only read */
	PARAM("experiments", experiments),
	/* other spellings, only read */
	PARAM("peer", sni),
	PARAM("fingerprint", fingerprint),
};
#define EMITTED 16 /* of them */
#define OF_SS	18 /* and up to here where it is ss */

static const char **field_of(const struct share_link *l, const struct param *p)
{
	return (const char **)((char *)l + p->field);
}

/* --- parsing ------------------------------------------------------------------------------- */

struct parser {
	struct arena *a;
	const char *s, *end;
	struct share_link *out;
	const char **ignored; /* what out->ignored shows, with room for so many */
	size_t ignored_room;
	const char *why;
};

static int wrong(struct parser *p, const char *why)
{
	p->why = why;
	return -ERR_MALFORMED;
}

/* `len` bytes at `s` with %XX resolved.  A '+' is a plus. */
static int unescape(struct parser *p, const char *s, size_t len, const char **out)
{
	char *text = arena_alloc(p->a, len + 1);
	size_t n = 0;

	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < len; i++) {
		int v = (unsigned char)s[i];

		if (v == '%') {
			if (len - i < 3 || hex_value(s[i + 1]) < 0 || hex_value(s[i + 2]) < 0)
				return wrong(p, "a % without two hexadecimal digits behind it");
			v = hex_value(s[i + 1]) << 4 | hex_value(s[i + 2]);
			i += 2;
		}
		if (v < 0x20 || v == 0x7f)
			return wrong(p, "a control character");
		text[n++] = (char)v;
	}
	*out = text;
	return 0;
}

/* Where the part that ends at one of `stops` ends. */
static const char *until(const char *s, const char *end, const char *stops)
{
	while (s < end && !strchr(stops, *s))
		s++;
	return s;
}

static const char *const kinds[] = {
	[SHARE_VLESS] = "vless",
	[SHARE_TROJAN] = "trojan",
	[SHARE_SHADOWSOCKS] = "ss",
	[SHARE_VMESS] = "vmess",
};

const char *share_kind_name(enum share_kind kind)
{
	return kinds[kind];
}

static int parse_kind(struct parser *p)
{
	static const char *const later[] = {"hysteria2://", "hy2://", "anytls://", "tuic://",
					    "hysteria://"};
	size_t left = (size_t)(p->end - p->s);

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t n = strlen(kinds[i]);

		if (left >= n + 3 && !strncasecmp(p->s, kinds[i], n) &&
		    !memcmp(p->s + n, "://", 3)) {
			p->out->kind = (enum share_kind)i;
			p->s += n + 3;
			return 0;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(later); i++) {
		if (left >= strlen(later[i]) && !strncasecmp(p->s, later[i], strlen(later[i]))) {
			p->why = "links of this protocol are not implemented yet";
			return -ERR_UNSUPPORTED;
		}
	}
	return wrong(p, "no share link; it begins with vless://, vmess://, trojan:// or ss://");
}

static int parse_credential(struct parser *p)
{
	const char *end = until(p->s, p->end, "/?#"), *at = NULL;
	int err;

	for (const char *c = p->s; c < end; c++) {
		if (*c == '@')
			at = c;
	}
	if (!at || at == p->s)
		return wrong(p, "no credential in front of an @");
	err = unescape(p, p->s, (size_t)(at - p->s), &p->out->credential);
	p->s = at + 1;
	return err;
}

static int account(struct parser *p, const char *s, size_t len)
{
	const char *plain;
	int err = unescape(p, s, len, &plain);

	if (!err)
		err = share_ss_account(plain, strlen(plain), p->a, p->out);
	return err == -ERR_MALFORMED && !*p->why ? wrong(p, "no method:password in front of the @")
						 : err;
}

static int parse_port(struct parser *p, const char *s, size_t len)
{
	unsigned v = 0;

	if (len == 0 || len > 5)
		return wrong(p, "no port behind the host");
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return wrong(p, "a port that is no number");
		v = v * 10 + (unsigned)(s[i] - '0');
	}
	if (v < 1 || v > 65535)
		return wrong(p, "a port out of bounds");
	p->out->port = (uint16_t)v;
	return 0;
}

static int check_host(struct parser *p, const char *host, size_t len)
{
	struct dest d;

	if (dest_set_name(&d, host, len, 1))
		return wrong(p, "a host that is neither a name nor an address");
	if ((d.type == DEST_IP6) != (host[-1] == '['))
		return wrong(p, "IPv6 addresses stand in brackets, nothing else does");
	return 0;
}

static int parse_host(struct parser *p)
{
	const char *end = until(p->s, p->end, "/?#"), *host = p->s, *stop;
	int err;

	if (host < end && *host == '[') {
		stop = until(++host, end, "]");
		if (stop == end)
			return wrong(p, "an address without its closing bracket");
		p->s = stop + 1;
	} else {
		stop = p->s = until(host, end, ":");
	}
	if (stop == host)
		return wrong(p, "no host");
	if (p->s == end || *p->s != ':')
		return wrong(p, "no port behind the host");
	err = check_host(p, host, (size_t)(stop - host));
	if (!err)
		err = unescape(p, host, (size_t)(stop - host), &p->out->host);
	if (!err)
		err = parse_port(p, p->s + 1, (size_t)(end - p->s - 1));
	p->s = end;
	return err;
}

static int set_security(struct parser *p, const char *value)
{
	static const char *const names[] = {"none", "tls", "reality"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!strcasecmp(value, names[i])) {
			p->out->security = (enum node_security)i;
			return 0;
		}
	}
	return *value ? wrong(p, "a security other than none, tls and reality") : 0;
}

static int set_network(struct parser *p, const char *value)
{
	if (!node_network_parse(value, &p->out->network))
		return 0;
	p->why = "a type (transport) that nobody knows";
	return -ERR_UNSUPPORTED;
}

/* The list doubles when it is full: a copy for every name would be megabytes for one long link. */
static int ignore(struct parser *p, const char *name)
{
	struct json_list *l = &p->out->ignored;

	if (l->count == p->ignored_room) {
		size_t room = p->ignored_room ? 2 * p->ignored_room : 4;
		const char **items = arena_alloc(p->a, room * sizeof(*items));

		if (!items)
			return -ENOMEM;
		if (l->count)
			memcpy(items, l->items, l->count * sizeof(*items));
		p->ignored = l->items = items;
		p->ignored_room = room;
	}
	p->ignored[l->count++] = name;
	return 0;
}

static int set_param(struct parser *p, const char *name, const char *value)
{
	if (!strcmp(name, "security"))
		return set_security(p, value);
	if (!strcmp(name, "type"))
		return set_network(p, value);
	if (!strcasecmp(name, "allowInsecure") || !strcasecmp(name, "insecure")) {
		p->out->insecure = !strcmp(value, "1") || !strcasecmp(value, "true");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(params); i++) {
		if (i >= EMITTED && i < OF_SS && p->out->kind != SHARE_SHADOWSOCKS)
			continue;
		if (i == OF_SS && p->out->kind != SHARE_VMESS)
			continue;
		if (!strcmp(name, params[i].name)) {
			if (*value)
				*field_of(p->out, &params[i]) = value;
			return 0;
		}
	}
	return ignore(p, name);
}

static int parse_params(struct parser *p)
{
	const char *end = until(p->s, p->end, "#");

	while (p->s < end) {
		const char *stop = until(p->s, end, "&"), *equals = until(p->s, stop, "=");
		const char *from = equals + (equals < stop), *name, *value;
		int err = unescape(p, p->s, (size_t)(equals - p->s), &name);

		if (!err)
			err = unescape(p, from, (size_t)(stop - from), &value);
		if (!err && *name)
			err = set_param(p, name, value);
		if (err)
			return err;
		p->s = stop + (stop < end);
	}
	return 0;
}

/* ss: the account, and the host, which the older form hides in base64 as well. */
static int parse_ss(struct parser *p)
{
	const char *stop = until(p->s, p->end, "/?#"), *end = p->end, *at = NULL, *all;
	int err;

	if (!memchr(p->s, '@', (size_t)(stop - p->s))) {
		stop = until(p->s, p->end, "?#"); /* the other alphabet has a slash */
		err = share_ss_unpack(p->s, (size_t)(stop - p->s), p->a, &all);
		if (err)
			return err;
		if (!all)
			return wrong(p, "no account in front of an @");
		p->s = all;
		p->end = all + strlen(all);
	} else {
		all = NULL;
	}
	for (const char *c = p->s; c < (all ? p->end : stop); c++)
		at = *c == '@' ? c : at;
	if (!at)
		return wrong(p, "no account in front of an @");
	err = all ? share_ss_account(p->s, (size_t)(at - p->s), p->a, p->out)
		  : account(p, p->s, (size_t)(at - p->s));
	if (err == -ERR_MALFORMED && !*p->why)
		return wrong(p, "no method:password in front of the @");
	p->s = at + 1;
	if (!err)
		err = parse_host(p);
	if (all) {
		p->s = stop;
		p->end = end;
	}
	return err;
}

/* v2rayN's form has no @, and nothing behind it that counts. */
static int parse_vmess(struct parser *p)
{
	const char *stop = until(p->s, p->end, "?#"), *json;
	int err;

	if (memchr(p->s, '@', (size_t)(stop - p->s))) {
		err = parse_credential(p);
		return err ? err : parse_host(p);
	}
	err = share_ss_unpack(p->s, (size_t)(stop - p->s), p->a, &json);
	if (err)
		return err;
	if (!json)
		return wrong(p, "neither UUID@HOST nor base64 of a JSON object");
	p->s = p->end;
	return share_vmess_parse(json, strlen(json), p->a, p->out, &p->why);
}

static int parse_rest(struct parser *p)
{
	int err = 0;

	if (p->s < p->end && *p->s == '/')
		p->s = until(p->s, p->end, "?#");
	if (p->s < p->end && *p->s == '?') {
		p->s++;
		err = parse_params(p);
	}
	if (!err && p->s < p->end) /* at the # */
		err = unescape(p, p->s + 1, (size_t)(p->end - p->s - 1), &p->out->name);
	if (!err && p->out->security == SECURITY_REALITY && !*p->out->public_key)
		return wrong(p, "reality without its public key (pbk)");
	return err || p->out->kind != SHARE_VMESS ? err : share_vmess_check(p->out, &p->why);
}

struct share_link share_link_empty(void)
{
	struct share_link l = {.credential = "", .host = "", .name = "", .method = ""};

	for (size_t i = 0; i < ARRAY_LEN(params); i++)
		*field_of(&l, &params[i]) = "";
	return l;
}

int share_link_parse(const char *text, size_t len, struct arena *a, struct share_link *out,
		     const char **why)
{
	struct share_link l = share_link_empty();
	struct parser p = {.a = a, .s = text, .end = text + len, .out = &l, .why = ""};
	int err = 0;

	if (len > SHARE_LINK_MAX) {
		*why = "longer than any link";
		return -ERR_TOO_BIG;
	}
	err = memchr(text, 0, len) ? wrong(&p, "a NUL byte") : parse_kind(&p);
	l.security = l.kind == SHARE_TROJAN ? SECURITY_TLS : SECURITY_NONE;
	l.encryption = l.kind == SHARE_VLESS ? "none" : l.kind == SHARE_VMESS ? "auto" : "";
	if (!err && l.kind == SHARE_SHADOWSOCKS) {
		err = parse_ss(&p);
	} else if (!err && l.kind == SHARE_VMESS) {
		err = parse_vmess(&p);
	} else if (!err) {
		err = parse_credential(&p);
		if (!err)
			err = parse_host(&p);
	}
	if (!err)
		err = parse_rest(&p);
	if (err) {
		*why = err == -ENOMEM ? "out of memory" : p.why;
		return err;
	}
	*out = l;
	return 0;
}

/* --- emitting ------------------------------------------------------------------------------ */

void share_wr_escaped(struct wr *w, const char *text)
{
	static const char digits[] = "0123456789ABCDEF", plain[] = "-._~";

	for (; *text; text++) {
		uint8_t c = (uint8_t)*text;
		bool word =
			(c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (word || strchr(plain, c)) {
			wr_u8(w, c);
			continue;
		}
		wr_u8(w, '%');
		wr_u8(w, (uint8_t)digits[c >> 4]);
		wr_u8(w, (uint8_t)digits[c & 15]);
	}
}

static void wr_param(struct wr *w, const char *before, const char *name, const char *value)
{
	wr_str(w, before);
	wr_str(w, name);
	wr_str(w, "=");
	share_wr_escaped(w, value);
}

static void emit_params(const struct share_link *l, struct wr *w, size_t from, size_t to,
			const char *before)
{
	for (size_t i = from; i < to; i++) {
		const char *value = *field_of(l, &params[i]);

		if (*value) {
			wr_param(w, before, params[i].name, value);
			before = "&";
		}
	}
}

static void wr_port(struct wr *w, uint16_t port)
{
	char digits[6];
	size_t n = sizeof(digits);

	do {
		digits[--n] = (char)('0' + port % 10);
		port /= 10;
	} while (port);
	wr_bytes(w, digits + n, sizeof(digits) - n);
}

void share_link_emit(const struct share_link *l, struct wr *w)
{
	bool six = strchr(l->host, ':') != NULL;

	wr_str(w, kinds[l->kind]);
	wr_str(w, "://");
	if (l->kind == SHARE_VMESS) {
		share_vmess_emit(l, w);
		return;
	}
	if (l->kind == SHARE_SHADOWSOCKS)
		share_ss_emit_account(l, w);
	else
		share_wr_escaped(w, l->credential);
	wr_str(w, six ? "@[" : "@");
	if (six)
		wr_str(w, l->host);
	else
		share_wr_escaped(w, l->host);
	wr_str(w, six ? "]:" : ":");
	wr_port(w, l->port);
	if (l->kind == SHARE_SHADOWSOCKS) {
		emit_params(l, w, EMITTED, OF_SS, "/?");
	} else {
		wr_str(w, "?security=");
		wr_str(w, node_security_name(l->security));
		wr_param(w, "&", "type", node_network_name(l->network));
		emit_params(l, w, 0, EMITTED, "&");
		if (l->insecure)
			wr_str(w, "&allowInsecure=1");
	}
	if (*l->name)
		wr_str(w, "#");
	share_wr_escaped(w, l->name);
}
