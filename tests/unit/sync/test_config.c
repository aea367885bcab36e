/* test_config.c - v2sp configurations: shapes, spellings, types, and what makes one invalid (A.4,
 * A.14). */
#include "unit.h"

#include <stdio.h>

#include "sync/flat.h"
#include "sync/v2sp.h"

static struct notes notes;
static const struct panel plain = {
	.host = "http://p", .key = "k", .node_id = "7", .enable_vless = -1};

static struct node_info *decode_as(const struct panel *p, const char *body)
{
	struct node_info *info = NULL;

	memset(&notes, 0, sizeof(notes));
	if (v2sp_config(p, body, strlen(body), &info, &notes) != ANSWER_OK)
		fail_msg("%s: %s", notes.why, body);
	return info;
}

static struct node_info *decode(const char *body)
{
	return decode_as(&plain, body);
}

static void check_class(const char *body, enum answer_class want, const char *why)
{
	struct node_info *info = NULL;
	enum answer_class class;

	memset(&notes, 0, sizeof(notes));
	class = v2sp_config(&plain, body, strlen(body), &info, &notes);
	if (class != want || (why && !strstr(notes.why, why)))
		fail_msg("%s, %s: %s", answer_name(class), notes.why, body);
	assert_null(info);
}

#define SS    "\"node_type\":\"shadowsocks\",\"cipher\":\"AES-256-gcm\""
#define KEY32 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

static void the_first_example_decodes(void **state)
{
	struct node_info *i = decode(
		"{ \"node_type\": \"vless\", \"server_port\": \"8443\", \"network\": \"grpc\","
		"\"networkSettings\": { \"serviceName\": \"feed\" }, \"tls\": 2, \"flow\": \"\","
		"\"tls_settings\": { \"server_name\": \"cdn.example.net\", \"server_port\": 443,"
		"\"short_id\": \"a1b2c3d4\", \"private_key\": \"" KEY32 "\", \"xver\": \"0\" },"
		"\"routes\": [ { \"id\": 3, \"match\": [\"regexp:(^|\\\\.)ads\\\\.example$\","
		"\"protocol:bittorrent\"], \"action\": \"block\" } ],"
		"\"base_config\": { \"push_interval\": 30, \"pull_interval\": \"45\" } }");

	assert_int_equal(i->type, NODE_VLESS);
	assert_int_equal(i->port, 8443);
	assert_int_equal(i->network, NET_GRPC);
	assert_string_equal(i->transport.service_name, "feed");
	assert_int_equal(i->security, SECURITY_REALITY);
	assert_false(i->vless.vision);
	assert_string_equal(i->reality.dest, "cdn.example.net");
	assert_int_equal(i->reality.dest_port, 443);
	assert_int_equal(i->reality.short_ids.n, 1);
	assert_string_equal(i->reality.short_ids.v[0], "a1b2c3d4");
	assert_int_equal(i->reality.private_key[31], 31);
	assert_int_equal(i->routes.n, 1);
	assert_string_equal(i->routes.v[0].match.v[0], "regexp:(^|\\.)ads\\.example$");
	assert_string_equal(i->routes.v[0].action, "block");
	assert_null(i->routes.v[0].value);
	assert_int_equal(i->push_interval_s, 30);
	assert_int_equal(i->pull_interval_s, 45);
	assert_int_equal(notes.n, 0);
	node_info_put(i);
}

static void the_second_example_decodes(void **state)
{
	struct node_info *i = decode(
		"{ \"node_type\": \"hysteria2\", \"server_port\": \"30000-30100\","
		"\"server_name\": \"q.example.net\", \"up_mbps\": 0, \"down_mbps\": 0,"
		"\"obfs\": \"salamander\", \"obfs-password\": \"k7f2\", \"base_config\": [] }");

	assert_int_equal(i->type, NODE_HYSTERIA2);
	assert_int_equal(i->hysteria.version, 2);
	assert_int_equal(i->port, 30000);
	assert_int_equal(i->hop_from, 30000);
	assert_int_equal(i->hop_to, 30100);
	assert_int_equal(i->security, SECURITY_TLS);
	assert_string_equal(i->tls.server_name, "q.example.net");
	assert_true(i->hysteria.ignore_client_bandwidth);
	assert_string_equal(i->hysteria.obfs_type, "salamander");
	assert_string_equal(i->hysteria.obfs_password, "k7f2");
	assert_int_equal(i->push_interval_s, 60);
	node_info_put(i);
}

static void the_third_example_decodes_out_of_a_whole_configuration(void **state)
{
	struct node_info *i =
		decode("{ \"Log\": {\"Level\":\"warn\"}, \"Cores\": [{\"Type\":\"xray\"}],"
		       "\"Nodes\": [ { \"ApiHost\":\"https://panel.test/node\", \"NodeID\": 7,"
		       "\"NodeType\":\"shadowsocks\", \"ListenIP\":\"::\","
		       "\"LimitConfig\": {\"SpeedLimit\": 50}, \"server_port\": 9443, \"cipher\": "
		       "\"aes-256-gcm\" } ] }");

	assert_int_equal(i->type, NODE_SHADOWSOCKS);
	assert_int_equal(i->port, 9443);
	assert_string_equal(i->ss.cipher, "aes-256-gcm");
	assert_int_equal(i->remote.set, REMOTE_LISTEN_IP | REMOTE_SPEED_LIMIT);
	assert_string_equal(i->remote.listen_ip.v[0], "::");
	assert_true(i->remote.speed_limit_mbps > 49 && i->remote.speed_limit_mbps < 51);
	node_info_put(i);
}

