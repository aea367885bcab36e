#include "unit.h"

#include <stdio.h>

#include "base/json_value.h"
#include "manager/profile.h"

struct bed {
	struct arena mem;
	struct profile_rules rules;
	struct profile *p;
	char why[PROFILE_WHY_MAX], warned[256];
};

static void warn(void *arg, const char *what)
{
	struct bed *b = arg;

	snprintf(b->warned, sizeof(b->warned), "%s", what);
}

static int read_it(struct bed *b, const char *text)
{
	struct json_value *v;

	b->rules.warn = warn;
	b->rules.warn_arg = b;
	assert_int_equal(json_parse(text, strlen(text), 0, &b->mem, &v, NULL, NULL), 0);
	profile_free(b->p);
	b->p = NULL;
	return profile_read(v, &b->rules, &b->p, b->why);
}

static void done(struct bed *b)
{
	profile_free(b->p);
	arena_done(&b->mem);
}

static void numbers_come_as_text_too_and_defaults_fill_in(void **state)
{
	struct bed b = {0};

	assert_int_equal(read_it(&b, "{\"server_port\":\" 8001\",\"password\":\"p\"}"), 0);
	assert_int_equal(b.p->port, 8001);
	assert_string_equal(b.p->password, "p");
	assert_string_equal(b.p->method, "chacha20-ietf-poly1305");
	assert_int_equal(b.p->mode, PROFILE_BOTH);
	assert_null(b.p->plugin);
	assert_int_equal(read_it(&b, "{\"port\":9,\"password\":17,\"method\":\"AES-256-GCM\"}"), 0);
	assert_string_equal(b.p->password, "17");
	assert_string_equal(b.p->method, "aes-256-gcm");
	done(&b);
}

static void what_cannot_be_is_refused_with_a_sentence(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"password\":\"p\"}",
		"{\"server_port\":0,\"password\":\"p\"}",
		"{\"server_port\":65536,\"password\":\"p\"}",
		"{\"server_port\":-1,\"password\":\"p\"}",
		"{\"server_port\":\"x\",\"password\":\"p\"}",
		"{\"server_port\":[1],\"password\":\"p\"}",
		"{\"server_port\":1}",
		"{\"server_port\":1,\"password\":\"\"}",
		"{\"server_port\":1,\"password\":{}}",
		"{\"server_port\":1,\"password\":\"a\\u0000b\"}",
		"{\"server_port\":1,\"password\":\"p\",\"mode\":\"tcp\"}",
		"{\"server_port\":1,\"password\":\"p\",\"timeout\":-1}",
		"{\"server_port\":1,\"password\":\"p\",\"fast_open\":\"maybe\"}",
		"{\"server_port\":1,\"password\":\"p\",\"users\":{}}",
		"{\"server_port\":1,\"password\":\"p\",\"users\":[{\"name\":\"a\"}]}",
		"{\"server_port\":1,\"password\":\"p\",\"plugin\":\"x\",\"plugin_opts\":\"a\\nb\"}",
		("{\"server_port\":1,\"password\":\"p\",\"plugin\":\"x\",\"mode\":\"tcp_only\","
		 "\"plugin_mode\":\"udp_only\"}"),
		"[]",
	};
	struct bed b = {0};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(read_it(&b, bad[i]), -ERR_CONFIG);
		assert_true(*b.why);
		assert_null(b.p);
	}
	done(&b);
}

static void a_profile_written_is_the_same_when_it_is_read(void **state)
{
	static const char *const texts[] = {
		"{\"server_port\":1,\"password\":\"p\"}",
		"{\"server_port\":2,\"password\":\"q\\\"\\\\$(x)\\u00e9\",\"method\":\"aes-128-gcm\","
		"\"mode\":\"udp_only\",\"timeout\":60,\"fast_open\":true,\"no_delay\":true}",
		"{\"server_port\":3,\"password\":\"p\",\"plugin\":\"v2ray-plugin\","
		"\"plugin_opts\":\"server;host=a\\\\;b\",\"plugin_mode\":\"tcp_and_udp\","
		"\"plugin_args\":[\"-v\",\"x y\"],\"server\":[\"0.0.0.0\",\"::\"]}",
		"{\"server_port\":4,\"password\":\"p\",\"users\":[{\"name\":\"a\",\"password\":\"k1\"},"
		"{\"name\":\"b\",\"password\":\"k2\"}],\"acl\":\"/x\",\"odd\":{\"a\":[1,null,true]}}",
	};
	struct bed b = {.rules = {.own_listen = true, .own_args = true}};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		for (int quoted = 0; quoted < 2; quoted++) {
			struct profile *first;
			char *members, *text;

			assert_int_equal(read_it(&b, texts[i]), 0);
			first = b.p;
			b.p = NULL;
			members = profile_members(first, quoted);
			assert_true(asprintf(&text, "{%s}", members) > 0);
			assert_int_equal(read_it(&b, text), 0);
			assert_true(profile_equal(first, b.p));
			profile_free(first);
			free(members);
			free(text);
		}
	}
	done(&b);
}

