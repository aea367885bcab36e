#include "unit.h"

#include "conf/diff.h"
#include "sample.h"

static char seen[1024];

static void note(void *arg, const char *path, const struct conf_row *row)
{
	strcat(seen, path);
	strcat(seen, " ");
}

/* The paths that differ between two texts, and the class of the change. */
static const char *diff(const char *a, const char *b, enum conf_reload *reload)
{
	struct fixture x, y;

	fixture_init(&x);
	fixture_init(&y);
	assert_int_equal(conf_read(&x.reader, &sample_schema, fixture_parse(&x, a), &x.s), 0);
	assert_int_equal(conf_read(&y.reader, &sample_schema, fixture_parse(&y, b), &y.s), 0);
	seen[0] = 0;
	conf_diff(&sample_schema, &x.s, &y.s, note, NULL);
	*reload = conf_diff_reload(&sample_schema, &x.s, &y.s);
	fixture_done(&x);
	fixture_done(&y);
	return seen;
}

static void every_type_is_compared(void **state)
{
	static const struct {
		const char *a, *b, *want;
		enum conf_reload reload;
	} rows[] = {
		{"{}", "{}", "", CONF_LIVE},
		{"{}", "{\"Port\":443,\"Enable\":true}", "", CONF_LIVE},
		{"{\"Enable\":false}", "{}", "Enable ", CONF_LIVE},
		{"{\"Port\":1,\"Rate\":2}", "{}", "Port Rate ", CONF_RESTART},
		{"{\"Inner\":{\"Level\":1}}", "{}", "Inner.Level ", CONF_REBUILD},
		{"{\"List\":[\"a\",\"b\"]}", "{\"List\":\"a,b\"}", "", CONF_LIVE},
		{"{\"List\":[\"b\",\"a\"]}", "{\"List\":\"a,b\"}", "List ", CONF_LIVE},
		{"{\"Env\":{\"a\":\"1\"}}", "{\"Env\":{\"a\":\"1\"}}", "", CONF_LIVE},
		{"{\"Env\":{\"a\":\"1\"}}", "{\"Env\":{\"a\":\"2\"}}", "Env ", CONF_LIVE},
		{"{\"Inners\":{\"Dest\":1}}", "{\"Inners\":[{\"Dest\":1}]}", "", CONF_LIVE},
		{"{\"Inners\":{\"Dest\":1}}", "{\"Inners\":[{\"Dest\":2}]}", "Inners ", CONF_LIVE},
		{"{\"Any\":{\"a\":[1,\"x\",null]}}", "{\"Any\":{\"a\":[1,\"x\",null]}}", "",
		 CONF_LIVE},
		{"{\"Any\":{\"a\":[1,\"x\"]}}", "{\"Any\":{\"a\":[1,\"y\"]}}", "Any ", CONF_LIVE},
		{"{\"Any\":{\"a\":1}}", "{\"Any\":{\"b\":1}}", "Any ", CONF_LIVE},
		{"{\"Any\":1}", "{}", "Any ", CONF_LIVE},
		{"{\"Name\":\"a\",\"Traffic\":\"7B\"}", "{\"Name\":\"b\",\"Mode\":\"plain\"}",
		 "Traffic Mode Name ", CONF_LIVE},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum conf_reload reload;

		assert_string_equal(diff(rows[i].a, rows[i].b, &reload), rows[i].want);
		assert_int_equal(reload, rows[i].reload);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