static void our_entry_is_found_by_id_and_type(void **state)
{
	struct panel p = plain;
	struct node_info *i;
	const char *doc = "{\"Nodes\":["
			  "{\"NodeID\":6,\"NodeType\":\"trojan\",\"server_port\":1},"
			  "{\"NodeID\":\"7\",\"NodeType\":\"trojan\",\"server_port\":2},"
			  "{\"ApiConfig\":{\"NodeID\":7,\"NodeType\":\"vmess\"},\"Options\":{"
			  "\"SendIP\":\"1.2.3.4\"},"
			  "\"NodeInfo\":{\"server_port\":3},\"server_port\":4}]}";

	i = decode_as(&p, doc);
	assert_int_equal(i->port, 2);
	node_info_put(i);
	p.type = NODE_VMESS;
	i = decode_as(&p, doc);
	assert_int_equal(i->port, 3); /* NodeInfo before the entry itself */
	assert_string_equal(i->remote.send_ip, "1.2.3.4");
	node_info_put(i);
	p.node_id = "9";
	check_class("{\"Nodes\":[{\"NodeID\":1},{\"NodeID\":2}]}", ANSWER_VALID,
		    "without our node");
	i = decode_as(&plain,
		      "{\"Nodes\":[{\"NodeID\":1},{\"NodeID\":2}],\"server_port\":5," SS "}");
	assert_int_equal(i->port, 5);
	node_info_put(i);
}

static void a_single_entry_is_ours_whatever_its_number(void **state)
{
	struct node_info *i = decode("{\"Nodes\":[{\"NodeID\":99,\"NodeType\":\"trojan\",\"server_"
				     "port\":1}],\"server_port\":8}");

	assert_int_equal(i->type, NODE_TROJAN);
	assert_int_equal(i->port, 8); /* the top level before the entry */
	node_info_put(i);
}

static void a_whole_configuration_without_inbound_is_called_that(void **state)
{
	check_class("{\"Log\":{},\"Cores\":[],\"Nodes\":[{\"NodeID\":7,\"NodeType\":\"vless\","
		    "\"ApiHost\":\"x\",\"ListenIP\":\"::\"}]}",
		    ANSWER_VALID, "full configuration without inbound parameters (server_port");
}

static void paths_and_environments_need_permission(void **state)
{
	const char *doc =
		"{\"Nodes\":[{\"NodeID\":7,\"server_port\":1," SS ","
		"\"CertConfig\":{\"CertMode\":\"DNS\",\"CertDomain\":\"a.b\",\"CertFile\":\"/x\","
		"\"DNSEnv\":{\"A\":\"1\"}}}]}";
	struct panel p = plain;
	struct node_info *i = decode(doc);

	assert_int_equal(i->remote.set, REMOTE_CERT_MODE | REMOTE_CERT_DOMAIN);
	assert_string_equal(i->remote.cert_mode, "dns");
	assert_null(i->remote.cert_file);
	assert_int_equal(i->remote.dns_env.n, 0);
	node_info_put(i);
	p.allow_remote = true;
	i = decode_as(&p, doc);
	assert_string_equal(i->remote.cert_file, "/x");
	assert_int_equal(i->remote.dns_env.n, 1);
	assert_string_equal(i->remote.dns_env.v[0].name, "A");
	node_info_put(i);
}

static void a_data_envelope_is_opened_once(void **state)
{
	struct node_info *i = decode("{\"data\":{\"server_port\":1," SS "}}");

	assert_int_equal(i->port, 1);
	node_info_put(i);
	check_class("{\"data\":{\"data\":{\"server_port\":1," SS "}}}", ANSWER_VALID, NULL);
}

static void what_is_not_a_configuration_is_told_apart(void **state)
{
	check_class("<html>", ANSWER_PARSE, "not JSON");
	check_class("", ANSWER_PARSE, "not JSON");
	check_class("{\"server_port\":1", ANSWER_PARSE, "not JSON");
	check_class("[]", ANSWER_VALID, NULL);
	check_class("{}", ANSWER_VALID, "node_type");
	check_class("{\"status\":\"fail\",\"message\":\"token is error\"}", ANSWER_APP,
		    "token is error");
	check_class("{\"ret\":0,\"msg\":\"no\"}", ANSWER_APP, "no");
	check_class("{\"node_type\":\"warp9\",\"server_port\":1}", ANSWER_VALID, "warp9");
}

static void an_envelope_beside_the_payload_is_no_failure(void **state)
{
	node_info_put(decode("{\"status\":\"fail\",\"server_port\":1," SS "}"));
}

static void types_that_differ_are_refused(void **state)
{
	struct panel p = plain;
	struct node_info *i = NULL;
	const char *doc = "{\"node_type\":\"trojan\",\"server_port\":1}";

	p.type = NODE_VLESS;
	memset(&notes, 0, sizeof(notes));
	assert_int_equal(v2sp_config(&p, doc, strlen(doc), &i, &notes), ANSWER_VALID);
	assert_non_null(strstr(notes.why, "trojan"));
	p.type = NODE_HYSTERIA2;
	doc = "{\"server_port\":1,\"version\":1}";
	assert_int_equal(v2sp_config(&p, doc, strlen(doc), &i, &notes), ANSWER_VALID);
	p.type = NODE_HYSTERIA;
	i = decode_as(&p, "{\"server_port\":1,\"version\":\"2\"}");
	assert_int_equal(i->type, NODE_HYSTERIA2);
	node_info_put(i);
	i = decode_as(&p, "{\"server_port\":1,\"obfs\":\"pw\"}");
	assert_int_equal(i->type, NODE_HYSTERIA);
	assert_int_equal(i->hysteria.version, 1);
	assert_string_equal(i->hysteria.obfs_password, "pw");
	node_info_put(i);
}

