#include "manager/manager_keys.h"

#include <stdlib.h>

#include "base/log.h"
#include "manager/manager.h"

/* ---- checks ------------------------------------------------------------------------------ */

static const char *check_mode(const char *text)
{
	char *end;
	long mode = strtol(text, &end, 8);

	return *end || mode < 1 || mode > 0777 ? "expected a mode like 0660" : NULL;
}

static const char *check_insecure(const char *text)
{
	return engine_method_insecure(text)
		       ? NULL
		       : "is no method without integrity; write one like none or aes-256-cfb, the "
			 "others need no permission";
}

/* ---- words ------------------------------------------------------------------------------- */

static const struct conf_word dialects[] = {
	{"wiki", MANAGER_WIKI},
	{"libev", MANAGER_LIBEV},
	{0},
};

static const struct conf_word subscribers[] = {
	{"last", SUBSCRIBERS_LAST},
	{"all", SUBSCRIBERS_ALL},
	{0},
};

static const struct conf_word nets[] = {
	{"tcp_and_udp", PROFILE_BOTH},
	{"tcp_only", PROFILE_TCP},
	{"udp_only", PROFILE_UDP},
	{0},
};

static const struct conf_word modes[] = {{"builtin", 0}, {"libev", 1}, {"python", 2}, {0}};

static const struct conf_word levels[] = {
	{"debug", LOG_DEBUG},
	{"info", LOG_INFO},
	{"warn", LOG_WARN},
	{"warning", LOG_WARN},
	{"error", LOG_ERROR},
	{"none", LOG_NONE},
	{0},
};

/* ---- the keys ---------------------------------------------------------------------------- */

#define KEYS	   struct manager_keys
#define KEY(name_) .name = (name_), .reload = CONF_ANEW
#define OF_OTHERS(key)                                                         \
	{                                                                      \
		.name = (key), CONF_NONE, .flags = CONF_IGNORED | CONF_SILENT, \
		.help = "Of other managers."                                   \
	}

