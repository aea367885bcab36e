/* config_top.c - the rows of everything but nodes. */
#include "node/config.h"
#include "node/config_check.h"

static const struct conf_word log_levels[] = {
	{"debug", CONFIG_LOG_DEBUG},
	{"info", CONFIG_LOG_INFO},
	{"warn", CONFIG_LOG_WARN},
	{"warning", CONFIG_LOG_WARN},
	{"error", CONFIG_LOG_ERROR},
	{"none", CONFIG_LOG_NONE},
	{0},
};

static const struct conf_word log_formats[] = {{"text", 0}, {"json", 1}, {0}};

#define LOG struct config_log
static const struct conf_row log_rows[] = {
	{.name = "Level",
	 CONF_WORD(LOG, level, log_levels),
	 .fallback = "info",
	 .help = "The least severe message that is logged."},
	{.name = "Output",
	 CONF_TEXT(LOG, output),
	 .absent = "standard output",
	 .help = "A file to append to; where it cannot be opened, standard error is used."},
	{.name = "MaxSize",
	 CONF_INT(LOG, max_size_MB),
	 .fallback = "100",
	 .max = 1 << 20,
	 .unit = "MB",
	 .help = "The file is put aside at this size; 0: never."},
	{.name = "MaxBackups",
	 CONF_INT(LOG, max_backups),
	 .max = 4096,
	 .fallback = "3",
	 .help = "How many files put aside are kept; 0: all."},
	{.name = "MaxAge",
	 CONF_INT(LOG, max_age_days),
	 .fallback = "28",
	 .max = 36500,
	 .unit = "days",
	 .help = "How long files put aside are kept; 0: for ever."},
	{.name = "Compress",
	 CONF_BOOL(LOG, compress),
	 .fallback = "true",
	 .help = "Files put aside are compressed."},
	{.name = "Format",
	 CONF_WORD(LOG, json, log_formats),
	 .fallback = "text",
	 .help = "Lines of key=value, or of JSON."},
};
const struct conf_schema config_log_schema =
	CONF_SCHEMA("Log", LOG, log_rows, "Where the program's own log goes.");

#define CORE_LOG struct config_core_log
static const struct conf_row core_log_rows[] = {
	{.name = "Level",
	 CONF_WORD(CORE_LOG, level, log_levels),
	 .fallback = "warning",
	 .flags = CONF_IGNORED | CONF_SILENT,
	 .help = "`Log.Level` of the file holds for everything."},
	{.name = "AccessPath",
	 CONF_TEXT(CORE_LOG, access_path),
	 .fallback = "none",
	 .help = "A file for one line per session; `none`: no such log. *Not implemented yet: "
		 "there is none.*"},
	{.name = "ErrorPath",
	 CONF_TEXT(CORE_LOG, error_path),
	 .absent = "the program's log",
	 .flags = CONF_IGNORED,
	 .help = "Messages go to the program's log."},
	{.name = "Output",
	 CONF_TEXT(CORE_LOG, output),
	 .flags = CONF_IGNORED,
	 .help = "Messages go to the program's log."},
	{.name = "Disable",
	 CONF_BOOL(CORE_LOG, disable),
	 .flags = CONF_IGNORED,
	 .help = "`Log.Level` of the file holds for everything."},
	{.name = "Timestamp",
	 CONF_BOOL(CORE_LOG, timestamp),
	 .fallback = "true",
	 .flags = CONF_IGNORED | CONF_SILENT,
	 .help = "Lines always carry the time."},
};
const struct conf_schema config_core_log_schema =
	CONF_SCHEMA("Cores[].Log", CORE_LOG, core_log_rows, "What the data plane logs.");

#define CONN struct config_core_connection
static const struct conf_row connection_rows[] = {
	{.name = "handshake",
	 CONF_INT(CONN, handshake_s),
	 .absent = "`HandshakeTimeout` holds",
	 .fallback = "4",
	 .max = 3600,
	 .unit = "s",
	 .help = "Overrides `HandshakeTimeout` of every node when given."},
	{.name = "connIdle",
	 CONF_INT(CONN, idle_s),
	 .absent = "`IdleTimeout` holds",
	 .fallback = "30",
	 .max = 86400,
	 .unit = "s",
	 .help = "Overrides `IdleTimeout` of every node when given."},
	{.name = "uplinkOnly",
	 CONF_INT(CONN, uplink_only_s),
	 .absent = "`LingerTimeout` holds",
	 .fallback = "2",
	 .max = 86400,
	 .unit = "s",
	 .help = "With `downlinkOnly`: the longer one overrides `LingerTimeout` when given."},
	{.name = "downlinkOnly",
	 CONF_INT(CONN, downlink_only_s),
	 .absent = "`LingerTimeout` holds",
	 .fallback = "4",
	 .max = 86400,
	 .unit = "s",
	 .help = "See `uplinkOnly`."},
	{.name = "bufferSize",
	 CONF_INT(CONN, buffer_KiB),
	 .fallback = "64",
	 .unit = "KiB",
	 .flags = CONF_IGNORED | CONF_SILENT,
	 .help = "Buffers adapt by themselves."},
};
const struct conf_schema config_core_connection_schema =
	CONF_SCHEMA("Cores[].XrayConnectionConfig", CONN, connection_rows,
		    "Deadlines of every session, in the spelling of another program.");

