/* run.c - `weir run` (also `weir server`): the node. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/program.h"
#include "cmd/reload.h"
#include "conf/report.h"

static int usage(FILE *to, int status)
{
	fputs("usage: weir run [-c FILE]\n\n"
	      "Serves the nodes that FILE names (default " CONFIG_DEFAULT_PATH "), in the foreground.\n"
	      "SIGHUP reloads it, SIGUSR1 reopens the log, SIGTERM ends after the last report.\n\n"
	      "  -c, --config FILE   configuration\n"
	      "  -h, --help          this text\n\n"
	      "example: weir run -c ./config.json\n",
	      to);
	return status;
}

static struct config *load(const char *path)
{
	struct conf_report report;
	struct config *conf;

	conf_report_init(&report);
	conf = config_load(path, &report);
	conf_report_print(&report, stderr);
	conf_report_done(&report);
	return conf;
}

int cmd_run(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *path = CONFIG_DEFAULT_PATH;
	struct program program;
	struct config *conf;
	int opt;

	while ((opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (opt == 'c')
			path = optarg;
		else
			return opt == 'h' ? usage(stdout, CMD_OK) : usage(stderr, CMD_USAGE);
	}
	if (optind < argc)
		return usage(stderr, CMD_USAGE);
	conf = load(path);
	if (!conf)
		return CMD_CONFIG;
	if (program_open_log(conf))
		log_msg(LOG_WARN, "log", "cannot open %s: logging to standard error",
			conf->log.output);
	return program_start(&program, conf) ? CMD_FAILED : program_run(&program);
}
