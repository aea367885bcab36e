/* config.h - the configuration file as typed, immutable structs.
 *
 *     conf_report_init(&report);
 *     conf = config_load("/etc/weir/config.json", fetch_include, &report);
 *     conf_report_print(&report, stderr);
 *     if (!conf)
 *             return 78;
 *     for (size_t i = 0; i < conf->nnodes; i++)
 *             start(conf->nodes[i]);
 *     config_free(conf);
 *
 * The file is JSON with comments and trailing commas; what is written by hand is read as leniently
 * as what panels send.  Everything that is wrong is reported at once, and a file with one error
 * yields nothing.  The tables (config_*.c) are the reference of the options;
 * docs/manual/configuration.md is generated from them.
 *
 * Texts are never NULL; "" is what was not given and has no default.  What an option holds whether
 * it was given or not is one thing, conf_is_set(&config_node_schema, node, field) the other: a
 * panel fills what the file left open.
 *
 * Threads: loaded by control; what it returns is constant and read by all.
 */
#ifndef WEIR_NODE_CONFIG_H
#define WEIR_NODE_CONFIG_H

#include "conf/read.h"
#include "conf/report.h"
#include "conf/schema.h"

#define CONFIG_DEFAULT_PATH "/etc/weir/config.json"

enum config_log_level {
	CONFIG_LOG_DEBUG,
	CONFIG_LOG_INFO,
	CONFIG_LOG_WARN,
	CONFIG_LOG_ERROR,
	CONFIG_LOG_NONE,
};

enum config_api_type {
	CONFIG_API_V2SP,
	CONFIG_API_UNIPROXY,
	CONFIG_API_XBOARD2,
	CONFIG_API_V2NODE,
	CONFIG_API_SSPANEL,
};

enum config_ambiguous {
	CONFIG_AMBIGUOUS_AUTO, /* by dialect: panel-apis TR5 */
	CONFIG_AMBIGUOUS_RETRY,
	CONFIG_AMBIGUOUS_DROP,
};

enum config_dns_type { /* which addresses of a name outgoing connections use */
		       CONFIG_DNS_AS_IS,
		       CONFIG_DNS_IP,	/* both */
		       CONFIG_DNS_IP4,	/* only */
		       CONFIG_DNS_IP6,	/* only */
		       CONFIG_DNS_IP46, /* both, IPv4 first */
		       CONFIG_DNS_IP64, /* both, IPv6 first */
};

enum config_reject {
	CONFIG_REJECT_AUTO, /* by protocol: config G.9 */
	CONFIG_REJECT_DRAIN,
	CONFIG_REJECT_FALLBACK,
	CONFIG_REJECT_CLOSE,
};

enum config_handshake {
	CONFIG_HANDSHAKE_LIBSSL,
	CONFIG_HANDSHAKE_OWN,
};

enum config_cert_mode {
	CONFIG_CERT_NONE,
	CONFIG_CERT_FILE,
	CONFIG_CERT_HTTP,
	CONFIG_CERT_DNS,
	CONFIG_CERT_SELF,
	CONFIG_CERT_TLS_ALPN,
};

enum config_aead {
	CONFIG_AEAD_AUTO,
	CONFIG_AEAD_IPSECMB,
	CONFIG_AEAD_EVP,
};

struct config_log {
	struct conf_set set;
	int64_t level;	    /* enum config_log_level */
	const char *output; /* "": standard output */
	int64_t max_size_MB, max_backups, max_age_days;
	bool compress;
	int64_t json; /* Format: 0 text, 1 JSON */
};

struct config_core_log {
	struct conf_set set;
	int64_t level;		 /* enum config_log_level; of the data plane */
	const char *access_path; /* "none": no access log */
	const char *error_path, *output;
	bool disable, timestamp;
};

struct config_core_connection { /* of every session; only what is set overrides */
	struct conf_set set;
	int64_t handshake_s, idle_s, uplink_only_s, downlink_only_s, buffer_KiB;
};

struct config_core_ntp {
	struct conf_set set;
	bool enable;
	const char *server;
	int64_t port;
};

