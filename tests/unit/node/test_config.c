#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/config.h"

static struct conf_report report;
static struct config *conf;
static char dir[] = "/tmp/weir-config-XXXXXX";

static void done(void)
{
	config_free(conf);
	conf = NULL;
	conf_report_done(&report);
}

static int setup(void **state)
{
	conf_report_init(&report);
	return 0;
}

static int teardown(void **state)
{
	done();
	return 0;
}

static const char *told(void)
{
	static char text[16384];
	FILE *to = fmemopen(text, sizeof(text), "w");

	conf_report_print(&report, to);
	putc(0, to);
	fclose(to);
	return text;
}

/* The report of a configuration that has errors. */
static const char *refused(const char *text)
{
	done();
	conf = config_parse(text, strlen(text), "c.json", &report);
	assert_null(conf);
	assert_true(report.errors > 0);
	return told();
}

static const struct config *accepted(const char *text)
{
	done();
	conf = config_parse(text, strlen(text), "c.json", &report);
	if (!conf)
		print_error("%s", told());
	assert_non_null(conf);
	return conf;
}

#define PANEL "\"ApiHost\":\"https://p.test/n\",\"ApiKey\":\"k\""
#define NODE7 PANEL ",\"NodeID\":7"

/* One node of these options, or the report. */
static const struct config_node *node(const char *options)
{
	char text[4096];

	snprintf(text, sizeof(text), "{\"Nodes\":[{" NODE7 "%s%s}]}", *options ? "," : "", options);
	return accepted(text)->nodes[0];
}

static const char *bad_node(const char *options)
{
	char text[4096];

	snprintf(text, sizeof(text), "{\"Nodes\":[{" NODE7 "%s%s}]}", *options ? "," : "", options);
	return refused(text);
}

/* A file in the folder of the test; its path in static storage. */
static const char *put(const char *name, const char *text)
{
	static char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, 0600), 0);
	return path;
}

static struct config_env env; /* what load() is given */

static const struct config *load(const char *name)
{
	char path[128];

	done();
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	conf = config_load(path, &env, &report);
	return conf;
}

/* --- the file ------------------------------------------------------------------------------ */

static void the_example_of_the_manual_is_read(void **state)
{
	const struct config_node *n;
	const struct config *c;

	setenv("WEIR_TEST_KEY", "from-env", 1);
	c = accepted(
		"\xef\xbb\xbf{\r\n"
		"  // two nodes, one panel\r\n"
		"  \"Log\": { \"Level\": \"warning\", \"Output\": \"\" },\r\n"
		"  \"Cores\": [ { \"Type\": \"xray\", \"Log\": { \"Level\": \"error\", "
		"\"AccessPath\": \"none\" } } ],\r\n"
		"  \"Nodes\": [\r\n"
		"    { \"ApiHost\": \"https://panel.test/node\", \"ApiKey\": \"${WEIR_TEST_KEY}\", "
		"\"NodeID\": 7, \"NodeType\": \"trojan\", \"ListenIP\": \"::\",\r\n"
		"      \"DeviceOnlineMinTraffic\": 200, \"LimitConfig\": { \"SpeedLimit\": 200, "
		"\"ConnLimit\": 256 },\r\n"
		"      \"CertConfig\": { \"CertMode\": \"self\", \"CertDomain\": "
		"\"t.example.net\", "
		"\"DNSEnv\": { \"CF_DNS_API_TOKEN\": \"x\" } } },\r\n"
		"    { \"ApiConfig\": { \"ApiType\": \"uniproxy\", \"ApiHost\": "
		"\"https://board.test\", \"ApiKey\": \"k\", \"NodeID\": 33, \"NodeType\": "
		"\"shadowsocks\" },\r\n"
		"      \"Options\": { \"SendIP\": \"192.0.2.10\", \"ReportMinTraffic\": 64 } },\r\n"
		"  ],\r\n"
		"}\r\n");
	assert_int_equal(report.errors, 0);
	assert_int_equal(report.warnings, 0);
	assert_int_equal(c->log.level, CONFIG_LOG_WARN);
	assert_int_equal(c->engine.log.level, CONFIG_LOG_ERROR);
	assert_int_equal(c->nnodes, 2);
	n = c->nodes[0];
	assert_string_equal(n->api_key, "from-env");
	assert_string_equal(n->node_id, "7");
	assert_string_equal(n->node_type, "trojan");
	assert_string_equal(n->listen_ip.items[0], "::");
	assert_int_equal(n->device_online_min_kB, 200);
	assert_true(n->limit.speed_Mbps == 200);
	assert_int_equal(n->limit.conn_limit, 256);
	assert_int_equal(n->cert.mode, CONFIG_CERT_SELF);
	assert_string_equal(n->cert.domain, "t.example.net");
	assert_string_equal(n->name, "[https://panel.test/node]-trojan:7");
	n = c->nodes[1];
	assert_int_equal(n->api_type, CONFIG_API_UNIPROXY);
	assert_string_equal(n->send_ip, "192.0.2.10");
	assert_int_equal(n->report_min_KiB, 64);
	assert_true(conf_is_set(&config_node_schema, n, send_ip));
	assert_false(conf_is_set(&config_node_schema, n, listen_ip));
	assert_string_equal(n->listen_ip.items[0], "0.0.0.0");
}