static void protocol_and_type_count_when_they_name_a_type(void **state)
{
	struct panel p = plain;
	struct node_info *i = decode("{\"protocol\":\"hy2\",\"server_port\":1}");

	assert_int_equal(i->type, NODE_HYSTERIA2);
	node_info_put(i);
	i = decode("{\"type\":\"Trojan\",\"server_port\":1}");
	assert_int_equal(i->type, NODE_TROJAN);
	node_info_put(i);
	p.type = NODE_MIERU;
	i = decode_as(&p, "{\"protocol\":1,\"server_port\":\"2012\",\"transport\":\"UDP\"}");
	assert_string_equal(i->mieru.transport, "udp");
	node_info_put(i);
}

static void enable_vless_turns_vmess(void **state)
{
	struct panel p = plain;
	struct node_info *i;

	p.type = NODE_VMESS;
	p.enable_vless = 1;
	i = decode_as(&p, "{\"node_type\":\"v2ray\",\"server_port\":1}");
	assert_int_equal(i->type, NODE_VLESS);
	node_info_put(i);
	p.enable_vless = -1;
	i = decode_as(&p,
		      "{\"Nodes\":[{\"NodeID\":7,\"EnableVless\":true}],\"node_type\":\"v2ray\","
		      "\"server_port\":1}");
	assert_int_equal(i->type, NODE_VLESS);
	node_info_put(i);
	p.enable_vless = 0;
	i = decode_as(&p,
		      "{\"Nodes\":[{\"NodeID\":7,\"EnableVless\":true}],\"node_type\":\"v2ray\","
		      "\"server_port\":1}");
	assert_int_equal(i->type, NODE_VMESS);
	node_info_put(i);
}

static void ports_are_numbers_or_texts_in_range(void **state)
{
	static const struct {
		const char *port;
		int want; /* 0: invalid */
	} rows[] = {{"443", 443},	{"\"443\"", 443}, {"443.0", 443},
		    {"\" 443 \"", 443}, {"0", 0},	  {"65536", 0},
		    {"-1", 0},		{"\"x\"", 0},	  {"[]", 0},
		    {"null", 0},	{"{\"a\":1}", 0}, {"1.5", 0},
		    {"\"20-10\"", 0},	{"65535", 65535}, {"\"1000-2000\"", 1000}};
	char doc[200];

	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		snprintf(doc, sizeof(doc), "{\"server_port\":%s," SS "}", rows[r].port);
		if (rows[r].want) {
			struct node_info *i = decode(doc);

			assert_int_equal(i->port, rows[r].want);
			assert_int_equal(i->hop_from, 0);
			node_info_put(i);
		} else {
			check_class(doc, ANSWER_VALID, "server_port");
		}
	}
	check_class("{" SS "}", ANSWER_VALID, "server_port is missing");
}

static void port_ranges_are_for_hysteria2(void **state)
{
	uint16_t port, from, to;
	struct node_info *i;

	assert_int_equal(flat_parse_port("443, 20000 - 50000", &port, &from, &to), 0);
	assert_true(port == 443 && from == 20000 && to == 50000);
	assert_int_equal(flat_parse_port("5-5", &port, &from, &to), -ERR_MALFORMED);
	assert_int_equal(flat_parse_port("443,444", &port, &from, &to), -ERR_MALFORMED);
	assert_int_equal(flat_parse_port("1-70000", &port, &from, &to), -ERR_MALFORMED);
	assert_int_equal(flat_parse_port("", &port, &from, &to), -ERR_MALFORMED);
	i = decode("{\"node_type\":\"trojan\",\"server_port\":\"10-20\"}");
	assert_int_equal(i->port, 10);
	assert_int_equal(i->hop_to, 0);
	assert_int_equal(notes.n, 1);
	node_info_put(i);
}

#define VMESS "\"node_type\":\"vmess\",\"server_port\":1"

static void network_settings_may_be_anything_empty(void **state)
{
	static const char *const empties[] = {"[]", "null", "\"\"", "{}", "\"{}\"", "\"[]\""};
	char doc[200];

	for (size_t e = 0; e < ARRAY_LEN(empties); e++) {
		struct node_info *i;

		snprintf(doc, sizeof(doc), "{" VMESS ",\"network\":\"ws\",\"networkSettings\":%s}",
			 empties[e]);
		i = decode(doc);
		assert_string_equal(i->transport.path, "/");
		assert_int_equal(i->transport.hosts.n, 0);
		node_info_put(i);
	}
	node_info_put(decode("{" VMESS "}"));
}

static void network_settings_may_be_json_in_a_text_and_camel_case_wins(void **state)
{
	struct node_info *i = decode("{" VMESS ",\"network\":\"websocket\","
				     "\"networkSettings\":\"{\\\"path\\\":\\\"live\\\"}\"}");

	assert_string_equal(i->transport.path, "/live");
	node_info_put(i);
	i = decode("{" VMESS ",\"network\":\"ws\",\"network_settings\":{\"path\":\"/a\"},"
		   "\"networkSettings\":{\"path\":\"/b\"}}");
	assert_string_equal(i->transport.path, "/b");
	node_info_put(i);
	i = decode("{" VMESS ",\"network\":\"ws\",\"network_settings\":{\"path\":\"/a\"},"
		   "\"networkSettings\":[]}");
	assert_string_equal(i->transport.path, "/a");
	node_info_put(i);
}

static void early_data_is_taken_out_of_the_path(void **state)
{
	static const struct {
		const char *path, *want;
		int64_t ed;
	} rows[] = {{"/x?ed=2048", "/x", 2048},
		    {"/x?a=1&ed=9", "/x?a=1", 9},
		    {"/x?ed=9&a=1", "/x?a=1", 9},
		    {"/x?red=9", "/x?red=9", 0},
		    {"/x?ed=-1", "/x", 0},
		    {"/x?ed=", "/x?ed=", 0},
		    {"/x?", "/x?", 0}};
	char doc[200];

	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		struct node_info *i;

		snprintf(doc, sizeof(doc),
			 "{" VMESS ",\"network\":\"ws\",\"networkSettings\":{\"path\":\"%s\"}}",
			 rows[r].path);
		i = decode(doc);
		assert_string_equal(i->transport.path, rows[r].want);
		assert_int_equal(i->transport.early_data, rows[r].ed);
		node_info_put(i);
	}
}

