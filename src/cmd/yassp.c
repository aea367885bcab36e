/* yassp.c - `weir yassp CONFIG [SECTION]`: yassp-server's job, by its INI (spec D). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "cmd/alone.h"
#include "cmd/cmd.h"
#include "cmd/daemon.h"
#include "cmd/opt.h"
#include "cmd/site.h"
#include "conf/report.h"

static const int caught[] = {SIGTERM, SIGINT, SIGHUP, 0};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "weir yassp: %s: %s\n", what, why);
	return CMD_FAILED;
}

/* Every problem has been printed. */
static int load(const char *file, const char *section, struct site_conf **out)
{
	struct conf_report report;
	int err;

	conf_report_init(&report);
	err = site_conf_load(file, section, &report, out);
	conf_report_print(&report, stderr);
	conf_report_done(&report);
	if (err == -ENOMEM)
		fail(file, err_text(err));
	return err;
}

static int serve(struct site_conf *site)
{
	const struct yassp_conf *c = &site->conf;
	char root[PATH_MAX];
	const struct alone_conf conf = {
		.service.site = site,
		.state_root = daemon_state_root(root),
		.workers = c->daemon == YASSP_BUILTIN || c->fallback ? 0 : 1,
		.caught = caught,
		.ends_on_hup = true,
	};
	int end;

	log_set_level((enum log_level)c->log_level);
	daemon_raise_files();
	end = alone_run(&conf);
	if (end < 0)
		return fail("cannot start", err_text(end));
	return end == ALONE_HURRIED ? CMD_FAILED : CMD_OK;
}

/* The original knows one exit status for all that is wrong. */
static int one_status(int status)
{
	return status == CMD_OK ? CMD_OK : CMD_FAILED;
}

int cmd_yassp(int argc, char **argv)
{
	const struct opt_page page = {
		"weir yassp", "CONFIG [SECTION]",
		"Serves the Shadowsocks ports that a YaSSP panel lists, as the INI file of yassp-server\n"
		"says; SECTION is DEFAULT unless given.  SIGTERM, SIGINT and SIGHUP end it after the "
		"last report.",
		"weir yassp sites.cfg site-1", NULL};
	struct site_conf *site;
	int n = opt_parse(&page, argc, argv), status;

	if (n < 0)
		return one_status(~n);
	if (n < 1 || n > 2)
		return one_status(opt_wrong(&page, "one CONFIG, and maybe a SECTION"));
	if (load(argv[1], n > 1 ? argv[2] : INI_DEFAULT, &site))
		return CMD_FAILED;
	status = serve(site);
	site_conf_free(site);
	return status;
}
