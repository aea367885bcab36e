/* info.h - what a control source says about one node: the model that every panel dialect is decoded
 * into and that the node is built from (spec: panel-apis, section 3).
 *
 * Everything hangs off one arena: a decoder makes a node_info, fills it, and from then on it is
 * read-only.  Texts are never NULL unless the line says so, and never
 * hold a NUL byte inside.  Values are normalised: names lower-case, defaults filled in, so that two
 * documents which mean the same compare equal (A.11).
 *
 * Threads: built, referenced and released by control; the contents are const afterwards, any thread
 * may read.
 */
#ifndef WEIR_NODE_INFO_H
#define WEIR_NODE_INFO_H

#include "base/arena.h"
#include "base/base.h"

enum node_type {
	NODE_TYPE_NONE, /* not known (yet) */
	NODE_VLESS,
	NODE_VMESS,
	NODE_TROJAN,
	NODE_SHADOWSOCKS,
	NODE_HYSTERIA, /* version 1 */
	NODE_HYSTERIA2,
	NODE_TUIC,
	NODE_ANYTLS,
	NODE_SOCKS,
	NODE_HTTP,
	NODE_NAIVE,
	NODE_MIERU,
	NODE_TYPES
};

enum node_network {
	NET_TCP,
	NET_WS,
	NET_GRPC,
	NET_HTTPUPGRADE,
	NET_XHTTP,
	NET_H2,
	NET_KCP,
	NET_QUIC,
	NODE_NETWORKS
};

enum node_security {
	SECURITY_NONE,
	SECURITY_TLS,
	SECURITY_REALITY,
};

struct text_list {
	const char **v;
	size_t n;
};

struct node_header {
	const char *name; /* as given; compares without case */
	struct text_list values;
};

struct header_list {
	struct node_header *v;
	size_t n;
};

/* One half of tcp's http disguise; texts are NULL where the panel said nothing. */
struct node_http_head {
	const char *version, *method, *status, *reason;
	struct text_list paths;
	struct header_list headers;
};

/* `network_settings`: which of these matter depends on `network`.  Texts may be NULL: not given. */
struct node_transport {
	bool accept_proxy_protocol;
	const char *header_type; /* tcp, kcp, quic: NULL or "none", "http", "srtp", ... */
	struct node_http_head request, response;

	const char *path;	/* ws, httpupgrade, xhttp, h2: begins with '/', without "?ed=" */
	int64_t early_data;	/* ws: from "?ed=N" */
	struct text_list hosts; /* ws, httpupgrade, xhttp: at most one; h2: any number */
	struct header_list headers; /* without Host, which is in `hosts` */
	int64_t heartbeat_s;
	const char *service_name; /* grpc */
	bool multi_mode;
	const char *authority;
	const char *mode;  /* xhttp */
	const char *extra; /* xhttp: a JSON object as compact text */

	int64_t mtu, tti, uplink_capacity, downlink_capacity, read_buffer,
		write_buffer; /* kcp, 0: not given */
	bool congestion;
	const char *seed;
	const char *quic_security, *quic_key;
};

struct node_tls {
	const char *server_name; /* NULL: not given; the first of server_names otherwise */
	struct text_list server_names;
	struct text_list alpn;
	bool reject_unknown_sni;
	bool ech_enabled;
	const char *ech_key, *ech_config, *ech_query_name; /* NULL: not given */
};

#define REALITY_KEY_LEN 32

struct node_throttle {
	int64_t after_bytes, bytes_per_s, burst_bytes_per_s; /* bytes_per_s 0: none */
};

struct node_reality {
	const char *dest;
	uint16_t dest_port;
	struct text_list server_names;
	struct text_list short_ids; /* lower-case hex, even length <= 16; "" is one too */
	uint8_t private_key[REALITY_KEY_LEN];
	int64_t xver;
	const char *mldsa65_seed;		     /* NULL: none */
	const char *min_client_ver, *max_client_ver; /* NULL: none */
	int64_t max_time_diff_ms;		     /* 0: none */
	struct node_throttle limit_up, limit_down;   /* of strangers */
};

struct node_mux {
	bool enabled, padding, brutal;
	const char *protocol; /* NULL: not given */
	int64_t max_connections, brutal_up_mbps, brutal_down_mbps;
};

struct node_env {
	const char *name, *value;
};

struct env_list {
	struct node_env *v;
	size_t n;
};

/* Certificate data from the panel; NULL texts: not given.  Paths and the environment are present
 * only where AllowRemoteOptions let them in.
 */
struct node_cert {
	const char *mode; /* NULL: the panel says nothing; none file self http dns content */
	const char *domain, *email, *provider;
	struct env_list dns_env;
	int64_t http_port;
	const char *cert_file, *key_file, *cert_pem, *key_pem;
};

struct node_route {
	int64_t id;
	const char *action; /* lower-case */
	struct text_list match;
	const char *value; /* NULL: none */
};

struct route_list {
	struct node_route *v;
	size_t n;
};

struct node_fallback {
	const char *sni, *alpn, *path; /* "" matches any */
	const char *dest;
	int64_t proxy_protocol;
};

struct fallback_list {
	struct node_fallback *v;
	size_t n;
};

/* Options of the local file that a panel sent along (A3 rule 4): they fill what the file did not
 * set. `set` has a bit for each that was there.
 */
