/* An outbound as Xray writes it: what `weir connect -o` takes. */
#include "unit.h"

#include <stdio.h>

#include "client/from_link.h"

#define UUID "0d3c7f1e-8f5b-4b53-9b8e-6f6a0c1d2e3f"
#define PIN  "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct arena arena;
static struct share_link l;
static struct link_trust trust;
static char why[FROM_LINK_WHY];

static int done(void **state)
{
	arena_done(&arena);
	return 0;
}

static int read_text(const char *text)
{
	struct json_value *doc;
	struct json_pos at;
	const char *what;

	trust = (struct link_trust){0};
	*why = '\0';
	assert_int_equal(json_parse(text, strlen(text), JSON_RELAXED, &arena, &doc, &at, &what), 0);
	return link_of_xray(doc, &arena, &l, &trust, why);
}

static void refused(const char *text, const char *word)
{
	assert_int_equal(read_text(text), -ERR_CONFIG);
	if (!strstr(why, word))
		fail_msg("\"%s\" does not speak of \"%s\"", why, word);
}

static void an_outbound_of_each_protocol_is_taken_apart(void **state)
{
	assert_int_equal(
		read_text(
			"{\"protocol\": \"vless\", \"settings\": {\"vnext\": [{\"address\": \"::1\","
			"\"port\": 443, \"users\": [{\"id\": \"" UUID
			"\", \"encryption\": \"none\","
			"\"flow\": \"xtls-rprx-vision\"}]}]}, \"streamSettings\": {\"network\": \"raw\"}}"),
		0);
	assert_int_equal(l.kind, SHARE_VLESS);
	assert_int_equal(l.network, NET_TCP);
	assert_int_equal(l.security, SECURITY_NONE);
	assert_int_equal(l.port, 443);
	assert_string_equal(l.host, "::1");
	assert_string_equal(l.credential, UUID);
	assert_string_equal(l.flow, "xtls-rprx-vision");
	assert_string_equal(l.encryption, "none");

	assert_int_equal(
		read_text(
			"{\"protocol\": \"vmess\", \"settings\": {\"vnext\": [{\"address\": \"a.test\","
			"\"port\": \"8443\", \"users\": [{\"id\": \"" UUID "\", \"security\":"
			"\"aes-128-gcm\", \"experiments\": \"AuthenticatedLength\"}]}]}}"),
		0);
	assert_int_equal(l.kind, SHARE_VMESS);
	assert_int_equal(l.port, 8443);
	assert_string_equal(l.encryption, "aes-128-gcm");
	assert_string_equal(l.experiments, "AuthenticatedLength");

	assert_int_equal(
		read_text("{\"protocol\": \"trojan\", \"settings\": {\"servers\": [{\"address\":"
			  "\"a.test\", \"port\": 1, \"password\": \"open sesame\"}]}}"),
		0);
	assert_int_equal(l.kind, SHARE_TROJAN);
	assert_string_equal(l.credential, "open sesame");

	assert_int_equal(read_text("{\"protocol\": \"shadowsocks\", \"settings\": {\"servers\": [{"
				   "\"address\": \"a.test\", \"port\": 65535, \"method\":"
				   "\"aes-256-gcm\", \"password\": \"p\"}]}}"),
			 0);
	assert_int_equal(l.kind, SHARE_SHADOWSOCKS);
	assert_int_equal(l.port, 65535);
	assert_string_equal(l.method, "aes-256-gcm");
}

static void the_server_may_stand_without_lists_around_it(void **state)
{
	assert_int_equal(
		read_text("{\"protocol\": \"vless\", \"settings\": {\"address\": \"a.test\","
			  "\"port\": 443, \"id\": \"" UUID "\", \"encryption\": \"none\"}}"),
		0);
	assert_string_equal(l.host, "a.test");
	assert_string_equal(l.credential, UUID);
	assert_int_equal(
		read_text("{\"protocol\": \"trojan\", \"settings\": {\"address\": \"a.test\","
			  "\"port\": 443, \"password\": \"p\"}}"),
		0);
	assert_string_equal(l.credential, "p");
}

static void tls_is_pinned_named_or_believed(void **state)
{
	static const uint8_t start[] = {0x00, 0x11, 0x22, 0x33};

	assert_int_equal(
		read_text(
			"{\"protocol\": \"trojan\", \"settings\": {\"servers\": [{\"address\": \"1.2.3.4\","
			"\"port\": 443, \"password\": \"p\"}]}, \"streamSettings\": {\"network\": \"tcp\","
			"\"security\": \"tls\", \"tlsSettings\": {\"serverName\": \"a.test\","
			"\"alpn\": [\"h2\", \"http/1.1\"], \"pinnedPeerCertSha256\": \"" PIN
			"\"}}}"),
		0);
	assert_int_equal(l.security, SECURITY_TLS);
	assert_string_equal(l.sni, "a.test");
	assert_string_equal(l.alpn, "h2,http/1.1");
	assert_int_equal(trust.npins, 1);
	assert_memory_equal(trust.pins[0], start, sizeof(start));
	assert_false(trust.insecure);

	assert_int_equal(
		read_text("{\"protocol\": \"trojan\", \"settings\": {\"address\": \"1.2.3.4\","
			  "\"port\": 443, \"password\": \"p\"}, \"streamSettings\": {"
			  "\"security\": \"tls\", \"tlsSettings\": {\"allowInsecure\": true}}}"),
		0);
	assert_true(trust.insecure);
}