#define NTP struct config_core_ntp
static const struct conf_row ntp_rows[] = {
	{.name = "Enable",
	 CONF_BOOL(NTP, enable),
	 .flags = CONF_NOT_YET,
	 .help = "Measure how wrong the clock is; it is never set."},
	{.name = "Server",
	 CONF_TEXT(NTP, server),
	 .fallback = "time.apple.com",
	 .help = "Whom to ask."},
	{.name = "ServerPort",
	 CONF_INT(NTP, port),
	 .max = 65535,
	 .absent = "`123`",
	 .help = "At which port."},
};
const struct conf_schema config_core_ntp_schema =
	CONF_SCHEMA("Cores[].NTP", NTP, ntp_rows, "The offset of the clock.");

#define CORE struct config_core
static const struct conf_row core_rows[] = {
	{.name = "Type",
	 CONF_TEXT(CORE, type),
	 .fallback = "xray",
	 .help = "`xray`, `sing` (`sing-box`, `singbox`) or `hysteria2` (`hy2`). The engine is "
		 "built in and the same for all; an entry of another type is ignored."},
	{.name = "Name",
	 CONF_TEXT(CORE, name),
	 .absent = "the type",
	 .help = "What `CoreName` of a node may refer to."},
	{.name = "Log", CONF_OBJECT(CORE, log, &config_core_log_schema), .help = ""},
	{.name = "AssetPath",
	 CONF_TEXT(CORE, asset_path),
	 .fallback = "/etc/v2sp/",
	 .flags = CONF_NOT_YET,
	 .help = "Folder of geoip and geosite data."},
	{.name = "DnsConfigPath",
	 CONF_TEXT(CORE, dns_path),
	 .flags = CONF_NOT_YET,
	 .absent = "system resolver",
	 .help = "File of DNS servers."},
	{.name = "RouteConfigPath",
	 CONF_TEXT(CORE, route_path),
	 .flags = CONF_NOT_YET,
	 .help = "File of routes."},
	{.name = "OutboundConfigPath",
	 CONF_TEXT(CORE, outbound_path),
	 .flags = CONF_NOT_YET,
	 .help = "File of outbounds."},
	{.name = "InboundConfigPath",
	 CONF_TEXT(CORE, inbound_path),
	 .flags = CONF_NOT_YET,
	 .help = "File of further inbounds, whose users are not billed."},
	{.name = "XrayConnectionConfig",
	 .aliases = "ConnectionConfig",
	 CONF_OBJECT(CORE, connection, &config_core_connection_schema),
	 .help = ""},
	{.name = "NTP", CONF_OBJECT(CORE, ntp, &config_core_ntp_schema), .help = ""},
	{.name = "OriginalPath",
	 CONF_TEXT(CORE, original_path),
	 .flags = CONF_NOT_YET,
	 .help = "A configuration of sing-box, of which the supported parts are read."},
	{.name = "BinaryPath", CONF_NONE, .flags = CONF_IGNORED, .help = "The engine is built in."},
	{.name = "ConfigDir", CONF_NONE, .flags = CONF_IGNORED, .help = "The engine is built in."},
};
const struct conf_schema config_core_schema =
	CONF_SCHEMA("Cores[]", CORE, core_rows,
		    "Settings of the engine. Several entries add up, the later one wins.");

#define STATE struct config_state
static const struct conf_row state_rows[] = {
	{.name = "Dir",
	 CONF_TEXT(STATE, dir),
	 .fallback = "/var/lib/weir",
	 .reload = CONF_RESTART,
	 .help = "Folder of counters, unsent reports and last good answers of panels."},
	{.name = "SyncSeconds",
	 CONF_INT(STATE, sync_s),
	 .fallback = "30",
	 .min = 1,
	 .max = 3600,
	 .unit = "s",
	 .help = "How often counters go to the disk: what a power loss may cost."},
};
const struct conf_schema config_state_schema =
	CONF_SCHEMA("State", STATE, state_rows, "What survives a restart.");

#define METRICS struct config_metrics
static const struct conf_row metrics_rows[] = {
	{.name = "Listen",
	 CONF_TEXT(METRICS, listen),
	 .check = check_listen,
	 .absent = "off",
	 .flags = CONF_NOT_YET,
	 .reload = CONF_RESTART,
	 .help = "Address and port for Prometheus, `127.0.0.1:9180`. The environment's "
		 "`PPROF_ADDR` stands in."},
};
const struct conf_schema config_metrics_schema =
	CONF_SCHEMA("Metrics", METRICS, metrics_rows, "Figures for monitoring.");

