#include "unit.h"

#include "node/share_link.h"

static struct arena arena;
static const char *why;

static int done(void **state)
{
	arena_done(&arena);
	return 0;
}

static int parse(const char *text, struct share_link *out)
{
	why = NULL;
	return share_link_parse(text, strlen(text), &arena, out, &why);
}

static const char *emit(const struct share_link *l)
{
	static char text[SHARE_LINK_MAX + 1];
	struct wr w = wr_of(text, SHARE_LINK_MAX);

	share_link_emit(l, &w);
	assert_int_equal(w.err, 0);
	text[w.len] = 0;
	return text;
}

static void a_vless_link_is_taken_apart(void **state)
{
	struct share_link l;

	assert_int_equal(
		parse("vless://0d3c7f1e-8f5b-4b53-9b8e-6f6a0c1d2e3f@node.example.com:8443"
		      "?security=reality&type=grpc&encryption=none&flow=xtls-rprx-vision"
		      "&sni=www.example.org&fp=chrome&pbk=abc_-1&sid=a1b2&spx=%2F&pqv=x-_&serviceName=feed"
		      "#My%20node%20%E2%9C%93",
		      &l),
		0);
	assert_int_equal(l.kind, SHARE_VLESS);
	assert_string_equal(l.credential, "0d3c7f1e-8f5b-4b53-9b8e-6f6a0c1d2e3f");
	assert_string_equal(l.host, "node.example.com");
	assert_int_equal(l.port, 8443);
	assert_int_equal(l.security, SECURITY_REALITY);
	assert_int_equal(l.network, NET_GRPC);
	assert_string_equal(l.flow, "xtls-rprx-vision");
	assert_string_equal(l.sni, "www.example.org");
	assert_string_equal(l.fingerprint, "chrome");
	assert_string_equal(l.public_key, "abc_-1");
	assert_string_equal(l.short_id, "a1b2");
	assert_string_equal(l.spider, "/");
	assert_string_equal(l.mldsa_verify, "x-_");
	assert_string_equal(l.service_name, "feed");
	assert_string_equal(l.name, "My node \xe2\x9c\x93");
	assert_int_equal(l.ignored.count, 0);
}

static void a_trojan_link_means_tls_over_tcp_unless_it_says_otherwise(void **state)
{
	struct share_link l;

	assert_int_equal(parse("trojan://p%40ss%3A@[2001:db8::1]:443", &l), 0);
	assert_int_equal(l.kind, SHARE_TROJAN);
	assert_string_equal(l.credential, "p@ss:");
	assert_string_equal(l.host, "2001:db8::1");
	assert_int_equal(l.security, SECURITY_TLS);
	assert_int_equal(l.network, NET_TCP);
	assert_string_equal(l.name, "");
	assert_int_equal(
		parse("TROJAN://a@b@h:1/?security=none&type=ws&path=%2Fa%3Fed%3D2048&host=x#", &l),
		0);
	assert_string_equal(l.credential, "a@b");
	assert_int_equal(l.security, SECURITY_NONE);
	assert_string_equal(l.path, "/a?ed=2048");
	assert_string_equal(l.http_host, "x");
}

