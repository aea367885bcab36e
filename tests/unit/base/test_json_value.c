#include "unit.h"

#include <time.h>

#include "base/json_value.h"

static struct arena arena;

static const struct json_value *parse(const char *text)
{
	struct json_value *v = NULL;

	assert_int_equal(json_parse(text, strlen(text), JSON_RELAXED, &arena, &v, NULL, NULL), 0);
	return v;
}

static int done(void **state)
{
	arena_done(&arena);
	return 0;
}

static void members_are_found_exactly_then_in_any_case(void **state)
{
	const struct json_value *doc =
		parse("{\"nodeid\":1,\"NodeID\":2,\"NODEID\":3,\"x\":{\"y\":[4,5]}}");

	assert_string_equal(json_get(doc, "NodeID")->text, "2");
	assert_string_equal(json_get(doc, "nodeid")->text, "1");
	assert_string_equal(json_get(doc, "nOdEiD")->text, "3");
	assert_null(json_get(doc, "node"));
	assert_null(json_get(NULL, "node"));
	assert_null(json_get(json_get(doc, "nodeid"), "node"));
	assert_string_equal(json_get(json_get(doc, "x"), "y")->child->next->text, "5");
	assert_int_equal(json_get(json_get(doc, "x"), "y")->len, 2);
}

static void of_duplicates_the_last_wins(void **state)
{
	assert_string_equal(json_get(parse("{\"a\":1,\"a\":2}"), "a")->text, "2");
	assert_string_equal(json_get(parse("{\"A\":1,\"A\":2}"), "a")->text, "2");
}

static void aliases_are_tried_in_order_and_null_is_absent(void **state)
{
	static const char *const keys[] = {"uuid", "password", NULL};

	assert_string_equal(json_get_any(parse("{\"password\":\"p\",\"uuid\":\"u\"}"), keys)->text,
			    "u");
	assert_string_equal(json_get_any(parse("{\"password\":\"p\",\"uuid\":null}"), keys)->text,
			    "p");
	assert_null(json_get_any(parse("{}"), keys));
}

static void places_are_kept(void **state)
{
	const struct json_value *v = json_get(parse("{\n  \"a\":\n    7}"), "a");

	assert_int_equal(v->at.line, 3);
	assert_int_equal(v->at.column, 5);
	assert_int_equal(v->key_at.line, 2);
	assert_int_equal(v->key_at.column, 3);
}

static void a_broken_document_names_its_place(void **state)
{
	struct json_value *v = NULL;
	struct json_pos at;
	const char *what = NULL;

	assert_int_equal(json_parse("{\n\"a\" 1}", 8, 0, &arena, &v, &at, &what), -ERR_MALFORMED);
	assert_int_equal(at.line, 2);
	assert_int_equal(at.column, 5);
	assert_non_null(what);
	assert_null(v);
	assert_int_equal(json_parse("{} {}", 5, 0, &arena, &v, &at, &what), -ERR_MALFORMED);
	assert_null(v);
}

static void a_full_arena_is_no_memory(void **state)
{
	struct arena small;
	struct json_value *v = NULL;
	char text[4001];

	arena_init(&small, 8192);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i == 0 ? '[' : i == sizeof(text) - 1 ? ']' : i % 2 ? '1' : ',';
	assert_int_equal(json_parse(text, sizeof(text), JSON_RELAXED, &small, &v, NULL, NULL),
			 -ENOMEM);
	arena_done(&small);
}

struct int_row {
	const char *text;
	int ret;
	int64_t value;
};

