/* ss_manager.c - `weir ss-manager`: the Shadowsocks manager, under the names and with the options of
 * its forerunners.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "cmd/alone.h"
#include "cmd/cmd.h"
#include "cmd/daemon.h"
#include "cmd/manager_host.h"
#include "cmd/manager_send.h"
#include "cmd/opt.h"
#include "conf/report.h"

static const int caught[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, 0};

/* What was asked for. */
struct call {
	const char *config, *pidfile, *user, *workdir, *mode_word;
	struct opt_many servers;
	struct manager_args args;
	bool daemonise, verbose, u, U, fast_open, no_delay, reuse_port, ip6, auth;
	int64_t nofile;
	struct opt_many ignored, send;
};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "weir ss-manager: %s: %s\n", what, why);
	return CMD_FAILED;
}

/* ---- options ----------------------------------------------------------------------------- */

/* Options that all of them know. */
#define COMMON_OPTIONS(c)                                                                            \
	{"config", 'c', OPT_TEXT, &(c)->config, "FILE", "the configuration, JSON"},                  \
		{"method", 'm', OPT_TEXT, &(c)->args.method, "NAME", "cipher of ports without one"}, \
		{"encrypt-method", 0, OPT_TEXT, &(c)->args.method, "NAME", "the same"},              \
		{"timeout", 't',                                                                     \
		 OPT_INT,   &(c)->args.timeout_s,                                                    \
		 "SECONDS", "end idle connections",                                                  \
		 0,	    365 * 86400},                                                            \
		{"server-host", 's',	   OPT_MANY,                                                 \
		 &(c)->servers, "ADDRESS", "where ports listen (default 0.0.0.0)"},                  \
		{"manager-address", 0,                                                               \
		 OPT_TEXT,	    &(c)->args.address,                                              \
		 "ADDRESS",	    "path, @name, or host:port of the manager's socket"},            \
		{"manager-addr", 0, OPT_TEXT, &(c)->args.address, "ADDRESS", "the same"},            \
		{"plugin", 0, OPT_TEXT, &(c)->args.plugin, "NAME", "SIP003 plugin of every port"},   \
		{"plugin-opts", 0, OPT_TEXT, &(c)->args.plugin_opts, "TEXT", "its options"},         \
		{"plugin-mode",		 0,	 OPT_TEXT,                                           \
		 &(c)->args.plugin_mode, "MODE", "tcp_only, tcp_and_udp, udp_only"},                 \
		{"acl", 0, OPT_TEXT, &(c)->args.acl, "FILE", "passed on to ss-server (libev)"},      \
		{"server-mode",		 0,	 OPT_TEXT,                                           \
		 &(c)->args.server_mode, "MODE", "builtin, libev, python (default builtin)"},        \
		{"executable",	     0,		OPT_TEXT,                                            \
		 &(c)->args.program, "PROGRAM", "the external server's program"},                    \
		{"dialect", 0, OPT_TEXT, &(c)->args.dialect, "NAME", "wiki, libev (default wiki)"},  \
		{"state-file",		0,	OPT_TEXT,                                            \
		 &(c)->args.state_file, "FILE", "what survives a restart; empty: nothing"},          \
		{"nofile", 'n', OPT_INT, &(c)->nofile, "N", "limit of open files", 1, INT32_MAX},    \
		{"user", 'a', OPT_TEXT, &(c)->user, "NAME", "become this user"},                     \
		{"fast-open", 0, OPT_FLAG, &(c)->fast_open, NULL, "TCP Fast Open"},                  \
		{"tcp-fast-open", 0, OPT_FLAG, &(c)->fast_open, NULL, "the same"},                   \
		{"no-delay", 0, OPT_FLAG, &(c)->no_delay, NULL, "accepted: it is always so"},        \
		{"tcp-no-delay", 0, OPT_FLAG, &(c)->no_delay, NULL, "the same"},                     \
		{"ipv6-first", '6', OPT_FLAG, &(c)->ip6, NULL, "without effect"},                    \
		{"", 'u', OPT_FLAG, &(c)->u, NULL, "TCP and UDP; as ssmanager: UDP only"},           \
		{"", 'U', OPT_FLAG, &(c)->U, NULL, "UDP only; as ssmanager: TCP and UDP"},           \
		{"verbose", 'v', OPT_FLAG, &(c)->verbose, NULL, "log what happens in detail"},       \
		{"send",     0,		OPT_MANY,                                                    \
		 &(c)->send, "COMMAND", "say this to the manager that runs, and print its answer"},  \
		{"mtu", 0, OPT_MANY, &(c)->ignored, "N", "without effect"},                          \
	{                                                                                            \
		"interface", 'i', OPT_MANY, &(c)->ignored, "NAME", "without effect"                  \
	}

