/* config_init.c - `weir config init`: asks a panel about nodes and writes a configuration for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "cmd/ask.h"
#include "cmd/cmd.h"
#include "cmd/config_cmd.h"
#include "cmd/habit.h"
#include "cmd/opt.h"

struct plan {
	const char *url, *type, *api_type, *out;
	struct opt_many nodes, keys;
	const char *key; /* of the node whose turn it is */
	bool auto_cert, interactive;
};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "weir config init: %s: %s\n", what, why);
	return CMD_FAILED;
}

/* --- one node ------------------------------------------------------------------------------ */

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : NULL;
}

static const char *server_name(const struct node_info *info)
{
	if (info->tls.server_names.n)
		return info->tls.server_names.v[0];
	if (info->tls.server_name)
		return info->tls.server_name;
	return info->server_name ? info->server_name : info->host;
}

/* What the node's protocol needs: nothing without TLS and under REALITY. */
static json_t *cert_json(const struct plan *p, const struct node_info *info)
{
	json_t *cert = json_object();

	if (info->security != SECURITY_TLS && !node_type_is_quic(info->type)) {
		json_object_set_new(cert, "CertMode", json_string("none"));
		return cert;
	}
	json_object_set_new(cert, "CertMode", json_string(p->auto_cert ? "http" : "self"));
	if (server_name(info))
		json_object_set_new(cert, "CertDomain", text_or_null(server_name(info)));
	return cert;
}

static json_t *node_json(const struct plan *p, const char *id, const struct node_info *info)
{
	json_t *n = json_object();

	json_object_set_new(n, "ApiHost", json_string(p->url));
	json_object_set_new(n, "ApiKey", json_string(p->key));
	json_object_set_new(n, "NodeID", json_string(id));
	if (*p->api_type)
		json_object_set_new(n, "ApiType", json_string(p->api_type));
	json_object_set_new(n, "NodeType", json_string(node_type_name(info->type)));
	json_object_set_new(n, "ListenIP", json_string("::"));
	json_object_set_new(n, "DeviceOnlineMinTraffic", json_integer(200));
	json_object_set_new(n, "CertConfig", cert_json(p, info));
	return n;
}

static void tell(const char *id, const struct node_info *info)
{
	fprintf(stderr, "node %s: %s on port %u, %s, %s\n", id, node_type_name(info->type),
		info->port, node_network_name(info->network),
		node_protection_name(info, info->security));
}

/* The question is put as the node itself would: through a configuration of one entry. */
static int ask_one(const struct plan *p, const char *id, json_t *nodes)
{
	json_t *doc = json_pack("{s:[{s:s,s:s,s:s,s:s,s:s}]}", "Nodes", "ApiHost", p->url, "ApiKey",
				p->key, "NodeID", id, "NodeType", p->type, "ApiType", p->api_type);
	char *text = doc ? json_dumps(doc, 0) : NULL, why[ASK_WHY_MAX];
	struct node_info *info = NULL;
	struct conf_report report;
	struct config *c;
	int status = CMD_OK;

	conf_report_init(&report);
	c = text ? config_parse(text, strlen(text), "", &report) : NULL;
	if (!c) {
		conf_report_print(&report, stderr);
		status = CMD_USAGE;
	} else if (ask_node(c->nodes[0], &info, why)) {
		fprintf(stderr, "weir config init: node %s: %s\n", id, why);
		status = CMD_FAILED;
	} else {
		tell(id, info);
		json_array_append_new(nodes, node_json(p, c->nodes[0]->node_id, info));
	}
	node_info_put(info);
	config_free(c);
	conf_report_done(&report);
	free(text);
	json_decref(doc);
	return status;
}

/* --- the file ------------------------------------------------------------------------------ */

static int keep_old(const char *path)
{
	char *backup;
	int err = 0;

	if (access(path, F_OK))
		return 0;
	if (asprintf(&backup, "%s.bak.%lld", path, (long long)time(NULL)) < 0)
		return -ENOMEM;
	if (link(path, backup))
		err = -errno;
	else
		fprintf(stderr, "the old file is kept as %s\n", backup);
	free(backup);
	return err;
}