static void headers_hold_texts_or_lists_and_host_goes_to_the_hosts(void **state)
{
	struct node_info *i = decode(
		"{" VMESS
		",\"network\":\"ws\",\"networkSettings\":{\"headers\":{\"host\":\"a.example\","
		"\"X-One\":\"a, b\",\"X-Two\":[\"c\",5]}}}");

	assert_int_equal(i->transport.hosts.n, 1);
	assert_string_equal(i->transport.hosts.v[0], "a.example");
	assert_int_equal(i->transport.headers.n, 2);
	assert_string_equal(i->transport.headers.v[0].values.v[0], "a, b");
	assert_string_equal(i->transport.headers.v[1].values.v[1], "5");
	node_info_put(i);
	i = decode("{" VMESS ",\"network\":\"h2\",\"networkSettings\":{\"host\":[\"a\",\"b\"]}}");
	assert_int_equal(i->transport.hosts.n, 2);
	node_info_put(i);
}

static void the_http_disguise_of_tcp_is_read(void **state)
{
	struct node_info *i =
		decode("{" VMESS
		       ",\"network\":\"tcp\",\"networkSettings\":{\"acceptProxyProtocol\":\"true\","
		       "\"header\":{\"type\":\"http\",\"request\":{\"path\":[\"/a\",\"/"
		       "b\"],\"headers\":{\"Host\":[\"h\"]}},"
		       "\"response\":{\"status\":200,\"reason\":\"OK\"}}}}");

	assert_true(i->transport.accept_proxy_protocol);
	assert_string_equal(i->transport.header_type, "http");
	assert_int_equal(i->transport.request.paths.n, 2);
	assert_int_equal(i->transport.request.headers.n, 1);
	assert_string_equal(i->transport.response.status, "200");
	node_info_put(i);
}

static void xhttp_and_kcp_are_read(void **state)
{
	struct node_info *i = decode(
		"{" VMESS
		",\"network\":\"splithttp\",\"networkSettings\":{\"path\":\"/p\",\"host\":\"h\","
		"\"mode\":\"packet-up\",\"extra\":{ \"xPaddingBytes\" : \"1-2\", \"a\":[1, "
		"true,null] }}}");

	assert_int_equal(i->network, NET_XHTTP);
	assert_string_equal(i->transport.mode, "packet-up");
	assert_string_equal(i->transport.extra, "{\"xPaddingBytes\":\"1-2\",\"a\":[1,true,null]}");
	node_info_put(i);
	i = decode("{" VMESS
		   ",\"network\":\"mkcp\",\"networkSettings\":{\"mtu\":\"1350\",\"seed\":\"s\","
		   "\"congestion\":1,\"header\":{\"type\":\"srtp\"}}}");
	assert_int_equal(i->transport.mtu, 1350);
	assert_true(i->transport.congestion);
	assert_string_equal(i->transport.header_type, "srtp");
	node_info_put(i);
	check_class("{" VMESS ",\"network\":\"pigeon\"}", ANSWER_VALID, "pigeon");
}

#define REALITY_DOC(settings)                                                                      \
	"{\"node_type\":\"vless\",\"server_port\":1,\"tls\":\"2\",\"tls_settings\":{" settings "}" \
	"}"
#define PK "\"private_key\":\"" KEY32 "\""

static void reality_takes_texts_and_numbers(void **state)
{
	struct node_info *i = decode(REALITY_DOC(
		PK
		",\"server_name\":\"a.example, b.example\",\"dest\":\"c.example:8443\",\"xver\":1,"
		"\"server_port\":\"443\",\"short_ids\":[\"AB\",\"\"],\"shortId\":\"cd,ef\","
		"\"max_time_diff\":\"1m\",\"mldsa65Seed\":\"seed\",\"minClientVer\":\"1.8.0\","
		"\"limitFallbackUpload\":{\"afterBytes\":\"4096\",\"bytesPerSec\":1000},"
		"\"limit_fallback_download\":{\"bytes_per_sec\":7,\"burstBytesPerSec\":9}"));

	assert_int_equal(i->security, SECURITY_REALITY);
	assert_int_equal(i->reality.server_names.n, 2);
	assert_string_equal(i->reality.server_names.v[1], "b.example");
	assert_string_equal(i->reality.dest, "c.example");
	assert_int_equal(i->reality.dest_port, 8443);
	assert_int_equal(i->reality.xver, 1);
	assert_int_equal(i->reality.short_ids.n, 4);
	assert_string_equal(i->reality.short_ids.v[0], "ab");
	assert_int_equal(i->reality.max_time_diff_ms, 60000);
	assert_string_equal(i->reality.mldsa65_seed, "seed");
	assert_string_equal(i->reality.min_client_ver, "1.8.0");
	assert_int_equal(i->reality.limit_up.after_bytes, 4096);
	assert_int_equal(i->reality.limit_up.bytes_per_s, 1000);
	assert_int_equal(i->reality.limit_up.burst_bytes_per_s, 0);
	assert_int_equal(i->reality.limit_down.bytes_per_s, 7);
	assert_int_equal(i->reality.limit_down.burst_bytes_per_s, 9);
	node_info_put(i);
	i = decode(REALITY_DOC(PK ",\"sni\":\"a\",\"xver\":\"2\",\"dest_port\":\"8000\""));
	assert_int_equal(i->reality.xver, 2);
	assert_int_equal(i->reality.dest_port, 8000);
	assert_string_equal(i->reality.dest, "a");
	assert_int_equal(i->reality.short_ids.n, 1);
	assert_string_equal(i->reality.short_ids.v[0], "");
	node_info_put(i);
}