static void what_is_no_configuration_is_refused_with_its_place(void **state)
{
	assert_string_equal(refused(""), "c.json:1:1: there is no value in the text\n");
	assert_string_equal(refused("{\n\"Nodes\": [}"),
			    "c.json:2:11: expected a value; text stands in "
			    "double quotes\n");
	assert_string_equal(refused("[1]"),
			    "c.json:1:1: expected an object; write { \"key\": value }\n");
	assert_string_equal(refused("{}"), "c.json: Nodes: there are none; add an entry\n");
	assert_string_equal(refused("{\"Nodes\":[]}"),
			    "c.json:1:10: Nodes: there are none; add an entry\n");
	assert_string_equal(refused("{\"Nodes\":{}}"),
			    "c.json:1:10: Nodes: expected an array of objects\n");
	assert_string_equal(refused("{\"Nodes\":[7]}"),
			    "c.json:1:11: Nodes[0]: expected an object\n");
}

static void nesting_without_end_is_refused(void **state)
{
	char text[1000];

	memset(text, '[', sizeof(text));
	text[sizeof(text) - 1] = 0;
	assert_non_null(strstr(refused(text), "nested deeper than 64 levels"));
}

static void nodes_may_be_missing_beside_a_manager(void **state)
{
	assert_int_equal(accepted("{\"Manager\":{}}")->nnodes, 0);
	assert_string_equal(told(), "");
	assert_int_equal(accepted("{\"Manager\":{},\"Nodes\":[]}")->nnodes, 0);
	assert_string_equal(told(), "");
}

static void sites_have_a_file_and_a_section(void **state)
{
	const struct config_site *s;
	const struct config *c;

	c = accepted(
		"{\"Yassp\":[{\"Config\":\"sites.cfg\",\"Section\":\"site-1\"},{\"config\":\"b\"}]}");
	assert_int_equal(c->yassp.count, 2);
	s = c->yassp.items;
	assert_string_equal(s[0].config, "sites.cfg");
	assert_string_equal(s[0].section, "site-1");
	assert_string_equal(s[1].section, "DEFAULT");
	assert_string_equal(told(), "");
	assert_non_null(strstr(
		refused("{\"Yassp\":[{\"Section\":5,\"Confg\":\"a\"},7]}"),
		"c.json:1:11: Yassp[0].Config: is missing; write the path of the site's INI file"));
	assert_non_null(strstr(
		told(), "Yassp[0].Confg: warning: unknown key, ignored; did you mean Config?"));
	assert_non_null(strstr(told(), "c.json:1:37: Yassp[1]: expected an object"));
	assert_non_null(strstr(refused("{\"Yassp\":[]}"), "Nodes: there are none; add an entry"));
}

/* Whoever knows Manager and Yassp adds to the same report, and to the same files. */
static int read_sections(void *arg, struct conf_reader *r, const struct json_value *doc,
			 struct config *c)
{
	size_t mark = conf_enter(r, "Manager", -1);

	assert_ptr_equal(json_get(doc, "Manager"), c->manager);
	if (c->manager)
		conf_error(r, c->manager->at, "x", "is not here");
	conf_leave(r, mark);
	return config_note_file(r, c, arg);
}

static void sections_of_others_are_read_with_the_rest(void **state)
{
	const struct config *c;

	env = (struct config_env){.sections = read_sections, .arg = "/more.cfg"};
	put("c.json", "{\"Nodes\":[{" NODE7 ",\"Timeout\":\"x\"}],\n\"Manager\":{}}");
	assert_null(load("c.json"));
	assert_non_null(strstr(told(), "Nodes[0].Timeout: expected a whole number"));
	assert_non_null(strstr(told(), "c.json:2:11: Manager.x: is not here"));
	put("c.json", "{\"Nodes\":[{" NODE7 "}]}");
	c = load("c.json");
	assert_non_null(c);
	assert_int_equal(c->nfiles, 2);
	assert_string_equal(c->files[1], "/more.cfg");
	env = (struct config_env){0};
}

