#include "node/share_vmess.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/utf8.h"
#include "net/dest.h"

/* Every byte escaped, and the keys. */
#define TEXT_MAX (2 * SHARE_LINK_MAX + 512)

static int wrong(const char **why, const char *what)
{
	*why = what;
	return -ERR_MALFORMED;
}

/* Where a network keeps what has a place of its own in other links. */
static const char **path_of(struct share_link *l)
{
	return l->network == NET_GRPC  ? &l->service_name
	       : l->network == NET_KCP ? &l->seed
				       : &l->path;
}

static const char **host_of(struct share_link *l)
{
	return l->network == NET_GRPC ? &l->authority : &l->http_host;
}

static const char **type_of(struct share_link *l)
{
	return l->network == NET_GRPC ? &l->mode : &l->header_type;
}

/* ---- parsing ----------------------------------------------------------------------------- */

static int text_at(const struct json_value *v, const char *key, struct arena *a, const char **out)
{
	const char *text = "";
	int err = json_to_text(json_get(v, key), a, &text);

	if (err < 0)
		return err;
	for (const char *c = text; *c; c++) {
		if ((uint8_t)*c < 0x20 || *c == 0x7f)
			return -ERR_MALFORMED;
	}
	if (*text)
		*out = text;
	return 0;
}

static int read_server(const struct json_value *v, struct share_link *l, const char **why)
{
	int64_t port = 0, aid = 0;
	struct dest d;

	if (!*l->credential)
		return wrong(why, "no id");
	if (!*l->host || dest_set_name(&d, l->host, strlen(l->host), 1))
		return wrong(why, "add: neither a name nor an address");
	if (json_to_int(json_get(v, "port"), &port) < 0 || port < 1 || port > 65535)
		return wrong(why, "port: not a number from 1 to 65535");
	if (json_to_int(json_get(v, "aid"), &aid) < 0 || aid != 0) {
		*why = "an alterId: only the header with AEAD is implemented";
		return -ERR_UNSUPPORTED;
	}
	l->port = (uint16_t)port;
	return 0;
}

static int read_layers(const struct json_value *v, struct arena *a, struct share_link *l,
		       const char **why)
{
	const char *net = "", *tls = "", *insecure = "";

	if (text_at(v, "net", a, &net) || text_at(v, "tls", a, &tls) ||
	    text_at(v, "insecure", a, &insecure))
		return wrong(why, "a value that is no text");
	if (node_network_parse(net, &l->network)) {
		*why = "a net (transport) that nobody knows";
		return -ERR_UNSUPPORTED;
	}
	if (!strcasecmp(tls, "tls"))
		l->security = SECURITY_TLS;
	else if (!strcasecmp(tls, "reality"))
		l->security = SECURITY_REALITY;
	else if (*tls && strcasecmp(tls, "none"))
		return wrong(why, "tls: neither tls, reality nor empty");
	l->insecure = !strcmp(insecure, "1") || !strcasecmp(insecure, "true");
	return 0;
}

static int read_texts(const struct json_value *v, struct arena *a, struct share_link *l)
{
	const struct {
		const char *key;
		const char **to;
	} fields[] = {
		{"ps", &l->name},	 {"add", &l->host},
		{"id", &l->credential},	 {"scy", &l->encryption},
		{"type", type_of(l)},	 {"host", host_of(l)},
		{"path", path_of(l)},	 {"sni", &l->sni},
		{"alpn", &l->alpn},	 {"fp", &l->fingerprint},
		{"pbk", &l->public_key}, {"sid", &l->short_id},
		{"spx", &l->spider},	 {"experiments", &l->experiments},
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(fields) && !err; i++)
		err = text_at(v, fields[i].key, a, fields[i].to);
	if (!strcmp(l->header_type, "none"))
		l->header_type = "";
	return err;
}

static bool is_known(const char *key)
{
	static const char *const keys[] = {
		"v",	"ps",  "add", "port", "id", "aid", "scy", "net", "type",     "host",
		"path", "tls", "sni", "alpn", "fp", "pbk", "sid", "spx", "insecure", "experiments"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (!strcasecmp(key, keys[i]))
			return true;
	}
	return false;
}

