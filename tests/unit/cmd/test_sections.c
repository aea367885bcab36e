/* The sections Manager and Yassp of a configuration on disk. */
#include "unit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/fetch.h"
#include "cmd/sections.h"
#include "plugin/plugin.h"

int fetch_include(const char *url, char **text, size_t *len, char why[CONFIG_FETCH_WHY])
{
	return -ENOENT;
}

struct bed {
	char dir[32];
	struct config *c, *before;
	struct sections s;
	char told[4096]; /* the report */
};

static void drop(struct bed *b)
{
	sections_done(&b->s);
	config_free(b->before);
	b->before = NULL;
}

static const char *path_of(const struct bed *b, const char *name)
{
	static char path[2][64];
	static int at;

	at = !at;
	snprintf(path[at], sizeof(path[at]), "%s/%s", b->dir, name);
	return path[at];
}

static void write_file(const struct bed *b, const char *name, const char *text)
{
	FILE *f = fopen(path_of(b, name), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path_of(b, name), 0600), 0);
}

/* The file before stays to be compared with. */
static bool load(struct bed *b, const char *text)
{
	struct conf_report report;
	FILE *to;

	drop(b);
	b->before = b->c;
	write_file(b, "c.json", text);
	conf_report_init(&report);
	b->c = sections_load(path_of(b, "c.json"), CONFIG_API_V2SP, &b->s, &report);
	memset(b->told, 0, sizeof(b->told));
	to = fmemopen(b->told, sizeof(b->told) - 1, "w");
	conf_report_print(&report, to);
	fclose(to);
	conf_report_done(&report);
	return b->c != NULL;
}

static int set_up(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	snprintf(b->dir, sizeof(b->dir), "/tmp/weir-sections-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	write_file(b, "s.cfg",
		   "[DEFAULT]\nyassp url = http://p.test/\nyassp psk = k\nyassp hostname = h\n"
		   "[a]\n[b]\n[c]\nstate file = /var/c\n[d]\nstate file = /var/c\n");
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bed *b = *state;

	drop(b);
	config_free(b->c);
	unlink(path_of(b, "c.json"));
	unlink(path_of(b, "s.cfg"));
	unlink(path_of(b, "link.cfg"));
	rmdir(b->dir);
	free(b);
	return 0;
}

#define MANAGER(more) "{\"Manager\":{\"manager_address\":" more "}"

static void what_may_start_as_a_plugin_is_never_more_than_was_said(void **state)
{
	static const char *const none[] = {
		MANAGER("\"/m\"") "}",
		MANAGER("\"/m\"") ",\"Plugins\":{\"Allow\":[]}}",
		MANAGER("\"/m\",\"plugin_allow\":[]") ",\"Plugins\":{\"Allow\":[\"a\"]}}",
	};
	struct bed *b = *state;

	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		assert_true(load(b, none[i]));
		assert_non_null(b->s.manager->plugin_allow);
		assert_false(plugin_allowed(b->s.manager->plugin_allow, "a"));
	}
	assert_true(load(b, MANAGER("\"/m\"") ",\"Plugins\":{\"Allow\":[\"a\"]}}"));
	assert_true(plugin_allowed(b->s.manager->plugin_allow, "a"));
	assert_false(plugin_allowed(b->s.manager->plugin_allow, "b"));
}

static void an_address_that_can_never_be_is_a_mistake(void **state)
{
	static const struct {
		const char *text, *why;
	} wrong[] = {
		{MANAGER("\"0.0.0.0:6001\"") "}", "0.0.0.0:6001 is not loopback"},
		{MANAGER("\":6001\"") "}", ":6001 is not loopback"},
		{MANAGER("\"manager.example:6001\"") "}", "manager.example is no IP address"},
		{MANAGER("\"127.0.0.1:\"") "}", "has no port"},
		{MANAGER("\"127.0.0.1\"") "}", "has no port"},
		{MANAGER("\"localhost\"") "}", "has no port"},
		{MANAGER("\"127.0.0.1:65536\"") "}", "no number from 1 to 65535"},
		{MANAGER("\"127.0.0.1:ssm\"") "}", "no number from 1 to 65535"},
		{MANAGER("\"/12345678901234567890123456789012345678901234567890"
			 "1234567890123456789012345678901234567890123456789012345678901234567890\"") "}",
		 "is too long for a socket"},
	};
	static const char *const right[] = {
		MANAGER("\"0.0.0.0:6001\",\"manager_allow_remote\":true") "}",
		MANAGER("\"localhost:6001\"") "}",
		MANAGER("\"[::1]:6001\"") "}",
		MANAGER("\"127.0.0.1\",\"manager_port\":6001") "}",
		MANAGER("\"@name\"") "}",
	};
	struct bed *b = *state;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_false(load(b, wrong[i].text));
		assert_non_null(strstr(b->told, "Manager.manager_address: "));
		assert_non_null(strstr(b->told, wrong[i].why));
	}
	for (size_t i = 0; i < ARRAY_LEN(right); i++)
		assert_true(load(b, right[i]));
}

