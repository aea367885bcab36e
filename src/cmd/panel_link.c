/* panel_link.c - `weir panel user link`: the share link of a user and a node.
 *
 * The node's configuration is read as a node would read it, so that the link says what the node
 * does; and so that who makes a node hears at once what weir's own would refuse of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "cmd/panel_cmd.h"
#include "cmd/qr.h"
#include "node/share_link.h"
#include "panel/yassp.h"
#include "proto/proto.h"
#include "proto/shadowsocks/ss_method.h"
#include "proto/vlessenc/vlessenc_conf.h"
#include "sync/dialect.h"

static int complain(const struct panel_node *n, const char *what)
{
	fprintf(stderr, "weir panel: node %lld: %s\n", (long long)n->id, what);
	return CMD_FAILED;
}

/* What a node makes of its configuration; NULL: complained. */
static struct node_info *info_of(const struct panel_node *n)
{
	char id[24];
	struct panel asks = {.host = "", .key = "", .node_id = id, .enable_vless = -1};
	json_t *config = panel_node_config(n);
	char *text = config ? json_dumps(config, JSON_COMPACT) : NULL;
	struct node_info *info = NULL;
	struct notes notes = {0};

	snprintf(id, sizeof(id), "%lld", (long long)n->id);
	if (!text)
		complain(n, err_text(-ENOMEM));
	else if (dialect_v2sp.config(&asks, text, strlen(text), &info, &notes) != ANSWER_OK)
		complain(n, notes.why);
	json_decref(config);
	free(text);
	return info;
}

static const char *wrong_decryption(const struct node_info *info, struct arena *mem)
{
	const char *text = info->vless.decryption, *client, *why;

	if (info->type != NODE_VLESS || !text || !*text || !strcmp(text, "none"))
		return NULL;
	return vlessenc_client_text(text, mem, &client, &why) == -ERR_CONFIG ? why : NULL;
}

/* What of it is not in this build, and its word; NULL: nothing that could be told from here. */
static const char *unserved(const struct node_info *info, struct arena *mem, const char **word)
{
	*word = node_type_name(info->type);
	if (!proto_find(*word))
		return "node type";
	*word = node_network_name(info->network);
	if (info->network != NET_TCP)
		return "network";
	*word = info->ss.cipher;
	if (info->type == NODE_SHADOWSOCKS && *word && !ss_method_find(*word))
		return "cipher";
	*word = wrong_decryption(info, mem);
	return *word ? "decryption:" : NULL;
}

/* Behind a cipher that it is not. */
static void print_ciphers(void)
{
	const struct ss_method *m;

	for (size_t i = 0; (m = ss_method_at(i)); i++)
		fprintf(stderr, "%s%s", i ? ", " : "; it knows ", m->name);
}

void panel_node_hint(const struct panel_node *n)
{
	struct node_info *info = info_of(n);
	const char *what, *word;
	struct arena mem;

	if (!info)
		return;
	arena_init(&mem, 0);
	what = unserved(info, &mem, &word);
	if (what) {
		fprintf(stderr, "weir panel: node %lld: weir run does not serve this: %s %s",
			(long long)n->id, what, word);
		if (word == info->ss.cipher)
			print_ciphers();
		fputc('\n', stderr);
	}
	arena_done(&mem);
	node_info_put(info);
}

/* A YaSSP host has a port for each user, and one key on it. */
static int link_of(const struct panel_node *n, const struct panel_user *u, struct node_info *info,
		   struct yassp_place *place, struct arena *arena, struct share_link *l,
		   const char **why)
{
	bool yassp = yassp_is_host(n);
	int err;

	if (yassp && yassp_place(n, u, place)) {
		*why = "of YaSSP; this user gets no port there: it would be above 65535, or his "
		       "credential is too short for the cipher";
		return -ERR_CONFIG;
	}
	if (yassp)
		info->ss.server_key = place->password; /* a node of its own would want one */
	err = share_link_of_node(info, u->credential, n->host, n->name, arena, l, why);
	if (!err && yassp) {
		l->port = place->port;
		l->credential = place->password;
	}
	return err;
}

static int link_print(const struct panel_args *a, const struct panel_node *n,
		      const struct panel_user *u, struct node_info *info)
{
	struct yassp_place place;
	json_t *tls = json_object_get(n->settings, "tls_settings");
	char text[SHARE_LINK_MAX + 1];
	struct wr w = wr_of(text, SHARE_LINK_MAX);
	struct share_link l;
	const char *why = "";
	struct arena arena;
	int err;

	arena_init(&arena, 0);
	err = link_of(n, u, info, &place, &arena, &l, &why);
	if (!err) {
		l.insecure = l.security == SECURITY_TLS &&
			     json_is_true(json_object_get(tls, "allow_insecure"));
		share_link_emit(&l, &w);
		err = w.err;
		why = err_text(err);
	}
	arena_done(&arena);
	if (err == -ERR_CONFIG && !n->host[0])
		why = "no host for clients; `weir panel node set ID host=NAME` gives it one";
	if (err)
		return complain(n, why);
	text[w.len] = '\0';
	if (a->json)
		return panel_print(a, json_pack("{s:s}", "link", text));
	puts(text);
	if (!a->qr)
		return CMD_OK;
	putchar('\n');
	err = qr_print(text, stdout);
	return err ? complain(n, err_text(err)) : CMD_OK;
}

int panel_user_link(struct panel_args *a, struct store *s)
{
	struct panel_user u;
	struct panel_node n;
	struct node_info *info;
	int64_t user, node;
	int err = panel_id(a->words[0], &user);

	if (!err)
		err = panel_id(a->words[1], &node);
	if (err)
		return err;
	err = store_user_get(s, user, &u);
	if (err)
		return panel_complain(s, err, "user", a->words[0], NULL);
	err = store_node_get(s, node, &n);
	if (err)
		return panel_complain(s, err, "node", a->words[1], NULL);
	info = info_of(&n);
	err = info ? link_print(a, &n, &u, info) : CMD_FAILED;
	node_info_put(info);
	panel_node_done(&n);
	return err;
}