static void shadowsocks_links_are_read_in_every_form(void **state)
{
	static const struct {
		const char *text, *method, *password, *host, *plugin, *name;
	} rows[] = {
		/* SIP002: web-safe base64, with and without padding */
		{"ss://YWVzLTI1Ni1nY206cGE6c3M@h.test:8388#n", "aes-256-gcm", "pa:ss", "h.test", "",
		 "n"},
		{"ss://YWVzLTI1Ni1nY206cGE6c3M%3D@h.test:8388/?plugin=obfs-local%3Bobfs%3Dhttp",
		 "aes-256-gcm", "pa:ss", "h.test", "obfs-local;obfs=http", ""},
		/* the 2022 methods: plainly */
		{"ss://2022-blake3-aes-128-gcm:MjQ5MjBkZWNmODNmNjk2MA%3D%3D%3AM2Y@[2001:db8::1]:8388",
		 "2022-blake3-aes-128-gcm", "MjQ5MjBkZWNmODNmNjk2MA==:M2Y", "2001:db8::1", "", ""},
		/* the older form, all in base64 */
		{"ss://YWVzLTI1Ni1nY206cEBzcy93QGgudGVzdDo4Mzg4#old", "aes-256-gcm", "p@ss/w",
		 "h.test", "", "old"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct share_link l;

		assert_int_equal(parse(rows[i].text, &l), 0);
		assert_int_equal(l.kind, SHARE_SHADOWSOCKS);
		assert_string_equal(l.method, rows[i].method);
		assert_string_equal(l.credential, rows[i].password);
		assert_string_equal(l.host, rows[i].host);
		assert_int_equal(l.port, 8388);
		assert_string_equal(l.plugin, rows[i].plugin);
		assert_string_equal(l.name, rows[i].name);
	}
}

static void a_shadowsocks_node_and_a_user_make_a_link(void **state)
{
	struct node_info *info = node_info_new();
	struct share_link l;

	info->type = NODE_SHADOWSOCKS;
	info->port = 8388;
	info->host = "n.test";
	info->ss.cipher = "aes-256-gcm";
	assert_int_equal(share_link_of_node(info, "secret", "", "n", &arena, &l, &why), 0);
	assert_string_equal(emit(&l), "ss://YWVzLTI1Ni1nY206c2VjcmV0@n.test:8388#n");
	info->ss.obfs = "http";
	info->ss.obfs_host = "www.test";
	assert_int_equal(share_link_of_node(info, "secret", "", "n", &arena, &l, &why), 0);
	assert_string_equal(emit(&l),
			    "ss://YWVzLTI1Ni1nY206c2VjcmV0@n.test:8388/?plugin=obfs-local%3B"
			    "obfs%3Dhttp%3Bobfs-host%3Dwww.test#n");
	info->ss.obfs = NULL;
	info->ss.plugin = "obfs-server"; /* the other side's name is no client's */
	info->ss.plugin_opts = "obfs=http";
	assert_int_equal(share_link_of_node(info, "secret", "", "n", &arena, &l, &why), 0);
	assert_string_equal(l.plugin, "obfs-local;obfs=http");
	info->ss.plugin_opts = NULL;
	assert_int_equal(share_link_of_node(info, "secret", "", "n", &arena, &l, &why), 0);
	assert_string_equal(l.plugin, "obfs-local");
	info->ss.plugin = "v2ray-plugin";
	assert_int_equal(share_link_of_node(info, "secret", "", "n", &arena, &l, &why), 0);
	assert_string_equal(l.plugin, "v2ray-plugin");
	info->ss.plugin = NULL;
	info->ss.cipher = "2022-blake3-aes-128-gcm";
	assert_int_equal(share_link_of_node(info, "u", "", "n", &arena, &l, &why), -ERR_CONFIG);
	info->ss.server_key = "MjQ5MjBkZWNmODNmNjk2MA==";
	assert_int_equal(share_link_of_node(info, "u", "", "n", &arena, &l, &why), -ERR_CONFIG);
	assert_int_equal(share_link_of_node(info, "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "", "n",
					    &arena, &l, &why),
			 0);
	assert_string_equal(emit(&l), "ss://2022-blake3-aes-128-gcm:MjQ5MjBkZWNmODNmNjk2MA%3D%3D%3A"
				      "M2YyNTA0ZTAtNGY4OS0xMQ%3D%3D@n.test:8388#n");
	node_info_put(info);
}

static void the_plugin_of_a_link_is_the_clients_side(void **state)
{
	static const struct {
		const char *plugin, *options, *link;
	} cases[] = {
		{"/usr/bin/obfs-server", "obfs=tls", "obfs-local;obfs=tls"},
		{"ck-server", NULL, "ck-client"},
		{"v2ray-plugin", "server", "v2ray-plugin"},
		{"v2ray-plugin", "server;mode=websocket", "v2ray-plugin;mode=websocket"},
		{"/opt/v2ray-plugin", "tls;host=a.test;cert=/etc/c.pem;key=/etc/k.pem;server",
		 "v2ray-plugin;tls;host=a.test"},
		{"ss-v2ray-plugin", "server=1;path=/a\\;key\\=c",
		 "ss-v2ray-plugin;path=/a\\;key\\=c"},
		{"xray-plugin", "certRaw=MII\\=\\=;;serverName=s;mux=0",
		 "xray-plugin;serverName=s;mux=0"},
		{"xray-plugin", "path=\\", "xray-plugin;path=\\"},
		{"kcptun-server", "key=secret;crypt=aes", "kcptun-client;key=secret;crypt=aes"},
	};
	struct node_info *info = node_info_new();
	struct share_link l;

	info->type = NODE_SHADOWSOCKS;
	info->port = 8388;
	info->host = "n.test";
	info->ss.cipher = "aes-256-gcm";
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		info->ss.plugin = cases[i].plugin;
		info->ss.plugin_opts = cases[i].options;
		assert_int_equal(share_link_of_node(info, "p", "", "n", &arena, &l, &why), 0);
		assert_string_equal(l.plugin, cases[i].link);
	}
	node_info_put(info);
}

