#include "unit.h"

#include <stdio.h>

#include "base/log.h"
#include "yassp/conf.h"

#define MINIMUM \
	"[DEFAULT]\nyassp url = https://panel.test/yassp\nyassp hostname = h\nyassp psk = k\n"

struct read {
	struct conf_report report;
	struct ini *ini;
	struct arena mem;
	struct yassp_conf conf;
};

static void read(struct read *r, const char *text, const char *section)
{
	*r = (struct read){0};
	arena_init(&r->mem, 0);
	conf_report_init(&r->report);
	r->ini = ini_parse(text, strlen(text), "sites.cfg", &r->report);
	assert_int_equal(
		yassp_conf_read(r->ini, section, "sites.cfg", &r->mem, &r->report, &r->conf), 0);
}

static void done(struct read *r)
{
	ini_free(r->ini);
	arena_done(&r->mem);
	conf_report_done(&r->report);
}

static bool says(const struct read *r, const char *path, const char *part)
{
	for (const struct conf_problem *p = r->report.first; p; p = p->next) {
		if (!strcmp(p->path, path) && strstr(p->text, part))
			return true;
	}
	return false;
}

static void three_keys_are_enough(void **state)
{
	struct read r;

	read(&r, MINIMUM, "DEFAULT");
	assert_int_equal(r.report.errors, 0);
	assert_int_equal(r.report.warnings, 0);
	assert_int_equal(r.conf.log_level, LOG_INFO);
	assert_int_equal(r.conf.daemon, YASSP_BUILTIN);
	assert_true(r.conf.print_log);
	assert_string_equal(r.conf.bind, "0.0.0.0");
	assert_false(r.conf.push);
	assert_string_equal(r.conf.push_address, "127.0.0.1");
	assert_int_equal(r.conf.push_port, 8080);
	assert_int_equal(r.conf.threshold, 104857600);
	assert_int_equal(r.conf.timeout_s, 1800);
	assert_int_equal(r.conf.pull_interval_s, 60);
	done(&r);
}

/* As the original's example has it, but for the names. */
static void the_originals_file_runs_unchanged(void **state)
{
	static const char text[] =
		"[DEFAULT]\nlog level = 20\nss daemon type = libev\n"
		"ss-server path = /usr/bin/ss-server\nss-server print log = yes\n"
		"ss-server bind = 0.0.0.0\ntraffic sync threshold = 104857600\n"
		"traffic sync timeout = 1800\n"
		"[site-1]\nyassp url = https://panel.test/\nyassp hostname = h\xc3\xb6st\n"
		"yassp psk = 50%% ; of it\npush server enable = True\n"
		"push bind address = 0.0.0.0\npush bind port = 8888\npush token = t\n";
	struct read r;

	read(&r, text, "site-1");
	assert_int_equal(r.report.errors, 0);
	assert_int_equal(r.report.warnings, 0);
	assert_int_equal(r.conf.daemon, YASSP_LIBEV);
	assert_string_equal(r.conf.program, "/usr/bin/ss-server");
	assert_string_equal(r.conf.psk, "50% ; of it");
	assert_true(r.conf.push);
	assert_int_equal(r.conf.push_port, 8888);
	assert_string_equal(yassp_daemon_name(r.conf.daemon), "libev");
	done(&r);
}

static void everything_wrong_is_told_at_once_with_its_line(void **state)
{
	struct read r;

	read(&r,
	     "[DEFAULT]\nlog level = loud\nss daemon type = go\nyassp url = ftp://x/\n"
	     "yassp hostname = a:b\npush server enable = perhaps\npush bind port = 99999\n"
	     "traffic sync timeout = -1\nstate file = here\nss-server bind = all\n",
	     "DEFAULT");
	assert_true(says(&r, "yassp psk", "is missing"));
	assert_true(says(&r, "yassp hostname", "colon"));
	assert_true(says(&r, "yassp url", "http"));
	assert_true(says(&r, "log level", "loud"));
	assert_true(says(&r, "ss daemon type", "builtin"));
	assert_true(says(&r, "push server enable", "perhaps"));
	assert_true(says(&r, "push bind port", "65535"));
	assert_true(says(&r, "traffic sync timeout", "bounds"));
	assert_true(says(&r, "state file", "absolute"));
	assert_true(says(&r, "ss-server bind", "IP address"));
	assert_int_equal(r.report.first->at.line, 2);
	done(&r);
}

