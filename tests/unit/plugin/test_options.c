#include "unit.h"

#include <stdio.h>

#include "plugin/options.h"

static struct plugin_options parse(const char *text)
{
	struct plugin_options o;
	const char *why;

	assert_int_equal(plugin_options_parse(text, &o, &why), 0);
	return o;
}

static void refused(const char *text, int err)
{
	struct plugin_options o;
	const char *why = NULL;

	assert_int_equal(plugin_options_parse(text, &o, &why), err);
	assert_true(why && *why);
}

static void options_are_keys_with_and_without_values(void **state)
{
	struct plugin_options o = parse("server;tls;host=a.test;path=/x=y");

	assert_int_equal(o.n, 4);
	assert_string_equal(plugin_options_get(&o, "server"), "1");
	assert_string_equal(plugin_options_get(&o, "host"), "a.test");
	assert_string_equal(plugin_options_get(&o, "path"), "/x=y");
	assert_null(plugin_options_get(&o, "none"));
	plugin_options_done(&o);
}

static void no_text_has_no_options(void **state)
{
	struct plugin_options o = parse("");

	assert_int_equal(o.n, 0);
	plugin_options_done(&o);
}

static void a_backslash_takes_the_next_byte_as_it_is(void **state)
{
	struct plugin_options o = parse("a\\;b=c\\=\\\\;\\d=\\;\\;;e=\xc3\xa4");

	assert_int_equal(o.n, 3);
	assert_string_equal(o.v[0].key, "a;b");
	assert_string_equal(o.v[0].value, "c=\\");
	assert_string_equal(plugin_options_get(&o, "d"), ";;");
	assert_string_equal(plugin_options_get(&o, "e"), "\xc3\xa4");
	plugin_options_done(&o);
}

static void an_empty_value_is_no_missing_one(void **state)
{
	struct plugin_options o = parse("a=;b");

	assert_string_equal(plugin_options_get(&o, "a"), "");
	assert_string_equal(plugin_options_get(&o, "b"), "1");
	plugin_options_done(&o);
}

static void the_first_of_several_counts_and_all_are_kept(void **state)
{
	struct plugin_options o = parse("a=1;a=2;a=3");

	assert_int_equal(o.n, 3);
	assert_string_equal(plugin_options_get(&o, "a"), "1");
	assert_string_equal(o.v[2].value, "3");
	plugin_options_done(&o);
}

static void what_cannot_be_meant_is_refused(void **state)
{
	char *big = malloc(PLUGIN_OPTIONS_MAX + 2);

	refused("a=b\\", -ERR_MALFORMED);
	refused("a\\", -ERR_MALFORMED);
	refused("=b", -ERR_MALFORMED);
	refused("a;;b", -ERR_MALFORMED);
	refused("a;", -ERR_MALFORMED);
	refused(";", -ERR_MALFORMED);
	refused("a=b\nc", -ERR_MALFORMED);
	memset(big, 'a', PLUGIN_OPTIONS_MAX + 1);
	big[PLUGIN_OPTIONS_MAX + 1] = '\0';
	refused(big, -ERR_TOO_BIG);
	assert_int_equal(plugin_options_check(big), -ERR_TOO_BIG);
	big[PLUGIN_OPTIONS_MAX] = '\0';
	assert_int_equal(plugin_options_check(big), 0);
	free(big);
}

/* ---- the property: what is written is what was meant ------------------------------------- */

static uint32_t seed = 1;

static uint32_t dice(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* Special bytes are as frequent as all others together. */
static void any_text(char *out, size_t min, size_t max)
{
	size_t n = min + dice((uint32_t)(max - min + 1));

	for (size_t i = 0; i < n; i++) {
		char c = (char)(1 + dice(255));

		if (dice(2))
			c = ";=\\"[dice(3)];
		out[i] = c == '\n' || c == '\r' ? ' ' : c;
	}
	out[n] = '\0';
}

static void any_options_come_back_as_they_were_written(void **state)
{
	for (int round = 0; round < 5000; round++) {
		char keys[8][20], values[8][40];
		size_t n = 1 + dice(8);
		uint8_t text[2048];
		struct wr w = wr_of(text, sizeof(text) - 1);
		struct plugin_options o;

		for (size_t i = 0; i < n; i++) {
			any_text(keys[i], 1, sizeof(keys[0]) - 1);
			any_text(values[i], 0, sizeof(values[0]) - 1);
			plugin_options_emit(&w, keys[i], values[i]);
		}
		assert_int_equal(w.err, 0);
		text[w.len] = '\0';
		o = parse((char *)text);
		assert_int_equal(o.n, n);
		for (size_t i = 0; i < n; i++) {
			assert_string_equal(o.v[i].key, keys[i]);
			assert_string_equal(o.v[i].value, values[i]);
		}
		plugin_options_done(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_keys_with_and_without_values),
		cmocka_unit_test(no_text_has_no_options),
		cmocka_unit_test(a_backslash_takes_the_next_byte_as_it_is),
		cmocka_unit_test(an_empty_value_is_no_missing_one),
		cmocka_unit_test(the_first_of_several_counts_and_all_are_kept),
		cmocka_unit_test(what_cannot_be_meant_is_refused),
		cmocka_unit_test(any_options_come_back_as_they_were_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