static void reality_destinations_have_many_forms(void **state)
{
	static const struct {
		const char *dest, *host;
		int port;
	} rows[] = {
		{"h:1", "h", 1},     {"[::1]:2", "::1", 2},	  {"[::1]", "::1", 443},
		{"::1", "::1", 443}, {"8443", "127.0.0.1", 8443}, {"/run/x.sock", "/run/x.sock", 0},
		{"h", "h", 443}};
	char doc[300];

	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		struct node_info *i;

		snprintf(doc, sizeof(doc), REALITY_DOC(PK ",\"sni\":\"a\",\"dest\":\"%s\""),
			 rows[r].dest);
		i = decode(doc);
		assert_string_equal(i->reality.dest, rows[r].host);
		assert_int_equal(i->reality.dest_port, rows[r].port);
		node_info_put(i);
	}
	check_class(REALITY_DOC(PK ",\"sni\":\"a\",\"dest\":\"h:0\""), ANSWER_VALID, "dest");
	check_class(REALITY_DOC(PK ",\"sni\":\"a\",\"dest\":\"[::1\""), ANSWER_VALID, "dest");
}

static void reality_needs_key_and_name(void **state)
{
	check_class(REALITY_DOC("\"sni\":\"a\""), ANSWER_VALID, "private_key");
	check_class(REALITY_DOC("\"sni\":\"a\",\"private_key\":\"short\""), ANSWER_VALID,
		    "private_key");
	check_class(REALITY_DOC(PK), ANSWER_VALID, "server_name");
	check_class(REALITY_DOC(PK ",\"sni\":\"a\",\"short_id\":\"xyz\""), ANSWER_VALID,
		    "short_id");
	check_class("{\"node_type\":\"vless\",\"server_port\":1,\"tls\":2,\"tls_settings\":[]}",
		    ANSWER_VALID, "server_name");
}

static void gaps_of_tls_settings_are_filled_from_security_settings(void **state)
{
	struct node_info *i =
		decode("{\"node_type\":\"vless\",\"server_port\":1,\"tls\":2,\"tls_settings\":{"
		       "\"sni\":\"a\"},"
		       "\"tlsSettings\":{\"sni\":\"b\"},\"security_settings\":{\"sni\":\"c\"},"
		       "\"reality_settings\":{" PK "}}");

	assert_string_equal(i->reality.server_names.v[0], "b");
	assert_int_equal(i->reality.private_key[1], 1);
	node_info_put(i);
}

static void standard_base64_keys_are_accepted(void **state)
{
	struct node_info *i = decode(REALITY_DOC(
		"\"sni\":\"a\",\"private_key\":\"//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=\""));

	assert_int_equal(i->reality.private_key[0], 0xff);
	node_info_put(i);
}

static void security_depends_on_the_type(void **state)
{
	static const struct {
		const char *doc;
		enum node_security want;
	} rows[] = {
		{"{\"node_type\":\"vless\",\"server_port\":1}", SECURITY_NONE},
		{"{\"node_type\":\"vless\",\"server_port\":1,\"tls\":true}", SECURITY_TLS},
		{"{\"node_type\":\"trojan\",\"server_port\":1}", SECURITY_TLS},
		{"{\"node_type\":\"trojan\",\"server_port\":1,\"tls\":0}", SECURITY_NONE},
		{"{\"node_type\":\"tuic\",\"server_port\":1,\"tls\":0}", SECURITY_TLS},
		{"{\"node_type\":\"anytls\",\"server_port\":1}", SECURITY_TLS},
		{"{" SS ",\"server_port\":1,\"tls\":1}", SECURITY_NONE},
		{"{\"node_type\":\"https\",\"server_port\":1}", SECURITY_TLS},
		{"{\"node_type\":\"http\",\"server_port\":1}", SECURITY_NONE},
	};

	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		struct node_info *i = decode(rows[r].doc);

		assert_int_equal(i->security, rows[r].want);
		node_info_put(i);
	}
	check_class("{\"node_type\":\"vless\",\"server_port\":1,\"tls\":3}", ANSWER_VALID, "tls");
	check_class("{\"node_type\":\"vless\",\"server_port\":1,\"tls\":\"on\"}", ANSWER_VALID,
		    "tls");
}

static void vless_flow_and_encryption(void **state)
{
	struct node_info *i = decode(
		"{\"node_type\":\"vless\",\"server_port\":1,\"flow\":\"xtls-rprx-vision-udp443\"}");

	assert_true(i->vless.vision);
	assert_string_equal(i->vless.decryption, "none");
	node_info_put(i);
	i = decode(
		"{\"node_type\":\"vless\",\"server_port\":1,\"encryption\":\"mlkem768x25519plus\","
		"\"encryption_settings\":{\"private_key\":\"K\",\"server_padding\":\"100-111-"
		"1111\"}}");
	assert_string_equal(i->vless.decryption, "mlkem768x25519plus.native.600s.100-111-1111.K");
	node_info_put(i);
	i = decode(
		"{\"node_type\":\"vless\",\"server_port\":1,\"encryption\":\"mlkem768x25519plus\","
		"\"encryption_settings\":{\"private_key\":\"K\",\"mode\":\"xorpub\",\"ticket\":"
		"\"0s\"}}");
	assert_string_equal(i->vless.decryption, "mlkem768x25519plus.xorpub.0s.K");
	node_info_put(i);
	i = decode(
		"{\"node_type\":\"vless\",\"server_port\":1,\"encryption\":\"mlkem768x25519plus\","
		"\"decryption\":\"mlkem768x25519plus.random.600s.K\"}");
	assert_string_equal(i->vless.decryption, "mlkem768x25519plus.random.600s.K");
	node_info_put(i);
	check_class("{\"node_type\":\"vless\",\"server_port\":1,\"encryption\":\"aes-128-gcm\"}",
		    ANSWER_VALID, "aes-128-gcm");
	check_class(
		"{\"node_type\":\"vless\",\"server_port\":1,\"encryption\":\"mlkem768x25519plus\"}",
		ANSWER_VALID, "private_key");
}