static void what_is_emitted_parses_back(void **state)
{
	static const char *const links[] = {
		"vless://"
		"0d3c7f1e-8f5b-4b53-9b8e-6f6a0c1d2e3f@node.example.com:8443?security=reality&type="
		"tcp"
		"&encryption=none&flow=xtls-rprx-vision&sni=www.example.org&fp=chrome&pbk=abc&sid="
		"a1#n",
		"vless://"
		"alice@192.0.2.1:80?security=none&type=ws&encryption=none&path=%2Fx%3Fed%3D1&host="
		"h",
		"trojan://"
		"p%40s%23%2F%3F%26%3D%2B%25@[2001:db8::1]:1?security=tls&type=httpupgrade&alpn=h2%"
		"2C"
		"http%2F1.1&allowInsecure=1#%E2%9C%93%20%23",
		"ss://Y2hhY2hhMjAtaWV0Zi1wb2x5MTMwNTpwOi8_@[::1]:1/?plugin=v2ray-plugin%3Btls&uot=2#x",
		"ss://2022-blake3-aes-128-gcm:k%2B%2F%3D%3D%3Ak@h:65535",
	};

	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		struct share_link l;

		assert_int_equal(parse(links[i], &l), 0);
		assert_string_equal(emit(&l), links[i]);
	}
}

static void unknown_parameters_are_named_not_fatal(void **state)
{
	struct share_link l;

	assert_int_equal(parse("trojan://p@h:1?a=1&sni=x&&b&peer=y", &l), 0);
	assert_int_equal(l.ignored.count, 2);
	assert_string_equal(l.ignored.items[0], "a");
	assert_string_equal(l.ignored.items[1], "b");
	assert_string_equal(l.sni, "y");
}

static void what_is_no_link_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *text;
		int err;
	} rows[] = {
		{"", -ERR_MALFORMED},
		{"https://h", -ERR_MALFORMED},
		{"vless://", -ERR_MALFORMED},
		{"vless://h:1", -ERR_MALFORMED},
		{"vless://@h:1", -ERR_MALFORMED},
		{"vless://u@:1", -ERR_MALFORMED},
		{"vless://u@h", -ERR_MALFORMED},
		{"vless://u@h:", -ERR_MALFORMED},
		{"vless://u@h:0", -ERR_MALFORMED},
		{"vless://u@h:65536", -ERR_MALFORMED},
		{"vless://u@h:1x", -ERR_MALFORMED},
		{"vless://u@[::1:1", -ERR_MALFORMED},
		{"vless://u@[h]:1", -ERR_MALFORMED},
		{"vless://u@h&x:1", -ERR_MALFORMED},
		{"vless://u@[1:2]:1", -ERR_MALFORMED},
		{"vless://u@[::1]1", -ERR_MALFORMED},
		{"vless://u%2@h:1", -ERR_MALFORMED},
		{"vless://u%00@h:1", -ERR_MALFORMED},
		{"vless://u@h:1?sni=%0a", -ERR_MALFORMED},
		{"vless://u@h:1?security=xtls", -ERR_MALFORMED},
		{"vless://u@h:1?security=reality", -ERR_MALFORMED},
		{"vless://u@h:1?type=pigeon", -ERR_UNSUPPORTED},
		{"ss://YQ@h:1", -ERR_MALFORMED}, /* "a" */
		{"ss://YTo@h", -ERR_MALFORMED},	 /* "a:", no port */
		{"ss://:p@h:1", -ERR_MALFORMED}, /* no method */
		{"ss://not64!@h:1", -ERR_MALFORMED},
		{"ss://YTpiQGg", -ERR_MALFORMED}, /* "a:b@h" */
		{"ss://", -ERR_MALFORMED},
		{"ss://a%00:b@h:1", -ERR_MALFORMED},
		{"vmess://e30", -ERR_MALFORMED}, /* {} */
		{"vmess://W10", -ERR_MALFORMED}, /* [] */
		{"vmess://u@h", -ERR_MALFORMED},
		{"vmess://u@h:1?sni=%ff", -ERR_MALFORMED},
		{"vmess://not64!", -ERR_MALFORMED},
		{"tuic://u@h:1", -ERR_UNSUPPORTED},
	};
	struct share_link l;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(parse(rows[i].text, &l), rows[i].err);
		assert_non_null(why);
		assert_true(*why);
	}
}