#define LIBEV_OPTIONS(c)                                                                       \
	{"password", 'k', OPT_TEXT, &(c)->args.password, "TEXT", "of the file's server_port"}, \
		{"key", 0, OPT_TEXT, &(c)->args.password, "TEXT", "the same"},                 \
		{"pid-file",	'f',	OPT_TEXT,                                              \
		 &(c)->pidfile, "FILE", "go to the background, leave the number here"},        \
		{"workdir", 'D', OPT_TEXT, &(c)->workdir, "FOLDER", "where state is kept"},    \
		{"one-time-auth", 'A', OPT_FLAG, &(c)->auth, NULL, "refused: it was unsafe"},  \
		{"reuse-port", 0, OPT_FLAG, &(c)->reuse_port, NULL, "without effect"},         \
		{"nameserver", 'd', OPT_MANY, &(c)->ignored, "ADDRESS", "without effect"},     \
		{"", 'p', OPT_MANY, &(c)->ignored, "PORT", "without effect"},                  \
		{"", 'l', OPT_MANY, &(c)->ignored, "PORT", "without effect"},                  \
	{                                                                                      \
		"", 'b', OPT_MANY, &(c)->ignored, "ADDRESS", "without effect"                  \
	}

#define RUST_OPTIONS(c)                                                                             \
	{"outbound-bind-addr", 'b', OPT_MANY, &(c)->ignored, "ADDRESS", "without effect"},          \
		{"outbound-bind-interface", 0, OPT_MANY, &(c)->ignored, "NAME", "without effect"},  \
		{"dns", 0, OPT_MANY, &(c)->ignored, "TEXT", "without effect"},                      \
		{"tcp-keep-alive", 0, OPT_MANY, &(c)->ignored, "SECONDS", "without effect"},        \
		{"udp-timeout", 0, OPT_MANY, &(c)->ignored, "SECONDS", "without effect"},           \
		{"udp-max-associations", 0, OPT_MANY, &(c)->ignored, "N", "without effect"},        \
		{"daemonize", 'd', OPT_FLAG, &(c)->daemonise, NULL, "go to the background"},        \
		{"daemonize-pid", 0, OPT_TEXT, &(c)->pidfile, "FILE", "and leave the number here"}, \
		{"manager-server-mode", 0,	OPT_TEXT,                                           \
		 &(c)->mode_word,	"MODE", "builtin, standalone (as --server-mode libev)"},    \
	{                                                                                           \
		"manager-server-working-directory", 0, OPT_TEXT, &(c)->workdir, "FOLDER",           \
			"where state is kept"                                                       \
	}

static const char what_it_is[] =
	"Runs Shadowsocks servers as commands over a datagram socket say: add, remove, list, ping.\n"
	"FILE and options are those of ss-manager and ssmanager; under the latter name -u and -U\n"
	"mean what they mean there.";

static int parse(struct call *c, int argc, char **argv)
{
	const struct opt libev[] = {COMMON_OPTIONS(c), LIBEV_OPTIONS(c), {0}};
	const struct opt rust[] = {COMMON_OPTIONS(c), RUST_OPTIONS(c), {0}};
	bool is_rust = !strcmp(argv[0], "ssmanager");
	const struct opt_page page = {
		"weir ss-manager", "[-c FILE] [OPTION...]", what_it_is,
		"weir ss-manager --manager-address /run/ssm.sock -m aes-256-gcm",
		is_rust ? rust : libev};
	int n = opt_parse(&page, argc, argv);

	if (n > 0)
		return ~opt_wrong(&page, "no operands");
	if (n < 0)
		return n;
	if (c->auth)
		return ~opt_wrong(&page, "-A: one-time authentication was unsafe and is gone");
	if (c->u || c->U)
		c->args.mode = c->U == is_rust ? PROFILE_BOTH : PROFILE_UDP;
	if (c->mode_word && strcmp(c->mode_word, "standalone") == 0)
		c->args.server_mode = "libev";
	c->args.servers = c->servers.v;
	c->args.nservers = c->servers.n;
	if (c->fast_open)
		c->args.fast_open = 1;
	if (c->no_delay)
		c->args.no_delay = 1;
	c->daemonise |= c->pidfile != NULL;
	return 0;
}

