/* conf.h - what yassp-server's INI says about a site (docs/manual/yassp.md).
 *
 * The same keys, with defaults where the original wanted each of them, and some of ours.
 */
#ifndef WEIR_YASSP_CONF_H
#define WEIR_YASSP_CONF_H

#include "conf/ini.h"
#include "conf/schema.h"

enum yassp_daemon {
	YASSP_BUILTIN,
	YASSP_LIBEV,
	YASSP_PYTHON,
};

struct yassp_conf {
	struct conf_set set;
	int64_t log_level; /* enum log_level */
	int64_t daemon;	   /* enum yassp_daemon */
	bool fallback;	   /* builtin where the program is not there */
	const char *program;
	bool print_log;
	const char *bind;
	const char *url, *hostname, *psk;
	bool push;
	const char *push_address, *push_token;
	int64_t push_port, plugin_stop_timeout_s;
	int64_t threshold, timeout_s, pull_interval_s, retry_s;
	const char *state, *manager_address, *temp_dir; /* "": ours to choose */
	struct json_list plugin_allow, plugin_path, insecure_methods;
	bool allow_private;
};

extern const struct conf_schema yassp_schema;

/* The section, its texts in `a` and `ini`; what is wrong, and what only matters together, in the
 * report.  0 or -ENOMEM.
 */
MUST_CHECK int yassp_conf_read(struct ini *ini, const char *section, const char *file,
			       struct arena *a, struct conf_report *report, struct yassp_conf *out);

const char *yassp_daemon_name(int64_t daemon);

#endif