static const struct conf_row rows[] = {
	{KEY("manager_address"), CONF_TEXT(KEYS, address),
	 .help = "The socket: a path, `@name` (abstract), `host:port`, `[v6]:port`, or a host beside "
		 "`manager_port`. Has to be there."},
	{KEY("manager_port"), CONF_INT(KEYS, port), .max = 65535, .absent = "in `manager_address`",
	 .help = "Its UDP port."},
	{KEY("manager_socket_mode"), CONF_TEXT(KEYS, socket_mode), .check = check_mode,
	 .absent = "`0600`", .help = "Of a path."},
	{KEY("manager_allow_remote"), CONF_BOOL(KEYS, allow_remote),
	 .help = "UDP beyond loopback, where whoever reaches it may command."},
	{KEY("manager_dialect"), CONF_WORD(KEYS, dialect, dialects), .fallback = "wiki",
	 .help = "`wiki`: ping answers pong, what has been moved is pushed. `libev`: ping answers with "
		 "totals."},
	{KEY("stat_subscribers"), CONF_WORD(KEYS, subscribers, subscribers), .fallback = "last",
	 .help = "Who hears of traffic: who spoke last, or up to 16 clients."},
	{KEY("stat_interval"), CONF_INT(KEYS, stat_interval_s), .fallback = "10", .min = 1,
	 .max = 86400, .unit = "s", .help = "Between pushes."},
	{KEY("port_retry_interval"), CONF_INT(KEYS, retry_s), .fallback = "30", .min = 1,
	 .max = 86400, .unit = "s", .help = "Until a port that could not be bound is tried again."},
	{KEY("manager_reply_newline"), CONF_BOOL(KEYS, reply_newline),
	 .help = "A newline behind each answer."},
	{KEY("state_file"), CONF_TEXT(KEYS, state_file), .absent = "in the state folder",
	 .help = "Ports that were added over the socket; `\"\"`: nothing survives."},
	{KEY("server_mode"), CONF_WORD(KEYS, server_mode, modes), .fallback = "builtin",
	 .help = "Who serves the ports: this process, an `ss-server` for each, one `ssserver`."},
	{KEY("executable"), CONF_TEXT(KEYS, program), .absent = "`ss-server`, `ssserver`",
	 .help = "The program of `libev` and `python`."},
	{KEY("acl"), CONF_TEXT(KEYS, acl),
	 .help = "Passed on to `ss-server`; the other modes do not enforce it."},
	{KEY("insecure_methods"), CONF_LIST(KEYS, insecure_methods), .check = check_insecure,
	 .help = "Methods without integrity that a port may have."},
	{KEY("allow_private"), CONF_BOOL(KEYS, allow_private),
	 .help = "Users may reach private and loopback addresses and this host itself."},
	{KEY("server"), CONF_LIST(KEYS, server), .absent = "`0.0.0.0`",
	 .help = "Addresses that ports listen on."},
	{KEY("method"), CONF_TEXT(KEYS, method), .absent = "`" PROFILE_METHOD "`",
	 .help = "Of ports that name none, like the keys that follow."},
	{KEY("mode"), CONF_WORD(KEYS, mode, nets), .fallback = "tcp_and_udp",
	 .help = "TCP, UDP, or both."},
	{KEY("timeout"), CONF_INT(KEYS, timeout_s), .max = 365 * 86400, .unit = "s",
	 .help = "Idle connections end; 0: as the program has it."},
	{KEY("fast_open"), CONF_BOOL(KEYS, fast_open), .help = "TCP Fast Open."},
	{KEY("no_delay"), CONF_BOOL(KEYS, no_delay), .help = "It is always so."},
	{KEY("plugin"), CONF_TEXT(KEYS, plugin), .help = "SIP003."},
	{KEY("plugin_opts"), CONF_TEXT(KEYS, plugin_opts), .help = "Its options."},
	{KEY("plugin_mode"), CONF_WORD(KEYS, plugin_mode, nets), .fallback = "tcp_only",
	 .help = "What goes through it."},
	{KEY("plugin_args"), CONF_LIST(KEYS, plugin_args), .help = "Arguments of its program."},
	{KEY("plugin_path"), CONF_LIST(KEYS, plugin_path),
	 .help = "Folders where plugins are looked for before `PATH`."},
	{KEY("plugin_allow"), CONF_LIST(KEYS, plugin_allow),
	 .absent = "`Plugins.Allow`; `weir ss-manager`: any over a unix path, else none",
	 .help = "Plugins that a client may name."},
	{KEY("plugin_single_host"), CONF_BOOL(KEYS, plugin_single_host),
	 .help = "A plugin is told the first of several addresses only."},
	{KEY("plugin_stop_timeout"), CONF_INT(KEYS, plugin_stop_timeout_s), .fallback = "3",
	 .min = 1, .max = 60, .unit = "s",
	 .help = "How long a plugin that was told to end may take."},
	{KEY("port_password"), CONF_VALUE(KEYS, port_password), .flags = CONF_SECRET,
	 .help = "`{\"8381\": \"password\"}`, or an object in the password's place."},
	{KEY("servers"), CONF_VALUE(KEYS, servers), .flags = CONF_SECRET | CONF_LISTED,
	 .help = "With the keys of `add`, and `disabled`; wins over `port_password`."},
	{KEY("server_port"), CONF_INT(KEYS, server_port), .max = 65535, .absent = "",
	 .help = "One more port."},
	{KEY("password"), CONF_TEXT(KEYS, password), .flags = CONF_SECRET, .help = "Its password."},
	{KEY("users"), CONF_VALUE(KEYS, users), .flags = CONF_SECRET | CONF_LISTED,
	 .help = "Its users."},
	{KEY("user"), CONF_TEXT(KEYS, user), .help = "Become this user. `weir ss-manager` only."},
	{KEY("workdir"), CONF_TEXT(KEYS, workdir), .absent = "`State.Dir`",
	 .help = "Where the state folder lies."},
	{KEY("nofile"), CONF_INT(KEYS, nofile), .max = INT32_MAX,
	 .help = "Limit of open files; 0: as many as there may be. `weir ss-manager` only."},
	{KEY("workers"), CONF_INT(KEYS, workers), .max = 256,
	 .help = "Threads; 0: one per processor. `weir ss-manager` only."},
	{KEY("log_level"), CONF_WORD(KEYS, log_level, levels), .fallback = "info",
	 .help = "The least severe message that is logged. `weir ss-manager` only."},
	OF_OTHERS("nameserver"),
	OF_OTHERS("mtu"),
	OF_OTHERS("ipv6_first"),
	OF_OTHERS("reuse_port"),
	OF_OTHERS("keep_alive"),
	OF_OTHERS("udp_timeout"),
	OF_OTHERS("udp_max_associations"),
	OF_OTHERS("local_address"),
	OF_OTHERS("local_port"),
	OF_OTHERS("outbound_bind_addr"),
	OF_OTHERS("outbound_bind_interface"),
	OF_OTHERS("outbound_fwmark"),
	OF_OTHERS("outbound_udp_allow_fragmentation"),
};
const struct conf_schema manager_schema =
	CONF_SCHEMA("Manager", KEYS, rows,
		    "The manager: the keys of [`weir ss-manager`'s file](ss-manager.md).");