/* ---- the file ---------------------------------------------------------------------------- */

/* False: an error has been printed. */
static bool read_file(const char *path, struct file *f)
{
	char why[FILE_WARNING_MAX];
	int err = file_read(path, MANAGER_FILE_MAX, 0, f);

	if (err)
		fail(path, err_text(err));
	else if (file_exposed(f, why))
		log_msg(LOG_WARN, "manager", "%s: %s", path, why);
	return !err;
}

static int load(const struct call *c, struct manager_file **out)
{
	const char *name = c->config ? c->config : "options";
	struct conf_report report;
	struct manager_file *m;
	struct file f = {0};
	int err;

	if (c->config && !read_file(c->config, &f))
		return CMD_CONFIG;
	conf_report_init(&report);
	err = manager_file_parse(f.text, f.len, name, &c->args, &report, &m);
	file_done(&f);
	conf_report_print(&report, stderr);
	conf_report_done(&report);
	if (err == -ENOMEM)
		fail(name, err_text(err));
	if (err)
		return CMD_CONFIG;
	if (!m->endpoint.address) {
		fail(name, "manager_address is missing, in the file or as --manager-address");
		manager_file_free(m);
		return CMD_CONFIG;
	}
	if (c->workdir)
		m->workdir = c->workdir;
	*out = m;
	return 0;
}

/* ---- becoming ---------------------------------------------------------------------------- */

static int become(const char *name)
{
	const struct passwd *pw = name && *name ? getpwnam(name) : NULL;

	if (!name || !*name)
		return 0;
	if (!pw)
		return fail(name, "no such user");
	if (pw->pw_uid == geteuid())
		return 0;
	if (initgroups(name, pw->pw_gid) || setgid(pw->pw_gid) || setuid(pw->pw_uid))
		return fail(name, err_text(-errno));
	return 0;
}

static void limit_files(int64_t n)
{
	struct rlimit files = {(rlim_t)n, (rlim_t)n};

	if (n && !setrlimit(RLIMIT_NOFILE, &files))
		return;
	daemon_raise_files();
}

/* The parent's number of us goes into the file before it leaves. */
static int go_to_background(const struct call *c)
{
	pid_t pid;
	FILE *f;

	if (!c->daemonise)
		return 0;
	pid = fork();
	if (pid < 0)
		return fail("fork", err_text(-errno));
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		setsid();
		dup2(null, STDIN_FILENO);
		close(null);
		return 0;
	}
	f = c->pidfile ? fopen(c->pidfile, "we") : NULL;
	if (f) {
		fprintf(f, "%d\n", (int)pid);
		fclose(f);
	} else if (c->pidfile) {
		fail(c->pidfile, err_text(-errno));
	}
	_exit(CMD_OK);
}

/* ---- serving ----------------------------------------------------------------------------- */

static int serve(struct manager_file *f, const char *state_root)
{
	const struct alone_conf conf = {
		.service.manager = f,
		.state_root = state_root,
		.workers = strcmp(f->server_mode, "builtin") != 0 ? 1 : (unsigned)f->workers,
		.caught = caught, /* nothing is read again: ports come by command */
	};
	int end = alone_run(&conf);

	return end < 0 ? fail("cannot start", err_text(end)) : CMD_OK;
}

/* Whose folders are our own is asked before we become somebody else. */
static int run(const struct call *c, struct manager_file *f)
{
	char state_root[PATH_MAX];
	int status;

	if (f->log_level >= 0)
		log_set_level((enum log_level)f->log_level);
	if (c->verbose)
		log_set_level(LOG_DEBUG);
	daemon_state_root(state_root);
	limit_files(c->nofile ? c->nofile : f->nofile);
	status = become(c->user ? c->user : f->user);
	if (!status)
		status = go_to_background(c);
	return status ? status : serve(f, state_root);
}

int cmd_ss_manager(int argc, char **argv)
{
	struct call c = {.args = MANAGER_ARGS_NONE};
	struct manager_file *f;
	int status = parse(&c, argc, argv);

	if (status < 0)
		return ~status;
	status = load(&c, &f);
	if (!status) {
		status = c.send.n ? manager_send(&f->endpoint, &c.send) : run(&c, f);
		manager_file_free(f);
	}
	return status;
}
