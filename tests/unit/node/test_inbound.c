/* What a configuration and a panel's answer together make of an inbound. */
#include "unit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/inbound.h"
#include "node/inbound_plugin.h"
#include "node/inbound_tls.h"
#include "proto/shadowsocks/shadowsocks.h"
#include "proto/vless/vless.h"

struct bed {
	struct config *file;
	struct node_info *info;
	struct inbound *in;
	char dir[64], why[INBOUND_WHY_MAX];
};

static uint8_t ticket_key[TLS_TICKET_KEY_LEN];

/* A node with these options beside the required ones; the panel says VLESS on port 443, in clear.
 */
static void open_bed(struct bed *b, const char *options)
{
	struct conf_report report;
	char text[2048];

	*b = (struct bed){0};
	snprintf(b->dir, sizeof(b->dir), "/tmp/weir-inbound-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(
		text, sizeof(text),
		"{\"Nodes\":[{\"ApiHost\":\"http://127.0.0.1:1/x\",\"ApiKey\":\"k\",\"NodeID\":1%s%s}]}",
		*options ? "," : "", options);
	conf_report_init(&report);
	b->file = config_parse(text, strlen(text), "config.json", &report);
	conf_report_print(&report, stderr);
	conf_report_done(&report);
	assert_non_null(b->file);
	b->info = node_info_new();
	assert_non_null(b->info);
	b->info->type = NODE_VLESS;
	b->info->port = 443;
}

static struct inbound_plan plan_of(const struct bed *b)
{
	return (struct inbound_plan){b->file, b->file->nodes[0], b->info, ticket_key};
}

static int build(struct bed *b)
{
	struct inbound_plan plan = plan_of(b);

	return inbound_build(&plan, &b->in, b->why);
}

static void close_bed(struct bed *b)
{
	char path[128];

	inbound_put(b->in);
	node_info_put(b->info);
	config_free(b->file);
	snprintf(path, sizeof(path), "%s/c.crt", b->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/c.key", b->dir);
	unlink(path);
	assert_int_equal(rmdir(b->dir), 0);
}

static void assert_listens(const struct bed *b, unsigned i, const char *want)
{
	char text[ADDR_TEXT_MAX];

	assert_true(i < b->in->nlisten);
	assert_string_equal(addr_format(&b->in->listen[i], text), want);
}

static void the_files_addresses_go_before_the_panels(void **state)
{
	struct bed b;

	open_bed(&b, "\"ListenIP\":[\"127.0.0.1\",\"::1\"]");
	b.info->listen_ip = "192.0.2.1";
	assert_int_equal(build(&b), 0);
	assert_int_equal(b.in->nlisten, 2);
	assert_listens(&b, 0, "127.0.0.1:443");
	assert_listens(&b, 1, "[::1]:443");
	close_bed(&b);

	open_bed(&b, "");
	b.info->listen_ip = "192.0.2.1";
	assert_int_equal(build(&b), 0);
	assert_listens(&b, 0, "192.0.2.1:443");
	close_bed(&b);

	open_bed(&b, "");
	assert_int_equal(build(&b), 0);
	assert_listens(&b, 0, "0.0.0.0:443");
	close_bed(&b);
}

static void strangers_get_what_the_inbound_can_give(void **state)
{
	struct bed b;

	open_bed(&b, "");
	assert_int_equal(build(&b), 0);
	assert_int_equal(b.in->reject, REJECT_DRAIN);
	assert_null(b.in->tls);
	/* a target's last words are read, and an end of one side hurries nobody */
	assert_true(b.in->times.mirror.linger > 0);
	assert_true(b.in->times.mirror.linger >= b.in->times.mirror.idle);
	close_bed(&b);

	open_bed(&b, "\"EnableFallback\":true,\"FallBackConfigs\":[{\"Dest\":\"80\"}]");
	assert_int_equal(build(&b), 0);
	assert_int_equal(b.in->reject, REJECT_FALLBACK);
	assert_non_null(fallback_select(b.in->fallbacks, "", "", "x", 1));
	close_bed(&b);

	open_bed(&b, "\"EnableFallback\":true,\"FallBackConfigs\":[{\"Dest\":\"80\"}],"
		     "\"RejectPolicy\":\"close\"");
	assert_int_equal(build(&b), 0);
	assert_int_equal(b.in->reject, REJECT_CLOSE);
	close_bed(&b);
}

/* Of a salt that comes alone nobody can say whether more follows. */
static void a_fallback_behind_shadowsocks_or_vmess_is_refused(void **state)
{
	static const enum node_type types[] = {NODE_SHADOWSOCKS, NODE_VMESS};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct bed b;

		open_bed(&b, "\"EnableFallback\":true,\"FallBackConfigs\":[{\"Dest\":\"80\"}]");
		b.info->type = types[i];
		b.info->ss.cipher = "aes-128-gcm";
		assert_int_equal(build(&b), -ERR_UNSUPPORTED);
		assert_non_null(strstr(b.why, "EnableFallback does not go with"));
		close_bed(&b);

		open_bed(&b, "\"EnableFallback\":false,\"FallBackConfigs\":[{\"Dest\":\"80\"}]");
		b.info->type = types[i];
		b.info->ss.cipher = "aes-128-gcm";
		assert_int_equal(build(&b), 0);
		close_bed(&b);
	}
}