enum remote_option {
	REMOTE_LISTEN_IP = 1 << 0,
	REMOTE_SEND_IP = 1 << 1,
	REMOTE_ONLINE_MIN = 1 << 2,
	REMOTE_REPORT_MIN = 1 << 3,
	REMOTE_SPEED_LIMIT = 1 << 4,
	REMOTE_DEVICE_LIMIT = 1 << 5,
	REMOTE_CONN_LIMIT = 1 << 6,
	REMOTE_XTLS = 1 << 7,
	REMOTE_VLESS = 1 << 8,
	REMOTE_DISABLE_SNIFFING = 1 << 9,
	REMOTE_SNIFF = 1 << 10,
	REMOTE_SNIFF_OVERRIDE = 1 << 11,
	REMOTE_FALLBACK = 1 << 12,
	REMOTE_FALLBACKS = 1 << 13,
	REMOTE_CERT_MODE = 1 << 14,
	REMOTE_CERT_DOMAIN = 1 << 15,
	REMOTE_CERT_PROVIDER = 1 << 16,
	REMOTE_CERT_EMAIL = 1 << 17,
	REMOTE_CERT_FILE = 1 << 18, /* only with AllowRemoteOptions, like the next two */
	REMOTE_KEY_FILE = 1 << 19,
	REMOTE_DNS_ENV = 1 << 20,
	REMOTE_SPEED_SCOPE = 1 << 21,
};

struct remote_options {
	int64_t set; /* enum remote_option bits */
	struct text_list listen_ip;
	const char *send_ip;
	int64_t online_min_kb, report_min_kib;
	double speed_limit_mbps;
	bool speed_limit_sum; /* SpeedLimitScope "sum" */
	int64_t device_limit, conn_limit;
	bool enable_xtls, enable_vless;
	bool disable_sniffing, enable_sniff, sniff_override;
	bool enable_fallback;
	struct fallback_list fallbacks;
	const char *cert_mode, *cert_domain, *cert_provider, *cert_email, *cert_file, *key_file;
	struct env_list dns_env;
};

struct node_info {
	enum node_type type;
	const char *listen_ip; /* NULL: not given */
	uint16_t port;
	uint16_t hop_from, hop_to; /* hysteria2 port range, both ends; 0: none */
	enum node_network network;
	enum node_security security;
	struct node_transport transport;
	struct node_tls tls;
	struct node_reality reality;
	const char *host, *server_name; /* NULL: not given */

	struct {
		bool vision;		/* flow xtls-rprx-vision */
		const char *decryption; /* "none" or the whole dotted string */
	} vless;
	struct {
		const char *cipher;	/* lower-case; NULL unless shadowsocks */
		const char *server_key; /* base64 as given; NULL: none */
		const char *plugin, *plugin_opts;
		const char *obfs, *obfs_path, *obfs_host; /* "http" or NULL */
	} ss;
	struct {
		int64_t version;
		int64_t up_mbps, down_mbps;	       /* towards, from the client; 0: no Brutal */
		const char *obfs_type, *obfs_password; /* NULL: off */
		bool ignore_client_bandwidth;
	} hysteria;
	struct {
		int64_t version;
		const char *congestion_control; /* cubic new_reno bbr */
		bool zero_rtt;
		int64_t auth_timeout_ms, heartbeat_ms;
	} tuic;
	struct text_list padding_scheme; /* anytls; empty: built-in */
	struct {
		const char *transport; /* "tcp" or "udp" */
		const char *traffic_pattern;
	} mieru;
	struct node_mux multiplex;
	struct node_cert cert;

	struct route_list routes;
	const char *custom_outbounds, *custom_routes, *custom_route_rules; /* JSON text or NULL */
	int64_t push_interval_s, pull_interval_s;
	int64_t report_min_kb,
		online_min_kb; /* base_config of v2node (kB of 1000 bytes); -1: not given */
	struct remote_options remote;

	struct arena mem; /* holds all of the above */
	unsigned refs;	  /* control thread only */
};

/* What a change from one to the other asks for (A.11). */
enum node_change {
	NODE_SAME,
	NODE_LIVE,    /* routes, intervals, limits: publish, keep the inbound */
	NODE_REBUILD, /* another inbound */
};

/* An empty one with the defaults of section 3 and one reference; NULL: no memory. */
struct node_info *node_info_new(void);

/* References are counted on the control thread; whoever hands `info` to workers keeps one until the
 * last of them has let go.  put(NULL) is fine.
 */
struct node_info *node_info_get(struct node_info *info);
void node_info_put(struct node_info *info);

bool node_info_equal(const struct node_info *a, const struct node_info *b);

/* The heaviest difference; `field`, where not NULL, gets the name of the first field of that weight
 * (static storage, NULL when the same), for the log.
 */
enum node_change node_info_diff(const struct node_info *a, const struct node_info *b,
				const char **field);

/* Type names with all their aliases (3.1): "hy2", "ss", " V2Ray ".  NODE_TYPE_NONE: not one of
 * ours. Plain "hysteria" is version 1 here; the decoder looks at `version`.  "https" is NODE_HTTP.
 */
enum node_type node_type_parse(const char *text);
const char *node_type_name(enum node_type t); /* never NULL */

/* "raw", "splithttp", ...; -ERR_UNSUPPORTED for a name nobody knows.  "" is tcp. */
MUST_CHECK int node_network_parse(const char *text, enum node_network *out);
const char *node_network_name(enum node_network n);
const char *node_security_name(enum node_security s);

/* For people: the security that is `served` below (in front of a node may be somebody else's), or
 * else what the protocol brings itself, as a cipher's name.
 */
const char *node_protection_name(const struct node_info *i, enum node_security served);

/* Types whose TLS is always on and whose wire is UDP. */
bool node_type_is_quic(enum node_type t);

/* Add a copy of `len` bytes to a list that lives in `mem`; 0 or -ENOMEM. */
MUST_CHECK int text_list_add(struct arena *mem, struct text_list *l, const char *text, size_t len);
bool text_list_equal(const struct text_list *a, const struct text_list *b);
bool text_list_has(const struct text_list *l, const char *text);

#endif