static int list_ignored(const struct json_value *v, struct arena *a, struct share_link *l)
{
	const char **items = arena_alloc(a, (v->len + 1) * sizeof(*items));

	if (!items)
		return -ENOMEM;
	l->ignored.items = items;
	for (const struct json_value *m = v->child; m; m = m->next) {
		if (!m->bad_key && !is_known(m->key))
			items[l->ignored.count++] = m->key;
	}
	return 0;
}

int share_vmess_parse(const char *text, size_t len, struct arena *a, struct share_link *out,
		      const char **why)
{
	struct share_link l = *out;
	struct json_value *v;
	int err = json_parse(text, len, 0, a, &v, NULL, NULL);

	if (err == -ENOMEM)
		return err;
	if (err || v->type != JSON_T_OBJECT)
		return wrong(why, "neither UUID@HOST nor base64 of a JSON object");
	err = read_layers(v, a, &l, why);
	if (!err && (err = read_texts(v, a, &l)) && err != -ENOMEM)
		return wrong(why, "a value that is no text");
	if (!err)
		err = read_server(v, &l, why);
	if (!err)
		err = list_ignored(v, a, &l);
	if (!err)
		*out = l;
	return err;
}

/* ---- emitting ---------------------------------------------------------------------------- */

static void put(struct wr *w, const char *key, const char *value)
{
	wr_str(w, w->len > 1 ? ",\"" : "\"");
	wr_str(w, key);
	wr_str(w, "\":\"");
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			wr_str(w, "\\");
		wr_u8(w, (uint8_t)*value);
	}
	wr_str(w, "\"");
}

static const char *digits_of(uint16_t v, char out[6])
{
	char *c = out + 5;

	*c = '\0';
	do {
		*--c = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	return c;
}

static void put_if(struct wr *w, const char *key, const char *value)
{
	if (*value)
		put(w, key, value);
}

void share_vmess_emit(const struct share_link *link, struct wr *w)
{
	char text[TEXT_MAX], coded[BASE64_TEXT(TEXT_MAX)], port[6];
	struct wr j = wr_of(text, sizeof(text));
	struct share_link l = *link;
	const char *type = *type_of(&l);

	wr_str(&j, "{");
	put(&j, "v", "2");
	put(&j, "ps", l.name);
	put(&j, "add", l.host);
	put(&j, "port", digits_of(l.port, port));
	put(&j, "id", l.credential);
	put(&j, "aid", "0");
	put(&j, "scy", l.encryption);
	put(&j, "net", node_network_name(l.network));
	put(&j, "type", *type ? type : "none");
	put(&j, "host", *host_of(&l));
	put(&j, "path", *path_of(&l));
	put(&j, "tls", l.security == SECURITY_NONE ? "" : node_security_name(l.security));
	put(&j, "sni", l.sni);
	put(&j, "alpn", l.alpn);
	put(&j, "fp", l.fingerprint);
	put_if(&j, "pbk", l.public_key);
	put_if(&j, "sid", l.short_id);
	put_if(&j, "spx", l.spider);
	put_if(&j, "experiments", l.experiments);
	put_if(&j, "insecure", l.insecure ? "1" : "");
	wr_str(&j, "}");
	if (j.err) {
		w->err = j.err;
		return;
	}
	base64_encode(BASE64_STD, text, j.len, coded);
	wr_str(w, coded);
}

int share_vmess_check(const struct share_link *l, const char **why)
{
	const char *const texts[] = {l->name,	      l->credential, l->encryption,  l->http_host,
				     l->path,	      l->sni,	     l->alpn,	     l->fingerprint,
				     l->public_key,   l->short_id,   l->spider,	     l->authority,
				     l->service_name, l->mode,	     l->experiments, l->header_type,
				     l->seed};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (!utf8_valid(texts[i], strlen(texts[i])))
			return wrong(why, "a text that is not UTF-8");
	}
	return 0;
}
