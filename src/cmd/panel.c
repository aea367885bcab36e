/* panel.c - `weir panel serve`, and the way to `node` and `user`. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "cmd/panel_cmd.h"
#include "panel/field.h"
#include "panel/panel.h"

static const char usage_text[] =
	"usage: weir panel serve [--listen 127.0.0.1:8080] [--admin-token TOKEN] [--node-path "
	"/PATH]\n"
	"                        [--alive-ttl SECONDS] [--rate N] [--ignore-repeats SECONDS]\n"
	"                        [--threads N]\n"
	"       weir panel node add --type TYPE --port PORT [--host NAME] [--name TEXT] [--id N]\n"
	"                        [--token TEXT] [--set KEY=VALUE …] [--json FILE]\n"
	"       weir panel node list | show ID | set ID KEY=VALUE … | rm ID …\n"
	"       weir panel user add [--uuid U] [--speed MBPS] [--devices N] [--conns N]\n"
	"                        [--quota BYTES] [--expire DATE] [--name TEXT] [--id N]\n"
	"       weir panel user list | show ID | set ID KEY=VALUE … | rm ID … | import FILE.csv\n"
	"       weir panel user link ID NODE\n"
	"\n"
	"All take --db FILE (else $WEIR_PANEL_DB, else weir-panel.db in this folder) and --json, "
	"which\n"
	"prints JSON.  The admin token may also stand in $WEIR_PANEL_ADMIN_TOKEN.\n"
	"\n"
	"example: weir panel node add --type vless --port 443 --host node.example.net \\\n"
	"             --set tls=2 tls_settings.server_name=www.example.com\n"
	"         weir panel user add --name alice --quota 100GB --expire +30d\n"
	"         weir panel serve --listen 127.0.0.1:8080\n";

static int usage(FILE *to)
{
	fputs(usage_text, to);
	return to == stdout ? CMD_OK : CMD_USAGE;
}

static const char *text_of(const struct panel_args *a, const char *key, const char *otherwise)
{
	const char *s = json_string_value(json_object_get(a->body, key));

	return s ? s : otherwise;
}

static int number_of(const struct panel_args *a, const char *key, int64_t min, int64_t max,
		     unsigned *out)
{
	json_t *v = json_object_get(a->body, key);
	struct fault why;
	int64_t n;

	if (!v)
		return CMD_OK;
	if (field_int(v, key, min, max, &n, &why) < 0) {
		fprintf(stderr, "weir panel serve: --%s\n", why.text);
		return CMD_USAGE;
	}
	*out = (unsigned)n;
	return CMD_OK;
}

static int serve_conf(const struct panel_args *a, struct panel_conf *conf)
{
	conf->db = a->db;
	conf->listen = text_of(a, "listen", conf->listen);
	conf->node_path = text_of(a, "node-path", NULL);
	conf->admin_token = text_of(a, "admin-token", getenv("WEIR_PANEL_ADMIN_TOKEN"));
	if (conf->admin_token && !*conf->admin_token) {
		fprintf(stderr, "weir panel serve: an empty admin token would let everybody in\n");
		return CMD_USAGE;
	}
	if (a->n) {
		fprintf(stderr, "weir panel serve: what is '%s'?\n", a->words[0]);
		return CMD_USAGE;
	}
	if (number_of(a, "alive-ttl", 1, 86400, &conf->alive_ttl_s) ||
	    number_of(a, "rate", 0, 1000000, &conf->rate_per_s) ||
	    number_of(a, "ignore-repeats", 0, 3600, &conf->repeat_window_s) ||
	    number_of(a, "threads", 1, 64, &conf->threads))
		return CMD_USAGE;
	return CMD_OK;
}

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

int panel_serve_run(int argc, char **argv)
{
	static const struct option_key keys[] = {
		{"--listen", "listen"},	      {"--admin-token", "admin-token"},
		{"--node-path", "node-path"}, {"--alive-ttl", "alive-ttl"},
		{"--rate", "rate"},	      {"--ignore-repeats", "ignore-repeats"},
		{"--threads", "threads"},
	};
	struct panel_conf conf = PANEL_CONF_DEFAULT;
	struct panel_args a;
	int status = panel_args_read(&a, argc, argv, keys, ARRAY_LEN(keys), NULL);

	if (!status)
		status = serve_conf(&a, &conf);
	if (!status)
		status = serve(&conf);
	panel_args_done(&a);
	return status;
}

int cmd_panel(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} things[] = {
		{"serve", panel_serve_run}, {"node", panel_node_run}, {"user", panel_user_run}};

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help"))
			return usage(stdout);
	}
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(things); i++) {
		if (!strcmp(argv[1], things[i].name))
			return things[i].run(argc - 1, argv + 1);
	}
	return usage(stderr);
}
