#include "unit.h"

#include <stdio.h>

#include "manager/engine.h"
#include "yassp/body.h"
#include "yassp/list.h"

struct said {
	char text[8192];
	unsigned n;
};

static void on_remark(void *arg, const char *what)
{
	struct said *s = arg;
	size_t len = strlen(s->text);

	s->n++;
	snprintf(s->text + len, sizeof(s->text) - len, "%s\n", what);
}

static int parse(const char *text, struct yassp_list *l, struct said *s)
{
	static const char *const allow[] = {"obfs-server", NULL};
	const struct yassp_rules rules = {.allow = allow, .remark = on_remark, .arg = s};
	char why[PROFILE_WHY_MAX] = "";
	int err;

	*s = (struct said){0};
	*l = (struct yassp_list){0};
	err = yassp_list_parse(text, strlen(text), &rules, l, why);
	assert_true(!err == !*why);
	return err;
}

static void the_list_of_the_document_is_read(void **state)
{
	struct yassp_list l;
	struct said s;
	const struct profile *p;

	assert_int_equal(
		parse("[{\"port\":\"9102\",\"method\":\"chacha20-ietf-poly1305\",\"password\":"
		      "\"p-two\",\"udp\":false,\"timeout\":60,\"plugin\":\"obfs-server\","
		      "\"plugin_opts\":\"obfs=http\"},"
		      "{\"port\":9101,\"method\":\"AES-256-gcm\",\"password\":\"p-one\"}]",
		      &l, &s),
		0);
	assert_int_equal(s.n, 0);
	assert_int_equal(l.n, 2);
	p = yassp_list_find(&l, 9101);
	assert_string_equal(p->method, "aes-256-gcm");
	assert_string_equal(p->password, "p-one");
	assert_int_equal(p->mode, PROFILE_BOTH);
	assert_int_equal(p->timeout_s, 180);
	assert_true(p->fast_open);
	p = yassp_list_find(&l, 9102);
	assert_int_equal(p->mode, PROFILE_TCP);
	assert_int_equal(p->timeout_s, 60);
	assert_string_equal(p->plugin, "obfs-server");
	assert_string_equal(p->plugin_opts, "obfs=http");
	assert_null(yassp_list_find(&l, 9103));
	assert_null(yassp_list_find(&l, 1));
	yassp_list_done(&l);
}

static void an_empty_list_is_a_list(void **state)
{
	struct yassp_list l;
	struct said s;

	assert_int_equal(parse(" [ ] ", &l, &s), 0);
	assert_int_equal(l.n, 0);
	yassp_list_done(&l);
}

static void what_is_no_list_is_refused(void **state)
{
	static const char *const texts[] = {"",	      "{}",   "[",	"[1]]",
					    "<html>", "null", "\"[]\"", "[{\"port\":1,}]"};
	struct yassp_list l;
	struct said s;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_int_equal(parse(texts[i], &l, &s), -ERR_MALFORMED);
}

static void a_bad_entry_is_left_out_and_told(void **state)
{
	struct yassp_list l;
	struct said s;

	assert_int_equal(
		parse("[{\"port\":1,\"method\":\"aes-256-gcm\",\"password\":\"a\"},"
		      "{\"port\":2,\"password\":\"b\"},"
		      "{\"method\":\"aes-256-gcm\",\"password\":\"c\"},"
		      "{\"port\":70000,\"method\":\"aes-256-gcm\",\"password\":\"d\"},"
		      "7,[[[]]],null,"
		      "{\"port\":3,\"method\":\"aes-256-gcm\",\"password\":\"\"},"
		      "{\"port\":4,\"method\":\"aes-256-gcm\",\"password\":\"e\",\"plugin\":"
		      "\"/bin/sh\"},"
		      "{\"port\":5,\"method\":\"aes-256-gcm\",\"password\":\"f\"}]",
		      &l, &s),
		0);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.invalid, 8);
	assert_int_equal(s.n, 8);
	assert_non_null(yassp_list_find(&l, 1));
	assert_non_null(yassp_list_find(&l, 5));
	assert_non_null(strstr(s.text, "entry 2, port 2: method is missing"));
	assert_non_null(strstr(s.text, "entry 9, port 4: plugin /bin/sh is not allowed"));
	yassp_list_done(&l);
}

