/* link.c - `weir link`: share links, from a node and a user, and back into their parts. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/err.h"
#include "cmd/cmd.h"
#include "cmd/link_cmd.h"
#include "cmd/opt.h"
#include "cmd/qr.h"
#include "node/share_link.h"

int link_print(const char *link, bool qr)
{
	int err;

	puts(link);
	if (!qr)
		return CMD_OK;
	err = qr_print(link, stdout);
	if (err)
		fprintf(stderr, "weir link: no QR code: %s\n", err_text(err));
	return err ? CMD_FAILED : CMD_OK;
}

static void add(json_t *to, const char *key, const char *value)
{
	if (*value)
		json_object_set_new(to, key, json_string(value));
}

static json_t *link_json(const struct share_link *l)
{
	json_t *j = json_object();

	add(j, "protocol", share_kind_name(l->kind));
	add(j, "name", l->name);
	add(j, "host", l->host);
	json_object_set_new(j, "port", json_integer(l->port));
	add(j, l->kind == SHARE_VLESS || l->kind == SHARE_VMESS ? "uuid" : "password",
	    l->credential);
	add(j, "method", l->method);
	add(j, "plugin", l->plugin);
	add(j, "uot", l->uot);
	add(j, "encryption", l->encryption);
	add(j, "flow", l->flow);
	add(j, "security", node_security_name(l->security));
	add(j, "server_name", l->sni);
	add(j, "alpn", l->alpn);
	add(j, "fingerprint", l->fingerprint);
	add(j, "public_key", l->public_key);
	add(j, "short_id", l->short_id);
	add(j, "spider", l->spider);
	add(j, "mldsa65_verify", l->mldsa_verify);
	if (l->insecure)
		json_object_set_new(j, "insecure", json_true());
	add(j, "network", node_network_name(l->network));
	add(j, "path", l->path);
	add(j, "http_host", l->http_host);
	add(j, "service_name", l->service_name);
	add(j, "authority", l->authority);
	add(j, "mode", l->mode);
	add(j, "header_type", l->header_type);
	add(j, "seed", l->seed);
	return j;
}

static int show(const char *text, bool qr)
{
	struct share_link l;
	struct arena arena;
	const char *why;
	int err, status = CMD_FAILED;

	arena_init(&arena, 0);
	err = share_link_parse(text, strlen(text), &arena, &l, &why);
	if (err) {
		fprintf(stderr, "weir link show: %s\n", why);
	} else {
		json_t *j = link_json(&l);

		for (size_t i = 0; i < l.ignored.count; i++)
			fprintf(stderr, "weir link show: unknown parameter %s, ignored\n",
				l.ignored.items[i]);
		json_dumpf(j, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(j);
		status = qr ? link_print(text, true) : CMD_OK;
	}
	arena_done(&arena);
	return status;
}

static int cmd_link_show(int argc, char **argv)
{
	bool qr = false;
	const struct opt opts[] = {
		{"qr", 0, OPT_FLAG, &qr, NULL, "and its QR code"},
		{0},
	};
	const struct opt_page page = {
		"weir link show", "LINK [--qr]",
		"Takes a share link apart and prints its parts as JSON.",
		"weir link show 'trojan://secret@node.example.com:443?sni=node.example.com#home'",
		opts};
	int n = opt_parse(&page, argc, argv);

	if (n < 0)
		return ~n;
	if (n != 1)
		return opt_wrong(&page, "one LINK is wanted");
	return show(argv[1], qr);
}

int cmd_link(int argc, char **argv)
{
	static const struct cmd cmds[] = {
		{"make", "the link of a user of a node", cmd_link_make},
		{"show", "the parts of a link, as JSON", cmd_link_show},
	};
	static const struct cmd_set set = {"weir link", cmds, ARRAY_LEN(cmds), "Both take --qr.\n"};

	return cmd_dispatch(&set, argc, argv);
}
