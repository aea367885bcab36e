/* test_users.c - user lists as they stream in, and alive lists (A.6, A.7, A.14). */
#include "unit.h"

#include <stdio.h>
#include <time.h>

#include "sync/alive.h"
#include "sync/users.h"

static struct notes notes;

/* `step` bytes at a time; 0: all at once. */
static enum answer_class read_users(const char *body, size_t len, size_t step,
				    struct user_list *out)
{
	struct users_reader r;
	enum answer_class class;
	int err = 0;

	memset(&notes, 0, sizeof(notes));
	assert_int_equal(users_reader_init(&r, &dialect_v2sp), 0);
	for (size_t i = 0; i < len && !err; i += step ? step : len) {
		/* Exactly the bytes there are, so that a sanitizer sees a step too far. */
		size_t n = MIN(step ? step : len, len - i);
		char *copy = malloc(n);

		memcpy(copy, body + i, n);
		err = users_reader_feed(&r, copy, n);
		free(copy);
	}
	class = users_reader_end(&r, out, &notes);
	users_reader_done(&r);
	return class;
}

static struct user_list users_of(const char *body)
{
	static const size_t steps[] = {1, 2, 7, 0};
	struct user_list l;

	for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
		user_list_init(&l);
		if (read_users(body, strlen(body), steps[s], &l) != ANSWER_OK)
			fail_msg("step %zu: %s: %s", steps[s], notes.why, body);
		if (steps[s])
			user_list_done(&l);
	}
	return l;
}

static void check_class(const char *body, enum answer_class want, const char *why)
{
	static const size_t steps[] = {1, 3, 0};
	struct user_list l;

	for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
		enum answer_class class = read_users(body, strlen(body), steps[s], &l);

		if (class != want || (why && !strstr(notes.why, why)))
			fail_msg("%s, %s: %s", answer_name(class), notes.why, body);
	}
}

static void the_example_decodes(void **state)
{
	struct user_list l = users_of(
		"{ \"users\": [ { \"id\": 41, \"uuid\": \"0d3c7f1e-8f5b-4b53-9b8e-6f6a0c1d2e3f\","
		"\"speed_limit\": \"80\", \"device_limit\": null, \"conn_limit\": 12,"
		"\"u\": 1024, \"d\": 2048, \"transfer_enable\": 1099511627776 },\n"
		"{ \"id\": \"42\", \"uuid\": \"correct-horse\" } ] }");

	assert_int_equal(l.n, 2);
	assert_int_equal(l.v[0].id, 41);
	assert_string_equal(l.v[0].credential, "0d3c7f1e-8f5b-4b53-9b8e-6f6a0c1d2e3f");
	assert_int_equal(l.v[0].speed_bps, 80000000);
	assert_int_equal(l.v[0].device_limit, 0);
	assert_int_equal(l.v[0].conn_limit, 12);
	assert_int_equal(l.v[0].used, 3072);
	assert_int_equal(l.v[0].quota, 1099511627776);
	assert_int_equal(l.v[1].quota, 0);
	assert_int_equal(l.v[1].id, 42);
	assert_int_equal(l.v[1].credential_len, 13);
	assert_int_equal(notes.n, 0);
	user_list_done(&l);
}

static void an_empty_array_is_a_list_and_a_missing_key_is_not(void **state)
{
	struct user_list l = users_of("{\"users\":[]}");

	assert_int_equal(l.n, 0);
	user_list_done(&l);
	l = users_of("\xef\xbb\xbf {\"users\" : [ ] , \"x\":{\"users\":[1]}}");
	assert_int_equal(l.n, 0);
	user_list_done(&l);
	check_class("{\"users\":{\"id\":\"many\"}}", ANSWER_VALID, "no entry");
	check_class("{\"users\":[{\"id\":0,\"uuid\":\"x\"},7]}", ANSWER_VALID, "no entry");
	check_class("{}", ANSWER_VALID, "users is missing");
	check_class("{\"users\":null}", ANSWER_VALID, "users is missing");
	check_class("{\"users\":\"\"}", ANSWER_VALID, "users is missing");
	check_class("[]", ANSWER_VALID, "users is missing");
	check_class("{\"x\":{\"users\":[]}}", ANSWER_VALID, "users is missing");
	check_class("{\"status\":\"fail\",\"message\":\"no\"}", ANSWER_APP, "no");
	check_class("{\"ret\":0,\"data\":\"\"}", ANSWER_APP, NULL);
}

