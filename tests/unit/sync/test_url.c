/* test_url.c - addresses of the v2sp dialect, and what a log may show of them. */
#include "unit.h"

#include "node/config.h"
#include "sync/dialect.h"

static void check_url(const struct panel *p, enum ask a, const char *want)
{
	struct text t = {0};

	dialect_v2sp.url(p, a, &t);
	assert_int_equal(t.err, 0);
	assert_string_equal(t.s, want);
	text_done(&t);
}

static void parameters_go_behind_the_host_as_it_was_written(void **state)
{
	struct panel p = {.host = "https://panel.test/node",
			  .key = "s3cr3t",
			  .node_id = "7",
			  .type = NODE_TROJAN};

	check_url(&p, ASK_USERS,
		  "https://panel.test/node?action=user&node_id=7&node_type=trojan&token=s3cr3t");
	p.host = "https://panel.test/node?x=1";
	check_url(&p, ASK_ALIVE,
		  "https://panel.test/"
		  "node?x=1&action=alivelist&node_id=7&node_type=trojan&token=s3cr3t");
	p.host = "https://panel.test/node?";
	check_url(&p, TELL_TRAFFIC,
		  "https://panel.test/node?action=push&node_id=7&node_type=trojan&token=s3cr3t");
	p.host = "https://panel.test/node?x=1&";
	check_url(
		&p, TELL_ONLINE,
		"https://panel.test/node?x=1&action=alive&node_id=7&node_type=trojan&token=s3cr3t");
	p.host = "https://panel.test/a&"; /* no query yet */
	check_url(&p, ASK_CONFIG,
		  "https://panel.test/"
		  "a&?action=config&node_id=7&node_type=trojan&token=s3cr3t");
	p.host = "http://user:pw@[::1]:8443/";
	check_url(
		&p, ASK_CONFIG,
		"http://user:pw@[::1]:8443/?action=config&node_id=7&node_type=trojan&token=s3cr3t");
}

static void node_type_is_sent_when_configured_or_learned(void **state)
{
	struct panel p = {.host = "http://p", .key = "k", .node_id = "hk-01"};

	check_url(&p, ASK_CONFIG, "http://p?action=config&node_id=hk-01&token=k");
	p.learned = NODE_VLESS;
	check_url(&p, ASK_CONFIG, "http://p?action=config&node_id=hk-01&node_type=vless&token=k");
	p.type = NODE_VMESS;
	check_url(&p, ASK_CONFIG, "http://p?action=config&node_id=hk-01&node_type=vmess&token=k");
}

static void values_are_percent_encoded(void **state)
{
	struct panel p = {.host = "http://p", .key = "a&b+c#d%e f/~._-\xc3\xa9", .node_id = "1"};

	check_url(&p, ASK_CONFIG,
		  "http://p?action=config&node_id=1&token=a%26b%2Bc%23d%25e%20f%2F~._-%C3%A9");
}

static void other_paths_are_for_bare_hosts(void **state)
{
	struct panel p = {.host = "http://p/", .key = "k", .node_id = "1"};

	assert_string_equal(dialect_v2sp.other_path(&p, 0), "/api/v2sp");
	assert_string_equal(dialect_v2sp.other_path(&p, 1), "/api");
	assert_null(dialect_v2sp.other_path(&p, 2));
	p.path = "/api/v2sp";
	check_url(&p, ASK_CONFIG, "http://p/api/v2sp?action=config&node_id=1&token=k");
	p.host = "http://p";
	check_url(&p, ASK_CONFIG, "http://p/api/v2sp?action=config&node_id=1&token=k");
	p.host = "http://p/node";
	assert_null(dialect_v2sp.other_path(&p, 0));
	p.host = "http://p/?x";
	assert_null(dialect_v2sp.other_path(&p, 0));
}

static void check_join(const char *base, const char *path, const char *want)
{
	struct text t = {0};

	url_join(&t, base, path);
	assert_string_equal(t.s, want);
	text_done(&t);
}

static void joining_leaves_one_slash(void **state)
{
	check_join("https://b", "/api/x", "https://b/api/x");
	check_join("https://b/", "/api/x", "https://b/api/x");
	check_join("https://b//", "api/x", "https://b/api/x");
	check_join("https://b/p/?q=1", "/api/x", "https://b/p/api/x?q=1");
}