static void shadowsocks_needs_a_cipher_and_for_2022_a_key(void **state)
{
	struct node_info *i;

	check_class("{\"node_type\":\"ss\",\"server_port\":1}", ANSWER_VALID, "cipher");
	check_class(
		"{\"node_type\":\"ss\",\"server_port\":1,\"cipher\":\"2022-blake3-aes-128-gcm\"}",
		ANSWER_VALID, "server_key");
	i = decode("{\"node_type\":\"ss\",\"server_port\":1,\"method\":\"2022-blake3-aes-128-gcm\","
		   "\"serverKey\":\"MDEyMzQ1Njc4OWFiY2RlZg==\",\"obfs\":\"http\",\"obfs_settings\":"
		   "{\"path\":\"/o\"}}");
	assert_string_equal(i->ss.server_key, "MDEyMzQ1Njc4OWFiY2RlZg==");
	assert_string_equal(i->ss.obfs, "http");
	assert_string_equal(i->ss.obfs_path, "/o");
	node_info_put(i);
}

static void hysteria2_obfs_has_its_rules(void **state)
{
	static const struct {
		const char *fields, *type, *password;
	} rows[] = {
		{"\"obfs\":\"salamander\",\"obfs_password\":\"p\"", "salamander", "p"},
		{"\"obfs\":\"secret text\"", "salamander", "secret text"},
		{"\"obfs\":null,\"obfs-password\":\"unused\"", NULL, NULL},
		{"\"obfs\":\"plain\",\"obfsPassword\":\"p\"", NULL, NULL},
		{"\"obfs\":\"none\"", NULL, NULL},
		{"\"obfs\":\"\"", NULL, NULL},
		{"\"x\":1", NULL, NULL},
	};
	char doc[200];

	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		struct node_info *i;

		snprintf(doc, sizeof(doc),
			 "{\"node_type\":\"hy2\",\"server_port\":1,\"up\":100,%s}", rows[r].fields);
		i = decode(doc);
		assert_int_equal(i->hysteria.up_mbps, 100);
		assert_false(i->hysteria.ignore_client_bandwidth);
		if (rows[r].type) {
			assert_string_equal(i->hysteria.obfs_type, rows[r].type);
			assert_string_equal(i->hysteria.obfs_password, rows[r].password);
		} else {
			assert_null(i->hysteria.obfs_type);
			assert_null(i->hysteria.obfs_password);
		}
		node_info_put(i);
	}
}

static void tuic_and_anytls_are_read(void **state)
{
	struct node_info *i =
		decode("{\"protocol\":\"tuic\",\"version\":5,\"server_port\":8443,"
		       "\"congestion_control\":\"BBR\",\"zero_rtt_handshake\":1,"
		       "\"auth_timeout\":\"500ms\",\"heartbeat\":10,\"tls_settings\":null}");

	assert_string_equal(i->tuic.congestion_control, "bbr");
	assert_true(i->tuic.zero_rtt);
	assert_int_equal(i->tuic.auth_timeout_ms, 500);
	assert_int_equal(i->tuic.heartbeat_ms, 10000);
	node_info_put(i);
	i = decode("{\"protocol\":\"anytls\",\"server_port\":\"9443\",\"network\":null,"
		   "\"networkSettings\":[],"
		   "\"padding_scheme\":[\"stop=3\",\"0=20-40\",\"1=90-300,c,5\"]}");
	assert_int_equal(i->padding_scheme.n, 3);
	assert_string_equal(i->padding_scheme.v[2], "1=90-300,c,5");
	node_info_put(i);
	i = decode("{\"protocol\":\"anytls\",\"server_port\":1,\"padding_scheme\":\"stop=3\\n1=90-"
		   "300,c,5\"}");
	assert_int_equal(i->padding_scheme.n, 2);
	assert_string_equal(i->padding_scheme.v[1], "1=90-300,c,5");
	node_info_put(i);
	i = decode("{\"protocol\":\"anytls\",\"server_port\":1,\"padding_scheme\":\"[\\\"stop="
		   "3\\\",\\\"1=9\\\"]\"}");
	assert_int_equal(i->padding_scheme.n, 2);
	node_info_put(i);
}

static void matches_are_lists_texts_or_gappy_objects(void **state)
{
	static const char *const matches[] = {"[\"a\",\"b\"]", "\"a,b\"", "\"a\\nb\"",
					      "{\"5\":\"b\",\"2\":\"a\"}"};
	char doc[300];

	for (size_t m = 0; m < ARRAY_LEN(matches); m++) {
		struct node_info *i;

		snprintf(doc, sizeof(doc),
			 "{\"server_port\":1," SS
			 ",\"routes\":[{\"id\":\"9\",\"match\":%s,\"action\":\"Block\","
			 "\"action_value\":null}]}",
			 matches[m]);
		i = decode(doc);
		assert_int_equal(i->routes.v[0].id, 9);
		assert_int_equal(i->routes.v[0].match.n, 2);
		assert_string_equal(i->routes.v[0].match.v[0], "a");
		assert_string_equal(i->routes.v[0].match.v[1], "b");
		assert_string_equal(i->routes.v[0].action, "block");
		node_info_put(i);
	}
}