static void a_node_that_does_not_say_its_dialect_has_the_caller_s(void **state)
{
	const struct config *c;

	env = (struct config_env){.api_type = CONFIG_API_UNIPROXY};
	put("c.json", "{\"Nodes\":[{" NODE7 "},"
		      "{" PANEL ",\"NodeID\":8,\"ApiType\":\"v2sp\"}]}");
	c = load("c.json");
	assert_non_null(c);
	assert_int_equal(c->nodes[0]->api_type, CONFIG_API_UNIPROXY);
	assert_int_equal(c->nodes[1]->api_type, CONFIG_API_V2SP);
	assert_int_equal(c->api_type, CONFIG_API_UNIPROXY); /* what a reload goes by */
	assert_non_null(strstr(told(), "NodeType: warning: is missing; most uniproxy"));
	env = (struct config_env){0};
}

static void a_file_that_is_not_there_is_an_error(void **state)
{
	assert_null(load("missing.json"));
	assert_non_null(strstr(told(), "cannot be read"));
	assert_non_null(strstr(told(), "No such file"));
	done();
	assert_null(conf = config_load(dir, NULL, &report));
	assert_non_null(strstr(told(), "directory"));
}

static void a_file_open_to_others_is_warned_of(void **state)
{
	const char *path = put("open.json", "{\"Nodes\":[{" NODE7 "}]}");

	assert_non_null(load("open.json"));
	assert_string_equal(told(), "");
	assert_int_equal(chmod(path, 0644), 0);
	assert_non_null(load("open.json"));
	assert_non_null(strstr(told(), "open to others (mode 0644)"));
	assert_int_equal(report.errors, 0);
}

static void a_large_file_of_comments_is_read(void **state)
{
	size_t len = 50 << 20;
	char *text = malloc(len);

	memset(text, ' ', len);
	memcpy(text, "/*", 2);
	memcpy(text + len - 128, "*/{\"Nodes\":[{" NODE7 "}]}",
	       strlen("*/{\"Nodes\":[{" NODE7 "}]}"));
	done();
	conf = config_parse(text, len, "c.json", &report);
	free(text);
	assert_non_null(conf);
}

/* --- nodes --------------------------------------------------------------------------------- */

static void what_a_node_needs_is_asked_for(void **state)
{
	assert_string_equal(
		refused("{\"Nodes\":[{}]}"),
		"c.json:1:11: Nodes[0].ApiHost: warning: is missing; http://127.0.0.1 is asked\n"
		"c.json:1:11: Nodes[0].ApiKey: is missing; write the panel's token, or ${NAME} to "
		"read "
		"the environment\n"
		"c.json:1:11: Nodes[0].NodeID: is missing; write the node's number in the panel, 1 "
		"or more\n");
}

static void what_is_wrong_is_not_missing_too(void **state)
{
	assert_string_equal(
		refused("{\"Nodes\":[\n{\"ApiHost\":\"panel\",\n\"ApiKey\":[],\n\"NodeID\":-1}]}"),
		"c.json:2:12: Nodes[0].ApiHost: is no address of a panel; it begins with "
		"http:// or https://\n"
		"c.json:3:10: Nodes[0].ApiKey: expected text, found an array\n"
		"c.json:4:10: Nodes[0].NodeID: \"-1\" is out of bounds; write the node's number, 1 or "
		"more\n");
	assert_non_null(strstr(refused("{\"Nodes\":[{\"ApiConfig\":{\"NodeID\":0}}]}"),
			       "Nodes[0].ApiConfig.NodeID: \"0\" is out of bounds"));
	assert_null(strstr(told(), "Nodes[0].NodeID: "));
}

