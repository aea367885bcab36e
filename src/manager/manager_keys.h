/* manager_keys.h - the keys of a manager's configuration: of the files of ss-manager
 * (shadowsocks-libev) and ssmanager (shadowsocks-rust), and ours.
 *
 * What they mean together, and under a command line, is manager_file.h's.
 */
#ifndef WEIR_MANAGER_KEYS_H
#define WEIR_MANAGER_KEYS_H

#include "conf/schema.h"

struct manager_keys {
	struct conf_set set;
	const char *address, *socket_mode; /* octal */
	int64_t port;
	bool allow_remote;
	int64_t dialect;     /* enum manager_dialect */
	int64_t subscribers; /* enum manager_subscribers */
	int64_t stat_interval_s, retry_s;
	bool reply_newline;
	const char *state_file;

	int64_t server_mode; /* into manager_modes[] */
	const char *program, *acl;
	struct json_list insecure_methods;
	bool allow_private;

	/* of every port */
	struct json_list server;
	const char *method;
	int64_t mode, plugin_mode; /* enum profile_net */
	int64_t timeout_s;
	bool fast_open, no_delay;
	const char *plugin, *plugin_opts;
	struct json_list plugin_args, plugin_path, plugin_allow;
	bool plugin_single_host;
	int64_t plugin_stop_timeout_s;

	/* ports, as profile_read() knows them */
	int64_t server_port;
	const char *password;
	const struct json_value *users, *port_password, *servers;

	/* of the process */
	const char *user, *workdir;
	int64_t nofile, workers;
	int64_t log_level; /* enum log_level */
};

extern const struct conf_schema manager_schema;

#endif