#define PLUGINS struct config_plugins
static const struct conf_row plugin_rows[] = {
	{.name = "Allow",
	 CONF_LIST(PLUGINS, allow),
	 .reload = CONF_REBUILD,
	 .help = "Names or absolute paths of the SIP003 plugins that a panel may start; also of "
		 "`Manager` and `Yassp` where those name none."},
	{.name = "Path",
	 CONF_LIST(PLUGINS, path),
	 .reload = CONF_REBUILD,
	 .help = "Folders where plugins are looked for; also of `Manager` and `Yassp` where those name "
		 "none."},
};
const struct conf_schema config_plugins_schema =
	CONF_SCHEMA("Plugins", PLUGINS, plugin_rows, "Programs in front of Shadowsocks.");

#define SITE struct config_site
static const struct conf_row site_rows[] = {
	{.name = "Config",
	 CONF_TEXT(SITE, config),
	 .flags = CONF_REQUIRED,
	 .reload = CONF_ANEW,
	 .absent = "write the path of the site's INI file",
	 .help = "The site's INI file, beside this file unless the path is absolute."},
	{.name = "Section",
	 CONF_TEXT(SITE, section),
	 .fallback = "DEFAULT",
	 .reload = CONF_ANEW,
	 .help = "The section of it."},
};
const struct conf_schema config_site_schema =
	CONF_SCHEMA("Yassp[]", SITE, site_rows,
		    "A [YaSSP site](yassp.md) in this process: what `weir yassp` runs.");

static const struct conf_word aead_engines[] = {
	{"auto", CONFIG_AEAD_AUTO},
	{"ipsecmb", CONFIG_AEAD_IPSECMB},
	{"evp", CONFIG_AEAD_EVP},
	{0},
};

#define TOP struct config
static const struct conf_row top_rows[] = {
	{.name = "Log", CONF_OBJECT(TOP, log, &config_log_schema), .help = ""},
	{.name = "Cores",
	 CONF_ARRAY(TOP, cores, &config_core_schema),
	 .reload = CONF_REBUILD,
	 .help = "May be left out."},
	{.name = "Nodes",
	 CONF_VALUE(TOP, nodes_value),
	 .sub = &config_node_schema,
	 .help = "The nodes to serve. May be left out beside `Manager` or `Yassp`."},
	{.name = "State", CONF_OBJECT(TOP, state, &config_state_schema), .help = ""},
	{.name = "Metrics", CONF_OBJECT(TOP, metrics, &config_metrics_schema), .help = ""},
	{.name = "Plugins", CONF_OBJECT(TOP, plugins, &config_plugins_schema), .help = ""},
	{.name = "Manager",
	 CONF_VALUE(TOP, manager),
	 .reload = CONF_ANEW,
	 .help = "A [Shadowsocks manager](ss-manager.md) in this process. See Manager."},
	{.name = "Yassp",
	 CONF_ARRAY(TOP, yassp, &config_site_schema),
	 .reload = CONF_ANEW,
	 .help = "[YaSSP sites](yassp.md) in this process."},
	{.name = "Workers",
	 CONF_INT(TOP, workers),
	 .max = 256,
	 .reload = CONF_RESTART,
	 .absent = "one per processor",
	 .help = "Threads that carry traffic."},
	{.name = "MemoryLimit",
	 CONF_INT(TOP, memory_MiB),
	 .min = 0,
	 .max = 1 << 20,
	 .absent = "half of the machine's memory, or of what the control group may have",
	 .unit = "MiB",
	 .help = "What all connections together may hold in buffers. Near it nobody new is let in, and who "
		 "lets his bytes lie is ended."},
	{.name = "AeadEngine",
	 CONF_WORD(TOP, aead, aead_engines),
	 .fallback = "auto",
	 .reload = CONF_RESTART,
	 .help = "Which library encrypts in bulk."},
	{.name = "AllowHttpInclude",
	 CONF_BOOL(TOP, allow_http_include),
	 .help = "`Include` may name http:// addresses."},
	{.name = "ShutdownGrace",
	 CONF_INT(TOP, shutdown_grace_s),
	 .fallback = "0",
	 .max = 86400,
	 .unit = "s",
	 .help = "How long connections may go on after a stop was asked for."},
	{.name = "ShutdownPushTimeout",
	 CONF_INT(TOP, shutdown_push_timeout_s),
	 .fallback = "10",
	 .max = 3600,
	 .unit = "s",
	 .help = "How long the last report to the panels may take."},
	{.name = "DrainTimeout",
	 CONF_INT(TOP, drain_timeout_s),
	 .fallback = "30",
	 .max = 86400,
	 .unit = "s",
	 .help = "How long connections of a node, manager or site that is no longer in the file may "
		 "go on."},
};
const struct conf_schema config_schema =
	CONF_SCHEMA("The file", TOP, top_rows, "One object with these keys.");
