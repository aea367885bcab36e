#include "unit.h"

#include <stdio.h>

#include "base/jout.h"
#include "panel/csv.h"
#include "panel/headers.h"

static int64_t decimal(const char *text)
{
	int64_t v;

	return decimal_parse(text, strlen(text), &v) < 0 ? -1 : v;
}

static void a_decimal_is_digits_up_to_63_bits(void **state)
{
	assert_true(decimal("0") == 0);
	assert_true(decimal("0041") == 41);
	assert_true(decimal("9223372036854775807") == INT64_MAX);
	assert_true(decimal("9223372036854775808") == -1);
	assert_true(decimal("99999999999999999999") == -1);
	for (const char **t =
		     (const char *[]){"", "-1", "+1", " 1", "1 ", "0x10", "1e3", "1.0", NULL};
	     *t; t++)
		assert_true(decimal(*t) == -1);
}

static void if_none_match_is_a_list_of_tags_in_any_dress(void **state)
{
	assert_true(etag_listed("\"abc\"", "abc"));
	assert_true(etag_listed("W/\"abc\"", "abc"));
	assert_true(etag_listed("abc", "abc"));
	assert_true(etag_listed("*", "abc"));
	assert_true(etag_listed(" \"x\" ,W/\"y\",\t\"abc\" ", "abc"));
	assert_true(etag_listed("\"x\", abc", "abc"));
	assert_false(etag_listed(NULL, "abc"));
	assert_false(etag_listed("", "abc"));
	assert_false(etag_listed("\"ab\"", "abc"));
	assert_false(etag_listed("\"abcd\"", "abc"));
	assert_false(etag_listed("\"ABC\"", "abc"));
	assert_false(etag_listed(",,, ,", "abc"));
	assert_false(etag_listed("W/", "abc"));
	assert_false(etag_listed("\"", "abc"));
}

static void gzip_is_used_where_it_is_accepted(void **state)
{
	assert_true(gzip_accepted("gzip"));
	assert_true(gzip_accepted("deflate, GZIP;q=0.5"));
	assert_true(gzip_accepted("x-gzip"));
	assert_true(gzip_accepted("br, *;q=0.1"));
	assert_true(gzip_accepted("*, gzip"));
	assert_false(gzip_accepted(NULL));
	assert_false(gzip_accepted(""));
	assert_false(gzip_accepted("identity"));
	assert_false(gzip_accepted("gzip;q=0"));
	assert_false(gzip_accepted("gzip; q=0.000"));
	assert_false(gzip_accepted("*;q=0"));
	assert_false(gzip_accepted("*, gzip;q=0"));
	assert_false(gzip_accepted("gzipped"));
}

static void bearer_and_html_are_recognised(void **state)
{
	assert_string_equal(bearer_token("Bearer abc"), "abc");
	assert_string_equal(bearer_token("bearer  abc"), "abc");
	assert_null(bearer_token("Basic abc"));
	assert_null(bearer_token(NULL));
	assert_true(html_accepted("text/html,application/xhtml+xml"));
	assert_false(html_accepted("application/json"));
	assert_false(html_accepted(NULL));
}

static void json_text_is_escaped_and_numbers_are_short(void **state)
{
	struct jout j = {0};

	jout_quoted(&j, "a\"b\\c\x01\nä");
	jout_str(&j, " ");
	jout_int(&j, INT64_MIN);
	jout_str(&j, " ");
	jout_real(&j, 80);
	jout_str(&j, " ");
	jout_real(&j, 0.1);
	assert_false(j.failed);
	assert_string_equal(j.at,
			    "\"a\\u0022b\\u005cc\\u0001\\u000aä\" -9223372036854775808 80 0.1");
	assert_int_equal(j.len, strlen(j.at));
	free(j.at);
}

static void csv_is(const char *text, int records, const char *joined)
{
	char *copy = malloc(strlen(text) + 1), *fields[8], out[256] = "";
	struct csv c;
	int n, seen = 0;

	memcpy(copy, text, strlen(text));
	csv_init(&c, copy, strlen(text));
	while ((n = csv_record(&c, fields, ARRAY_LEN(fields))) > 0) {
		seen++;
		for (int i = 0; i < n; i++)
			snprintf(out + strlen(out), sizeof(out) - strlen(out), "[%s]", fields[i]);
	}
	assert_int_equal(n < 0 ? n : seen, records);
	if (n == 0)
		assert_string_equal(out, joined);
	free(copy);
}

static void csv_has_quotes_and_any_line_end(void **state)
{
	csv_is("", 0, "");
	csv_is("\n\r\n", 0, "");
	csv_is("a,b\nc,d", 2, "[a][b][c][d]");
	csv_is("\xef\xbb\xbf"
	       "a,b\r\n\r\nc,\r\n",
	       2, "[a][b][c][]");
	csv_is("\"a,\"\"x\"\"\",\"two\nlines\"\r\n\"\"", 2, "[a,\"x\"][two\nlines][]");
	csv_is("\"open", -ERR_MALFORMED, "");
	csv_is("\"a\"b", -ERR_MALFORMED, "");
	csv_is("1,2,3,4,5,6,7,8,9", -ERR_TOO_BIG, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_decimal_is_digits_up_to_63_bits),
		cmocka_unit_test(if_none_match_is_a_list_of_tags_in_any_dress),
		cmocka_unit_test(gzip_is_used_where_it_is_accepted),
		cmocka_unit_test(bearer_and_html_are_recognised),
		cmocka_unit_test(json_text_is_escaped_and_numbers_are_short),
		cmocka_unit_test(csv_has_quotes_and_any_line_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
