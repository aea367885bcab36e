/* panel.c - `weir panel serve`, and the way to `node` and `user`. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "cmd/daemon.h"
#include "cmd/panel_cmd.h"
#include "panel/panel.h"

/* Runs until a signal says stop.  The signals are blocked before the server's threads exist, so
 * that they come here and nowhere else.
 */
static int serve(const struct panel_conf *conf)
{
	struct panel *panel;
	struct fault why;
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t stop;
	int sig, err;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);

	daemon_raise_files(); /* a connection is a descriptor */
	err = panel_start(conf, &panel, &why);
	if (err) {
		fprintf(stderr, "weir panel serve: %s\n", why.text);
		return err == -ERR_CONFIG ? CMD_USAGE : CMD_FAILED;
	}
	if (panel_new_token(panel))
		printf("admin token (shown this once): %s\n", panel_new_token(panel));
	printf("listening on %s\n", panel_address(panel));
	fflush(stdout);
	sigwait(&stop, &sig);
	panel_stop(panel);
	return CMD_OK;
}

static int serve_run(int argc, char **argv)
{
	struct panel_conf conf = PANEL_CONF_DEFAULT;
	int64_t ttl = conf.alive_ttl_s, rate = conf.rate_per_s, repeats = 0, threads = conf.threads;
	const struct opt opts[] = {
		{"listen", 0, OPT_TEXT, &conf.listen, "ADDRESS", "where; port 0 is any free one"},
		{"db", 0, OPT_TEXT, &conf.db, "FILE", "the database, made when absent"},
		{"admin-token", 0, OPT_TEXT, &conf.admin_token, "TEXT",
		 "also WEIR_PANEL_ADMIN_TOKEN; else one is made and shown once"},
		{"node-path", 0, OPT_TEXT, &conf.node_path, "/PATH", "the node API here too"},
		{"alive-ttl", 0, OPT_INT, &ttl, "SECONDS", "how long an address is online (300)", 1,
		 86400},
		{"rate", 0, OPT_INT, &rate, "N", "requests of a node in a second (100); 0: any", 0,
		 1000000},
		{"ignore-repeats", 0, OPT_INT, &repeats, "SECONDS",
		 "take an identical report within this for a repeat", 0, 3600},
		{"threads", 0, OPT_INT, &threads, "N", "that serve (4)", 1, 64},
		{0},
	};
	const struct opt_page page = {
		"weir panel serve", "[OPTION…]", "Serves the node APIs and the admin API.",
		"weir panel serve --listen 127.0.0.1:8080 --db panel.db", opts};
	int n;

	conf.db = panel_db_default();
	conf.admin_token = getenv("WEIR_PANEL_ADMIN_TOKEN");
	n = opt_parse(&page, argc, argv);
	if (n < 0)
		return ~n;
	if (n > 0)
		return opt_wrong(&page, "what is '%s'?", argv[1]);
	if (conf.admin_token && !*conf.admin_token)
		return opt_wrong(&page, "an empty admin token would let everybody in");
	conf.alive_ttl_s = (unsigned)ttl;
	conf.rate_per_s = (unsigned)rate;
	conf.repeat_window_s = (unsigned)repeats;
	conf.threads = (unsigned)threads;
	return serve(&conf);
}

int cmd_panel(int argc, char **argv)
{
	static const struct cmd cmds[] = {
		{"serve", "the panel itself: node APIs and admin API", serve_run},
		{"node", "its nodes: add, list, show, set, rm", panel_node_run},
		{"user", "its users: add, list, show, set, rm, import, link", panel_user_run},
	};
	static const struct cmd_set set = {
		"weir panel", cmds, ARRAY_LEN(cmds),
		"The reference panel.  `node` and `user` work on its database (--db FILE, else "
		"WEIR_PANEL_DB,\n"
		"else " PANEL_DB_DEFAULT
		" in this folder), beside a running `serve` or without one.\n"
		"\n"
		"example: weir panel node add --type vless --port 443 --host node.example.net \\\n"
		"             --set tls=2 tls_settings.server_name=www.example.com\n"
		"         weir panel user add --name alice --quota 100GB --expire +30d\n"
		"         weir panel serve --listen 127.0.0.1:8080\n"};

	return cmd_dispatch(&set, argc, argv);
}
