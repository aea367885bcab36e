#include "node/share_ss.h"

#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "proto/shadowsocks/ss_method.h"

/* Text out of base64; NULL with 0: it is none. */
int share_ss_unpack(const char *text, size_t len, struct arena *a, const char **out)
{
	size_t cap = BASE64_BYTES(len);
	char *mem = arena_alloc(a, cap + 1);
	ssize_t n;

	*out = NULL;
	if (!mem)
		return -ENOMEM;
	n = base64_decode(text, len, mem, cap);
	if (n <= 0 || memchr(mem, 0, (size_t)n))
		return 0;
	for (ssize_t i = 0; i < n; i++) {
		if ((uint8_t)mem[i] < 0x20 || mem[i] == 0x7f)
			return 0;
	}
	mem[n] = '\0';
	*out = mem;
	return 0;
}

int share_ss_account(const char *text, size_t len, struct arena *a, struct share_link *out)
{
	const char *plain = text, *colon = memchr(text, ':', len);
	size_t n;
	int err;

	if (!colon) {
		err = share_ss_unpack(text, len, a, &plain);
		if (err || !plain)
			return err ? err : -ERR_MALFORMED;
		len = strlen(plain);
		colon = memchr(plain, ':', len);
	}
	if (!colon || colon == plain)
		return -ERR_MALFORMED;
	n = (size_t)(colon - plain);
	out->method = arena_dup(a, plain, n);
	out->credential = arena_dup(a, colon + 1, len - n - 1);
	return out->method && out->credential ? 0 : -ENOMEM;
}

/* The keys of 2022 are base64 already: the account stands there plainly (SIP002). */
void share_ss_emit_account(const struct share_link *l, struct wr *w)
{
	char text[SHARE_LINK_MAX], coded[BASE64_TEXT(SHARE_LINK_MAX)];
	struct wr plain = wr_of(text, sizeof(text));

	if (!strncmp(l->method, "2022-", 5)) {
		share_wr_escaped(w, l->method);
		wr_str(w, ":");
		share_wr_escaped(w, l->credential);
		return;
	}
	wr_str(&plain, l->method);
	wr_str(&plain, ":");
	wr_str(&plain, l->credential);
	if (plain.err) {
		w->err = plain.err;
		return;
	}
	base64_encode(BASE64_URL, text, plain.len, coded);
	wr_str(w, coded);
}

/* ---- of a node --------------------------------------------------------------------------- */

/* What a user's client is told of a 2022 node: "server key:user key". */
static int pair_of_keys(const struct node_info *info, const struct ss_method *m, struct arena *a,
			struct share_link *l, const char **why)
{
	char key[BASE64_TEXT(SS_KEY_MAX)];

	if (!m->identity) {
		l->credential = info->ss.server_key;
		return 0;
	}
	if (strlen(l->credential) < m->key_len) {
		*why = "the user's credential is too short for a key of this cipher";
		return -ERR_CONFIG;
	}
	base64_encode(BASE64_STD, l->credential, m->key_len, key);
	l->credential = arena_printf(a, "%s:%s", info->ss.server_key, key);
	return l->credential ? 0 : -ENOMEM;
}

static bool is_one_of(const char *text, size_t len, const char *const *words)
{
	for (; *words; words++) {
		if (strlen(*words) == len && !memcmp(*words, text, len))
			return true;
	}
	return false;
}

/* What clients call it, wherever it lies on the node: some have a program for each side. */
static const char *client_of(const char *plugin)
{
	static const char *const sides[][2] = {
		{"obfs-server", "obfs-local"},
		{"ck-server", "ck-client"},
		{"qtun-server", "qtun-client"},
		{"kcptun-server", "kcptun-client"},
	};
	const char *slash = strrchr(plugin, '/'), *name = slash ? slash + 1 : plugin;

	for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
		if (!strcmp(name, sides[i][0]))
			return sides[i][1];
	}
	return name;
}

/* How far it is to `end`, or to the end of the text; what a backslash stands before ends nothing. */
static size_t up_to(const char *at, char end)
{
	size_t n = 0;

	while (at[n] && at[n] != end)
		n += at[n] == '\\' && at[n + 1] ? 2 : 1;
	return n;
}

/* Plugins that are one program for both sides hear from an option that they are the server, and from
 * others where its certificate lies: a client would be a server, too.
 */
static const char *options_of_client(const char *name, const char *at, struct arena *a)
{
	static const char *const both[] = {"v2ray-plugin", "ss-v2ray-plugin", "xray-plugin",
					   "gost-plugin", NULL};
	static const char *const servers[] = {"server", "cert", "certRaw", "key", NULL};
	char *out, *to;
	size_t n;

	if (!is_one_of(name, strlen(name), both))
		return at;
	out = to = arena_alloc(a, strlen(at) + 1);
	if (!out)
		return NULL;
	for (; *at; at += at[n] ? n + 1 : n) {
		n = up_to(at, ';');
		if (!n || is_one_of(at, MIN(n, up_to(at, '=')), servers))
			continue;
		if (to != out)
			*to++ = ';';
		memcpy(to, at, n);
		to += n;
	}
	*to = '\0';
	return out;
}

static const char *plugin_of(const struct node_info *info, struct arena *a)
{
	const char *host = info->ss.obfs_host, *name, *options;

	if (info->ss.obfs)
		return arena_printf(a, "obfs-local;obfs=%s%s%s", info->ss.obfs,
				    host && *host ? ";obfs-host=" : "", host ? host : "");
	if (!info->ss.plugin || !*info->ss.plugin)
		return "";
	name = client_of(info->ss.plugin);
	options = options_of_client(name, info->ss.plugin_opts ? info->ss.plugin_opts : "", a);
	if (!options || !*options)
		return options ? name : NULL;
	return arena_printf(a, "%s;%s", name, options);
}

int share_ss_of_node(const struct node_info *info, struct arena *a, struct share_link *l,
		     const char **why)
{
	const struct ss_method *m = info->ss.cipher ? ss_method_find(info->ss.cipher) : NULL;

	if (!m || (m->class == SS_2022 && !info->ss.server_key)) {
		*why = "the panel names no cipher that there is, or no server_key";
		return -ERR_CONFIG;
	}
	l->kind = SHARE_SHADOWSOCKS;
	l->method = m->name;
	l->plugin = plugin_of(info, a);
	if (!l->plugin)
		return -ENOMEM;
	return m->class == SS_2022 ? pair_of_keys(info, m, a, l, why) : 0;
}
