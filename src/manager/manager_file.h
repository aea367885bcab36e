/* manager_file.h - the configuration of a manager: the JSON file of ss-manager (shadowsocks-libev) or of
 * ssmanager (shadowsocks-rust), with our own keys, under what the command line says; or an object with
 * the same keys in another file.
 *
 * Threads: control only.
 */
#ifndef WEIR_MANAGER_FILE_H
#define WEIR_MANAGER_FILE_H

#include "conf/read.h"
#include "manager/manager.h"

#define MANAGER_FILE_MAX (64u << 20)

/* What the command line says; NULL, -1: nothing.  It wins. */
struct manager_args {
	const char *address; /* --manager-address */
	const char *const *servers;
	size_t nservers;
	const char *method, *password;
	const char *plugin, *plugin_opts, *plugin_mode;
	const char *acl, *program, *server_mode, *dialect, *state_file;
	int64_t timeout_s;
	int mode; /* enum profile_net */
	int fast_open, no_delay;
};

#define MANAGER_ARGS_NONE                                                     \
	{                                                                     \
		.timeout_s = -1, .mode = -1, .fast_open = -1, .no_delay = -1, \
	}

struct manager_file {
	struct arena mem;
	struct endpoint_conf endpoint; /* address NULL: none given */
	struct profile defaults;       /* of every port */
	struct json_list listen;
	struct profile **ports;
	size_t nports;
	enum manager_dialect dialect;
	enum manager_subscribers subscribers;
	int64_t stat_interval_s, retry_s;
	bool reply_newline, allow_private;
	struct json_list insecure_methods;
	const char *state_file;	 /* NULL: where it is kept by default; "": nothing survives */
	const char *server_mode; /* builtin, libev, python */
	const char *program;	 /* NULL: the mode's */
	const char *acl;
	const char *user; /* to become, once everything is open; NULL: as we are */
	const char *workdir;
	int64_t nofile; /* 0: as many as there may be */
	int64_t workers;
	int64_t log_level; /* enum log_level; -1: not said */
	bool plugin_single_host;
	int64_t plugin_stop_timeout_s;
	const char *const *plugin_path;	 /* NULL-terminated; NULL: none */
	const char *const *plugin_allow; /* NULL: whoever may speak to us may name one */
};

/* A whole file; `text` NULL: none, only `args`.  0, -ENOMEM, or -ERR_CONFIG: what is wrong is in the
 * report, at its place in `name`.  A port that cannot be is left out, with a warning.
 */
MUST_CHECK int manager_file_parse(const char *text, size_t len, const char *name,
				  const struct manager_args *args, struct conf_report *report,
				  struct manager_file **out);

/* The object where the reader stands; it is not looked at any more once this returns. */
MUST_CHECK int manager_file_read(struct conf_reader *r, const struct json_value *object,
				 const struct manager_args *args, struct manager_file **out);

/* A copy of `l` that ends in NULL and lives as long as `f`. */
MUST_CHECK int manager_file_names(struct manager_file *f, const struct json_list *l,
				  const char *const **out);
void manager_file_drop_ports(struct manager_file *f); /* the engine has its own */
void manager_file_free(struct manager_file *f);

#endif