static void an_empty_document_has_no_nodes(void **state)
{
	static const char *const texts[] = {"{}", "[]", "{\"Nodes\":[]}"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_non_null(strstr(refused(texts[i]), "Nodes: there are none; add an entry"));
}

static void node_ids_are_numbers_from_one(void **state)
{
	static const char *const good[][2] = {{"7", "7"},
					      {"\"7\"", "7"},
					      {"7.0", "7"},
					      {"\" 07 \"", "7"},
					      {"9223372036854775807", "9223372036854775807"}};
	static const char *const bad[] = {"0",	       "-1",  "\"0\"", "9223372036854775808",
					  "\"hk-01\"", "1.5", "\"\""};
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		snprintf(text, sizeof(text), "{\"Nodes\":[{" PANEL ",\"NodeID\":%s}]}", good[i][0]);
		assert_string_equal(accepted(text)->nodes[0]->node_id, good[i][1]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof(text), "{\"Nodes\":[{" PANEL ",\"NodeID\":%s}]}", bad[i]);
		assert_non_null(strstr(refused(text), "Nodes[0].NodeID: "));
	}
	accepted("{\"Nodes\":[{" PANEL ",\"NodeID\":\"hk-01\",\"ApiType\":\"xboard\"}]}");
	assert_string_equal(conf->nodes[0]->node_id, "hk-01");
}

static void types_have_one_name(void **state)
{
	assert_string_equal(node("\"NodeType\":\" V2Ray \"")->node_type, "vmess");
	assert_string_equal(node("\"NodeType\":\"hy2\"")->node_type, "hysteria2");
	assert_string_equal(node("")->node_type, "");
	assert_non_null(strstr(bad_node("\"NodeType\":\"vles\""), "is no type of node"));
}

static void the_same_node_twice_is_an_error(void **state)
{
	assert_string_equal(refused("{\"Nodes\":[{" NODE7 "},\n{" NODE7 ",\"Name\":\"b\"}]}"),
			    "c.json:2:1: Nodes[1].NodeID: the same node of the same panel again; "
			    "the two would steal "
			    "each other's traffic (line 1 of c.json)\n");
	accepted("{\"Nodes\":[{" NODE7 ",\"NodeType\":\"vless\"},{" NODE7
		 ",\"NodeType\":\"vmess\"}]}");
	accepted("{\"Nodes\":[{" NODE7 "},{" PANEL ",\"NodeID\":8}]}");
}

static void names_are_unique(void **state)
{
	assert_string_equal(
		refused("{\"Nodes\":[{" NODE7 ",\"Name\":\"a\"},{" PANEL
			",\"NodeID\":8,\"Name\":\"a\"}]}"),
		"c.json:1:77: Nodes[1].Name: already taken; names are unique (line 1 of c.json)\n");
}

static void cores_are_checked_and_merged(void **state)
{
	const struct config *c;

	assert_string_equal(node("\"CoreName\":\"xray\",\"Core\":\"hy2\"")->core_name, "xray");
	assert_non_null(
		strstr(bad_node("\"CoreName\":\"other\""), "Nodes[0].CoreName: Cores has no "));
	assert_non_null(
		strstr(bad_node("\"Core\":\"other\""), "Nodes[0].Core: \"other\" is no core"));
	c = accepted("{\"Cores\":[{\"Type\":\"Sing-Box\",\"Name\":\"one\"},{\"Type\":\"strange\"},"
		     "{\"Type\":\"xray\",\"ConnectionConfig\":{\"connIdle\":77,\"uplinkOnly\":3}},"
		     "{\"XrayConnectionConfig\":{\"handshake\":5}}],"
		     "\"Nodes\":[{" NODE7
		     ",\"CoreName\":\"one\",\"Core\":\"sing\",\"LingerTimeout\":9}]}");
	assert_int_equal(c->cores.count, 3);
	assert_string_equal(told(), "c.json:1:44: Cores[1].Type: warning: \"strange\" is no known "
				    "core, the entry is ignored; "
				    "write xray, sing or hysteria2\n"
				    "c.json:1:129: Cores[3]: warning: another core of type xray; "
				    "their settings are merged\n");
	assert_int_equal(c->nodes[0]->idle_timeout_s, 77);
	assert_int_equal(c->nodes[0]->handshake_timeout_s, 5);
	assert_int_equal(c->nodes[0]->linger_timeout_s, 4);
	refused("{\"Cores\":[{\"Type\":\"sing\"}],\"Nodes\":[{" NODE7 ",\"Core\":\"xray\"}]}");
	assert_non_null(strstr(told(), "Cores has no entry of type xray"));
}

static void every_alias_is_read(void **state)
{
	const struct config_node *n = node("\"MinReportTraffic\":5,\"TCPFastOpen\":true,"
					   "\"SniffEnabled\":false,\"LimitConfig\":{\"IPLimit\":3},"
					   "\"DNSType\":\"prefer_ipv6\",\"EnableDNS\":1");

	assert_int_equal(n->report_min_KiB, 5);
	assert_true(n->tcp_fast_open);
	assert_false(n->enable_sniff);
	assert_int_equal(n->limit.device_limit, 3);
	assert_int_equal(n->dns_type, CONFIG_DNS_IP64);
	assert_int_equal(node("\"EnableDNS\":true,\"DomainStrategy\":\"ipv4_only\"")->dns_type,
			 CONFIG_DNS_IP4);
}

