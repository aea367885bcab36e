#include "unit.h"

#include "sample.h"

static struct fixture f;

static const struct sample *read_text(const char *text)
{
	fixture_done(&f);
	fixture_init(&f);
	assert_int_equal(conf_read(&f.reader, &sample_schema, fixture_parse(&f, text), &f.s), 0);
	return &f.s;
}

static int setup(void **state)
{
	fixture_init(&f);
	return 0;
}

static int teardown(void **state)
{
	fixture_done(&f);
	return 0;
}

static void what_is_not_given_has_its_default_and_is_not_set(void **state)
{
	const struct sample *s = read_text("{}");

	assert_true(s->on);
	assert_int_equal(s->port, 443);
	assert_int_equal(s->size, 5000000);
	assert_int_equal(s->mode, 1);
	assert_true(s->rate == 0);
	assert_string_equal(s->name, "");
	assert_int_equal(s->list.count, 2);
	assert_string_equal(s->list.items[1], "b");
	assert_int_equal(s->inner.level, 3);
	assert_string_equal(s->inner.dest, "");
	assert_int_equal(s->inners.count, 0);
	assert_null(s->any);
	assert_false(conf_is_set(&sample_schema, s, port));
	assert_string_equal(fixture_report(&f), "");
}

static void what_is_given_is_read_and_set(void **state)
{
	const struct sample *s = read_text(
		"{\"Enable\":\"off\",\"Port\":\"8443\",\"Traffic\":\"2GiB\",\"Mode\":\"WARNING\","
		"\"Rate\":\"12.5\",\"Name\":\"x\",\"Key\":\"k\",\"List\":[\"c\"],\"Env\":{\"A\":"
		"\"1\"},"
		"\"Inner\":{\"Level\":7},\"Inners\":[{\"Dest\":80},{\"Dest\":\"b\",\"Level\":1}],"
		"\"Any\":[1]}");
	const struct inner *inners = s->inners.items;

	assert_string_equal(fixture_report(&f), "");
	assert_false(s->on);
	assert_int_equal(s->port, 8443);
	assert_true(s->size == 2147483648);
	assert_int_equal(s->mode, 1);
	assert_true(s->rate == 12.5);
	assert_string_equal(s->key, "k");
	assert_int_equal(s->list.count, 1);
	assert_int_equal(s->env.count, 1);
	assert_string_equal(s->env.items[0].name, "A");
	assert_string_equal(s->env.items[0].value, "1");
	assert_int_equal(s->inner.level, 7);
	assert_int_equal(s->inners.count, 2);
	assert_string_equal(inners[0].dest, "80");
	assert_int_equal(inners[0].level, 3);
	assert_int_equal(inners[1].level, 1);
	assert_int_equal(s->any->len, 1);
	assert_true(conf_is_set(&sample_schema, s, port));
	assert_true(conf_is_set(&sample_schema, s, on));
	assert_false(conf_is_set(&sample_schema, s, host));
	assert_true(conf_is_set(&inner_schema, &s->inner, level));
	assert_false(conf_is_set(&inner_schema, &s->inner, dest));
}

static void null_and_empty_mean_the_default(void **state)
{
	const struct sample *s =
		read_text("{\"Port\":null,\"Enable\":\"\",\"Mode\":\"\",\"Inner\":null,"
			  "\"Inners\":null,\"Any\":null,\"Traffic\":\"\"}");

	assert_string_equal(fixture_report(&f), "");
	assert_int_equal(s->port, 443);
	assert_true(s->on);
	assert_int_equal(s->mode, 1);
	assert_false(conf_is_set(&sample_schema, s, port));
}

static void one_object_is_an_array_of_one(void **state)
{
	const struct sample *s = read_text("{\"Inners\":{\"Dest\":\"80\"}}");

	assert_int_equal(s->inners.count, 1);
	assert_string_equal(((struct inner *)s->inners.items)->dest, "80");
}

static void keys_have_aliases_and_any_case(void **state)
{
	assert_int_equal(read_text("{\"ServerPort\":1}")->port, 1);
	assert_int_equal(read_text("{\"listen\":2}")->port, 2);
	assert_int_equal(read_text("{\"PORT\":3}")->port, 3);
	assert_string_equal(fixture_report(&f), "");
}