static void a_self_signed_certificate_is_made_once_and_kept(void **state)
{
	struct inbound_plan plan;
	char options[256], path[128];
	struct stat before, after;
	uint64_t stamp;
	struct bed b;

	open_bed(&b, "");
	snprintf(
		options, sizeof(options),
		"\"CertConfig\":{\"CertMode\":\"self\",\"CertFile\":\"%s/c.crt\",\"KeyFile\":\"%s/c.key\"}",
		b.dir, b.dir);
	snprintf(path, sizeof(path), "%s/c.key", b.dir);
	for (int i = 0; i < 2; i++) {
		struct bed t;

		open_bed(&t, options);
		t.info->security = SECURITY_TLS;
		t.info->server_name = "node.test";
		plan = plan_of(&t);
		assert_int_equal(build(&t), 0);
		assert_non_null(t.in->tls);
		assert_int_equal(t.in->reject, REJECT_DRAIN);
		assert_int_equal(stat(path, i ? &after : &before), 0);
		stamp = inbound_tls_stamp(&plan);
		assert_true(stamp != 0 && stamp == inbound_tls_stamp(&plan));
		close_bed(&t);
	}
	assert_int_equal(before.st_mode & 0777, 0600);
	assert_true(before.st_ino == after.st_ino && before.st_mtime == after.st_mtime);
	close_bed(&b);
}

static bool has_flow(const char *options, bool panel, enum node_security security)
{
	struct bed b;
	bool has;

	open_bed(&b, options);
	b.info->vless.vision = panel;
	b.info->security = security;
	b.info->server_name = "node.test";
	assert_int_equal(build(&b), 0);
	has = ((const struct vless_conf *)b.in->conf)->vision;
	close_bed(&b);
	return has;
}

static void the_flow_is_the_panels_or_that_of_enable_xtls(void **state)
{
	static const struct {
		const char *option;
		bool panel;
		enum node_security security;
		bool flow;
	} rows[] = {
		{"", true, SECURITY_TLS, true},
		{",\"EnableXTLS\":false", true, SECURITY_TLS, true},
		{",\"EnableXTLS\":true", false, SECURITY_TLS, true},
		{"", false, SECURITY_TLS, false},
		{",\"EnableXTLS\":true", false, SECURITY_NONE, false},
	};
	char options[512];
	struct bed home;

	open_bed(&home, "");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(options, sizeof(options),
			 "\"CertConfig\":{\"CertMode\":\"self\",\"CertFile\":\"%s/c.crt\","
			 "\"KeyFile\":\"%s/c.key\"}%s",
			 home.dir, home.dir, rows[i].option);
		assert_int_equal(has_flow(options, rows[i].panel, rows[i].security), rows[i].flow);
	}
	close_bed(&home);
}

static void what_this_build_lacks_is_named(void **state)
{
	struct bed b;

	open_bed(&b, "");
	b.info->type = NODE_TUIC;
	assert_int_equal(build(&b), -ERR_UNSUPPORTED);
	assert_non_null(strstr(b.why, "tuic"));
	b.info->type = NODE_VLESS;
	b.info->network = NET_GRPC;
	assert_int_equal(build(&b), -ERR_UNSUPPORTED);
	assert_non_null(strstr(b.why, "grpc"));
	b.info->network = NET_TCP;
	b.info->vless.vision = true;
	assert_int_equal(build(&b), -ERR_UNSUPPORTED);
	assert_non_null(strstr(b.why, "vision needs TLS"));
	b.info->vless.vision = false;
	close_bed(&b);
}

static void a_missing_certificate_is_an_error_with_its_path(void **state)
{
	struct bed b;

	open_bed(&b, "\"CertConfig\":{\"CertMode\":\"file\",\"CertFile\":\"/nonexistent/c.crt\","
		     "\"KeyFile\":\"/nonexistent/c.key\"}");
	b.info->security = SECURITY_TLS;
	assert_true(build(&b) < 0);
	assert_non_null(strstr(b.why, "/nonexistent/c.crt"));
	close_bed(&b);
}