static void dns_type_alone_has_no_effect_but_a_warning(void **state)
{
	assert_int_equal(node("\"DNSType\":\"UseIPv4\"")->dns_type, CONFIG_DNS_AS_IS);
	assert_non_null(strstr(told(), "DNSType: warning: has no meaning without EnableDNS"));
}

static void what_is_to_come_is_warned_of_where_it_is_asked_for(void **state)
{
	static const char said[] = "implemented yet"; /* of a key, and of a word of ApiType */

	node("\"ReportStatus\":true");
	assert_non_null(strstr(told(), said));
	node("\"ReportStatus\":false,\"SniffOverrideDestination\":\"false\"");
	assert_null(strstr(told(), said));
	node("\"ApiType\":\"xboard\",\"NodeType\":\"vless\"");
	assert_null(strstr(told(), said));
}

static void counters_of_sources_that_may_fill_up_are_warned_of(void **state)
{
	static const char said[] = "StrangerLimitPerIP: warning: newcomers may be refused";

	assert_int_equal(node("\"StrangerLimit\":0")->stranger_limit_per_ip, 0);
	assert_null(strstr(told(), said));
	node("\"StrangerLimit\":2560,\"StrangerLimitPerIP\":10");
	assert_null(strstr(told(), said));
	node("\"StrangerLimit\":2561,\"StrangerLimitPerIP\":10");
	assert_non_null(strstr(told(), said));
	assert_non_null(strstr(told(), "StrangerLimit is 2560 or less"));
	node("\"StrangerLimit\":0,\"StrangerLimitPerIP\":10");
	assert_non_null(strstr(told(), said));
}

static void addresses_are_checked(void **state)
{
	assert_int_equal(node("\"ListenIP\":[\"127.0.0.1\",\"::1\"]")->listen_ip.count, 2);
	assert_string_equal(node("\"ListenIP\":\"\"")->listen_ip.items[0], "");
	assert_string_equal(node("\"SendIP\":\"::\"")->send_ip, "");
	assert_non_null(strstr(bad_node("\"ListenIP\":\"localhost\""), "is no IP address"));
	assert_non_null(strstr(bad_node("\"SendIP\":\"1.2.3\""), "is no IP address"));
	assert_non_null(
		strstr(bad_node("\"TrustedProxies\":[\"10.0.0.0/33\"]"), "no address range"));
	assert_null(strstr(refused("{\"Nodes\":[{\"ApiHost\":\"ftp://u:pass@h\",\"ApiKey\":\"k\","
				   "\"NodeID\":1}]}"),
			   "pass"));
	assert_non_null(strstr(told(), "Nodes[0].ApiHost: is no address of a panel"));
}

static void fallbacks_come_as_array_object_or_in_the_form_of_sing(void **state)
{
	const struct config_fallback *f;
	const struct config_node *n;

	n = node("\"EnableFallback\":true,\"FallBackConfigs\":[{\"Dest\":80},{\"SNI\":\"a\","
		 "\"Alpn\":\"h2\","
		 "\"Path\":\"/x\",\"Dest\":\"/run/a.sock\",\"ProxyProtocolVer\":\"2\"}]");
	f = n->fallbacks.items;
	assert_int_equal(n->fallbacks.count, 2);
	assert_string_equal(f[0].dest, "80");
	assert_string_equal(f[1].dest, "/run/a.sock");
	assert_int_equal(f[1].proxy_protocol, 2);
	n = node("\"EnableFallback\":true,\"FallBackConfigs\":{\"Dest\":\"web.test:8080\"}");
	assert_int_equal(n->fallbacks.count, 1);
	n = node("\"EnableFallback\":true,\"FallBackConfigs\":{\"FallBack\":{\"Server\":\"127.0.0."
		 "1\","
		 "\"ServerPort\":80},\"FallBackForALPN\":{\"h2\":{\"Server\":\"::1\","
		 "\"ServerPort\":81}}}");
	f = n->fallbacks.items;
	assert_int_equal(n->fallbacks.count, 2);
	assert_string_equal(f[0].alpn, "h2");
	assert_string_equal(f[0].dest, "[::1]:81");
	assert_string_equal(f[1].alpn, "");
	assert_string_equal(f[1].dest, "127.0.0.1:80");
	assert_non_null(strstr(bad_node("\"FallBackConfigs\":[{\"SNI\":\"a\"}]"),
			       "Nodes[0].FallBackConfigs[0].Dest: is missing"));
	assert_non_null(strstr(bad_node("\"EnableFallback\":true,\"FallBackConfigs\":{\"Dest\":0}"),
			       "is no port"));
	assert_non_null(strstr(bad_node("\"EnableFallback\":true"), "FallBackConfigs: is missing"));
	assert_non_null(strstr(bad_node("\"RejectPolicy\":\"fallback\""), "needs EnableFallback"));
}

