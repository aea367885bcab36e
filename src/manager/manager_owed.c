/* With several subscribers: who they are, and what each is owed, in the state file.
 *
 * A batch of the ledger is acknowledged as soon as each of them has it in his account, so the account
 * has to survive us as the batch would have.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/jout.h"
#include "manager/manager_impl.h"

static bool have_accounts(const struct manager *m)
{
	return m->conf.subscribers == SUBSCRIBERS_ALL && m->conf.dialect == MANAGER_WIKI;
}

/* ---- saving ------------------------------------------------------------------------------ */

static void emit_client(const struct client *c, struct jout *j)
{
	char at[BASE64_TEXT(sizeof(struct peer))];

	base64_encode(BASE64_STD, &c->at.sa, c->at.len, at);
	jout_str(j, "{\"at\":");
	jout_quoted(j, at);
	jout_str(j, ",\"owed\":{");
	for (size_t i = 0; i < c->nowed; i++) {
		jout_str(j, i ? ",\"" : "\"");
		jout_int(j, c->owed[i].port);
		jout_str(j, "\":");
		jout_int(j, (int64_t)c->owed[i].bytes);
	}
	jout_str(j, "}}");
}

void manager_owed_emit(const struct manager *m, struct jout *j)
{
	if (!have_accounts(m))
		return;
	jout_str(j, ",\"clients\":[");
	for (unsigned i = 0; i < m->nclients; i++) {
		jout_str(j, i ? ",\n" : "\n");
		emit_client(&m->clients[i], j);
	}
	jout_str(j, "]");
}

/* ---- loading ----------------------------------------------------------------------------- */

static bool read_peer(const char *text, size_t len, struct peer *out)
{
	uint8_t bytes[BASE64_BYTES(BASE64_TEXT(sizeof(struct peer)))];
	struct peer p = {0};
	ssize_t n = len < BASE64_TEXT(sizeof(struct peer))
			    ? base64_decode(text, len, bytes, sizeof(bytes))
			    : -1;

	if (n <= (ssize_t)sizeof(sa_family_t) || n > (ssize_t)sizeof(p.un))
		return false;
	memcpy(&p.un, bytes, (size_t)n);
	p.len = (socklen_t)n;
	*out = p;
	return (p.sa.sa_family == AF_UNIX || p.sa.sa_family == AF_INET ||
		p.sa.sa_family == AF_INET6) &&
	       peer_named(out);
}

static void add_owed(void *arg, uint16_t port, uint64_t bytes)
{
	struct client *c = arg;

	if (c->nowed < c->cap)
		c->owed[c->nowed++] = (struct stat_port){port, bytes};
}

static int restore_client(struct manager *m, const struct json_value *v)
{
	const struct json_value *at = json_get(v, "at"), *owed = json_get(v, "owed");
	struct client c = {0};

	if (m->nclients == CLIENTS_MAX || !at || at->type != JSON_T_STRING || !owed ||
	    owed->type != JSON_T_OBJECT || !read_peer(at->text, at->len, &c.at))
		return 0;
	c.cap = owed->len;
	c.owed = calloc(c.cap + 1, sizeof(*c.owed));
	if (!c.owed)
		return -ENOMEM;
	stat_each(owed, add_owed, &c);
	m->clients[m->nclients++] = c;
	return 0;
}

int manager_owed_load(struct manager *m, const struct json_value *doc)
{
	const struct json_value *list = json_get(doc, "clients");
	int err = 0;

	if (!have_accounts(m) || !list || list->type != JSON_T_ARRAY)
		return 0;
	for (const struct json_value *v = list->child; v && !err; v = v->next)
		err = restore_client(m, v);
	return err;
}
