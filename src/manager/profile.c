#include "manager/profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/jout.h"

/* ---- one block ----------------------------------------------------------------------------------
 * The struct, the arrays it points to, the texts: measured first, then filled.
 */
struct pack {
	char *at; /* NULL: measuring */
	size_t len;
};

static const char *pack_text(struct pack *p, const char *s)
{
	size_t n = strlen(s) + 1;
	char *to = p->at ? p->at + p->len : NULL;

	if (to)
		memcpy(to, s, n);
	p->len += n;
	return to;
}

static const char *pack_maybe(struct pack *p, const char *s)
{
	return s ? pack_text(p, s) : NULL;
}

static void pack_list(struct pack *p, const struct json_list *from, struct json_list *to)
{
	for (size_t i = 0; i < from->count; i++) {
		const char *s = pack_text(p, from->items[i]);

		if (p->at)
			to->items[i] = s;
	}
}

static void pack_users(struct pack *p, const struct profile *from, struct profile_user *to)
{
	for (size_t i = 0; i < from->nusers; i++) {
		struct profile_user u = {
			.name = pack_text(p, from->users[i].name ? from->users[i].name : ""),
			.key = pack_text(p, from->users[i].key),
		};

		if (p->at)
			to[i] = u;
	}
}

/* `to` holds the arrays already, if there is somewhere to write. */
static void pack_all(struct pack *p, const struct profile *from, struct profile *to)
{
	to->method = pack_text(p, from->method ? from->method : PROFILE_METHOD);
	to->password = pack_text(p, from->password ? from->password : "");
	to->plugin = pack_maybe(p, from->plugin);
	to->plugin_opts = pack_maybe(p, from->plugin ? from->plugin_opts : NULL);
	to->extra = pack_text(p, from->extra ? from->extra : "{}");
	pack_list(p, &from->plugin_args, &to->plugin_args);
	pack_list(p, &from->listen, &to->listen);
	pack_users(p, from, (struct profile_user *)(uintptr_t)to->users);
}

struct profile *profile_new(const struct profile *from)
{
	size_t lists = from->plugin_args.count + from->listen.count;
	size_t fixed = sizeof(struct profile) + from->nusers * sizeof(struct profile_user) +
		       lists * sizeof(char *);
	struct pack measure = {0}, fill;
	struct profile *p, unused = *from;

	pack_all(&measure, from, &unused);
	p = malloc(fixed + measure.len);
	if (!p)
		return NULL;
	*p = *from;
	p->users = (struct profile_user *)(p + 1);
	p->plugin_args.items = (const char **)(uintptr_t)(p->users + p->nusers);
	p->listen.items = p->plugin_args.items + p->plugin_args.count;
	fill = (struct pack){.at = (char *)p + fixed};
	pack_all(&fill, from, p);
	return p;
}

void profile_free(struct profile *p)
{
	if (!p)
		return;
	explicit_bzero((char *)(uintptr_t)p->password, strlen(p->password));
	for (size_t i = 0; i < p->nusers; i++)
		explicit_bzero((char *)(uintptr_t)p->users[i].key, strlen(p->users[i].key));
	free(p);
}

/* ---- comparing --------------------------------------------------------------------------- */

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_list(const struct json_list *a, const struct json_list *b)
{
	for (size_t i = 0; i < a->count && a->count == b->count; i++) {
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	}
	return a->count == b->count;
}

bool profile_same_secret(const struct profile *a, const struct profile *b)
{
	if (a->port != b->port || a->nusers != b->nusers || strcmp(a->method, b->method) != 0 ||
	    strcmp(a->password, b->password) != 0)
		return false;
	for (size_t i = 0; i < a->nusers; i++) {
		if (strcmp(a->users[i].name, b->users[i].name) != 0 ||
		    strcmp(a->users[i].key, b->users[i].key) != 0)
			return false;
	}
	return true;
}

bool profile_equal(const struct profile *a, const struct profile *b)
{
	return profile_same_secret(a, b) && a->mode == b->mode &&
	       a->plugin_mode == b->plugin_mode && a->fast_open == b->fast_open &&
	       a->no_delay == b->no_delay && a->timeout_s == b->timeout_s &&
	       same(a->plugin, b->plugin) && same(a->plugin_opts, b->plugin_opts) &&
	       same_list(&a->plugin_args, &b->plugin_args) && same_list(&a->listen, &b->listen) &&
	       strcmp(a->extra, b->extra) == 0;
}

/* ---- words ------------------------------------------------------------------------------- */

static const char *const nets[] = {
	[PROFILE_TCP] = "tcp_only", [PROFILE_UDP] = "udp_only", [PROFILE_BOTH] = "tcp_and_udp"};

const char *profile_net_name(unsigned net)
{
	return net < ARRAY_LEN(nets) && nets[net] ? nets[net] : "none";
}

int profile_net_parse(const char *text, unsigned *out)
{
	for (unsigned i = 0; i < ARRAY_LEN(nets); i++) {
		if (!nets[i] || strcasecmp(nets[i], text) != 0)
			continue;
		*out = i;
		return 0;
	}
	return -ERR_CONFIG;
}

/* ---- emitting ---------------------------------------------------------------------------- */

static void member(struct jout *j, const char *key, const char *text)
{
	jout_str(j, ",\"");
	jout_str(j, key);
	jout_str(j, "\":");
	jout_quoted(j, text);
}

static void member_list(struct jout *j, const char *key, const struct json_list *l)
{
	if (!l->count)
		return;
	jout_str(j, ",\"");
	jout_str(j, key);
	jout_str(j, "\":[");
	for (size_t i = 0; i < l->count; i++) {
		if (i)
			jout_str(j, ",");
		jout_quoted(j, l->items[i]);
	}
	jout_str(j, "]");
}

static void member_users(struct jout *j, const struct profile *p)
{
	if (!p->nusers)
		return;
	jout_str(j, ",\"users\":[");
	for (size_t i = 0; i < p->nusers; i++) {
		jout_str(j, i ? ",{\"name\":" : "{\"name\":");
		jout_quoted(j, p->users[i].name);
		member(j, "password", p->users[i].key);
		jout_str(j, "}");
	}
	jout_str(j, "]");
}

char *profile_members(const struct profile *p, bool quoted_port)
{
	struct jout j = {0};

	jout_str(&j, quoted_port ? "\"server_port\":\"" : "\"server_port\":");
	jout_int(&j, p->port);
	jout_str(&j, quoted_port ? "\"" : "");
	member(&j, "password", p->password);
	member(&j, "method", p->method);
	if (p->mode != PROFILE_BOTH)
		member(&j, "mode", profile_net_name(p->mode));
	if (p->plugin)
		member(&j, "plugin", p->plugin);
	if (p->plugin_opts)
		member(&j, "plugin_opts", p->plugin_opts);
	if (p->plugin && p->plugin_mode != PROFILE_TCP)
		member(&j, "plugin_mode", profile_net_name(p->plugin_mode));
	member_list(&j, "plugin_args", &p->plugin_args);
	if (p->timeout_s) {
		jout_str(&j, ",\"timeout\":");
		jout_int(&j, p->timeout_s);
	}
	if (p->fast_open)
		jout_str(&j, ",\"fast_open\":true");
	if (p->no_delay)
		jout_str(&j, ",\"no_delay\":true");
	member_list(&j, "server", &p->listen);
	member_users(&j, p);
	if (strcmp(p->extra, "{}") != 0) {
		jout_str(&j, ",");
		jout_bytes(&j, p->extra + 1, strlen(p->extra) - 2);
	}
	if (j.failed) {
		free(j.at);
		return NULL;
	}
	return j.at;
}
