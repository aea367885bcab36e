#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "manager/manager_file.h"

struct bed {
	struct manager_args args;
	struct manager_file *f;
	char told[2048]; /* the report */
};

static int parse(struct bed *b, const char *text)
{
	struct conf_report report;
	size_t errors;
	FILE *to;
	int err;

	manager_file_free(b->f);
	b->f = NULL;
	conf_report_init(&report);
	err = manager_file_parse(text, text ? strlen(text) : 0, "m.json", &b->args, &report, &b->f);
	errors = report.errors;
	memset(b->told, 0, sizeof(b->told));
	to = fmemopen(b->told, sizeof(b->told) - 1, "w");
	if (to) {
		conf_report_print(&report, to);
		fclose(to);
	}
	conf_report_done(&report);
	assert_int_equal(!err, b->f != NULL);
	if (err != -ENOMEM)
		assert_int_equal(err, errors ? -ERR_CONFIG : 0);
	return err;
}

static const struct profile *port(const struct bed *b, uint16_t number)
{
	for (size_t i = 0; i < b->f->nports; i++) {
		if (b->f->ports[i]->port == number)
			return b->f->ports[i];
	}
	return NULL;
}

static void a_file_of_ss_manager_is_read(void **state)
{
	struct bed b = {.args = MANAGER_ARGS_NONE};

	assert_int_equal(
		parse(&b, "{\"manager_address\":\"/run/x.sock\",\"server\":[\"0.0.0.0\",\"::\"],"
			  "\"port_password\":{\"8381\":\"foo\",\"8382\":17,"
			  "\"8383\":{\"password\":\"bar\",\"method\":\"AES-128-GCM\"}},"
			  "\"timeout\":60,\"method\":\"aes-256-gcm\",\"fast_open\":true,"
			  "\"mode\":\"tcp_only\",\"nofile\":1024,/* , */}"),
		0);
	assert_string_equal(b.f->endpoint.address, "/run/x.sock");
	assert_int_equal(b.f->listen.count, 2);
	assert_int_equal(b.f->nports, 3);
	assert_string_equal(port(&b, 8381)->password, "foo");
	assert_string_equal(port(&b, 8382)->password, "17");
	assert_string_equal(port(&b, 8383)->method, "aes-128-gcm");
	assert_string_equal(port(&b, 8381)->method, "aes-256-gcm");
	assert_int_equal(port(&b, 8381)->mode, PROFILE_TCP);
	assert_int_equal(port(&b, 8381)->timeout_s, 60);
	assert_true(port(&b, 8381)->fast_open);
	assert_int_equal(b.f->nofile, 1024);
	assert_int_equal(b.f->dialect, MANAGER_WIKI);
	assert_int_equal(b.f->stat_interval_s, 10);
	manager_file_free(b.f);
}

static void a_file_of_ssmanager_is_read_and_a_bad_port_is_its_only_loss(void **state)
{
	struct bed b = {.args = MANAGER_ARGS_NONE};

	assert_int_equal(
		parse(&b,
		      "{\"manager_address\":\"127.0.0.1\",\"manager_port\":6100,\"servers\":["
		      "{\"server\":\"::\",\"server_port\":1,\"method\":\"aes-128-gcm\","
		      "\"password\":\"a\"},{\"address\":\"0.0.0.0\",\"port\":2,\"password\":\"b\"},"
		      "{\"port\":3,\"password\":\"c\",\"disabled\":true},{\"port\":0},"
		      "{\"port\":5,\"password\":\"e\",\"mode\":\"both\"}],"
		      "\"port_password\":{\"1\":\"other\",\"x\":\"y\"}}"),
		0);
	assert_int_equal(b.f->endpoint.port, 6100);
	assert_int_equal(b.f->nports, 2);
	assert_string_equal(port(&b, 1)->password, "a"); /* servers win */
	assert_string_equal(port(&b, 2)->listen.items[0], "0.0.0.0");
	assert_non_null(strstr(b.told, "servers[3]: warning: left out"));
	assert_non_null(strstr(b.told, "servers[4]: warning: left out"));
	assert_non_null(strstr(b.told, "port_password.x: warning: left out"));
	assert_null(strstr(b.told, "other"));
	manager_file_free(b.f);
}