static void check_dialect(const char *name, const struct panel *p, enum ask a, const char *want)
{
	const struct dialect *d = dialect_find(name);
	struct text t = {0};

	assert_non_null(d);
	d->url(p, a, &t);
	assert_string_equal(t.s, want);
	text_done(&t);
}

static void successors_have_a_path_per_question(void **state)
{
	struct panel p = {
		.host = "https://board.test/", .key = "k&", .node_id = "hk-01", .type = NODE_VLESS};

	check_dialect("XBoard", &p, ASK_USERS,
		      "https://board.test/api/v1/server/UniProxy/"
		      "user?node_type=vless&node_id=hk-01&token=k%26");
	check_dialect(
		"xboard2", &p, TELL_TRAFFIC,
		"https://board.test/api/v2/server/push?node_type=vless&node_id=hk-01&token=k%26");
	check_dialect("v2node", &p, ASK_CONFIG,
		      "https://board.test/api/v2/server/"
		      "config?node_type=v2node&node_id=hk-01&token=k%26");
	check_dialect("v2node", &p, TELL_ONLINE,
		      "https://board.test/api/v1/server/UniProxy/"
		      "alive?node_type=v2node&node_id=hk-01&token=k%26");
	p.type = NODE_TYPE_NONE;
	p.host = "https://board.test/sub?x=1";
	check_dialect("uniproxy", &p, ASK_CONFIG,
		      "https://board.test/sub/api/v1/server/UniProxy/"
		      "config?x=1&node_id=hk-01&token=k%26");
	assert_null(dialect_find("nobody"));
	assert_ptr_equal(dialect_find("V2SP"), &dialect_v2sp);
}

/* Who is told that his panel's dialect is to come, while it is there, goes elsewhere. */
static void the_configuration_knows_which_dialects_are_there(void **state)
{
	const struct conf_row *row = config_node_schema.rows;
	size_t there = 0, to_come = 0;

	while (strcmp(row->name, "ApiType"))
		row++;
	for (const struct conf_word *w = row->words; w->name; w++) {
		assert_int_equal(w->not_yet, !dialect_find(w->name));
		*(w->not_yet ? &to_come : &there) += 1;
	}
	assert_int_equal(there, 7);
	assert_int_equal(to_come, 3); /* sspanel's spellings */
}

static void check_mask(const char *url, const char *want)
{
	struct text t = {0};

	url_mask(&t, url);
	assert_string_equal(t.s, want);
	text_done(&t);
}

static void secrets_are_masked(void **state)
{
	check_mask("https://p/n?action=user&token=s3c%26&x=1",
		   "https://p/n?action=user&token=***&x=1");
	check_mask("https://p?muKey=a&key=b&Token=c", "https://p?muKey=***&key=***&Token=***");
	check_mask("https://u:p@p/", "https://***@p/");
	check_mask("https://u:p@w@p:1/?tokens=1", "https://***@p:1/?tokens=1");
	check_mask("nonsense", "nonsense");
	check_mask("panel.test/?back=http://x/&token=abc", "panel.test/?back=http://x/&token=***");
}

static void an_origin_is_scheme_host_and_port(void **state)
{
	struct text t = {0};

	url_origin(&t, "HTTPS://u:p@Panel.Test:8443/x?y");
	assert_string_equal(t.s, "https://panel.test:8443");
	text_done(&t);
}

static void a_text_grows_and_formats(void **state)
{
	struct text t = {0};
	char big[600];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	text_addf(&t, "%s-%d", big, 7);
	assert_int_equal(t.len, sizeof(big) - 1 + 2);
	assert_string_equal(t.s + t.len - 2, "-7");
	text_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters_go_behind_the_host_as_it_was_written),
		cmocka_unit_test(node_type_is_sent_when_configured_or_learned),
		cmocka_unit_test(values_are_percent_encoded),
		cmocka_unit_test(other_paths_are_for_bare_hosts),
		cmocka_unit_test(joining_leaves_one_slash),
		cmocka_unit_test(successors_have_a_path_per_question),
		cmocka_unit_test(the_configuration_knows_which_dialects_are_there),
		cmocka_unit_test(secrets_are_masked),
		cmocka_unit_test(an_origin_is_scheme_host_and_port),
		cmocka_unit_test(a_text_grows_and_formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
