/* check.c - `weir check`: everything that is wrong with a configuration, and the reference of it.
 */
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/config_cmd.h"
#include "cmd/opt.h"
#include "node/config.h"

static int check(const char *file)
{
	struct conf_report report;
	struct config *conf;
	int status;

	conf_report_init(&report);
	conf = config_load(file, &report);
	conf_report_print(&report, stderr);
	if (conf)
		printf("%s: good: %zu node%s, %zu warning%s\n", file, conf->nnodes,
		       conf->nnodes == 1 ? "" : "s", report.warnings,
		       report.warnings == 1 ? "" : "s");
	status = conf ? CMD_OK : CMD_CONFIG;
	config_free(conf);
	conf_report_done(&report);
	return status;
}

static int run(const char *command, int argc, char **argv)
{
	const char *file = CONFIG_DEFAULT_PATH;
	bool reference = false;
	const struct opt opts[] = {
		{"config", 'c', OPT_TEXT, &file, "FILE", "instead of " CONFIG_DEFAULT_PATH},
		{"reference", 0, OPT_FLAG, &reference, NULL,
		 "print the reference of all options, in Markdown"},
		{0},
	};
	const struct opt_page page = {command, "[-c FILE]",
				      "Reads a configuration like `run` does and prints all that "
				      "is wrong with it, one per line:\n"
				      "file:line:column: key: what is wrong; what to do.  Status "
				      "78 where `run` would refuse it.",
				      "weir check -c weir.json", opts};
	int n = opt_parse(&page, argc, argv);

	if (n < 0)
		return ~n;
	if (n > 0)
		return opt_wrong(&page, "one file at a time, as -c FILE");
	if (reference) {
		config_print_reference(stdout);
		return CMD_OK;
	}
	return check(file);
}

int cmd_check(int argc, char **argv)
{
	return run("weir check", argc, argv);
}

int cmd_config_validate(int argc, char **argv)
{
	return run("weir config validate", argc, argv);
}
