#include "unit.h"

#include "conf/print.h"
#include "sample.h"

static char *json_of(const char *text, unsigned flags)
{
	struct fixture f;
	char *out;
	json_t *j;

	fixture_init(&f);
	assert_int_equal(conf_read(&f.reader, &sample_schema, fixture_parse(&f, text), &f.s), 0);
	j = conf_to_json(&sample_schema, &f.s, flags);
	out = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	fixture_done(&f);
	return out;
}

static void what_was_given_is_shown_with_secrets_masked(void **state)
{
	char *text = json_of(
		"{\"port\":\"8443\",\"Traffic\":\"2kB\",\"Mode\":\"warning\",\"Rate\":2.5,"
		"\"Key\":\"abcdefghijklmnop\",\"Host\":\"https://u:p@h/x?token=t\","
		"\"List\":\"x,y\",\"Env\":{\"A\":\"short\"},\"Inner\":{\"Level\":1},"
		"\"Inners\":{\"Dest\":80},\"Any\":{\"psk\":\"secret\"},\"Unknown\":\"secret\"}",
		0);

	assert_string_equal(
		text,
		"{\"Port\":8443,\"Traffic\":\"2000B\",\"Mode\":\"warn\",\"Rate\":2.5,"
		"\"Key\":\"abcd***mnop\",\"Host\":\"https://***@h/x?***\",\"List\":[\"x\",\"y\"],"
		"\"Env\":{\"A\":\"***\"},\"Inner\":{\"Level\":1},\"Inners\":[{\"Dest\":\"80\"}],"
		"\"Any\":\"***\"}");
	free(text);
}

static void defaults_are_shown_when_asked_for(void **state)
{
	char *text = json_of("{\"Rate\":2}", CONF_PRINT_DEFAULTS);

	assert_string_equal(
		text,
		"{\"Enable\":true,\"Port\":443,\"Traffic\":\"5000000B\",\"Mode\":\"warn\",\"Rate\":"
		"2,"
		"\"Name\":\"\",\"Key\":\"\",\"Host\":\"\",\"List\":[\"a\",\"b\"],\"Env\":{},"
		"\"Inner\":{\"Dest\":\"\",\"Level\":3},\"Inners\":[],\"Any\":null,\"Later\":0}");
	free(text);
}

static void up_to_eight_characters_nothing_of_a_secret_is_shown(void **state)
{
	char out[CONF_MASK_MAX];

	assert_string_equal(conf_mask("", out), "");
	assert_string_equal(conf_mask("12345678", out), "***");
	assert_string_equal(conf_mask("123456789", out), "1234***6789");
	assert_string_equal(conf_mask("123\xc3\xa4"
				      "56789",
				      out),
			    "123?***6789");
}

static void the_reference_is_a_table(void **state)
{
	char text[4096];
	FILE *to = fmemopen(text, sizeof(text), "w");

	conf_print_reference(&sample_schema, to);
	putc(0, to);
	fclose(to);
	assert_non_null(strstr(text,
			       "| `Port`, `ServerPort`, `Listen` | whole number, 1 to 65535 | "
			       "`443` | restart | Where. |\n"));
	assert_non_null(strstr(text,
			       "| `Mode` | word: `plain`, `warn` = `warning`, `soon` (not yet) | "
			       "`warn` | live | How. |\n"));
	assert_non_null(strstr(text, "| `Name` | text | none | live |  |\n"));
	assert_non_null(strstr(
		text, "| `Later` | whole number | `0` | live |  *Not implemented yet.* |\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_given_is_shown_with_secrets_masked),
		cmocka_unit_test(defaults_are_shown_when_asked_for),
		cmocka_unit_test(up_to_eight_characters_nothing_of_a_secret_is_shown),
		cmocka_unit_test(the_reference_is_a_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