static void reality_has_its_key_under_either_name(void **state)
{
	static const char *const names[] = {"publicKey", "password"};
	char text[512];

	for (int i = 0; i < 2; i++) {
		snprintf(
			text, sizeof(text),
			"{\"protocol\": \"vless\", \"settings\": {\"address\": \"1.2.3.4\", \"port\": 443,"
			"\"id\": \"" UUID "\"}, \"streamSettings\": {\"security\": \"reality\","
			"\"realitySettings\": {\"%s\": \"abc_-1\", \"shortId\": \"a1b2\","
			"\"serverName\": \"www.test\", \"spiderX\": \"/\"}}}",
			names[i]);
		assert_int_equal(read_text(text), 0);
		assert_int_equal(l.security, SECURITY_REALITY);
		assert_string_equal(l.public_key, "abc_-1");
		assert_string_equal(l.short_id, "a1b2");
		assert_string_equal(l.sni, "www.test");
		assert_string_equal(l.spider, "/");
	}
}

static void what_is_wrong_is_named(void **state)
{
	char text[1024], name[300];

	refused("[]", "protocol");
	refused("{\"protocol\": \"wireguard\"}", "wireguard");
	refused("{\"protocol\": \"trojan\"}", "address");
	refused("{\"protocol\": \"vless\", \"settings\": {\"vnext\": []}}", "address");
	refused("{\"protocol\": \"vless\", \"settings\": {\"vnext\": 7}}", "address");
	refused("{\"protocol\": \"trojan\", \"settings\": {\"address\": \"a\", \"port\": 65536}}",
		"port");
	refused("{\"protocol\": \"trojan\", \"settings\": {\"address\": \"a\", \"port\": 1},"
		"\"streamSettings\": {\"network\": \"carrier-pigeon\"}}",
		"carrier-pigeon");
	refused("{\"protocol\": \"trojan\", \"settings\": {\"address\": \"a\", \"port\": 1},"
		"\"streamSettings\": {\"security\": \"rot13\"}}",
		"rot13");
	refused("{\"protocol\": \"trojan\", \"settings\": {\"address\": \"a\", \"port\": 1},"
		"\"streamSettings\": {\"security\": \"reality\"}}",
		"publicKey");
	refused("{\"protocol\": \"trojan\", \"settings\": {\"address\": \"a\", \"port\": 1},"
		"\"streamSettings\": {\"security\": \"tls\", \"tlsSettings\": {"
		"\"pinnedPeerCertSha256\": \"12\"}}}",
		"hexadecimal");
	memset(name, 'h', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	snprintf(
		text, sizeof(text),
		"{\"protocol\": \"trojan\", \"settings\": {\"address\": \"a\", \"port\": 1},"
		"\"streamSettings\": {\"security\": \"tls\", \"tlsSettings\": {\"alpn\": [\"%s\"]}}}",
		name);
	refused(text, "alpn");
}

static void a_link_does_not_say_where_its_plugin_listens_or_what_it_reads(void **state)
{
	static const char *const good[] = {
		"v2ray-plugin",
		"v2ray-plugin;",
		"v2ray-plugin;tls;host=a.test;path=/a\\;server;mux=0",
		"xray-plugin;mode=quic;serverName=server",
		"kcptun;key=secret;crypt=aes",
		"ck-client;UID=a\\=\\=;PublicKey=b\\=;ServerName=s",
	};
	static const char *const bad[][2] = {
		{"v2ray-plugin;server", "server"},
		{"v2ray-plugin;tls;localAddr=0.0.0.0;localPort=1080", "localAddr"},
		{"v2ray-plugin;localPort=1080", "localPort"},
		{"v2ray-plugin;remoteAddr=::1", "remoteAddr"},
		{"v2ray-plugin;remotePort=22", "remotePort"},
		{"v2ray-plugin;remote\\Port=22", "remotePort"},
		{"xray-plugin;tls;cert=/etc/a;key=/etc/b", "cert"},
		{"xray-plugin;key=/etc/b", "key"},
		{"kcptun;localaddr=:1080", "localaddr"},
		{"kcptun-client;key=a;log=some.file", "log"},
		{"v2ray-plugin;path=\\", "options of the plugin"},
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(link_plugin_check_options(good[i], why), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(link_plugin_check_options(bad[i][0], why), -ERR_CONFIG);
		if (!strstr(why, bad[i][1]))
			fail_msg("\"%s\" does not speak of \"%s\"", why, bad[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(an_outbound_of_each_protocol_is_taken_apart, done),
		cmocka_unit_test_teardown(the_server_may_stand_without_lists_around_it, done),
		cmocka_unit_test_teardown(tls_is_pinned_named_or_believed, done),
		cmocka_unit_test_teardown(reality_has_its_key_under_either_name, done),
		cmocka_unit_test_teardown(what_is_wrong_is_named, done),
		cmocka_unit_test(a_link_does_not_say_where_its_plugin_listens_or_what_it_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
