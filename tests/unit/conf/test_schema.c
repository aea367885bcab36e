#include "unit.h"

#include "sample.h"

static void the_nearest_key_is_suggested(void **state)
{
	assert_string_equal(conf_row_nearest(&sample_schema, "Prot"), "Port");
	assert_string_equal(conf_row_nearest(&sample_schema, "port2"), "Port");
	assert_string_equal(conf_row_nearest(&sample_schema, "enabled"), "Enable");
	assert_string_equal(conf_row_nearest(&sample_schema, "Trafic"), "Traffic");
	assert_null(conf_row_nearest(&sample_schema, "Completely"));
	assert_null(conf_row_nearest(&sample_schema, ""));
	assert_null(conf_row_nearest(
		&sample_schema, "a key that is very much longer than any key that we know of"));
}

static void words_print_as_their_first_spelling(void **state)
{
	assert_string_equal(conf_word_name(modes, 1), "warn");
	assert_string_equal(conf_word_name(modes, 9), "?");
}

static void addresses_are_shown_without_what_may_be_secret(void **state)
{
	static const char *const rows[][2] = {
		{"https://panel.test/node", "https://panel.test/node"},
		{"https://u:p@panel.test:8443/a", "https://***@panel.test:8443/a"},
		{"https://panel.test/a?token=x#y", "https://panel.test/a?***"},
		{"https://a@b@panel.test?x", "https://***@panel.test?***"},
		{"u:p@panel.test", "***@panel.test"},
		{"https://panel.test/a@b", "https://panel.test/a@b"},
		{"", ""},
	};
	char out[64];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(conf_redact_url(rows[i][0], out, sizeof(out)), rows[i][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_nearest_key_is_suggested),
		cmocka_unit_test(words_print_as_their_first_spelling),
		cmocka_unit_test(addresses_are_shown_without_what_may_be_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