/* base64 of {"v":"2","ps":"a \"b\"","add":"2001:db8::1","port":"443","id":"u","aid":"0","scy":"none",
 * "net":"ws","type":"none","host":"c.test","path":"/x","tls":"tls","sni":"s.test","alpn":"h2","fp":"",
 * "other":1} */
#define V2RAYN                                                                             \
	"vmess://"                                                                         \
	"eyJ2IjoiMiIsInBzIjoiYSBcImJcIiIsImFkZCI6IjIwMDE6ZGI4OjoxIiwicG9ydCI6IjQ0MyIsImlk" \
	"IjoidSIsImFpZCI6IjAiLCJzY3kiOiJub25lIiwibmV0Ijoid3MiLCJ0eXBlIjoibm9uZSIsImhvc3Qi" \
	"OiJjLnRlc3QiLCJwYXRoIjoiL3giLCJ0bHMiOiJ0bHMiLCJzbmkiOiJzLnRlc3QiLCJhbHBuIjoiaDIi" \
	"LCJmcCI6IiIsIm90aGVyIjoxfQ=="

static void vmess_links_have_two_forms_and_one_meaning(void **state)
{
	struct share_link l, again;
	char *text;

	assert_int_equal(parse(V2RAYN, &l), 0);
	assert_int_equal(l.kind, SHARE_VMESS);
	assert_string_equal(l.credential, "u");
	assert_string_equal(l.host, "2001:db8::1");
	assert_int_equal(l.port, 443);
	assert_string_equal(l.name, "a \"b\"");
	assert_string_equal(l.encryption, "none");
	assert_int_equal(l.network, NET_WS);
	assert_string_equal(l.path, "/x");
	assert_string_equal(l.http_host, "c.test");
	assert_int_equal(l.security, SECURITY_TLS);
	assert_string_equal(l.sni, "s.test");
	assert_string_equal(l.header_type, "");
	assert_int_equal(l.ignored.count, 1);
	assert_string_equal(l.ignored.items[0], "other");

	assert_int_equal(parse("vmess://u@[2001:db8::1]:443?encryption=none&type=ws&security=tls&"
			       "sni=s.test&alpn=h2&path=/x&host=c.test#a%20%22b%22",
			       &again),
			 0);
	text = strdup(emit(&l));
	assert_string_equal(emit(&again), text);
	assert_int_equal(parse(text, &again), 0);
	assert_string_equal(emit(&again), text);
	free(text);
	assert_int_equal(parse("vmess://u@h:1", &l), 0);
	assert_string_equal(l.encryption, "auto");
}

static void a_link_without_end_is_refused(void **state)
{
	char *text = malloc(SHARE_LINK_MAX + 2);
	struct share_link l;

	memset(text, 'a', SHARE_LINK_MAX + 1);
	text[SHARE_LINK_MAX + 1] = 0;
	memcpy(text, "trojan://p@h:1#", 15);
	assert_int_equal(parse(text, &l), -ERR_TOO_BIG);
	text[SHARE_LINK_MAX] = 0;
	assert_int_equal(parse(text, &l), 0);
	free(text);
}