static void the_list_is_found_in_data_too(void **state)
{
	struct user_list l =
		users_of("{\"ret\":1,\"data\":{\"users\":[{\"id\":1,\"uuid\":\"a\"}]}}");

	assert_int_equal(l.n, 1);
	user_list_done(&l);
	l = users_of("{\"data\":[{\"id\":1,\"passwd\":\"a\"},{\"id\":2,\"secret\":\"b\"}]}");
	assert_int_equal(l.n, 2);
	assert_string_equal(l.v[1].credential, "b");
	user_list_done(&l);
	l = users_of(
		"{\"users\":[{\"id\":1,\"uuid\":\"a\"}],\"data\":[{\"id\":2,\"uuid\":\"b\"}]}");
	assert_int_equal(l.n, 1);
	assert_int_equal(l.v[0].id, 1);
	user_list_done(&l);
	l = users_of(
		"{\"data\":[{\"id\":2,\"uuid\":\"b\"}],\"Users\":[{\"id\":1,\"uuid\":\"a\"}]}");
	assert_int_equal(l.n, 1);
	assert_int_equal(l.v[0].id, 1);
	user_list_done(&l);
	l = users_of(
		"{\"users\":[{\"id\":3,\"uuid\":\"c\"}],\"users\":[{\"id\":1,\"uuid\":\"a\"}]}");
	assert_int_equal(l.n, 1);
	assert_int_equal(l.v[0].id, 1);
	user_list_done(&l);
}

static void a_list_with_gaps_is_a_list(void **state)
{
	struct user_list l = users_of("{\"users\": { \"0\" : {\"id\":1,\"uuid\":\"a\"} ,\"5\\\"\":"
				      "{\"id\":2,\"uuid\":\"b\"}}}");

	assert_int_equal(l.n, 2);
	assert_int_equal(l.v[1].id, 2);
	user_list_done(&l);
	l = users_of("{\"users\":{}}");
	assert_int_equal(l.n, 0);
	user_list_done(&l);
}

static void invalid_users_have_no_id_and_spoil_nothing(void **state)
{
	struct user_list l = users_of(
		"{\"users\":[{\"id\":0,\"uuid\":\"a\"},{\"id\":-1,\"uuid\":\"a\"},{\"id\":\"x\","
		"\"uuid\":\"a\"},"
		"{\"uuid\":\"a\"},{\"id\":5},{\"id\":5,\"uuid\":\"\"},{\"id\":5,\"uuid\":null},"
		"{\"id\":5,\"uuid\":[1]},{\"id\":5,\"uuid\":\"a\\u0000b\"},7,\"text\",null,true,[],"
		"[[]],"
		"{\"id\":1.5,\"uuid\":\"a\"},{\"id\":9,\"uuid\":\"good\"}]}");

	assert_int_equal(l.n, 17);
	for (size_t i = 0; i < l.n - 1; i++)
		assert_int_equal(l.v[i].id, 0);
	assert_int_equal(l.v[16].id, 9);
	user_list_done(&l);
}

static void wrong_limits_mean_none_and_are_remarked(void **state)
{
	struct user_list l = users_of(
		"{\"users\":[{\"id\":1,\"uuid\":\"a\",\"speed_limit\":-5,\"device_limit\":-1,"
		"\"conn_limit\":\"x\"},"
		"{\"id\":2,\"uuid\":\"b\",\"speed_limit\":0.5,\"device_limit\":\"3\",\"conn_"
		"limit\":true},"
		"{\"id\":3,\"uuid\":\"c\",\"speed_limit\":\"\",\"device_limit\":99999999999}]}");

	assert_int_equal(l.v[0].speed_bps, 0);
	assert_int_equal(l.v[0].device_limit, 0);
	assert_int_equal(l.v[0].conn_limit, 0);
	assert_int_equal(l.v[1].speed_bps, 500000);
	assert_int_equal(l.v[1].device_limit, 3);
	assert_int_equal(l.v[1].conn_limit, 1);
	assert_int_equal(l.v[2].device_limit, UINT32_MAX);
	assert_int_equal(notes.n, 1);
	assert_non_null(strstr(notes.text[0], "3 fields"));
	user_list_done(&l);
}

static void credentials_are_taken_as_they_are(void **state)
{
	struct user_list l =
		users_of("{\"users\":[{\"id\":1,\"UUID\":\"x\",\"uuid\":\"exact\"},{\"id\":2,"
			 "\"uuid\":\"\",\"password\":\"pw\"},"
			 "{\"id\":3,\"uuid\":12345},{\"id\":4,\"uuid\":\"\\u00fc\\n\\\"q\"}]}");

	assert_string_equal(l.v[0].credential, "exact");
	assert_string_equal(l.v[1].credential, "pw");
	assert_string_equal(l.v[2].credential, "12345");
	assert_string_equal(l.v[3].credential, "\xc3\xbc\n\"q");
	user_list_done(&l);
}