static void split_keys_count_at_the_wrong_level_too(void **state)
{
	const struct config *c = accepted(
		"{\"Nodes\":[{\"ApiConfig\":{" PANEL ",\"SendIP\":\"192.0.2.1\"},"
		"\"Options\":{\"NodeID\":7,\"Timout\":1,\"XrayOptions\":{\"EnableTFO\":true,"
		"\"ReportMinTraffic\":1}},\"ReportMinTraffic\":2}]}");

	assert_string_equal(c->nodes[0]->node_id, "7");
	assert_string_equal(c->nodes[0]->send_ip, "192.0.2.1");
	assert_true(c->nodes[0]->tcp_fast_open);
	assert_int_equal(c->nodes[0]->report_min_KiB, 2);
	assert_int_equal(report.errors, 0);
	assert_non_null(strstr(told(), "Nodes[0].ApiConfig.SendIP: warning: belongs into Options"));
	assert_non_null(strstr(told(), "Nodes[0].Options.NodeID: warning: belongs into ApiConfig"));
	assert_non_null(strstr(told(), "Nodes[0].ReportMinTraffic: warning: belongs into Options"));
	assert_non_null(strstr(told(),
			       "Nodes[0].Options.Timout: warning: unknown key, ignored; did you "
			       "mean Timeout?"));
}

static void flat_keys_win_over_nested_ones(void **state)
{
	assert_int_equal(node("\"ReportMinTraffic\":2,\"XrayOptions\":{\"ReportMinTraffic\":1}")
				 ->report_min_KiB,
			 2);
	assert_int_equal(node("\"SingOptions\":{\"ReportMinTraffic\":1}")->report_min_KiB, 1);
	assert_string_equal(told(), "");
}

static void dead_options_are_accepted_with_one_warning(void **state)
{
	node("\"LimitConfig\":{\"EnableRealtime\":true,\"EnableIpRecorder\":true,"
	     "\"IpRecorderConfig\":{"
	     "\"Type\":\"x\"}}");
	assert_int_equal(report.warnings, 1);
}

static void times_below_one_become_five(void **state)
{
	assert_int_equal(node("\"Timeout\":0")->timeout_s, 5);
	assert_int_equal(node("\"Timeout\":-3")->timeout_s, 5);
	assert_int_equal(node("")->timeout_s, 30);
}

static void secrets_stay_out_of_the_report(void **state)
{
	refused("{\"Nodes\":[{\"ApiHost\":\"https://"
		"u:s3cret@h\",\"ApiKey\":[\"s3cret\"],\"NodeID\":0,"
		"\"CertConfig\":{\"DNSEnv\":{\"A\":[\"s3cret\"]}}},{\"ApiHost\":\"https://"
		"u:s3cret@h\","
		"\"ApiKey\":\"s3cret\",\"NodeID\":\"1\"},{\"ApiHost\":\"https://"
		"u:s3cret@h\",\"ApiKey\":"
		"\"s3cret\",\"NodeID\":1}]}");
	assert_true(report.errors >= 4);
	assert_null(strstr(told(), "s3cret"));
}

static void the_environment_stands_in_for_two_options(void **state)
{
	setenv("PPROF_ADDR", "127.0.0.1:6060", 1);
	node("");
	assert_string_equal(conf->metrics.listen, "127.0.0.1:6060");
	unsetenv("PPROF_ADDR");
	node("");
	assert_string_equal(conf->metrics.listen, "");
}