static void the_command_line_wins(void **state)
{
	static const char *const servers[] = {"192.0.2.1"};
	struct bed b = {.args = MANAGER_ARGS_NONE};

	b.args.address = "@here";
	b.args.method = "aes-128-gcm";
	b.args.servers = servers;
	b.args.nservers = 1;
	b.args.mode = PROFILE_UDP;
	b.args.timeout_s = 5;
	b.args.plugin = "mine";
	b.args.password = "k";
	b.args.dialect = "libev";
	assert_int_equal(
		parse(&b, "{\"manager_address\":\"127.0.0.1\",\"manager_port\":6100,"
			  "\"method\":\"aes-256-gcm\",\"server\":\"0.0.0.0\",\"server_port\":9,"
			  "\"password\":\"file\",\"plugin\":\"its\",\"plugin_opts\":\"a=b\","
			  "\"plugin_mode\":\"tcp_and_udp\",\"timeout\":60}"),
		0);
	assert_string_equal(b.f->endpoint.address, "@here");
	assert_int_equal(b.f->endpoint.port, 0);
	assert_string_equal(b.f->listen.items[0], "192.0.2.1");
	assert_string_equal(port(&b, 9)->method, "aes-128-gcm");
	assert_string_equal(port(&b, 9)->password, "k");
	assert_string_equal(port(&b, 9)->plugin, "mine");
	assert_null(port(&b, 9)->plugin_opts); /* those were another plugin's */
	assert_int_equal(port(&b, 9)->timeout_s, 5);
	assert_int_equal(port(&b, 9)->mode, PROFILE_UDP);
	assert_int_equal(b.f->dialect, MANAGER_LIBEV);
	manager_file_free(b.f);
}

static void without_a_file_options_are_enough(void **state)
{
	struct bed b = {.args = MANAGER_ARGS_NONE};

	b.args.address = "/run/x";
	assert_int_equal(parse(&b, NULL), 0);
	assert_int_equal(b.f->nports, 0);
	assert_string_equal(b.f->server_mode, "builtin");
	manager_file_free(b.f);
}

static void how_often_a_port_is_tried_again_may_be_said(void **state)
{
	struct bed b = {.args = MANAGER_ARGS_NONE};

	assert_int_equal(parse(&b, "{}"), 0);
	assert_int_equal(b.f->retry_s, 30);
	assert_int_equal(parse(&b, "{\"port_retry_interval\":2}"), 0);
	assert_int_equal(b.f->retry_s, 2);
	assert_int_equal(parse(&b, "{\"port_retry_interval\":0}"), -ERR_CONFIG);
	manager_file_free(b.f);
}

static void plugins_have_options_for_all_of_them(void **state)
{
	struct bed b = {.args = MANAGER_ARGS_NONE};

	assert_int_equal(parse(&b, "{}"), 0);
	assert_false(b.f->plugin_single_host);
	assert_int_equal(b.f->plugin_stop_timeout_s, 3);
	assert_int_equal(parse(&b, "{\"plugin_single_host\":true,\"plugin_stop_timeout\":\"9\"}"),
			 0);
	assert_true(b.f->plugin_single_host);
	assert_int_equal(b.f->plugin_stop_timeout_s, 9);
	assert_int_equal(parse(&b, "{\"plugin_stop_timeout\":0}"), -ERR_CONFIG);
	manager_file_free(b.f);
}

static void only_methods_without_integrity_are_named_as_such(void **state)
{
	struct bed b = {.args = MANAGER_ARGS_NONE};

	assert_int_equal(parse(&b, "{\"insecure_methods\":[\"none\",\"aes-256-cfb\"]}"), 0);
	assert_int_equal(b.f->insecure_methods.count, 2);
	assert_string_equal(b.f->insecure_methods.items[1], "aes-256-cfb");
	assert_int_equal(parse(&b, "{\"insecure_methods\":\"rc4-md5\"}"), 0);
	assert_int_equal(b.f->insecure_methods.count, 1);
	assert_int_equal(parse(&b, "{\"insecure_methods\":[\"aes-256-gcm\"]}"), -ERR_CONFIG);
	assert_non_null(strstr(b.told, "aes-256-gcm"));
	assert_int_equal(parse(&b, "{\"insecure_methods\":\"rot13\"}"), -ERR_CONFIG);
	manager_file_free(b.f);
}

