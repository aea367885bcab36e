/* link_make.c - `weir link make`: asks the panel, and writes the link of one user of one node. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json_value.h"
#include "cmd/ask.h"
#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "cmd/habit.h"
#include "cmd/link_cmd.h"
#include "cmd/opt.h"
#include "node/share_link.h"

struct request {
	const char *file, *node, *user, *host;
	bool qr;
};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "weir link make: %s: %s\n", what, why);
	return CMD_FAILED;
}

/* By its name, or its number in the panel. */
static const struct config_node *find_node(const struct config *c, const char *text)
{
	for (size_t i = 0; i < c->nnodes; i++) {
		if (!strcmp(c->nodes[i]->name, text))
			return c->nodes[i];
	}
	for (size_t i = 0; i < c->nnodes; i++) {
		if (!strcmp(c->nodes[i]->node_id, text))
			return c->nodes[i];
	}
	return NULL;
}

/* By credential, or by number. */
static const char *find_user(const struct user_list *l, const char *text)
{
	int64_t id = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].credential && !strcmp(l->v[i].credential, text))
			return l->v[i].credential;
	}
	if (json_int_of_text(text, strlen(text), &id) || id < 1)
		return NULL;
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].id == id)
			return l->v[i].credential;
	}
	return NULL;
}

static int print_link(const struct request *r, const struct config_node *n,
		      const struct node_info *info, const char *credential)
{
	static char text[SHARE_LINK_MAX + 1];
	struct wr w = wr_of(text, SHARE_LINK_MAX);
	const char *why = "";
	struct share_link l;
	struct arena arena;
	const char *name = n->name;
	int err;

	arena_init(&arena, 0);
	/* The name that a node has by itself is the panel's address: nothing for clients. */
	if (!conf_is_set(&config_node_schema, n, name))
		name = arena_printf(&arena, "%s-%s", node_type_name(info->type), n->node_id);
	err = name ? share_link_of_node(info, credential, r->host, name, &arena, &l, &why)
		   : -ENOMEM;
	if (!err) {
		/* Nobody signed such a certificate: clients that verify would refuse it. */
		l.insecure = l.security == SECURITY_TLS && n->cert.mode == CONFIG_CERT_SELF;
		share_link_emit(&l, &w);
		text[w.len] = '\0';
		err = w.err;
		why = err_text(err);
	}
	arena_done(&arena);
	return err ? fail(r->node, why) : link_print(text, r->qr);
}

static int make(const struct request *r, const struct config *c)
{
	const struct config_node *n = find_node(c, r->node);
	struct node_info *info = NULL;
	struct user_list users;
	char why[ASK_WHY_MAX];
	const char *credential;
	int status;

	if (!n)
		return fail(r->node, "no node of that name or number in the configuration");
	user_list_init(&users);
	if (ask_node(n, &info, why) || ask_users(n, &users, why))
		status = fail(n->name, why);
	else if (!(credential = find_user(&users, r->user)))
		status = fail("USER", "the node has no user with that number or credential");
	else
		status = print_link(r, n, info, credential);
	user_list_done(&users);
	node_info_put(info);
	return status;
}

int cmd_link_make(int argc, char **argv)
{
	const struct habit *habit = habit_of_name();
	const struct config_env env = {.fetch = fetch_include, .api_type = habit->api_type};
	struct request r = {.file = habit->path, .host = ""};
	struct conf_report report;
	struct config *conf;
	const struct opt opts[] = {
		{"config", 'c', OPT_TEXT, &r.file, "FILE", habit->instead},
		{"host", 0, OPT_TEXT, &r.host, "HOST", "where clients reach the node"},
		{"qr", 0, OPT_FLAG, &r.qr, NULL, "and its QR code"},
		{0},
	};
	const struct opt_page page = {"weir link make", "[-c FILE] NODE USER [--host HOST] [--qr]",
				      "Asks the node's panel and prints the share link of a user.  "
				      "NODE is a name or number in the\n"
				      "configuration, USER a number or credential in the panel.",
				      "weir link make -c weir.json 7 41 --qr", opts};
	int n = opt_parse(&page, argc, argv), status;

	if (n < 0)
		return ~n;
	if (n != 2)
		return opt_wrong(&page, "NODE and USER are wanted");
	r.node = argv[1];
	r.user = argv[2];
	conf_report_init(&report);
	conf = config_load(r.file, &env, &report);
	if (!conf)
		conf_report_print(&report, stderr);
	status = conf ? make(&r, conf) : CMD_CONFIG;
	config_free(conf);
	conf_report_done(&report);
	return status;
}