static void a_site_is_the_same_by_whatever_name(void **state)
{
	struct bed *b = *state;

	assert_int_equal(symlink(path_of(b, "s.cfg"), path_of(b, "link.cfg")), 0);
	assert_false(load(b, "{\"Yassp\":[{\"Config\":\"s.cfg\",\"Section\":\"a\"},"
			     "{\"Config\":\"./s.cfg\",\"Section\":\"a\"}]}"));
	assert_non_null(strstr(b->told, "the same site again"));
	assert_false(load(b, "{\"Yassp\":[{\"Config\":\"s.cfg\",\"Section\":\"a\"},"
			     "{\"Config\":\"link.cfg\",\"Section\":\"a\"}]}"));
	assert_non_null(strstr(b->told, "the same site again"));
	assert_false(load(b, "{\"Yassp\":[{\"Config\":\"s.cfg\",\"Section\":\"c\"},"
			     "{\"Config\":\"s.cfg\",\"Section\":\"d\"}]}"));
	assert_non_null(strstr(b->told, "Yassp[1]: its state file is that of [c], too"));
	assert_true(load(b, "{\"Yassp\":[{\"Config\":\"s.cfg\",\"Section\":\"a\"},"
			    "{\"Config\":\"s.cfg\",\"Section\":\"b\"}]}"));
	assert_int_equal(b->s.nsites, 2);
}

static void what_has_no_effect_in_a_section_is_no_change(void **state)
{
	struct bed *b = *state;

	load(b, MANAGER("\"/m\"") "}");
	assert_false(sections_same_manager(b->c, &(struct config){0}));
	load(b,
	     MANAGER("\"/m\",\"user\":\"u\",\"nofile\":9,\"workers\":2,\"log_level\":\"debug\"") "}");
	assert_true(sections_same_manager(b->before, b->c));
	load(b, MANAGER("\"/m\",\"workers\":3,\"log_level\":\"info\"") "}");
	assert_true(sections_same_manager(b->before, b->c));
	load(b,
	     MANAGER("\"/m\",\"workers\":3,\"server\":\"127.0.0.1\",\"log_level\":\"info\"") "}");
	assert_false(sections_same_manager(b->before, b->c));
	load(b, MANAGER("\"/n\",\"server\":\"127.0.0.1\"") "}");
	assert_false(sections_same_manager(b->before, b->c));
	load(b, MANAGER("\"/n\",\"server\":\"127.0.0.1\"") ",\"Plugins\":{\"Allow\":[\"a\"]}}");
	assert_false(sections_same_manager(b->before, b->c));
}

static void a_site_that_is_not_there_is_told_with_what_there_is(void **state)
{
	struct bed *b = *state;

	assert_false(load(b, "{\"Yassp\":[{\"Config\":\"away.cfg\"}]}"));
	assert_non_null(strstr(b->told, "c.json:1:11: Yassp[0].Config: cannot read \""));
	assert_non_null(strstr(b->told, "away.cfg\": No such file"));
	assert_false(load(b, "{\"Yassp\":[{\"Config\":\"s.cfg\",\"Section\":\"e\"}]}"));
	assert_non_null(strstr(b->told, "s.cfg: e: there is no such section; write one of DEFAULT, "
					"a, b, c, d\n"));
	write_file(b, "s.cfg", "[DEFAULT]\nyassp psk = k\n[site-1]\n");
	assert_false(load(b, "{\"Yassp\":[{\"Config\":\"s.cfg\"}]}"));
	assert_non_null(strstr(b->told, "yassp url: is missing"));
	assert_non_null(
		strstr(b->told, "s.cfg: warning: no section was named; there are site-1\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_may_start_as_a_plugin_is_never_more_than_was_said),
		TEST(an_address_that_can_never_be_is_a_mistake),
		TEST(a_site_is_the_same_by_whatever_name),
		TEST(what_has_no_effect_in_a_section_is_no_change),
		TEST(a_site_that_is_not_there_is_told_with_what_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