static void limits_of_the_file_go_before_the_panels(void **state)
{
	struct user_rules rules;
	struct bed b;

	open_bed(&b, "\"LimitConfig\":{\"SpeedLimit\":10,\"SpeedLimitScope\":\"sum\"}");
	b.info->remote.set = REMOTE_SPEED_LIMIT | REMOTE_CONN_LIMIT;
	b.info->remote.speed_limit_mbps = 99;
	b.info->remote.conn_limit = 7;
	b.info->push_interval_s = 60;
	inbound_user_rules(b.file->nodes[0], b.info, &rules);
	assert_int_equal(rules.speed_bps, 10000000);
	assert_true(rules.sum);
	assert_int_equal(rules.conn_limit, 7);
	assert_int_equal(rules.grace_s, 120);
	close_bed(&b);
}

static void the_source_address_is_the_files_or_any(void **state)
{
	struct bed b;

	open_bed(&b, "\"SendIP\":\"192.0.2.10\"");
	assert_int_equal(build(&b), 0);
	assert_int_equal(b.in->direct.source.sa.sa_family, AF_INET);
	assert_false(b.in->direct.allow_private);
	assert_true(b.in->trusted.allow_private);
	close_bed(&b);

	open_bed(&b, "\"SendIP\":\"0.0.0.0\",\"AllowPrivate\":true");
	assert_int_equal(build(&b), 0);
	assert_int_equal(b.in->direct.source.len, 0);
	assert_true(b.in->direct.allow_private);
	close_bed(&b);
}