static void of_several_spellings_the_best_counts_and_the_rest_is_told(void **state)
{
	assert_int_equal(read_text("{\"Port\":1,\n\"ServerPort\":2}")->port, 1);
	assert_string_equal(fixture_report(&f),
			    "f.json:2:1: ServerPort: warning: Port in line 1 counts instead\n");
	assert_int_equal(read_text("{\"port\":1,\n\"Port\":2}")->port, 2);
	assert_int_equal(read_text("{\"Port\":1,\n\"Port\":2}")->port, 2);
	assert_string_equal(fixture_report(&f),
			    "f.json:1:2: Port: warning: given again in line 2, which counts\n");
}

static void all_problems_are_told_at_once_with_their_places(void **state)
{
	read_text("{\n"
		  "  \"Port\": 70000,\n"
		  "  \"Rate\": \"fast\",\n"
		  "  \"Timout\": 1, \"Enabel\": 1,\n"
		  "  \"Mode\": \"loud\",\n"
		  "  \"Name\": \"ABC\",\n"
		  "  \"List\": [\"a\", \"B\"],\n"
		  "  \"Inner\": [1],\n"
		  "  \"Inners\": [{\"Level\": \"x\"}, 7],\n"
		  "  \"Traffic\": \"5 apples\",\n"
		  "  \"Enable\": {}\n"
		  "}");
	assert_string_equal(
		fixture_report(&f),
		"f.json:2:11: Port: out of bounds; write 1 to 65535\n"
		"f.json:3:11: Rate: expected a number, found \"fast\"\n"
		"f.json:4:3: Timout: warning: unknown key, ignored\n"
		"f.json:4:16: Enabel: warning: unknown key, ignored; did you mean Enable?\n"
		"f.json:5:11: Mode: \"loud\" is not known; write one of plain, warn, soon\n"
		"f.json:6:11: Name: \"ABC\" has capitals; write it small\n"
		"f.json:7:11: List: \"B\" has capitals; write it small\n"
		"f.json:8:12: Inner: expected an object; write { \"key\": value }\n"
		"f.json:9:14: Inners[0].Dest: is missing; write a port\n"
		"f.json:9:24: Inners[0].Level: expected a whole number, found \"x\"\n"
		"f.json:9:30: Inners[1]: expected an object; write { \"key\": value }\n"
		"f.json:10:14: Traffic: expected a size, a number or text like \"500MB\" or "
		"\"2GiB\", found "
		"\"5 apples\"\n"
		"f.json:11:13: Enable: expected true or false, found an object\n");
	assert_int_equal(f.report.errors, 11);
	assert_int_equal(f.report.warnings, 2);
}

static void a_wrong_value_leaves_the_default(void **state)
{
	const struct sample *s = read_text("{\"Port\":0,\"Mode\":\"loud\"}");

	assert_int_equal(s->port, 443);
	assert_int_equal(s->mode, 1);
	assert_false(conf_is_set(&sample_schema, s, port));
}

static void options_of_later_and_of_others_warn_once(void **state)
{
	const struct sample *s = read_text("{\"Later\":5,\"Dead\":{\"x\":1},\"Mode\":\"soon\"}");

	assert_int_equal(s->later, 5);
	assert_string_equal(
		fixture_report(&f),
		"f.json:1:2: Later: warning: not implemented yet; accepted without effect\n"
		"f.json:1:12: Dead: warning: has no meaning for this program; ignored\n"
		"f.json:1:34: Mode: warning: soon is not implemented yet\n");
	assert_int_equal(
		conf_apply(&f.reader, &sample_schema, fixture_parse(&f, "{\"Later\":6}"), &f.s), 0);
	assert_int_equal(f.report.warnings, 3);
}

static void secrets_are_never_quoted(void **state)
{
	read_text("{\"Key\":[\"s3cret\"],\"Env\":{\"A\":{\"s3cret\":\"s3cret\"}}}");
	assert_int_equal(f.report.errors, 2);
	assert_null(strstr(fixture_report(&f), "s3cret"));
	read_text("{\"Env\":\"s3cret\"}");
	assert_int_equal(f.report.errors, 1);
	assert_null(strstr(fixture_report(&f), "s3cret"));
}

