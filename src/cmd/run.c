/* run.c - `weir run` (also `weir server`): the node. */
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/habit.h"
#include "cmd/opt.h"
#include "cmd/program.h"
#include "cmd/reload.h"
#include "conf/report.h"

/* Under its older name it is called from unit files that rely on the older place. */
#define SERVER_DEFAULT_PATH "/etc/v2sp/config.json"

/* 0, or the exit status: whoever starts us again need not for a wrong file, but should for an Include
 * that was away.
 */
static int load(const char *path, int64_t api_type, struct config **out, struct sections *sections)
{
	struct conf_report report;
	bool away;

	conf_report_init(&report);
	*out = sections_load(path, api_type, sections, &report);
	conf_report_print(&report, stderr);
	away = report.away;
	conf_report_done(&report);
	return *out ? 0 : away ? CMD_FAILED : CMD_CONFIG;
}

static int serve(const char *path, int64_t api_type, bool watch)
{
	struct program program;
	struct sections sections;
	struct config *conf;
	int err = load(path, api_type, &conf, &sections);

	if (err)
		return err;
	if (program_open_log(conf))
		log_msg(LOG_WARN, "log", "cannot open %s: logging to standard error",
			conf->log.output);
	err = program_start(&program, conf, &sections, watch);
	if (err)
		return err == -ERR_CONFIG ? CMD_CONFIG : CMD_FAILED;
	return program_run(&program);
}

static int run(const char *path, int64_t api_type, int argc, char **argv)
{
	bool watch = true;
	const struct opt opts[] = {
		{"config", 'c', OPT_TEXT, &path, "FILE", "the configuration"},
		{"watch", 'w', OPT_FLAG, &watch, NULL,
		 "reload when a file of it changes (default true)"},
		{0},
	};
	const struct opt_page page = {
		"weir run", "[-c FILE]",
		"Serves the nodes of a configuration, its Manager and its Yassp sites, in the foreground.\n"
		"FILE is " CONFIG_DEFAULT_PATH " unless given, " SERVER_DEFAULT_PATH
		" for `weir server`, and\n" V2BX_DEFAULT_PATH " for `V2bX server`.\n"
		"SIGHUP reloads it, SIGUSR1 reopens the log, SIGTERM ends after the "
		"last report.",
		"weir run -c ./config.json", opts};
	int n = opt_parse(&page, argc, argv);

	if (n)
		return n < 0 ? ~n : opt_wrong(&page, "no operands");
	return serve(path, api_type, watch);
}

int cmd_run(int argc, char **argv)
{
	return run(CONFIG_DEFAULT_PATH, CONFIG_API_V2SP, argc, argv);
}

int cmd_server(int argc, char **argv)
{
	return run(SERVER_DEFAULT_PATH, CONFIG_API_V2SP, argc, argv);
}

int cmd_v2bx_server(int argc, char **argv)
{
	const struct habit *habit = habit_of_name();

	return run(habit->path, habit->api_type, argc, argv);
}