static void certificates_have_their_places(void **state)
{
	char path[64], tiny[8];
	const struct config_node *n =
		node("\"CertConfig\":{\"CertFile\":\"/c/{domain}-{email}.pem\","
		     "\"Email\":\"me\"}");

	assert_int_equal(config_cert_path(conf, n, "a.test", false, path, sizeof(path)), 0);
	assert_string_equal(path, "/c/a.test-me.pem");
	assert_int_equal(config_cert_path(conf, n, "a.test", true, path, sizeof(path)), 0);
	assert_string_equal(path, "./cert/a.test.key");
	assert_int_equal(config_cert_path(conf, n, "a.test", true, tiny, sizeof(tiny)), -ENOBUFS);
}

/* --- includes ------------------------------------------------------------------------------ */

static void an_entry_may_stand_in_another_file(void **state)
{
	put("main.json", "{\"Nodes\":[{\"Include\":\"one.json\",\"Name\":\"first\"},{\"Include\":"
			 "\"many.json\"}]}");
	put("one.json", "// one\n{" NODE7 ",\"Timout\":1}");
	put("many.json", "[{" PANEL ",\"NodeID\":8},{" PANEL ",\"NodeID\":9},]");
	assert_non_null(load("main.json"));
	assert_int_equal(conf->nnodes, 3);
	assert_string_equal(conf->nodes[0]->name, "first");
	assert_string_equal(conf->nodes[2]->node_id, "9");
	assert_int_equal(conf->nfiles, 3);
	assert_non_null(strstr(told(), "one.json:2:55: Timout: warning: unknown key"));
}

static void an_include_that_fails_is_an_error(void **state)
{
	put("a.json", "{\"Nodes\":[{\"Include\":\"missing.json\"},{\"Include\":\"https://h/x\"},"
		      "{\"Include\":\"broken.json\"},{\"Include\":\"self.json\"},{\"Include\":"
		      "\"list.json\"}]}");
	put("broken.json", "{\n\"NodeID\" 7}");
	put("self.json", "{\"Include\":\"self.json\"}");
	put("list.json", "[{" PANEL ",\"NodeID\":0}]");
	assert_null(load("a.json"));
	assert_int_equal(report.errors, 5);
	assert_non_null(strstr(told(), "a.json:1:22: Nodes[0].Include: cannot read "));
	assert_non_null(strstr(told(), "Nodes[1].Include: cannot read \"https://h/x\": it is not "
				       "fetched here"));
	assert_non_null(strstr(told(), "broken.json:2:10: expected ':'"));
	assert_non_null(strstr(told(), "self.json:1:12: Include: "));
	assert_non_null(strstr(told(), "includes itself"));
	assert_non_null(strstr(told(), "list.json:1:54: [0].NodeID: \"0\" is out of bounds"));
}

static void includes_end_at_the_third_level(void **state)
{
	put("l0.json", "{\"Nodes\":[{\"Include\":\"l1.json\"}]}");
	put("l1.json", "{\"Include\":\"l2.json\"}");
	put("l2.json", "{\"Include\":\"l3.json\"}");
	put("l3.json", "{" NODE7 "}");
	assert_non_null(load("l0.json"));
	put("l3.json", "{\"Include\":\"l4.json\"}");
	put("l4.json", "{" NODE7 "}");
	assert_null(load("l0.json"));
	assert_non_null(strstr(told(), "included more than 3 levels deep"));
}