struct config_core {
	struct conf_set set;
	const char *type, *name;
	struct config_core_log log;
	const char *asset_path, *dns_path, *route_path, *outbound_path, *inbound_path;
	struct config_core_connection connection;
	struct config_core_ntp ntp;
	const char *original_path;
};

struct config_dynamic {
	struct conf_set set;
	int64_t period_s, traffic; /* bytes */
	double speed_Mbps;
	int64_t expire_min;
};

struct config_limit {
	struct conf_set set;
	double speed_Mbps; /* per user; 0: none */
	int64_t speed_sum; /* SpeedLimitScope: 1 both directions together */
	int64_t device_limit, conn_limit;
	bool dynamic_enable;
	struct config_dynamic dynamic;
};

struct config_cert {
	struct conf_set set;
	int64_t mode;			  /* enum config_cert_mode */
	const char *domain;		  /* may be a comma list; "": what the panel says */
	const char *cert_file, *key_file; /* config_cert_path() knows the defaults */
	const char *provider, *email;
	struct conf_map dns_env;
	bool reject_unknown_sni;
	const char *acme_directory, *acme_key_type;
	int64_t http_port;
};

struct config_fallback {
	struct conf_set set;
	const char *sni, *alpn, *path; /* "" matches any */
	const char *dest; /* port, host:port, or the path of a unix socket ("/…" or "@…") */
	int64_t proxy_protocol; /* 0, 1, 2 */
};

struct config_multiplex {
	struct conf_set set;
	bool enable, padding;
	const struct json_value *brutal;
};

struct config_node {
	struct conf_set set;
	struct json_pos at;	  /* where it stands, in `file` */
	const char *file, *where; /* "Nodes[2]"; from the root of its file */

	/* the panel */
	const char *api_host, *api_key;
	const char *node_id;   /* text: some panels have codes; decimal and >= 1 for all others */
	const char *node_type; /* lower case, canonical; "": learned from the panel */
	int64_t api_type;      /* enum config_api_type */
	int64_t timeout_s;     /* >= 1 */
	const char *api_send_ip, *rule_list_path;
	bool api_insecure;
	int64_t ambiguous_push;	  /* enum config_ambiguous */
	int64_t push_batch_users; /* 0: by dialect */
	int64_t cache_max_age_h;
	int64_t pull_interval_s, push_interval_s; /* 0: the panel's */
	bool suspend_on_forbidden, allow_remote_options, enforce_quota;
	bool report_status, report_offline, swap_bandwidth, use_report, accept_panel_listen_ip;
	int64_t user_list_msgpack;

	/* the node */
	const char *name; /* unique in the file */
	const char *core, *core_name;
	struct json_list listen_ip; /* one "": both families */
	const char *send_ip;	    /* "": any */
	int64_t device_online_min_kB, report_min_KiB;
	bool enable_xtls, enable_vless;
	bool proxy_protocol, tcp_fast_open, uot;
	struct json_list trusted_proxies; /* CIDRs */
	bool enable_dns;
	int64_t dns_type; /* enum config_dns_type: the effective one, AS_IS unless EnableDNS */
	int64_t domain_strategy;
	bool disable_iv_check;
	struct json_list insecure_ciphers;
	bool disable_sniffing, enable_sniff, sniff_override;
	bool enable_fallback;
	struct conf_array fallbacks; /* struct config_fallback */
	struct config_multiplex multiplex;
	const char *hysteria2_path;
	double node_speed_Mbps;
	bool allow_private;
	int64_t reject;		 /* enum config_reject */
	int64_t plugin_mode;	 /* enum plugin_net */
	int64_t tls_min_version; /* 12 or 13 */
	int64_t tls_handshake;	 /* enum config_handshake */
	int64_t tls_tickets;
	int64_t stranger_limit, stranger_limit_per_ip; /* 0: none */
	int64_t stranger_timeout_s;
	int64_t handshake_timeout_s, idle_timeout_s,
		linger_timeout_s; /* XrayConnectionConfig applied */
	struct config_limit limit;
	struct config_cert cert;
};