static void routes_survive_bad_neighbours(void **state)
{
	struct node_info *i =
		decode("{\"server_port\":1," SS
		       ",\"routes\":[5,{\"match\":\"x\"},{\"action\":\"dns\",\"match\":[],"
		       "\"action_value\":\"1.1.1.1\"},{\"action\":\"route\",\"match\":\"a\","
		       "\"action_value\":{\"tag\":\"t\"}},"
		       "{\"action\":\"block\",\"match\":7}]}");

	assert_int_equal(i->routes.n, 2);
	assert_string_equal(i->routes.v[0].value, "1.1.1.1");
	assert_string_equal(i->routes.v[1].value, "{\"tag\":\"t\"}");
	assert_int_equal(notes.n, 3);
	node_info_put(i);
}

static void ten_thousand_rules_decode(void **state)
{
	struct text t = {0};
	struct node_info *i;

	text_adds(&t, "{\"server_port\":1," SS ",\"routes\":[");
	for (int r = 0; r < 10000; r++)
		text_addf(&t,
			  "%s{\"id\":%d,\"match\":[\"domain:d%d.example\"],\"action\":\"block\"}",
			  r ? "," : "", r, r);
	text_adds(&t, "]}");
	i = decode(t.s);
	assert_int_equal(i->routes.n, 10000);
	assert_string_equal(i->routes.v[9999].match.v[0], "domain:d9999.example");
	text_done(&t);
	node_info_put(i);
}

static void intervals_are_lenient_and_bounded(void **state)
{
	static const struct {
		const char *base;
		int want;
	} rows[] = {{"{\"pull_interval\":5}", 5},
		    {"{\"pull_interval\":\"45\"}", 45},
		    {"{\"pull_interval\":0}", 60},
		    {"{\"pull_interval\":-5}", 60},
		    {"{\"pull_interval\":\"x\"}", 60},
		    {"{\"pull_interval\":99999999}", 86400},
		    {"[]", 60},
		    {"null", 60},
		    {"7", 60},
		    {"{\"pull_interval\":60.0}", 60}};
	char doc[200];

	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		struct node_info *i;

		snprintf(doc, sizeof(doc), "{\"server_port\":1," SS ",\"base_config\":%s}",
			 rows[r].base);
		i = decode(doc);
		assert_int_equal(i->pull_interval_s, rows[r].want);
		node_info_put(i);
	}
}

static void keys_are_found_in_any_case_and_the_last_duplicate_wins(void **state)
{
	struct node_info *i = decode("{\"SERVER_PORT\":1,\"Node_Type\":\"trojan\"}");

	assert_int_equal(i->port, 1);
	node_info_put(i);
	i = decode(
		"{\"server_port\":1,\"server_port\":2,\"node_type\":\"trojan\",\"Server_Port\":3}");
	assert_int_equal(i->port, 2);
	node_info_put(i);
}

static void remarks_name_the_field_and_no_secret(void **state)
{
	struct node_info *i =
		decode("{\"server_port\":1,\"node_type\":\"hysteria2\",\"up_mbps\":\"fast\","
		       "\"obfs\":\"x\",\"obfs_password\":[\"geheim\"]}");

	assert_int_equal(notes.n, 2);
	assert_non_null(strstr(notes.text[0], "up_mbps"));
	for (unsigned n = 0; n < notes.n; n++)
		assert_null(strstr(notes.text[n], "geheim"));
	node_info_put(i);
}

static void the_same_document_in_other_words_is_the_same(void **state)
{
	struct node_info *a =
		decode("{\"server_port\":\"443\",\"node_type\":\"v2ray\",\"network\":\"ws\","
		       "\"networkSettings\":{\"path\":\"x\"},\"tls\":\"1\",\"server_name\":\"h\"}");
	struct node_info *b = decode(
		"{\"base_config\":[],\"port\":443,\"protocol\":\"vmess\",\"transport\":"
		"\"websocket\","
		"\"network_settings\":{\"path\":\"/x\",\"headers\":[]},\"tls\":1,\"sni\":\"h\"}");
	const char *field = NULL;

	if (node_info_diff(a, b, &field) != NODE_SAME)
		fail_msg("%s", field);
	node_info_put(a);
	node_info_put(b);
}

static void certificates_may_stand_in_tls_settings_or_cert_config(void **state)
{
	const char *doc =
		"{\"protocol\":\"trojan\",\"server_port\":1,\"tls_settings\":{\"cert_mode\":"
		"\"dns\","
		"\"provider\":\"cloudflare\",\"dns_env\":\"A=1,B=2=3\",\"cert_file\":\"/c\","
		"\"reject_unknown_sni\":\"1\"}}";
	struct panel p = plain;
	struct node_info *i = decode(doc);

	assert_string_equal(i->cert.mode, "dns");
	assert_string_equal(i->cert.provider, "cloudflare");
	assert_true(i->tls.reject_unknown_sni);
	assert_null(i->cert.cert_file);
	assert_int_equal(i->cert.dns_env.n, 0);
	assert_int_equal(notes.n, 1);
	node_info_put(i);
	p.allow_remote = true;
	i = decode_as(&p, doc);
	assert_string_equal(i->cert.cert_file, "/c");
	assert_int_equal(i->cert.dns_env.n, 2);
	assert_string_equal(i->cert.dns_env.v[1].name, "B");
	assert_string_equal(i->cert.dns_env.v[1].value, "2=3");
	node_info_put(i);
	i = decode_as(&p, "{\"protocol\":\"anytls\",\"server_port\":\"9443\",\"cert_config\":{"
			  "\"cert_mode\":\"self\","
			  "\"domain\":\"a.example.org\",\"dns_env\":{\"C\":5}}}");
	assert_string_equal(i->cert.mode, "self");
	assert_string_equal(i->cert.domain, "a.example.org");
	assert_string_equal(i->cert.dns_env.v[0].value, "5");
	node_info_put(i);
}

