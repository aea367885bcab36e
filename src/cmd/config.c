/* config.c - `weir config`: show, validate and make a configuration. */
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "cmd/cmd.h"
#include "cmd/config_cmd.h"
#include "cmd/fetch.h"
#include "cmd/opt.h"
#include "conf/print.h"
#include "node/config.h"

static json_t *nodes_json(const struct config *c, unsigned flags)
{
	json_t *nodes = json_array();

	for (size_t i = 0; i < c->nnodes; i++)
		json_array_append_new(nodes, conf_to_json(&config_node_schema, c->nodes[i], flags));
	return nodes;
}

static int show(const struct config *c, unsigned flags)
{
	json_t *doc = conf_to_json(&config_schema, c, flags);
	int err;

	if (!doc || json_object_set_new(doc, "Nodes", nodes_json(c, flags)))
		err = -1;
	else
		err = json_dumpf(doc, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(doc);
	return err ? CMD_FAILED : CMD_OK;
}

int cmd_config_show(int argc, char **argv)
{
	const char *file = CONFIG_DEFAULT_PATH;
	struct conf_report report;
	struct config *conf;
	bool all = false;
	const struct opt opts[] = {
		{"config", 'c', OPT_TEXT, &file, "FILE", "instead of " CONFIG_DEFAULT_PATH},
		{"all", 'a', OPT_FLAG, &all, NULL, "defaults too"},
		{0},
	};
	const struct opt_page page = {"weir config show", "[-c FILE] [-a]",
				      "Prints what the program understands of a configuration, "
				      "includes in place, secrets masked.",
				      "weir config show -c weir.json", opts};
	int n = opt_parse(&page, argc, argv), status;

	if (n < 0)
		return ~n;
	if (n > 0)
		return opt_wrong(&page, "no operands");
	conf_report_init(&report);
	conf = config_load(file, fetch_include, &report);
	conf_report_print(&report, stderr);
	status = conf ? show(conf, all ? CONF_PRINT_DEFAULTS : 0) : CMD_CONFIG;
	config_free(conf);
	conf_report_done(&report);
	return status;
}

static int usage(FILE *to)
{
	fprintf(to, "usage: weir config COMMAND [OPTION...]\n\n"
		    "  init       ask a panel about nodes and write a configuration for them\n"
		    "  show       print a configuration as it is understood, secrets masked\n"
		    "  validate   the same as `weir check`\n");
	return CMD_USAGE;
}

int cmd_config(int argc, char **argv)
{
	static const struct cmd cmds[] = {
		{"init", NULL, cmd_config_init},
		{"show", NULL, cmd_config_show},
		{"validate", NULL, cmd_config_validate},
	};

	if (argc < 2)
		return usage(stderr);
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		usage(stdout);
		return CMD_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(cmds); i++) {
		if (!strcmp(argv[1], cmds[i].name))
			return cmds[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "weir config: no command '%s'\n", argv[1]);
	return usage(stderr);
}