static void a_push_server_wants_a_token(void **state)
{
	struct read r;

	read(&r, MINIMUM "push server enable = on\n", "DEFAULT");
	assert_int_equal(r.report.errors, 1);
	assert_true(says(&r, "push token", "anybody"));
	done(&r);
	read(&r, MINIMUM "push server enable = on\npush token =\n", "DEFAULT");
	assert_int_equal(r.report.errors, 1);
	done(&r);
}

static void an_external_server_wants_its_program(void **state)
{
	struct read r;

	read(&r, MINIMUM "ss daemon type = python\n", "DEFAULT");
	assert_int_equal(r.report.errors, 1);
	assert_true(says(&r, "ss-server path", "python"));
	done(&r);
}

static void only_methods_without_integrity_are_named_as_such(void **state)
{
	struct read r;

	read(&r, MINIMUM "insecure methods = none, aes-256-cfb\n", "DEFAULT");
	assert_int_equal(r.report.errors, 0);
	assert_int_equal(r.conf.insecure_methods.count, 2);
	done(&r);
	read(&r, MINIMUM "insecure methods = none, aes-256-gcm\n", "DEFAULT");
	assert_int_equal(r.report.errors, 1);
	done(&r);
}

static void unknown_keys_are_warned_of(void **state)
{
	struct read r;

	read(&r, MINIMUM "pusch token = x\n", "DEFAULT");
	assert_int_equal(r.report.errors, 0);
	assert_int_equal(r.report.warnings, 1);
	assert_true(says(&r, "pusch token", "push token"));
	done(&r);
}

static void lists_may_take_several_lines(void **state)
{
	struct read r;

	read(&r, MINIMUM "plugin allow = obfs-server,\n  v2ray-plugin\n  /opt/x\n", "DEFAULT");
	assert_int_equal(r.report.errors, 0);
	assert_int_equal(r.conf.plugin_allow.count, 3);
	assert_string_equal(r.conf.plugin_allow.items[1], "v2ray-plugin");
	done(&r);
}

static void every_key_stands_in_the_manual(void **state)
{
	char *page = calloc(1, 64 * 1024), key[64];
	FILE *f = fopen(WEIR_TESTS "/../docs/manual/yassp.md", "re");

	assert_non_null(f);
	assert_true(fread(page, 1, 64 * 1024 - 1, f) > 0);
	fclose(f);
	for (size_t i = 0; i < yassp_schema.count; i++) {
		snprintf(key, sizeof(key), "| `%s` |", yassp_schema.rows[i].name);
		if (!strstr(page, key))
			fail_msg("docs/manual/yassp.md: no %s", key);
	}
	free(page);
}

static void the_example_is_read_without_complaint(void **state)
{
	char *text = calloc(1, 64 * 1024);
	FILE *f = fopen(WEIR_TESTS "/../packaging/yassp.cfg", "re");
	struct read r;

	assert_non_null(f);
	assert_true(fread(text, 1, 64 * 1024 - 1, f) > 0);
	fclose(f);
	read(&r, text, "site-1");
	assert_int_equal(r.report.errors, 0);
	assert_int_equal(r.report.warnings, 0);
	done(&r);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_keys_are_enough),
		cmocka_unit_test(the_originals_file_runs_unchanged),
		cmocka_unit_test(everything_wrong_is_told_at_once_with_its_line),
		cmocka_unit_test(a_push_server_wants_a_token),
		cmocka_unit_test(an_external_server_wants_its_program),
		cmocka_unit_test(only_methods_without_integrity_are_named_as_such),
		cmocka_unit_test(unknown_keys_are_warned_of),
		cmocka_unit_test(lists_may_take_several_lines),
		cmocka_unit_test(every_key_stands_in_the_manual),
		cmocka_unit_test(the_example_is_read_without_complaint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