static void answers_of_the_other_panels_decode(void **state)
{
	struct panel p = plain;
	struct node_info *i;

	p.type = NODE_SHADOWSOCKS;
	i = decode_as(
		&p,
		"{ "
		"\"protocol\":\"shadowsocks\",\"listen_ip\":\"0.0.0.0\",\"server_port\":2443,"
		"\"network\":null,"
		"\"networkSettings\":null,\"cipher\":\"2022-blake3-aes-128-gcm\",\"plugin\":null,"
		"\"plugin_opts\":null,\"server_key\":\"MDEyMzQ1Njc4OWFiY2RlZg==\","
		"\"base_config\":{\"push_interval\":60,\"pull_interval\":60} }");
	assert_null(i->listen_ip); /* AcceptPanelListenIP */
	assert_null(i->ss.plugin);
	node_info_put(i);
	p.type = NODE_VMESS;
	i = decode_as(
		&p,
		"{ \"server_port\":8080,\"network\":\"ws\",\"networkSettings\":{\"path\":\"/live\","
		"\"headers\":{\"Host\":\"cdn.example.org\"}},\"tls\":0,\"routes\":[{\"id\":9,"
		"\"match\":\"torrent,tracker\",\"action\":\"block\",\"action_value\":null}]}");
	assert_string_equal(i->transport.hosts.v[0], "cdn.example.org");
	assert_int_equal(i->routes.v[0].match.n, 2);
	node_info_put(i);
	p.type = NODE_HYSTERIA2;
	p.swap_bandwidth = true;
	i = decode_as(&p, "{ "
			  "\"protocol\":\"hysteria\",\"server_port\":443,\"version\":2,\"host\":"
			  "\"hy.example.org\","
			  "\"server_name\":\"hy.example.org\",\"tls_settings\":{\"server_name\":"
			  "\"x.example.org\","
			  "\"allow_insecure\":false,\"ech\":{\"enabled\":false}},\"up_mbps\":500,"
			  "\"down_mbps\":100,"
			  "\"obfs\":null,\"obfs-password\":\"unused\",\"base_config\":{\"push_"
			  "interval\":\"60\"}}");
	assert_int_equal(i->hysteria.up_mbps, 100);
	assert_null(i->hysteria.obfs_type);
	assert_string_equal(i->tls.server_name, "x.example.org");
	node_info_put(i);
}

static void durations_are_go_style(void **state)
{
	int64_t ms;

	assert_int_equal(duration_parse_ms("3s", &ms), 0);
	assert_int_equal(ms, 3000);
	assert_int_equal(duration_parse_ms("1h2m3.5s", &ms), 0);
	assert_int_equal(ms, 3723500);
	assert_int_equal(duration_parse_ms("", &ms), -ERR_MALFORMED);
	assert_int_equal(duration_parse_ms("3", &ms), -ERR_MALFORMED);
	assert_int_equal(duration_parse_ms("-3s", &ms), -ERR_MALFORMED);
	assert_int_equal(duration_parse_ms("3 parsecs", &ms), -ERR_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_example_decodes),
		cmocka_unit_test(the_second_example_decodes),
		cmocka_unit_test(the_third_example_decodes_out_of_a_whole_configuration),
		cmocka_unit_test(our_entry_is_found_by_id_and_type),
		cmocka_unit_test(a_single_entry_is_ours_whatever_its_number),
		cmocka_unit_test(a_whole_configuration_without_inbound_is_called_that),
		cmocka_unit_test(paths_and_environments_need_permission),
		cmocka_unit_test(a_data_envelope_is_opened_once),
		cmocka_unit_test(what_is_not_a_configuration_is_told_apart),
		cmocka_unit_test(an_envelope_beside_the_payload_is_no_failure),
		cmocka_unit_test(types_that_differ_are_refused),
		cmocka_unit_test(protocol_and_type_count_when_they_name_a_type),
		cmocka_unit_test(enable_vless_turns_vmess),
		cmocka_unit_test(ports_are_numbers_or_texts_in_range),
		cmocka_unit_test(port_ranges_are_for_hysteria2),
		cmocka_unit_test(network_settings_may_be_anything_empty),
		cmocka_unit_test(network_settings_may_be_json_in_a_text_and_camel_case_wins),
		cmocka_unit_test(early_data_is_taken_out_of_the_path),
		cmocka_unit_test(headers_hold_texts_or_lists_and_host_goes_to_the_hosts),
		cmocka_unit_test(the_http_disguise_of_tcp_is_read),
		cmocka_unit_test(xhttp_and_kcp_are_read),
		cmocka_unit_test(reality_takes_texts_and_numbers),
		cmocka_unit_test(reality_destinations_have_many_forms),
		cmocka_unit_test(reality_needs_key_and_name),
		cmocka_unit_test(gaps_of_tls_settings_are_filled_from_security_settings),
		cmocka_unit_test(standard_base64_keys_are_accepted),
		cmocka_unit_test(security_depends_on_the_type),
		cmocka_unit_test(vless_flow_and_encryption),
		cmocka_unit_test(shadowsocks_needs_a_cipher_and_for_2022_a_key),
		cmocka_unit_test(hysteria2_obfs_has_its_rules),
		cmocka_unit_test(tuic_and_anytls_are_read),
		cmocka_unit_test(matches_are_lists_texts_or_gappy_objects),
		cmocka_unit_test(routes_survive_bad_neighbours),
		cmocka_unit_test(ten_thousand_rules_decode),
		cmocka_unit_test(intervals_are_lenient_and_bounded),
		cmocka_unit_test(keys_are_found_in_any_case_and_the_last_duplicate_wins),
		cmocka_unit_test(remarks_name_the_field_and_no_secret),
		cmocka_unit_test(the_same_document_in_other_words_is_the_same),
		cmocka_unit_test(certificates_may_stand_in_tls_settings_or_cert_config),
		cmocka_unit_test(answers_of_the_other_panels_decode),
		cmocka_unit_test(durations_are_go_style),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