static void rules_that_nobody_enforces_are_said_to_be_so(void **state)
{
	struct bed b = {.args = MANAGER_ARGS_NONE};

	assert_int_equal(parse(&b, "{\"acl\":\"/etc/acl\"}"), 0);
	assert_non_null(strstr(b.told, "acl: warning: it is not enforced"));
	assert_int_equal(parse(&b, "{\"acl\":\"/etc/acl\",\"server_mode\":\"python\"}"), 0);
	assert_non_null(strstr(b.told, "acl: warning: it is not enforced"));
	assert_int_equal(parse(&b, "{\"acl\":\"/etc/acl\",\"server_mode\":\"libev\"}"), 0);
	assert_string_equal(b.told, "");
	b.args.server_mode = "builtin";
	assert_int_equal(parse(&b, "{\"acl\":\"/etc/acl\",\"server_mode\":\"libev\"}"), 0);
	assert_non_null(strstr(b.told, "acl: warning: it is not enforced"));
	assert_int_equal(parse(&b, "{\"acl\":\"\"}"), 0);
	assert_string_equal(b.told, "");
	manager_file_free(b.f);
}

static void what_is_wrong_with_the_whole_is_said(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{\"manager_address\":}",
		"{\"manager_port\":70000}",
		"{\"manager_dialect\":\"klingon\"}",
		"{\"stat_interval\":0}",
		"{\"manager_socket_mode\":\"rw\"}",
		"{\"servers\":{}}",
		"{\"port_password\":[]}",
		"{\"mode\":\"x\"}",
		"{\"server_mode\":\"go\"}",
	};
	struct bed b = {.args = MANAGER_ARGS_NONE};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(parse(&b, bad[i]), -ERR_CONFIG);
		assert_true(*b.told);
	}
	b.args.dialect = "klingon";
	assert_int_equal(parse(&b, "{}"), -ERR_CONFIG);
	assert_non_null(strstr(b.told, "manager_dialect: klingon is none of wiki, libev"));
}

static void all_that_is_wrong_is_told_with_its_place(void **state)
{
	struct bed b = {.args = MANAGER_ARGS_NONE};

	assert_int_equal(
		parse(&b, "{\n \"manager_adress\": \"/run/x\",\n \"stat_interval\": \"often\",\n"
			  " \"server_mode\": \"go\", \"timeout\": -1,\n"
			  " \"servers\": [ { \"port\": 70000,\n\"password\": \"swordfish\" } ]\n}"),
		-ERR_CONFIG);
	assert_non_null(strstr(b.told, "m.json:2:2: manager_adress: warning: unknown key, ignored; "
				       "did you mean manager_address?\n"));
	assert_non_null(strstr(b.told, "m.json:3:19: stat_interval: expected a whole number"));
	assert_non_null(
		strstr(b.told, "m.json:4:17: server_mode: \"go\" is not known; write one of"));
	assert_non_null(strstr(b.told, "m.json:4:34: timeout: out of bounds"));
	assert_non_null(strstr(b.told, "m.json:5:15: servers[0]: warning: left out"));
	assert_null(strstr(b.told, "swordfish"));
}

static void keys_of_other_managers_are_no_mistakes(void **state)
{
	struct bed b = {.args = MANAGER_ARGS_NONE};

	assert_int_equal(parse(&b, "{\"nameserver\":\"192.0.2.1\",\"mtu\":1400,\"ipv6_first\":true,"
				   "\"reuse_port\":true,\"keep_alive\":15,\"udp_timeout\":300,"
				   "\"udp_max_associations\":512,\"local_address\":\"127.0.0.1\","
				   "\"outbound_fwmark\":1,\"manager_port\":null,\"user\":\"\"}"),
			 0);
	assert_string_equal(b.told, "");
	assert_null(b.f->user);
	assert_null(b.f->state_file);
	assert_null(b.f->plugin_allow);
	assert_int_equal(b.f->log_level, -1);
	assert_int_equal(
		parse(&b, "{\"state_file\":\"\",\"plugin_allow\":[],\"log_level\":\"warn\"}"), 0);
	assert_string_equal(b.f->state_file, "");
	assert_non_null(b.f->plugin_allow);
	assert_null(b.f->plugin_allow[0]);
	assert_int_equal(b.f->log_level, LOG_WARN);
	manager_file_free(b.f);
}

