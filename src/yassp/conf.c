#include "yassp/conf.h"

#include <string.h>

#include "base/log.h"
#include "conf/read.h"
#include "manager/engine.h"
#include "net/addr.h"

/* ---- checks ------------------------------------------------------------------------------ */

static const char *check_url(const char *text)
{
	size_t skip = !strncmp(text, "http://", 7) ? 7 : !strncmp(text, "https://", 8) ? 8 : 0;

	return skip && text[skip] && text[skip] != '/' ? NULL
						       : "expected http://HOST/ or https://HOST/";
}

/* Basic authentication has no way to write one. */
static const char *check_hostname(const char *text)
{
	return strchr(text, ':') ? "a colon cannot be part of a host name here" : NULL;
}

static const char *check_address(const char *text)
{
	struct addr a;

	return addr_parse_ip(&a, text, 0) ? "expected an IP address, such as 0.0.0.0 or ::" : NULL;
}

static const char *check_insecure(const char *text)
{
	return engine_method_insecure(text)
		       ? NULL
		       : "is no method without integrity; write one like none or "
			 "aes-256-cfb, the others need no permission";
}

static const char *check_folder(const char *text)
{
	return *text == '/' ? NULL : "expected an absolute path";
}

/* ---- the keys ---------------------------------------------------------------------------- */

static const struct conf_word levels[] = {
	{"info", LOG_INFO},    {"20", LOG_INFO},	{"debug", LOG_DEBUG}, {"10", LOG_DEBUG},
	{"warning", LOG_WARN}, {"warn", LOG_WARN},	{"30", LOG_WARN},     {"error", LOG_ERROR},
	{"40", LOG_ERROR},     {"critical", LOG_ERROR}, {"50", LOG_ERROR},    {0},
};

static const struct conf_word daemons[] = {
	{"builtin", YASSP_BUILTIN},
	{"libev", YASSP_LIBEV},
	{"python", YASSP_PYTHON},
	{0},
};

