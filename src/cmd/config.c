/* config.c - `weir config`: show, validate and make a configuration. */
#include <stdio.h>

#include "base/base.h"
#include "cmd/cmd.h"
#include "cmd/config_cmd.h"
#include "cmd/fetch.h"
#include "cmd/habit.h"
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
	const struct habit *habit = habit_of_name();
	const struct config_env env = {.fetch = fetch_include, .api_type = habit->api_type};
	const char *file = habit->path;
	struct conf_report report;
	struct config *conf;
	bool all = false;
	const struct opt opts[] = {
		{"config", 'c', OPT_TEXT, &file, "FILE", habit->instead},
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
	conf = config_load(file, &env, &report);
	conf_report_print(&report, stderr);
	status = conf ? show(conf, all ? CONF_PRINT_DEFAULTS : 0) : CMD_CONFIG;
	config_free(conf);
	conf_report_done(&report);
	return status;
}

int cmd_config(int argc, char **argv)
{
	static const struct cmd cmds[] = {
		{"init", "ask a panel about nodes and write a configuration for them",
		 cmd_config_init},
		{"show", "print a configuration as it is understood, secrets masked",
		 cmd_config_show},
		{"validate", "the same as `weir check`", cmd_config_validate},
	};
	static const struct cmd_set set = {"weir config", cmds, ARRAY_LEN(cmds), NULL};

	return cmd_dispatch(&set, argc, argv);
}