static void a_node_and_a_user_make_a_link(void **state)
{
	struct node_info *info = node_info_new();
	const char *alpn[] = {"h2", "http/1.1"}, *hosts[] = {"cdn.test"}, *ids[] = {"a1", "b2"},
		   *names[] = {"www.test"},
		   *wrong_seeds[] = {"AAECAw", "no base64 at all",
				     "QEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEA"};
	struct share_link l;

	info->type = NODE_TROJAN;
	info->port = 8443;
	info->security = SECURITY_TLS;
	info->host = "n.test";
	info->tls.alpn = (struct text_list){alpn, 2};
	info->network = NET_WS;
	info->transport.path = "/x";
	info->transport.early_data = 5;
	info->transport.hosts = (struct text_list){hosts, 1};
	assert_int_equal(share_link_of_node(info, "p w", "", "a b", &arena, &l, &why), 0);
	assert_string_equal(emit(&l),
			    "trojan://p%20w@n.test:8443?security=tls&type=ws&sni=n.test&"
			    "alpn=h2%2Chttp%2F1.1&path=%2Fx%3Fed%3D5&host=cdn.test#a%20b");

	info->type = NODE_VLESS;
	info->vless.vision = true;
	info->security = SECURITY_REALITY;
	info->network = NET_TCP;
	info->reality.short_ids = (struct text_list){ids, 2};
	info->reality.server_names = (struct text_list){names, 1};
	memset(info->reality.private_key, 0x40, REALITY_KEY_LEN);
	assert_int_equal(share_link_of_node(info, "u", "::1", "n", &arena, &l, &why), 0);
	assert_string_equal(l.flow, "xtls-rprx-vision");
	assert_string_equal(l.short_id, "a1");
	assert_string_equal(l.sni, "www.test");
	assert_int_equal(strlen(l.public_key), 43);
	assert_non_null(strstr(emit(&l), "vless://u@[::1]:8443?security=reality&type=tcp"));
	assert_string_equal(l.mldsa_verify, "");
	info->reality.mldsa65_seed = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
	assert_int_equal(share_link_of_node(info, "u", "::1", "n", &arena, &l, &why), 0);
	assert_int_equal(strlen(l.mldsa_verify), 2603); /* of 1952 bytes */
	assert_non_null(strstr(emit(&l), "&pqv="));
	/* no key, and the one that there is already */
	for (size_t i = 0; i < ARRAY_LEN(wrong_seeds); i++) {
		info->reality.mldsa65_seed = wrong_seeds[i];
		assert_int_equal(share_link_of_node(info, "u", "::1", "n", &arena, &l, &why),
				 -ERR_CONFIG);
		assert_non_null(strstr(why, "mldsa65Seed"));
	}
	info->reality.mldsa65_seed = NULL;

	/* VLESS Encryption: the public half of the node's key */
	info->security = SECURITY_NONE;
	info->vless.decryption = "mlkem768x25519plus.xorpub.600s.100-50-60."
				 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
	assert_int_equal(share_link_of_node(info, "u", "h", "n", &arena, &l, &why), 0);
	assert_string_equal(l.encryption, "mlkem768x25519plus.xorpub.0rtt."
					  "j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8");
	info->vless.decryption = "mlkem768x25519plus.xorpub.600s.x";
	assert_int_equal(share_link_of_node(info, "u", "h", "n", &arena, &l, &why), -ERR_CONFIG);
	assert_non_null(strstr(why, "padding"));
	info->vless.decryption = "none";

	info->host = NULL;
	assert_int_equal(share_link_of_node(info, "u", "", "n", &arena, &l, &why), -ERR_CONFIG);
	info->type = NODE_HYSTERIA2;
	assert_int_equal(share_link_of_node(info, "u", "h", "n", &arena, &l, &why),
			 -ERR_UNSUPPORTED);
	node_info_put(info);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_vless_link_is_taken_apart, done),
		cmocka_unit_test_teardown(a_trojan_link_means_tls_over_tcp_unless_it_says_otherwise,
					  done),
		cmocka_unit_test_teardown(shadowsocks_links_are_read_in_every_form, done),
		cmocka_unit_test_teardown(vmess_links_have_two_forms_and_one_meaning, done),
		cmocka_unit_test_teardown(a_shadowsocks_node_and_a_user_make_a_link, done),
		cmocka_unit_test_teardown(the_plugin_of_a_link_is_the_clients_side, done),
		cmocka_unit_test_teardown(what_is_emitted_parses_back, done),
		cmocka_unit_test_teardown(unknown_parameters_are_named_not_fatal, done),
		cmocka_unit_test_teardown(what_is_no_link_is_refused_with_a_reason, done),
		cmocka_unit_test_teardown(a_link_without_end_is_refused, done),
		cmocka_unit_test_teardown(a_node_and_a_user_make_a_link, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