static void long_credentials_pass_and_absurd_elements_are_invalid(void **state)
{
	size_t big = 4096, absurd = 2 * USERS_ELEMENT_MAX;
	char *doc = malloc(big + absurd + 200), *s = doc;
	struct user_list l;

	s += sprintf(s, "{\"users\":[{\"id\":1,\"uuid\":\"");
	memset(s, 'a', big);
	s += big;
	s += sprintf(s, "\"},{\"id\":2,\"uuid\":\"");
	memset(s, 'b', absurd);
	s += absurd;
	sprintf(s, "\"},{\"id\":3,\"uuid\":\"c\"}]}");
	l = users_of(doc);
	assert_int_equal(l.n, 3);
	assert_int_equal(l.v[0].credential_len, big);
	assert_int_equal(l.v[1].id, 0);
	assert_int_equal(l.v[2].id, 3);
	user_list_done(&l);
	free(doc);
}

static void wrong_bytes_anywhere_are_no_list(void **state)
{
	static const char *const bad[] = {
		"<html><body>",
		"",
		"{\"users\":[{\"id\":1,\"uuid\":\"a\"}",
		"{\"users\":[{\"id\":1,\"uuid\":\"a\"}]",
		"{\"users\":[{\"id\":1,\"uuid\":\"a\"},]}",
		"{\"users\":[,{\"id\":1,\"uuid\":\"a\"}]}",
		"{\"users\":[{\"id\":1 \"uuid\":\"a\"}]}",
		"{\"users\":[{\"id\":1}{\"id\":2}]}",
		"{\"users\":[{\"id\":1]}}",
		"{\"users\":[1 2]}",
		"{\"users\":[1}",
		"{\"users\":[tru]}",
		"{\"users\":{\"a\" 1}}",
		"{\"users\":{1:1}}",
		"{\"users\":{\"a\nb\":1}}",
		"{\"users\":{\"a\\x\":1}}",
		"{\"users\":[]}}",
		"{\"users\":[]} x",
		"{\"users\":[]",
		"]",
		"{\"users\":[\"unclosed]}",
		"{\"users\":[{\"id\":1,\"uuid\":\"a\n\"}]}",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		check_class(bad[i], ANSWER_PARSE, NULL);
}

static void every_strict_prefix_is_no_list(void **state)
{
	const char *body =
		"{\"a\":[1,\"]\"],\"users\":[{\"id\":1,\"uuid\":\"a}\"},{\"id\":2}],\"b\":{}}";
	struct user_list l;

	for (size_t n = 0; n < strlen(body); n++)
		assert_int_equal(read_users(body, n, 0, &l), ANSWER_PARSE);
	l = users_of(body);
	assert_int_equal(l.n, 2);
	user_list_done(&l);
}

static void what_surrounds_the_list_is_bounded(void **state)
{
	size_t big = USERS_SKELETON_MAX + 1000;
	char *doc = malloc(big + 100);
	struct user_list l;

	memset(doc, ' ', big);
	memcpy(doc + big, "{\"users\":[]}", 13);
	assert_int_equal(read_users(doc, big + 12, 1000, &l), ANSWER_PARSE);
	free(doc);
}

/* The whole text of `n` users, as a panel would write it. */
static struct text many_users(int n)
{
	struct text t = {0};

	text_adds(&t, "{\"users\":[");
	for (int i = 1; i <= n; i++)
		text_addf(&t,
			  "%s{\"id\":%d,\"uuid\":\"0d3c7f1e-8f5b-4b53-9b8e-%012d\",\"speed_limit\":"
			  "null,"
			  "\"device_limit\":3,\"u\":%d,\"d\":123456789,\"transfer_enable\":"
			  "1099511627776}",
			  i > 1 ? "," : "", i, i, i);
	text_adds(&t, "]}");
	return t;
}

static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void a_hundred_thousand_users_decode_and_say_how_long_it_took(void **state)
{
	struct text t = many_users(100000);
	struct user_list l;
	double start = cpu_s(), took;

	assert_int_equal(read_users(t.s, t.len, 16384, &l), ANSWER_OK);
	took = cpu_s() - start;
	assert_int_equal(l.n, 100000);
	assert_int_equal(l.v[99999].id, 100000);
	print_message("%zu bytes in %.0f ms\n", t.len, took * 1e3);
	user_list_done(&l);
	text_done(&t);
}

static void a_million_users_decode(void **state)
{
	struct text t = many_users(1000000);
	struct user_list l;

	assert_int_equal(read_users(t.s, t.len, 16384, &l), ANSWER_OK);
	assert_int_equal(l.n, 1000000);
	user_list_done(&l);
	text_done(&t);
}

/* --- alive lists ----------------------------------------------------------------------------- */

static enum answer_class read_alive(const char *body, struct alive_list *l)
{
	memset(&notes, 0, sizeof(notes));
	*l = (struct alive_list){0};
	return alive_decode(body, strlen(body), l, &notes);
}

static void alive_lists_are_read_leniently(void **state)
{
	struct alive_list l;

	assert_int_equal(
		read_alive("{\"alive\":{\"41\":2,\"42\":\"3\",\"x\":1,\"43\":\"y\",\"0\":5}}", &l),
		ANSWER_OK);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.v[0].id, 41);
	assert_int_equal(l.v[0].devices, 2);
	assert_int_equal(l.v[1].devices, 3);
	assert_int_equal(notes.n, 1);
	alive_list_done(&l);
	assert_int_equal(read_alive("{\"alive\":[]}", &l), ANSWER_OK);
	assert_int_equal(l.n, 0);
	assert_int_equal(read_alive("{\"alive\":[9,4]}", &l), ANSWER_OK); /* the index is the id */
	assert_int_equal(l.n, 1);
	assert_int_equal(l.v[0].id, 1);
	assert_int_equal(l.v[0].devices, 4);
	alive_list_done(&l);
	assert_int_equal(
		read_alive("{\"x\":{\"alive\":1},\"data\":{\"y\":1,\"alive\":{\"7\":1}}}", &l),
		ANSWER_OK);
	assert_int_equal(l.n, 1);
	alive_list_done(&l);
	assert_int_equal(read_alive("{\"alive\":null}", &l), ANSWER_OK);
}