/* What a server has, by its address. */
static int fetch_from_table(const char *url, char **text, size_t *len, char why[CONFIG_FETCH_WHY])
{
	static const char *const table[][2] = {
		{"https://h/one?token=secret", "{" NODE7 "}"},
		{"http://h/one", "{" NODE7 "}"},
		{"https://h/on", "{\"Include\":\"https://h/one?token=secret\"}"},
		{"https://h/circle", "[{\"Include\":\"https://h/circle\"}]"},
		{"https://h/file", "{\"Include\":\"one.json\"}"},
		{"https://h/bad?token=secret", "{\n\"NodeID\" 7}"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (!strcmp(url, table[i][0])) {
			*text = strdup(table[i][1]);
			*len = strlen(table[i][1]);
			return 0;
		}
	}
	snprintf(why, CONFIG_FETCH_WHY, "the server says 404");
	return -ERR_HTTP;
}

static void an_entry_may_stand_behind_an_address(void **state)
{
	env.fetch = fetch_from_table;
	put("main.json", "{\"Nodes\":[{\"Include\":\"https://h/on\",\"Name\":\"far\"}]}");
	assert_non_null(load("main.json"));
	assert_int_equal(conf->nnodes, 1);
	assert_int_equal(conf->nfiles, 1); /* there is nothing to watch */
	put("main.json", "{\"AllowHttpInclude\":true,\"Nodes\":[{\"Include\":\"http://h/one\"}]}");
	assert_non_null(load("main.json"));
	env.fetch = NULL;
}

static void an_address_that_fails_is_an_error_without_its_token(void **state)
{
	env.fetch = fetch_from_table;
	put("one.json", "{" NODE7 "}");
	put("main.json", "{\"Nodes\":[{\"Include\":\"http://h/one\"},"
			 "{\"Include\":\"https://h/circle\"},{\"Include\":\"https://h/file\"},"
			 "{\"Include\":\"https://secret:secret@h/none?token=secret\"},"
			 "{\"Include\":\"https://h/bad?token=secret\"}]}");
	assert_null(load("main.json"));
	assert_int_equal(report.errors, 5);
	assert_non_null(strstr(told(), "Nodes[0].Include: anybody on the way could change it"));
	assert_non_null(strstr(told(), "https://h/circle:1:13: [0].Include: \"https://h/circle\" "
				       "includes itself"));
	assert_non_null(strstr(told(), "https://h/file:1:12: Include: what is behind an address"));
	assert_non_null(
		strstr(told(), "cannot read \"https://***@h/none?***\": the server says 404"));
	assert_non_null(strstr(told(), "https://h/bad?***:2:10: expected ':'"));
	assert_null(strstr(told(), "secret"));
	assert_true(report.away);
	env.fetch = NULL;
}

/* --- tables -------------------------------------------------------------------------------- */

static void check_defaults(const struct conf_schema *s)
{
	void *object = calloc(1, s->size);
	struct arena arena;
	struct conf_reader r = {.arena = &arena, .report = &report, .file = s->name};

	arena_init(&arena, 0);
	assert_true(s->count <= CONF_ROWS_MAX);
	assert_int_equal(conf_defaults(&r, s, object), 0);
	for (size_t i = 0; i < s->count; i++) {
		assert_non_null(s->rows[i].help);
		if (s->rows[i].flags & CONF_REQUIRED) {
			assert_non_null(s->rows[i].absent); /* what to do about it */
			continue;
		}
		if (s->rows[i].sub && s->rows[i].type == CONF_T_OBJECT)
			check_defaults(s->rows[i].sub);
	}
	arena_done(&arena);
	free(object);
}

static void every_default_is_within_its_own_bounds(void **state)
{
	check_defaults(&config_schema);
	check_defaults(&config_node_schema);
	check_defaults(&config_core_schema);
	assert_string_equal(told(), "");
}

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_example_of_the_manual_is_read),
		TEST(what_is_no_configuration_is_refused_with_its_place),
		TEST(nesting_without_end_is_refused),
		TEST(nodes_may_be_missing_beside_a_manager),
		TEST(sites_have_a_file_and_a_section),
		TEST(sections_of_others_are_read_with_the_rest),
		TEST(a_node_that_does_not_say_its_dialect_has_the_caller_s),
		TEST(a_file_that_is_not_there_is_an_error),
		TEST(a_file_open_to_others_is_warned_of),
		TEST(a_large_file_of_comments_is_read),
		TEST(what_a_node_needs_is_asked_for),
		TEST(what_is_wrong_is_not_missing_too),
		TEST(an_empty_document_has_no_nodes),
		TEST(node_ids_are_numbers_from_one),
		TEST(types_have_one_name),
		TEST(the_same_node_twice_is_an_error),
		TEST(names_are_unique),
		TEST(cores_are_checked_and_merged),
		TEST(every_alias_is_read),
		TEST(dns_type_alone_has_no_effect_but_a_warning),
		TEST(what_is_to_come_is_warned_of_where_it_is_asked_for),
		TEST(counters_of_sources_that_may_fill_up_are_warned_of),
		TEST(addresses_are_checked),
		TEST(fallbacks_come_as_array_object_or_in_the_form_of_sing),
		TEST(split_keys_count_at_the_wrong_level_too),
		TEST(flat_keys_win_over_nested_ones),
		TEST(dead_options_are_accepted_with_one_warning),
		TEST(times_below_one_become_five),
		TEST(secrets_stay_out_of_the_report),
		TEST(the_environment_stands_in_for_two_options),
		TEST(certificates_have_their_places),
		TEST(an_entry_may_stand_in_another_file),
		TEST(an_include_that_fails_is_an_error),
		TEST(includes_end_at_the_third_level),
		TEST(an_entry_may_stand_behind_an_address),
		TEST(an_address_that_fails_is_an_error_without_its_token),
		TEST(every_default_is_within_its_own_bounds),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