static void each_member_makes_a_difference(void **state)
{
	static const char *const changed[] = {
		"{\"server_port\":2,\"password\":\"p\"}",
		"{\"server_port\":1,\"password\":\"q\"}",
		"{\"server_port\":1,\"password\":\"p\",\"method\":\"aes-128-gcm\"}",
		"{\"server_port\":1,\"password\":\"p\",\"mode\":\"tcp_only\"}",
		"{\"server_port\":1,\"password\":\"p\",\"udp\":false}",
		"{\"server_port\":1,\"password\":\"p\",\"timeout\":1}",
		"{\"server_port\":1,\"password\":\"p\",\"fast_open\":true}",
		"{\"server_port\":1,\"password\":\"p\",\"no_delay\":1}",
		"{\"server_port\":1,\"password\":\"p\",\"plugin\":\"x\"}",
		"{\"server_port\":1,\"password\":\"p\",\"server\":\"::\"}",
		"{\"server_port\":1,\"password\":\"p\",\"users\":[{\"name\":\"\",\"password\":\"k\"}]}",
		"{\"server_port\":1,\"password\":\"p\",\"acl\":\"x\"}",
	};
	struct bed b = {.rules = {.own_listen = true}};
	struct profile *first;

	assert_int_equal(read_it(&b, "{\"server_port\":1,\"password\":\"p\"}"), 0);
	first = b.p;
	b.p = NULL;
	for (size_t i = 0; i < ARRAY_LEN(changed); i++) {
		assert_int_equal(read_it(&b, changed[i]), 0);
		assert_false(profile_equal(first, b.p));
		assert_int_equal(profile_same_secret(first, b.p), !(i < 3 || i == 10));
	}
	profile_free(first);
	done(&b);
}

static void a_plugin_of_its_own_does_not_get_the_default_ones_options(void **state)
{
	const struct profile defaults = {.plugin = "obfs-server",
					 .plugin_opts = "obfs=http",
					 .mode = PROFILE_BOTH,
					 .plugin_mode = PROFILE_TCP};
	struct bed b = {.rules = {.defaults = &defaults}};

	assert_int_equal(read_it(&b, "{\"server_port\":1,\"password\":\"p\"}"), 0);
	assert_string_equal(b.p->plugin, "obfs-server");
	assert_string_equal(b.p->plugin_opts, "obfs=http");
	assert_int_equal(read_it(&b, "{\"server_port\":1,\"password\":\"p\",\"plugin\":\"other\"}"),
			 0);
	assert_string_equal(b.p->plugin, "other");
	assert_null(b.p->plugin_opts);
	assert_int_equal(read_it(&b, "{\"server_port\":1,\"password\":\"p\",\"plugin\":\"\"}"), 0);
	assert_null(b.p->plugin);
	done(&b);
}

static bool never(void *arg, const char *plugin)
{
	return false;
}

static void who_may_not_name_a_plugin_is_refused_and_arguments_are_left_out(void **state)
{
	struct bed b = {.rules = {.plugin_allowed = never}};

	assert_int_equal(read_it(&b, "{\"server_port\":1,\"password\":\"p\",\"plugin\":\"x\"}"),
			 -ERR_CONFIG);
	b.rules.plugin_allowed = NULL;
	assert_int_equal(read_it(&b, "{\"server_port\":1,\"password\":\"p\",\"plugin\":\"x\","
				     "\"plugin_args\":[\"--evil\"],\"server\":\"9.9.9.9\"}"),
			 0);
	assert_int_equal(b.p->plugin_args.count, 0);
	assert_int_equal(b.p->listen.count, 0);
	assert_true(*b.warned);
	done(&b);
}

static void a_password_may_be_the_environments_where_the_file_is_ours(void **state)
{
	struct bed b = {0};

	setenv("WEIR_TEST_PASSWORD", "hidden", 1);
	assert_int_equal(read_it(&b, "{\"port\":1,\"password\":\"${WEIR_TEST_PASSWORD}\"}"), 0);
	assert_string_equal(b.p->password, "${WEIR_TEST_PASSWORD}");
	b.rules.own_env = true;
	assert_int_equal(read_it(&b, "{\"port\":1,\"password\":\"${WEIR_TEST_PASSWORD}\"}"), 0);
	assert_string_equal(b.p->password, "hidden");
	assert_int_equal(read_it(&b, "{\"port\":1,\"password\":\"${WEIR_TEST_NONE}\"}"),
			 -ERR_CONFIG);
	done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_come_as_text_too_and_defaults_fill_in),
		cmocka_unit_test(what_cannot_be_is_refused_with_a_sentence),
		cmocka_unit_test(a_profile_written_is_the_same_when_it_is_read),
		cmocka_unit_test(each_member_makes_a_difference),
		cmocka_unit_test(a_plugin_of_its_own_does_not_get_the_default_ones_options),
		cmocka_unit_test(who_may_not_name_a_plugin_is_refused_and_arguments_are_left_out),
		cmocka_unit_test(a_password_may_be_the_environments_where_the_file_is_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