static void l1_integers(void **state)
{
	static const struct int_row rows[] = {
		{"7", 0, 7},
		{"-7", 0, -7},
		{"60.0", 0, 60},
		{"1e3", 0, 1000},
		{"1.5e1", 0, 15},
		{"100e-2", 0, 1},
		{"0e99999999999", 0, 0},
		{"0.000", 0, 0},
		{"-0", 0, 0},
		{"\"12\"", 0, 12},
		{"\" +12 \"", 0, 12},
		{"\"-3\"", 0, -3},
		{"\"007\"", 0, 7},
		{"true", 0, 1},
		{"false", 0, 0},
		{"9223372036854775807", 0, INT64_MAX},
		{"-9223372036854775808", 0, INT64_MIN},
		{"9007199254740993", 0, 9007199254740993},
		{"9223372036854775808", -ERANGE, 0},
		{"-9223372036854775809", -ERANGE, 0},
		{"1e19", -ERANGE, 0},
		{"1e999999999", -ERANGE, 0},
		{"1.5", -ERR_MALFORMED, 0},
		{"1e-1", -ERR_MALFORMED, 0},
		{"1e-999999999", -ERR_MALFORMED, 0},
		{"\"1 2\"", -ERR_MALFORMED, 0},
		{"\"x\"", -ERR_MALFORMED, 0},
		{"\"0x1f\"", -ERR_MALFORMED, 0},
		{"\"1\\u0000\"", -ERR_MALFORMED, 0},
		{"\".\"", -ERR_MALFORMED, 0},
		{"\"-\"", -ERR_MALFORMED, 0},
		{"[]", -ERR_MALFORMED, 0},
		{"{}", -ERR_MALFORMED, 0},
		{"null", JSON_DEFAULT, 0},
		{"\"\"", JSON_DEFAULT, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t v = 0;

		assert_int_equal(json_to_int(parse(rows[i].text), &v), rows[i].ret);
		assert_true(v == rows[i].value);
	}
	assert_int_equal(json_to_int(NULL, &(int64_t){0}), JSON_DEFAULT);
}

static void l2_decimals(void **state)
{
	double v = -1;

	assert_int_equal(json_to_decimal(parse("0.5"), &v), 0);
	assert_true(v == 0.5);
	assert_int_equal(json_to_decimal(parse("\" 12.25 \""), &v), 0);
	assert_true(v == 12.25);
	assert_int_equal(json_to_decimal(parse("1e999"), &v), -ERANGE);
	assert_int_equal(json_to_decimal(parse("\"inf\""), &v), -ERR_MALFORMED);
	assert_int_equal(json_to_decimal(parse("\"0x10\""), &v), -ERR_MALFORMED);
	assert_int_equal(json_to_decimal(parse("true"), &v), -ERR_MALFORMED);
	assert_int_equal(json_to_decimal(parse("\"\""), &v), JSON_DEFAULT);
	assert_true(v == 12.25);
}

static void l3_booleans(void **state)
{
	static const struct {
		const char *text;
		int ret;
		bool value;
	} rows[] = {
		{"true", 0, true},
		{"false", 0, false},
		{"1", 0, true},
		{"0", 0, false},
		{"1.0", 0, true},
		{"\"1\"", 0, true},
		{"\"TRUE\"", 0, true},
		{"\"Yes\"", 0, true},
		{"\"on\"", 0, true},
		{"\"OFF\"", 0, false},
		{"\"no\"", 0, false},
		{"\"0\"", 0, false},
		{"2", -ERR_MALFORMED, false},
		{"\"maybe\"", -ERR_MALFORMED, false},
		{"[]", -ERR_MALFORMED, false},
		{"null", JSON_DEFAULT, false},
		{"\"\"", JSON_DEFAULT, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool v = false;

		assert_int_equal(json_to_bool(parse(rows[i].text), &v), rows[i].ret);
		assert_int_equal(v, rows[i].value);
	}
}

static void l4_texts(void **state)
{
	static const char *const rows[][2] = {
		{"\"a\"", "a"},	 {"\"\"", ""},
		{"7", "7"},	 {"60.0", "60"},
		{"1e3", "1000"}, {"1.50", "1.5"},
		{"0.1", "0.1"},	 {"12345678901234567890", "12345678901234567890"},
		{"-0.0", "0"},
	};
	const char *s = NULL;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(json_to_text(parse(rows[i][0]), &arena, &s), 0);
		assert_string_equal(s, rows[i][1]);
	}
	assert_int_equal(json_to_text(parse("true"), &arena, &s), -ERR_MALFORMED);
	assert_int_equal(json_to_text(parse("[]"), &arena, &s), -ERR_MALFORMED);
	assert_int_equal(json_to_text(parse("\"a\\u0000b\""), &arena, &s), -ERR_MALFORMED);
	assert_int_equal(json_to_text(parse("null"), &arena, &s), JSON_DEFAULT);
}

static void l5_objects(void **state)
{
	const struct json_value *o = NULL;

	assert_int_equal(json_to_object(parse("{\"a\":1}"), &arena, &o), 0);
	assert_int_equal(o->len, 1);
	assert_int_equal(json_to_object(parse("[]"), &arena, &o), 0);
	assert_int_equal(o->type, JSON_T_OBJECT);
	assert_null(json_get(o, "a"));
	assert_int_equal(json_to_object(parse("\"{\\\"path\\\":\\\"/x\\\"}\""), &arena, &o), 0);
	assert_string_equal(json_get(o, "path")->text, "/x");
	assert_int_equal(json_to_object(parse("[1]"), &arena, &o), -ERR_MALFORMED);
	assert_int_equal(json_to_object(parse("\"\\\"{}\\\"\""), &arena, &o), -ERR_MALFORMED);
	assert_int_equal(json_to_object(parse("\"{\""), &arena, &o), -ERR_MALFORMED);
	assert_int_equal(json_to_object(parse("7"), &arena, &o), -ERR_MALFORMED);
	assert_int_equal(json_to_object(parse("\"\""), &arena, &o), JSON_DEFAULT);
	assert_int_equal(json_to_object(parse("null"), &arena, &o), JSON_DEFAULT);
}

static void expect_list(const struct json_list *l, const char *want)
{
	char got[256] = "";

	for (size_t i = 0; i < l->count; i++) {
		strcat(got, l->items[i]);
		strcat(got, "|");
	}
	assert_string_equal(got, want);
}

static void l6_lists(void **state)
{
	struct json_list l = {0};

	assert_int_equal(json_to_list(parse("[\"a\",1,null,\"b,c\"]"), &arena, &l), 0);
	expect_list(&l, "a|1|b,c|");
	assert_int_equal(json_to_list(parse("\" a, b,,\\nc ,\""), &arena, &l), 0);
	expect_list(&l, "a|b|c|");
	assert_int_equal(json_to_list(parse("{\"10\":\"c\",\"2\":\"b\",\"0\":\"a\"}"), &arena, &l),
			 0);
	expect_list(&l, "a|b|c|");
	assert_int_equal(json_to_list(parse("\"\""), &arena, &l), 0);
	expect_list(&l, "");
	assert_int_equal(json_to_lines(parse("\"0=1-2,c\\r\\n1=3\\n\""), &arena, &l), 0);
	expect_list(&l, "0=1-2,c|1=3|");
	assert_int_equal(json_to_list(parse("{\"a\":\"c\"}"), &arena, &l), -ERR_MALFORMED);
	assert_int_equal(json_to_list(parse("[[]]"), &arena, &l), -ERR_MALFORMED);
	assert_int_equal(json_to_list(parse("7"), &arena, &l), -ERR_MALFORMED);
	assert_int_equal(json_to_list(parse("null"), &arena, &l), JSON_DEFAULT);
}

static void l7_maps_by_id(void **state)
{
	const struct json_value *v;
	struct json_ids it;
	int64_t id;

	assert_int_equal(
		json_ids_init(&it, parse("{\"41\":2,\"x\":1,\"-1\":1,\"1e3\":5,\"42\":3}")), 0);
	assert_true(json_ids_next(&it, &id, &v));
	assert_int_equal(id, 41);
	assert_true(json_ids_next(&it, &id, &v));
	assert_int_equal(id, 42);
	assert_string_equal(v->text, "3");
	assert_false(json_ids_next(&it, &id, &v));
	assert_int_equal(it.bad, 3);

	assert_int_equal(json_ids_init(&it, parse("[5,6]")), 0);
	assert_true(json_ids_next(&it, &id, &v));
	assert_true(json_ids_next(&it, &id, &v));
	assert_int_equal(id, 1);
	assert_string_equal(v->text, "6");
	assert_int_equal(json_ids_init(&it, parse("[]")), 0);
	assert_false(json_ids_next(&it, &id, &v));
	assert_int_equal(json_ids_init(&it, parse("7")), -ERR_MALFORMED);
	assert_int_equal(json_ids_init(&it, NULL), JSON_DEFAULT);
}

static void l12_an_envelope_is_opened_once(void **state)
{
	assert_string_equal(json_get(json_unwrap(parse("{\"data\":{\"a\":1}}"), "a"), "a")->text,
			    "1");
	assert_string_equal(
		json_get(json_unwrap(parse("{\"a\":2,\"data\":{\"a\":1}}"), "a"), "a")->text, "2");
	assert_null(json_get(json_unwrap(parse("{\"data\":{\"data\":{\"a\":1}}}"), "a"), "a"));
	assert_null(json_get(json_unwrap(parse("{\"data\":true}"), "a"), "a"));
}

static void a_long_list_is_built_element_by_element(void **state)
{
	static const char doc[] = "[{\"id\":1},{\"id\":\"2\",\"x\":[{}]},{\"id\":3}]";
	struct json_value *v;
	struct json_token t;
	struct json p;
	int64_t id, sum = 0;

	json_init(&p, doc, strlen(doc), 0);
	assert_int_equal(json_next(&p, &t), 0);
	for (;;) {
		assert_int_equal(json_next(&p, &t), 0);
		if (t.type == JSON_T_ARRAY_END)
			break;
		arena_reset(&arena);
		assert_int_equal(json_read(&p, &t, &arena, &v), 0);
		assert_int_equal(json_to_int(json_get(v, "id"), &id), 0);
		sum = sum * 10 + id;
	}
	assert_int_equal(sum, 123);
	assert_int_equal(json_next(&p, &t), 0);
	assert_int_equal(t.type, JSON_T_END);
}

static void elements_are_built_and_read_quickly(void **state)
{
	static const char user[] =
		"{\"id\":\"41\",\"uuid\":\"0d3c7f1e-8f5b-4b53-9b8e-6f6a0c1d2e3f\","
		"\"speed_limit\":80.5,\"device_limit\":null}";
	struct timespec a, b;
	double ms;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (int i = 0; i < 100000; i++) {
		struct json_value *v;
		int64_t id = 0, devices = 0;
		double speed = 0;

		arena_reset(&arena);
		assert_int_equal(json_parse(user, sizeof(user) - 1, 0, &arena, &v, NULL, NULL), 0);
		assert_int_equal(json_to_int(json_get(v, "id"), &id), 0);
		assert_int_equal(json_to_decimal(json_get(v, "speed_limit"), &speed), 0);
		assert_int_equal(json_to_int(json_get(v, "device_limit"), &devices), JSON_DEFAULT);
		assert_int_equal(id, 41);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	ms = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
	print_message("100,000 elements in %.1f ms\n", ms);
	assert_true(ms < 1000 * unit_slow());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(members_are_found_exactly_then_in_any_case, done),
		cmocka_unit_test_teardown(of_duplicates_the_last_wins, done),
		cmocka_unit_test_teardown(aliases_are_tried_in_order_and_null_is_absent, done),
		cmocka_unit_test_teardown(places_are_kept, done),
		cmocka_unit_test_teardown(a_broken_document_names_its_place, done),
		cmocka_unit_test_teardown(a_full_arena_is_no_memory, done),
		cmocka_unit_test_teardown(l1_integers, done),
		cmocka_unit_test_teardown(l2_decimals, done),
		cmocka_unit_test_teardown(l3_booleans, done),
		cmocka_unit_test_teardown(l4_texts, done),
		cmocka_unit_test_teardown(l5_objects, done),
		cmocka_unit_test_teardown(l6_lists, done),
		cmocka_unit_test_teardown(l7_maps_by_id, done),
		cmocka_unit_test_teardown(l12_an_envelope_is_opened_once, done),
		cmocka_unit_test_teardown(a_long_list_is_built_element_by_element, done),
		cmocka_unit_test_teardown(elements_are_built_and_read_quickly, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