struct config_state {
	struct conf_set set;
	const char *dir;
	int64_t sync_s;
};

struct config_metrics {
	struct conf_set set;
	const char *listen; /* "": off */
};

struct config_plugins {
	struct conf_set set;
	struct json_list allow, path;
};

struct config_site { /* of Yassp */
	struct conf_set set;
	const char *config, *section;
};

struct config {
	struct conf_set set;
	struct config_log log;
	struct conf_array cores;   /* struct config_core, of known types only */
	struct config_core engine; /* all cores in one: what the built-in engine goes by */
	struct config_state state;
	struct config_metrics metrics;
	struct config_plugins plugins;
	const struct json_value
		*manager;	 /* NULL: none; manager/manager_keys.h knows what it holds */
	struct conf_array yassp; /* struct config_site */
	const struct json_value *nodes_value;
	int64_t workers;    /* 0: one per core of the machine */
	int64_t memory_MiB; /* 0: half of what there is */
	int64_t aead;	    /* enum config_aead */
	bool allow_http_include;
	int64_t shutdown_grace_s, shutdown_push_timeout_s, drain_timeout_s;

	const struct config_node **nodes;
	size_t nnodes;
	int64_t api_type;	/* of nodes that do not say theirs; not the file's word */
	const char *path, *dir; /* of the file; dir without a slash at its end */
	const char **files;	/* all that was read, `path` first: to be watched */
	size_t nfiles;
	struct arena arena; /* holds all of the above, and the config itself */
};

extern const struct conf_schema config_schema, config_node_schema, config_log_schema,
	config_core_schema, config_core_log_schema, config_core_connection_schema,
	config_core_ntp_schema, config_limit_schema, config_dynamic_schema, config_cert_schema,
	config_fallback_schema, config_multiplex_schema, config_state_schema, config_metrics_schema,
	config_plugins_schema, config_site_schema;

/* Fetches what an Include names by its address.  0 with the text, which the caller frees; or
 * negative with a sentence in `why`.
 */
#define CONFIG_FETCH_WHY 256
typedef int config_fetch(const char *url, char **text, size_t *len, char why[CONFIG_FETCH_WHY]);

/* Reads what the sections mean that are others' business, such as Manager and Yassp, once the file's own
 * rows are read: what is wrong is reported with the rest.  0 or -ENOMEM.
 */
typedef int config_sections(void *arg, struct conf_reader *r, const struct json_value *doc,
			    struct config *c);

struct config_env {
	config_fetch *fetch;	   /* NULL: addresses are refused */
	config_sections *sections; /* NULL: nobody reads them */
	void *arg;		   /* of `sections` */
	int64_t api_type;	   /* enum config_api_type of nodes that do not say theirs */
};

/* The file with all it includes, or NULL: report->errors is not 0.  Warnings may come with both.
 * `env` NULL: an empty one.
 */
struct config *config_load(const char *path, const struct config_env *env,
			   struct conf_report *report);

/* Inside `sections`: one more file that the configuration consists of.  `path` lives as long as it. */
MUST_CHECK int config_note_file(struct conf_reader *r, struct config *c, const char *path);

/* The path of a file that `from` names: beside it, else where the process stands.  NULL: no memory. */
const char *config_resolve(struct arena *a, const char *from, const char *path);

/* The same from memory; `path` names the text in the report and is where includes start from. */
struct config *config_parse(const char *text, size_t len, const char *path,
			    struct conf_report *report);

void config_free(struct config *c);

/* Where a node's certificate (or its key) lies, for that domain: CertFile (KeyFile) with {domain}
 * and {email} replaced, else cert/DOMAIN.crt (.key) beside the configuration.  0, -ENOBUFS.
 */
MUST_CHECK int config_cert_path(const struct config *c, const struct config_node *n,
				const char *domain, bool key, char *out, size_t cap);

/* The name of a dialect as files spell it: "v2sp". */
const char *config_api_name(int64_t api_type);

/* The whole reference of the options, in Markdown. */
void config_print_reference(FILE *to);

#endif