static void what_is_no_alive_list_is_told_apart(void **state)
{
	struct alive_list l;

	assert_int_equal(read_alive("{}", &l), ANSWER_VALID);
	assert_int_equal(read_alive("[]", &l), ANSWER_VALID);
	assert_int_equal(read_alive("{\"alive\":5}", &l), ANSWER_VALID);
	assert_int_equal(read_alive("{\"ret\":0}", &l), ANSWER_APP);
	assert_int_equal(read_alive("<html>", &l), ANSWER_PARSE);
	assert_int_equal(read_alive("{\"alive\":{\"1\":1}", &l), ANSWER_PARSE);
	assert_int_equal(read_alive("{\"alive\":{\"1\":1}} x", &l), ANSWER_PARSE);
	assert_null(l.v);
}

/* --- reports --------------------------------------------------------------------------------- */

static void reports_are_written_as_panels_read_them(void **state)
{
	const struct ledger_entry e[] = {{.user = 41, .up = 52311, .down = 9120044},
					 {.user = 42, .up = 0, .down = INT64_MAX}};
	struct addr a[2];
	struct text t = {0};

	traffic_body(e, 2, &t);
	assert_string_equal(t.s, "{\"41\":[52311,9120044],\"42\":[0,9223372036854775807]}");
	text_done(&t);
	assert_int_equal(addr_parse_ip(&a[0], "::ffff:198.51.100.7", 9), 0);
	assert_int_equal(addr_parse_ip(&a[1], "2001:DB8:0:0::5", 9), 0);
	online_body_begin(&t);
	online_body_add(&t, 41, a, 2);
	online_body_add(&t, 42, NULL, 0);
	online_body_end(&t);
	assert_string_equal(t.s, "{\"41\":[\"198.51.100.7\",\"2001:db8::5\"],\"42\":[]}");
	text_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_decodes),
		cmocka_unit_test(an_empty_array_is_a_list_and_a_missing_key_is_not),
		cmocka_unit_test(the_list_is_found_in_data_too),
		cmocka_unit_test(a_list_with_gaps_is_a_list),
		cmocka_unit_test(invalid_users_have_no_id_and_spoil_nothing),
		cmocka_unit_test(wrong_limits_mean_none_and_are_remarked),
		cmocka_unit_test(credentials_are_taken_as_they_are),
		cmocka_unit_test(long_credentials_pass_and_absurd_elements_are_invalid),
		cmocka_unit_test(wrong_bytes_anywhere_are_no_list),
		cmocka_unit_test(every_strict_prefix_is_no_list),
		cmocka_unit_test(what_surrounds_the_list_is_bounded),
		cmocka_unit_test(a_hundred_thousand_users_decode_and_say_how_long_it_took),
		cmocka_unit_test(a_million_users_decode),
		cmocka_unit_test(alive_lists_are_read_leniently),
		cmocka_unit_test(what_is_no_alive_list_is_told_apart),
		cmocka_unit_test(reports_are_written_as_panels_read_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