#define SITE struct yassp_conf
static const struct conf_row rows[] = {
	{.name = "log level",
	 CONF_WORD(SITE, log_level, levels),
	 .fallback = "20",
	 .help = "Least severe message that is logged: 10 debug, 20 info, 30 warning, 40 error."},
	{.name = "ss daemon type",
	 CONF_WORD(SITE, daemon, daemons),
	 .fallback = "builtin",
	 .help = "Who serves the ports: this program, ss-server of shadowsocks-libev, ssserver of "
		 "the Python shadowsocks."},
	{.name = "ss daemon fallback",
	 CONF_BOOL(SITE, fallback),
	 .help = "Serve them ourselves where that program is missing, instead of ending."},
	{.name = "ss-server path",
	 CONF_TEXT(SITE, program),
	 .help = "The program; builtin does not look at it."},
	{.name = "ss-server print log",
	 CONF_BOOL(SITE, print_log),
	 .fallback = "yes",
	 .help = "What it prints goes to our log."},
	{.name = "ss-server bind",
	 CONF_TEXT(SITE, bind),
	 .fallback = "0.0.0.0",
	 .check = check_address,
	 .help = "Listen address of every port."},
	{.name = "yassp url",
	 CONF_TEXT(SITE, url),
	 .check = check_url,
	 .flags = CONF_REQUIRED | CONF_URL,
	 .absent = "write the panel's base URL",
	 .help = "The panel's base URL."},
	{.name = "yassp hostname",
	 CONF_TEXT(SITE, hostname),
	 .check = check_hostname,
	 .flags = CONF_REQUIRED,
	 .absent = "write the name of this host at the panel",
	 .help = "The name of this host at the panel."},
	{.name = "yassp psk",
	 CONF_TEXT(SITE, psk),
	 .flags = CONF_REQUIRED | CONF_SECRET,
	 .absent = "write the password that goes with it",
	 .help = "The password that goes with it."},
	{.name = "push server enable",
	 CONF_BOOL(SITE, push),
	 .help = "Let the panel push its list, too."},
	{.name = "push bind address",
	 CONF_TEXT(SITE, push_address),
	 .fallback = "127.0.0.1",
	 .check = check_address,
	 .help = "Where that is listened for."},
	{.name = "push bind port",
	 CONF_INT(SITE, push_port),
	 .fallback = "8080",
	 .min = 0,
	 .max = 65535,
	 .help = "And on which port; 0 takes any, and the log says which."},
	{.name = "push token",
	 CONF_TEXT(SITE, push_token),
	 .flags = CONF_SECRET,
	 .help = "What the panel must know to push."},
	{.name = "traffic sync threshold",
	 CONF_INT(SITE, threshold),
	 .fallback = "104857600",
	 .min = 0,
	 .unit = "bytes",
	 .help = "Traffic of a port that is reported without waiting."},
	{.name = "traffic sync timeout",
	 CONF_INT(SITE, timeout_s),
	 .fallback = "1800",
	 .min = 0,
	 .max = 86400,
	 .unit = "s",
	 .help = "How long less than that may wait."},
	{.name = "pull interval",
	 CONF_INT(SITE, pull_interval_s),
	 .fallback = "60",
	 .min = 1,
	 .max = 86400,
	 .unit = "s",
	 .help = "How often the list is asked for."},
	{.name = "port retry interval",
	 CONF_INT(SITE, retry_s),
	 .fallback = "30",
	 .min = 1,
	 .max = 86400,
	 .unit = "s",
	 .help = "How often a port that cannot be bound is tried again."},
	{.name = "state file",
	 CONF_TEXT(SITE, state),
	 .check = check_folder,
	 .absent = "in the state folder, one for each file and section",
	 .help = "The folder of counters and unsent reports."},
	{.name = "manager address",
	 CONF_TEXT(SITE, manager_address),
	 .flags = CONF_IGNORED,
	 .help = "The socket lies in a private folder."},
	{.name = "temp dir",
	 CONF_TEXT(SITE, temp_dir),
	 .check = check_folder,
	 .absent = "below the state folder",
	 .help = "Folder of the sockets and files of libev and python."},
	{.name = "plugin allow",
	 CONF_LIST(SITE, plugin_allow),
	 .help = "Names or absolute paths of the SIP003 plugins that the panel may start."},
	{.name = "plugin path",
	 CONF_LIST(SITE, plugin_path),
	 .help = "Folders where plugins are looked for, before PATH."},
	{.name = "plugin stop timeout",
	 CONF_INT(SITE, plugin_stop_timeout_s),
	 .fallback = "3",
	 .min = 1,
	 .max = 60,
	 .unit = "s",
	 .help = "How long a plugin that was told to end may take."},
	{.name = "insecure methods",
	 CONF_LIST(SITE, insecure_methods),
	 .check = check_insecure,
	 .help = "builtin: methods without integrity that the panel may ask for: none, aes-256-cfb and "
		 "the like."},
	{.name = "allow private",
	 CONF_BOOL(SITE, allow_private),
	 .help = "builtin: let users reach private and loopback addresses and this host itself."},
};
const struct conf_schema yassp_schema =
	CONF_SCHEMA("A site", SITE, rows, "A section of the INI file.");

/* ---- together ---------------------------------------------------------------------------- */

const char *yassp_daemon_name(int64_t daemon)
{
	return conf_word_name(daemons, daemon);
}

static void check_together(struct conf_reader *r, const struct json_value *section,
			   const struct yassp_conf *c)
{
	if (c->daemon != YASSP_BUILTIN && !*c->program)
		conf_error(r, section->at, "ss-server path", "is missing; %s needs its program",
			   yassp_daemon_name(c->daemon));
	if (c->push && !*c->push_token)
		conf_error(r, section->at, "push token",
			   "is missing; without one anybody could push");
}

int yassp_conf_read(struct ini *ini, const char *section, const char *file, struct arena *a,
		    struct conf_report *report, struct yassp_conf *out)
{
	struct conf_reader r = {.arena = a, .report = report, .file = file};
	const struct json_value *object;
	int err = ini_section(ini, section, report, &object);

	if (!err)
		err = conf_read(&r, &yassp_schema, object, out);
	if (!err)
		check_together(&r, object, out);
	return err;
}