static void a_list_without_one_valid_entry_is_refused(void **state)
{
	struct yassp_list l;
	struct said s;

	assert_int_equal(parse("[{\"port\":1},{}]", &l, &s), -ERR_CONFIG);
}

static void of_one_port_the_last_entry_counts(void **state)
{
	struct yassp_list l;
	struct said s;

	assert_int_equal(parse("[{\"port\":9,\"method\":\"aes-256-gcm\",\"password\":\"a\"},"
			       "{\"port\":8,\"method\":\"aes-256-gcm\",\"password\":\"x\"},"
			       "{\"port\":\"9\",\"method\":\"aes-256-gcm\",\"password\":\"b\"},"
			       "{\"port\":9,\"method\":\"aes-256-gcm\",\"password\":\"c\"}]",
			       &l, &s),
			 0);
	assert_int_equal(l.n, 2);
	assert_int_equal(s.n, 2);
	assert_string_equal(yassp_list_find(&l, 9)->password, "c");
	yassp_list_done(&l);
}

static void where_it_listens_and_arguments_are_not_the_panels(void **state)
{
	struct yassp_list l;
	struct said s;

	assert_int_equal(parse("[{\"port\":9,\"method\":\"aes-256-gcm\",\"password\":\"a\","
			       "\"host\":\"192.0.2.1\",\"server\":\"::1\",\"plugin\":"
			       "\"obfs-server\",\"plugin_args\":[\"-x\"]}]",
			       &l, &s),
			 0);
	assert_true(s.n >= 2);
	assert_int_equal(l.v[0]->listen.count, 0);
	assert_int_equal(l.v[0]->plugin_args.count, 0);
	yassp_list_done(&l);
}

static void extra_keys_are_kept_for_external_servers(void **state)
{
	struct yassp_list l;
	struct said s;

	assert_int_equal(parse("[{\"port\":9,\"method\":\"aes-256-gcm\",\"password\":\"a\","
			       "\"reuse_port\":true,\"acl\":\"/x\"}]",
			       &l, &s),
			 0);
	assert_non_null(strstr(l.v[0]->extra, "\"reuse_port\":true"));
	yassp_list_done(&l);
}

static void five_thousand_ports_are_ordinary(void **state)
{
	char *text = malloc(5000 * 80 + 8);
	size_t at = 0;
	struct yassp_list l;
	struct said s;

	for (int i = 0; i < 5000; i++)
		at += (size_t)sprintf(
			text + at,
			"%c{\"port\":%d,\"method\":\"aes-256-gcm\",\"password\":\"p%d\"}",
			i ? ',' : '[', 60000 - i * 11, i);
	strcpy(text + at, "]");
	assert_int_equal(parse(text, &l, &s), 0);
	assert_int_equal(l.n, 5000);
	for (size_t i = 1; i < l.n; i++)
		assert_true(l.v[i - 1]->port < l.v[i]->port);
	yassp_list_done(&l);
	free(text);
}

static void a_report_is_one_number_for_each_port(void **state)
{
	struct ledger_entry v[] = {
		{traffic_id(9101, 1, 0), 100, 20},
		{traffic_id(9102, 1, 0), 0, 7},
		{traffic_id(9101, 1, 1), 3, 0},
		{traffic_id(9101, 2, 0), 1, 1},
		{traffic_id(65535, 9, 0), INT64_MAX, INT64_MAX},
	};
	const struct ledger_batch b = {.entries = v, .n = ARRAY_LEN(v)};
	struct text t = {0};

	yassp_body(&b, &t);
	assert_string_equal(t.s, "{\"9101\":125,\"9102\":7,\"65535\":9223372036854775807}");
	text_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_list_of_the_document_is_read),
		cmocka_unit_test(an_empty_list_is_a_list),
		cmocka_unit_test(what_is_no_list_is_refused),
		cmocka_unit_test(a_bad_entry_is_left_out_and_told),
		cmocka_unit_test(a_list_without_one_valid_entry_is_refused),
		cmocka_unit_test(of_one_port_the_last_entry_counts),
		cmocka_unit_test(where_it_listens_and_arguments_are_not_the_panels),
		cmocka_unit_test(extra_keys_are_kept_for_external_servers),
		cmocka_unit_test(five_thousand_ports_are_ordinary),
		cmocka_unit_test(a_report_is_one_number_for_each_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