static void the_environment_stands_in_for_whole_texts(void **state)
{
	assert_string_equal(read_text("{\"Key\":\"${NODE_KEY}\"}")->key, "from the environment");
	assert_string_equal(read_text("{\"Env\":{\"A\":\"${NODE_KEY}\"}}")->env.items[0].value,
			    "from the environment");
	assert_string_equal(read_text("{\"Key\":\"x${NODE_KEY}\"}")->key, "x${NODE_KEY}");
	assert_string_equal(read_text("{\"Host\":\"${NODE_KEY}\"}")->host, "${NODE_KEY}");
	assert_string_equal(read_text("{\"Key\":\"${}\"}")->key, "${}");
	read_text("{\"Key\":\"${NOT_THERE}\"}");
	assert_string_equal(fixture_report(&f), "f.json:1:8: Key: the environment has no "
						"NOT_THERE; set it, or write the value here\n");
}

static void nul_in_text_is_an_error_of_its_field(void **state)
{
	read_text("{\"Name\":\"a\\u0000b\",\"Port\":7}");
	assert_string_equal(
		fixture_report(&f),
		"f.json:1:9: Name: holds a NUL or bytes that are not UTF-8; expected text\n");
	assert_int_equal(f.s.port, 7);
}

static void quoted_text_cannot_steer_a_terminal(void **state)
{
	read_text("{\"Mode\":\"a\\u001b[2Jb\",\"x\\ny\":1}");
	assert_string_equal(
		fixture_report(&f),
		"f.json:1:9: Mode: \"a?[2Jb\" is not known; write one of plain, warn, soon\n"
		"f.json:1:23: x?y: warning: unknown key, ignored\n");
}

static void a_panel_fills_only_what_was_left_open(void **state)
{
	read_text("{\"Port\":1,\"Inner\":{\"Level\":5}}");
	f.reader.flags = CONF_FILL | CONF_REMOTE;
	assert_int_equal(
		conf_apply(&f.reader, &sample_schema,
			   fixture_parse(&f,
					 "{\"Port\":2,\"Mode\":\"plain\",\"Key\":\"k\","
					 "\"Inner\":{\"Level\":6,\"Dest\":\"d\"},\"Nonsense\":1,"
					 "\"Rate\":\"x\"}"),
			   &f.s),
		0);
	assert_int_equal(f.s.port, 1);
	assert_int_equal(f.s.mode, 0);
	assert_string_equal(f.s.key, "");
	assert_int_equal(f.s.inner.level, 5);
	assert_string_equal(f.s.inner.dest, "d");
	assert_int_equal(f.report.errors, 0);
	assert_string_equal(fixture_report(&f),
			    "f.json:1:87: Rate: warning: expected a number, found \"x\"\n");
}

static void a_flood_of_problems_is_counted(void **state)
{
	char text[20000] = "{";
	size_t n = 1;

	for (int i = 0; i < CONF_REPORT_MAX + 5; i++)
		n += (size_t)sprintf(text + n, "\"zzzzzzzzz%d\":1,", i);
	strcpy(text + n, "}");
	read_text(text);
	assert_int_equal(f.report.warnings, CONF_REPORT_MAX + 5);
	assert_int_equal(f.report.kept, CONF_REPORT_MAX);
}

static void long_paths_are_cut_not_overrun(void **state)
{
	size_t marks[100];

	for (int i = 0; i < 100; i++)
		marks[i] = conf_enter(&f.reader, "quite_a_long_name", i);
	assert_true(f.reader.path_len < CONF_PATH_MAX);
	conf_error(&f.reader, (struct json_pos){1, 1}, "x", "y");
	for (int i = 100; i-- > 0;)
		conf_leave(&f.reader, marks[i]);
	assert_string_equal(f.reader.path, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_is_not_given_has_its_default_and_is_not_set),
		TEST(what_is_given_is_read_and_set),
		TEST(null_and_empty_mean_the_default),
		TEST(one_object_is_an_array_of_one),
		TEST(keys_have_aliases_and_any_case),
		TEST(of_several_spellings_the_best_counts_and_the_rest_is_told),
		TEST(all_problems_are_told_at_once_with_their_places),
		TEST(a_wrong_value_leaves_the_default),
		TEST(options_of_later_and_of_others_warn_once),
		TEST(secrets_are_never_quoted),
		TEST(the_environment_stands_in_for_whole_texts),
		TEST(nul_in_text_is_an_error_of_its_field),
		TEST(quoted_text_cannot_steer_a_terminal),
		TEST(a_panel_fills_only_what_was_left_open),
		TEST(a_flood_of_problems_is_counted),
		TEST(long_paths_are_cut_not_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
