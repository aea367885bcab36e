/* check.c - `weir check`: everything that is wrong with a configuration, and the reference of it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "cmd/config_cmd.h"
#include "cmd/habit.h"
#include "cmd/opt.h"
#include "cmd/sections.h"
#include "conf/print.h"
#include "manager/manager_keys.h"
#include "node/config.h"

/* What is not wrong with the text, but with this machine. */
static void look_at_file(struct conf_report *report, const struct config_node *n, const char *key,
			 const char *path)
{
	char place[256];

	if (!*path || strchr(path, '{') || !access(path, R_OK))
		return;
	snprintf(place, sizeof(place), "%s.CertConfig.%s", n->where, key);
	conf_report_add(report, true, n->file, n->at, place,
			"%s cannot be read: %s; a node with TLS will not serve without it", path,
			err_text(-errno));
}

static void look_at_files(struct conf_report *report, const struct config *conf)
{
	for (size_t i = 0; i < conf->nnodes; i++) {
		const struct config_node *n = conf->nodes[i];

		if (n->cert.mode != CONFIG_CERT_FILE)
			continue;
		look_at_file(report, n, "CertFile", n->cert.cert_file);
		look_at_file(report, n, "KeyFile", n->cert.key_file);
	}
}

static void print_good(const char *file, const struct config *c, size_t warnings)
{
	printf("%s: good: %zu node%s", file, c->nnodes, c->nnodes == 1 ? "" : "s");
	if (c->manager)
		printf(", a manager");
	if (c->yassp.count)
		printf(", %zu YaSSP site%s", c->yassp.count, c->yassp.count == 1 ? "" : "s");
	printf(", %zu warning%s\n", warnings, warnings == 1 ? "" : "s");
}

static int check(const char *file)
{
	struct conf_report report;
	struct sections sections;
	struct config *conf;
	int status;

	conf_report_init(&report);
	conf = sections_load(file, habit_of_name()->api_type, &sections, &report);
	if (conf)
		look_at_files(&report, conf);
	conf_report_print(&report, stderr);
	if (conf)
		print_good(file, conf, report.warnings);
	status = conf ? CMD_OK : CMD_CONFIG;
	sections_done(&sections);
	config_free(conf);
	conf_report_done(&report);
	return status;
}

static int run(const char *command, int argc, char **argv)
{
	const struct habit *habit = habit_of_name();
	const char *file = habit->path;
	bool reference = false;
	const struct opt opts[] = {
		{"config", 'c', OPT_TEXT, &file, "FILE", habit->instead},
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
		printf("\n## %s\n\n%s\n\n", manager_schema.name, manager_schema.help);
		conf_print_reference(&manager_schema, stdout);
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