static void a_port_that_cannot_be_served_is_told_when_the_file_is_read(void **state)
{
	static const struct {
		const char *text, *told;
	} bad[] = {
		{"\"port_password\":{\"9\":{\"password\":\"swordfish\",\"method\":\"rot13\"}}",
		 "port_password.9: warning: will not be served: method rot13 is none"},
		{"\"port_password\":{\"9\":{\"password\":\"swordfish\",\"method\":\"rc4-md5\"}}",
		 "will not be served: method rc4-md5 protects nothing; name it"},
		{"\"method\":\"rc4-md5\",\"port_password\":{\"9\":\"swordfish\"}",
		 "1:11: method: warning: ports that name no other will not be served: method "
		 "rc4-md5"},
		{"\"method\":\"2022-blake3-aes-128-gcm\",\"servers\":[{\"port\":9,"
		 "\"password\":\"swordfish\"}]",
		 "servers[0]: warning: will not be served: password is no key of method "
		 "2022-blake3-aes-128-gcm, which is the base64 of 16 bytes"},
		{"\"method\":\"2022-blake3-aes-128-gcm\",\"servers\":[{\"port\":9,"
		 "\"password\":\"MDEyMzQ1Njc4OWFiY2RlZg==\",\"users\":[{\"name\":\"a\","
		 "\"password\":\"swordfish\"}]}]",
		 "a user's password is no key"},
		{"\"servers\":[{\"port\":9,\"password\":\"swordfish\",\"server\":\"here\"}]",
		 "servers[0]: warning: will not be served: here is no address to listen on"},
		{"\"server\":[\"[::]\",\"here\"]",
		 "1:11: server: warning: ports will not be served: here is no address"},
		{"\"password\":\"swordfish\"", "1:13: password: warning: is of no port"},
	};
	struct bed b = {.args = MANAGER_ARGS_NONE};
	char text[512];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof(text), "{%s}", bad[i].text);
		assert_int_equal(parse(&b, text), 0);
		assert_non_null(strstr(b.told, bad[i].told));
		assert_null(strstr(b.told, "swordfish"));
		assert_ptr_equal(strchr(b.told, '\n'), strrchr(b.told, '\n')); /* and no more */
		snprintf(text, sizeof(text), "{\"server_mode\":\"libev\",%s}", bad[i].text);
		assert_int_equal(parse(&b, text), 0);
		assert_true(!*b.told || strstr(b.told, "is of no port"));
	}
	assert_int_equal(parse(&b, "{\"method\":\"2022-blake3-aes-128-gcm\",\"server\":[\"[::]\","
				   "\"0.0.0.0\"],\"port_password\":{\"9\":"
				   "\"MDEyMzQ1Njc4OWFiY2RlZg==\"}}"),
			 0);
	assert_string_equal(b.told, "");
	manager_file_free(b.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_of_ss_manager_is_read),
		cmocka_unit_test(a_file_of_ssmanager_is_read_and_a_bad_port_is_its_only_loss),
		cmocka_unit_test(the_command_line_wins),
		cmocka_unit_test(without_a_file_options_are_enough),
		cmocka_unit_test(how_often_a_port_is_tried_again_may_be_said),
		cmocka_unit_test(plugins_have_options_for_all_of_them),
		cmocka_unit_test(only_methods_without_integrity_are_named_as_such),
		cmocka_unit_test(rules_that_nobody_enforces_are_said_to_be_so),
		cmocka_unit_test(what_is_wrong_with_the_whole_is_said),
		cmocka_unit_test(all_that_is_wrong_is_told_with_its_place),
		cmocka_unit_test(keys_of_other_managers_are_no_mistakes),
		cmocka_unit_test(a_port_that_cannot_be_served_is_told_when_the_file_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