/* What a panel says about a Shadowsocks node, and what comes of it; NULL: it is refused. */
static void shadowsocks_is_served_with_keys_that_fit_and_ciphers_that_protect(void **state)
{
	static const struct {
		const char *options, *cipher, *key;
		bool ok;
	} cases[] = {
		{"", "aes-256-gcm", NULL, true},
		{"", "chacha20-poly1305", NULL, true},
		{"", "2022-blake3-aes-128-gcm", "MjQ5MjBkZWNmODNmNjk2MA==", true},
		{"", "2022-blake3-aes-256-gcm", "MjQ5MjBkZWNmODNmNjk2MA==", false},
		{"", "2022-blake3-aes-128-gcm", "not a key", false},
		{"", "rot13", NULL, false},
		{"", "none", NULL, false},
		{"", "aes-256-cfb", NULL, false},
		{"\"InsecureCiphers\":[\"none\"]", "aes-256-cfb", NULL, false},
		{"\"InsecureCiphers\":[\"plain\",\"rc4-md5\"]", "none", NULL, true},
		{"\"InsecureCiphers\":\"rc4-md5\"", "rc4-md5", NULL, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bed b;

		open_bed(&b, cases[i].options);
		b.info->type = NODE_SHADOWSOCKS;
		b.info->ss.cipher = cases[i].cipher;
		b.info->ss.server_key = cases[i].key;
		assert_int_equal(build(&b), cases[i].ok ? 0 : -ERR_UNSUPPORTED);
		if (cases[i].ok) {
			const struct ss_conf *c = b.in->conf;

			assert_ptr_equal(c->method, ss_method_find(cases[i].cipher));
			assert_int_equal(c->named, cases[i].key != NULL);
			assert_int_equal(b.in->reject, REJECT_DRAIN);
		} else {
			assert_non_null(strstr(b.why, cases[i].cipher));
			assert_null(cases[i].key ? strstr(b.why, cases[i].key) : NULL);
		}
		close_bed(&b);
	}
}

/* v2board's and Xboard's way of saying it; what is no plugin of ours is refused by its name. */
static void simple_obfs_is_built_in_however_a_panel_names_it(void **state)
{
	static const struct {
		const char *obfs, *host, *plugin, *opts, *served, *refused;
	} cases[] = {
		{NULL, NULL, NULL, NULL, NULL, NULL},
		{"http", NULL, NULL, NULL, "", NULL},
		{"http", "www.test", NULL, NULL, "www.test", NULL},
		{NULL, NULL, "obfs", "obfs=http;obfs-host=www.test;path=/x", "www.test", NULL},
		{NULL, NULL, "obfs-local", "obfs=http", "", NULL},
		{NULL, NULL, "obfs-local", "obfs=tls", NULL, "obfs-local is not in Plugins.Allow"},
		{NULL, NULL, "obfs-local", NULL, NULL, "obfs-local is not in Plugins.Allow"},
		{"tls", NULL, NULL, NULL, NULL, "tls"},
		{"http", "a b", NULL, NULL, NULL, "a b"},
		{NULL, NULL, "v2ray-plugin", "tls", NULL, "v2ray-plugin"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bed b;

		open_bed(&b, "");
		b.info->type = NODE_SHADOWSOCKS;
		b.info->ss.cipher = "aes-256-gcm";
		b.info->ss.obfs = cases[i].obfs;
		b.info->ss.obfs_host = cases[i].host;
		b.info->ss.plugin = cases[i].plugin;
		b.info->ss.plugin_opts = cases[i].opts;
		assert_int_equal(build(&b), cases[i].refused ? -ERR_UNSUPPORTED : 0);
		if (cases[i].refused) {
			assert_non_null(strstr(b.why, cases[i].refused));
		} else if (cases[i].served) {
			assert_non_null(b.in->obfs);
			assert_string_equal(b.in->obfs->host, cases[i].served);
		} else {
			assert_null(b.in->obfs);
		}
		close_bed(&b);
	}
}

/* The public rows, then the one on loopback, which has no number yet. */
static void a_plugin_leaves_what_its_mode_says(void **state)
{
	static const struct {
		const char *mode, *cipher;
		unsigned n;
		uint8_t kind[3];
		bool hidden_tcp, hidden_udp;
	} cases[] = {
		{"tcp_only", "aes-256-gcm", 3, {INBOUND_UDP, INBOUND_UDP, INBOUND_TCP}, 1, 0},
		{"udp_only", "aes-256-gcm", 3, {INBOUND_TCP, INBOUND_TCP, INBOUND_UDP}, 0, 1},
		{"tcp_and_udp", "aes-256-gcm", 1, {INBOUND_FULL}, 1, 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		static const char *allow[] = {"other", "/bin/cat"};
		char options[128];
		struct bed b;

		snprintf(options, sizeof(options),
			 "\"ListenIP\":[\"0.0.0.0\",\"::\"],\"PluginMode\":\"%s\"", cases[i].mode);
		open_bed(&b, options);
		b.info->type = NODE_SHADOWSOCKS;
		b.info->ss.cipher = cases[i].cipher;
		b.info->ss.plugin = "/bin/cat";
		b.info->ss.plugin_opts = "a=b";
		assert_int_equal(build(&b), -ERR_UNSUPPORTED);
		b.file->plugins.allow = (struct json_list){allow, 2};
		assert_int_equal(build(&b), 0);
		assert_int_equal(b.in->nlisten, cases[i].n);
		for (unsigned k = 0; k < cases[i].n; k++)
			assert_int_equal(b.in->kind[k], cases[i].kind[k]);
		assert_listens(&b, cases[i].n - 1, "127.0.0.1:0");
		assert_int_equal(b.in->plugin->inner, cases[i].n - 1);
		assert_string_equal(b.in->plugin->hosts, "0.0.0.0|::");
		assert_int_equal(b.in->hidden_tcp, cases[i].hidden_tcp);
		assert_int_equal(b.in->hidden_udp, cases[i].hidden_udp);
		assert_false(b.in->partial);
		close_bed(&b);
	}
}

static void what_a_plugin_still_holds_is_left_out_for_now(void **state)
{
	struct inbound_plugin held = {.port = 443, .tcp = PLUGIN_LOOPBACK, .udp = PLUGIN_PUBLIC};
	struct bed b;

	for (int way = 0; way < 3; way++) {
		struct inbound_plan plan;

		open_bed(&b, "");
		b.info->type = NODE_SHADOWSOCKS;
		b.info->ss.cipher = "aes-256-gcm";
		plan = plan_of(&b);
		plan.held = &held;
		if (way == 1)
			held.udp = PLUGIN_LOOPBACK;
		if (way == 2)
			b.info->port = 444;
		assert_int_equal(inbound_build(&plan, &b.in, b.why), 0);
		assert_int_equal(b.in->partial, way < 2);
		assert_int_equal(b.in->nlisten, way != 1);
		if (way == 0)
			assert_int_equal(b.in->kind[0], INBOUND_UDP);
		close_bed(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_files_addresses_go_before_the_panels),
		cmocka_unit_test(strangers_get_what_the_inbound_can_give),
		cmocka_unit_test(a_fallback_behind_shadowsocks_or_vmess_is_refused),
		cmocka_unit_test(a_self_signed_certificate_is_made_once_and_kept),
		cmocka_unit_test(the_flow_is_the_panels_or_that_of_enable_xtls),
		cmocka_unit_test(what_this_build_lacks_is_named),
		cmocka_unit_test(a_missing_certificate_is_an_error_with_its_path),
		cmocka_unit_test(limits_of_the_file_go_before_the_panels),
		cmocka_unit_test(a_plugin_leaves_what_its_mode_says),
		cmocka_unit_test(what_a_plugin_still_holds_is_left_out_for_now),
		cmocka_unit_test(simple_obfs_is_built_in_however_a_panel_names_it),
		cmocka_unit_test(shadowsocks_is_served_with_keys_that_fit_and_ciphers_that_protect),
		cmocka_unit_test(the_source_address_is_the_files_or_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