static int write_whole(const char *path, const char *text)
{
	size_t len = strlen(text);
	int fd, err = 0;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len || fsync(fd))
		err = errno ? -errno : -EIO;
	close(fd);
	return err;
}

/* Whole or not at all, for the owner's eyes only. */
static int replace(const char *path, const char *text)
{
	char *fresh;
	int err;

	if (asprintf(&fresh, "%s.new", path) < 0)
		return -ENOMEM;
	err = write_whole(fresh, text);
	if (!err)
		err = keep_old(path);
	if (!err && rename(fresh, path))
		err = -errno;
	if (err)
		unlink(fresh);
	free(fresh);
	return err;
}

static int write_config(const struct plan *p, json_t *nodes)
{
	json_t *doc = json_pack("{s:{s:s},s:[{s:s}],s:O}", "Log", "Level", "info", "Cores", "Type",
				"xray", "Nodes", nodes);
	char *dump = doc ? json_dumps(doc, JSON_INDENT(2)) : NULL, *text = NULL;
	int err = dump && asprintf(&text, "%s\n", dump) > 0 ? 0 : -ENOMEM;

	if (!err && !strcmp(p->out, "-"))
		fputs(text, stdout);
	else if (!err)
		err = replace(p->out, text);
	free(text);
	free(dump);
	json_decref(doc);
	if (err)
		return fail(p->out, err_text(err));
	if (strcmp(p->out, "-"))
		fprintf(stderr, "written: %s; `weir check -c %s` looks at it\n", p->out, p->out);
	return CMD_OK;
}

static int init(struct plan *p)
{
	json_t *nodes = json_array();
	int status = nodes ? CMD_OK : CMD_FAILED;

	for (size_t i = 0; i < p->nodes.n && status == CMD_OK; i++) {
		p->key = p->keys.v[p->keys.n == 1 ? 0 : i];
		status = ask_one(p, p->nodes.v[i], nodes);
	}
	if (status == CMD_OK)
		status = write_config(p, nodes);
	json_decref(nodes);
	return status;
}

int cmd_config_init(int argc, char **argv)
{
	const struct habit *habit = habit_of_name();
	struct plan p = {.out = habit->path, .type = "", .api_type = ""};
	const struct opt opts[] = {
		{"url", 0, OPT_TEXT, &p.url, "URL", "address of the panel"},
		{"key", 0, OPT_MANY, &p.keys, "TOKEN",
		 "its token; of a panel whose nodes have their own one for each --node, in order"},
		{"node", 0, OPT_MANY, &p.nodes, "ID",
		 "number of a node; several times for several nodes"},
		{"type", 0, OPT_TEXT, &p.type, "TYPE",
		 "type of the nodes, where the panel wants to be told"},
		{"api-type", 0, OPT_TEXT, &p.api_type, "TYPE",
		 "dialect of the panel: v2sp (default), uniproxy, xboard2, v2node"},
		{"auto-cert", 0, OPT_FLAG, &p.auto_cert, NULL,
		 "certificates from an ACME authority, which this build does not ask yet"},
		{"out", 'o', OPT_TEXT, &p.out, "FILE", habit->out},
		{"interactive", 'i', OPT_FLAG, &p.interactive, NULL, "accepted; nothing is asked"},
		{0},
	};
	const struct opt_page page = {
		"weir config init",
		"--url URL --node ID --key TOKEN [--node ID --key TOKEN ...] [--out FILE]",
		"Asks a panel what its nodes are and writes a configuration that serves them, "
		"readable by its\n"
		"owner only.  A file that was there is kept beside it.",
		"weir config init --url https://panel.example.com/node --key s3cr3t --node 7",
		opts};
	int n;

	if (habit->api_type != CONFIG_API_V2SP)
		p.api_type = config_api_name(habit->api_type);
	n = opt_parse(&page, argc, argv);

	if (n < 0)
		return ~n;
	if (n > 0)
		return opt_wrong(&page, "no operands");
	if (!p.url || !p.keys.n || !p.nodes.n)
		return opt_wrong(&page, "--url, --key and --node are wanted");
	if (p.keys.n != 1 && p.keys.n != p.nodes.n)
		return opt_wrong(&page, "one --key for all nodes, or one for each");
	return init(&p);
}
