#include "unit.h"

#include <stdio.h>
#include <time.h>

#include "base/json.h"

/* The document as a line of tokens: "{k:name s:text n:1 }" and the like; or "!" and the error. */
static const char *tokens(const char *text, size_t len, unsigned flags)
{
	static const char *const names[] = {"$", "{", "}", "[", "]", "k", "s", "n", "t", "f", "0"};
	static char out[4096];
	struct json_token t;
	struct json p;
	size_t n = 0;
	int err;

	json_init(&p, text, len, flags);
	do {
		err = json_next(&p, &t);
		if (err) {
			snprintf(out, sizeof(out), "!%s %u:%u", err_name(err), p.at.line,
				 p.at.column);
			return out;
		}
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s", n ? " " : "",
				      names[t.type]);
		if (t.type == JSON_T_KEY || t.type == JSON_T_STRING || t.type == JSON_T_NUMBER) {
			out[n++] = ':';
			n += json_unescape(&t, out + n);
			out[n] = 0;
		}
	} while (t.type != JSON_T_END);
	return out;
}

static const char *strict(const char *text)
{
	return tokens(text, strlen(text), 0);
}

static const char *relaxed(const char *text)
{
	return tokens(text, strlen(text), JSON_RELAXED);
}

static void a_document_is_a_list_of_tokens(void **state)
{
	assert_string_equal(strict("{\"a\":[1,-2.5e+3,\"x\"],\"b\":{},\"c\":[],\"d\":null,"
				   "\"e\":true,\"f\":false}"),
			    "{ k:a [ n:1 n:-2.5e+3 s:x ] k:b { } k:c [ ] k:d 0 k:e t k:f f } $");
	assert_string_equal(strict(" 7 "), "n:7 $");
	assert_string_equal(strict("\"x\""), "s:x $");
	assert_string_equal(strict("[[[]],[]]"), "[ [ [ ] ] [ ] ] $");
}

static void what_is_not_json_is_refused_at_its_byte(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"{a:1}", "!MALFORMED 1:2"},
		{"{\"a\" 1}", "!MALFORMED 1:6"},
		{"{\"a\":1 \"b\":2}", "!MALFORMED 1:8"},
		{"{\"a\":1,}", "!MALFORMED 1:8"},
		{"[1,]", "!MALFORMED 1:4"},
		{"[,1]", "!MALFORMED 1:2"},
		{"[1,,2]", "!MALFORMED 1:4"},
		{"[1}", "!MALFORMED 1:3"},
		{"{]", "!MALFORMED 1:2"},
		{"[01]", "!MALFORMED 1:3"},
		{"[1.]", "!MALFORMED 1:4"},
		{"[.5]", "!MALFORMED 1:2"},
		{"[+1]", "!MALFORMED 1:2"},
		{"[1e]", "!MALFORMED 1:4"},
		{"[-]", "!MALFORMED 1:3"},
		{"[NaN]", "!MALFORMED 1:2"},
		{"[nul]", "!MALFORMED 1:5"},
		{"['a']", "!MALFORMED 1:2"},
		{"[\"\\x\"]", "!MALFORMED 1:4"},
		{"[\"\\u12g4\"]", "!MALFORMED 1:7"},
		{"[\"a\tb\"]", "!MALFORMED 1:4"},
		{"[\"a\nb\"]", "!MALFORMED 1:4"},
		{"1 2", "!MALFORMED 1:3"},
		{"{} x", "!MALFORMED 1:4"},
		{"// c\n1", "!MALFORMED 1:1"},
		{"{\n\t\"a\": 1,\n\t\"b\": x\n}", "!MALFORMED 3:7"},
		{"", "!MORE 1:1"},
		{"  \n ", "!MORE 2:2"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(strict(rows[i].text), rows[i].want);
	assert_string_equal(tokens("[\0]", 3, 0), "!MALFORMED 1:2");
	assert_string_equal(tokens("[1\0]", 4, 0), "!MALFORMED 1:3");
	assert_string_equal(tokens("[\"\0\"]", 5, 0), "!MALFORMED 1:3");
}

static void comments_stand_wherever_blanks_may(void **state)
{
	assert_string_equal(
		relaxed("// head\n/* a */{/**/\"a\"/*:*/:/***/1//,\n,\"b\"// x\r\n:/*\n*/2}"
			"// tail"),
		"{ k:a n:1 k:b n:2 } $");
	assert_string_equal(relaxed("[1/* \n\n */,2]"), "[ n:1 n:2 ] $");
	assert_string_equal(relaxed("1//"), "n:1 $");
	assert_string_equal(relaxed("[1/*]"), "!MORE 1:3");
	assert_string_equal(relaxed("[1/*/]"), "!MORE 1:3");
	assert_string_equal(relaxed("[1/"), "!MORE 1:3");
	assert_string_equal(relaxed("[1/x]"), "!MALFORMED 1:3");
	assert_string_equal(relaxed("//\n"), "!MORE 2:1");
}

static void comment_markers_in_text_are_text(void **state)
{
	assert_string_equal(relaxed("{\"https://a/*b*/\":\"http://x//y\"}"),
			    "{ k:https://a/*b*/ s:http://x//y } $");
}

static void one_trailing_comma_is_enough(void **state)
{
	assert_string_equal(relaxed("{\"a\":[1,2,],}"), "{ k:a [ n:1 n:2 ] } $");
	assert_string_equal(relaxed("[1,/* x */]"), "[ n:1 ] $");
	assert_string_equal(relaxed("[1,,]"), "!MALFORMED 1:4");
	assert_string_equal(relaxed("[,]"), "!MALFORMED 1:2");
	assert_string_equal(relaxed("{,}"), "!MALFORMED 1:2");
	assert_string_equal(relaxed("[],"), "!MALFORMED 1:3");
}

static void a_byte_order_mark_and_crlf_are_blanks(void **state)
{
	struct json_token t;
	struct json p;

	assert_string_equal(strict("\xef\xbb\xbf{\r\n}\r\n"), "{ } $");
	json_init(&p, "\xef\xbb\xbf{\r\n\"a\":1}", 13, 0);
	assert_int_equal(json_next(&p, &t), 0);
	assert_int_equal(t.at.line, 1);
	assert_int_equal(t.at.column, 1);
	assert_int_equal(json_next(&p, &t), 0);
	assert_int_equal(t.at.line, 2);
	assert_int_equal(t.at.column, 1);
}

static void escapes_become_utf8(void **state)
{
	assert_string_equal(strict("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"), "[ s:\"\\/\b\f\n\r\t ] $");
	assert_string_equal(strict("[\"\\u0041\\u00e4\\u20AC\\uD83D\\uDE00\"]"),
			    "[ s:A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 ] $");
	assert_string_equal(strict("[\"\\ud83dx\\ude00\\ud83d\\u0041\"]"),
			    "[ s:\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd"
			    "A ] $");
}

static bool text_is_bad(const char *text)
{
	struct json_token t;
	struct json p;

	json_init(&p, text, strlen(text), 0);
	assert_int_equal(json_next(&p, &t), 0);
	return t.bad;
}

static void nul_and_broken_utf8_mark_the_text_bad(void **state)
{
	assert_false(text_is_bad("\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\""));
	assert_true(text_is_bad("\"a\\u0000\""));
	assert_true(text_is_bad("\"\xff\""));
	assert_true(text_is_bad("\"\xc3\""));
	assert_true(text_is_bad("\"\xc0\x80\""));
	assert_true(text_is_bad("\"\xed\xa0\x80\""));
	assert_true(text_is_bad("\"\xf4\x90\x80\x80\""));
	assert_true(text_is_bad("\"\xe2\x82\""));
}

static void nesting_ends_at_64(void **state)
{
	char text[2 * JSON_DEPTH + 4];

	memset(text, '[', sizeof(text));
	memset(text + JSON_DEPTH, ']', JSON_DEPTH);
	assert_string_not_equal(tokens(text, 2 * JSON_DEPTH, 0), "");
	assert_int_not_equal(tokens(text, 2 * JSON_DEPTH, 0)[0], '!');
	memset(text, '[', sizeof(text));
	assert_string_equal(tokens(text, JSON_DEPTH + 1, 0), "!TOO_BIG 1:65");
	assert_string_equal(tokens(text, JSON_DEPTH, 0), "!MORE 1:65");
}

static void every_strict_prefix_wants_more(void **state)
{
	static const char doc[] =
		"\xef\xbb\xbf // c\n{\"a\\u00e4\":[1,-2.5e3,true,false,null,/* c */"
		"{\"b\":\"x\\n\\ud83d\\ude00\xc3\xa4\",},],}";

	assert_int_not_equal(relaxed(doc)[0], '!');
	for (size_t n = 0; n < sizeof(doc) - 1; n++) {
		char *copy = malloc(n ? n : 1); /* so that reading beyond is seen */

		memcpy(copy, doc, n);
		if (n >= 3) /* a part of the mark is a wrong byte: documents are complete */
			assert_memory_equal(tokens(copy, n, JSON_RELAXED), "!MORE", 5);
		free(copy);
	}
}

static void an_error_stays(void **state)
{
	struct json_token t;
	struct json p;

	json_init(&p, "[1 2]", 5, 0);
	assert_int_equal(json_next(&p, &t), 0);
	assert_int_equal(json_next(&p, &t), 0);
	assert_int_equal(json_next(&p, &t), -ERR_MALFORMED);
	assert_int_equal(json_next(&p, &t), -ERR_MALFORMED);
	assert_int_equal(p.at.column, 4);
}

static void skip_steps_over_a_whole_value(void **state)
{
	static const char doc[] = "{\"a\":{\"x\":[1,{}]},\"b\":[[],[1]],\"c\":1,\"d\":\"end\"}";
	struct json_token t;
	struct json p;

	json_init(&p, doc, strlen(doc), 0);
	assert_int_equal(json_next(&p, &t), 0);
	for (const char *key = "abc"; *key; key++) {
		assert_int_equal(json_next(&p, &t), 0);
		assert_int_equal(t.type, JSON_T_KEY);
		assert_int_equal(t.text[0], *key);
		assert_int_equal(json_skip(&p, &t), 0);
	}
	assert_int_equal(json_next(&p, &t), 0);
	assert_true(json_key_is(&t, "d"));
	assert_int_equal(json_next(&p, &t), 0);
	assert_int_equal(json_skip(&p, &t), 0);
	assert_int_equal(json_next(&p, &t), 0);
	assert_int_equal(t.type, JSON_T_OBJECT_END);
}

static void keys_compare_with_escapes_resolved(void **state)
{
	static const char doc[] = "{\"No\\u0064eID\":1}";
	struct json_token t;
	struct json p;

	json_init(&p, doc, strlen(doc), 0);
	assert_int_equal(json_next(&p, &t), 0);
	assert_int_equal(json_next(&p, &t), 0);
	assert_true(json_key_is(&t, "NodeID"));
	assert_false(json_key_is(&t, "nodeid"));
	assert_true(json_key_like(&t, "nodeid"));
	assert_false(json_key_like(&t, "node"));
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static char *user_list(size_t users, size_t *len)
{
	char *text = malloc(users * 160 + 64);
	size_t n = (size_t)sprintf(text, "{\"users\":[");

	for (size_t i = 0; i < users; i++)
		n += (size_t)sprintf(text + n,
				     "%s{\"id\":%zu,\"uuid\":\"0d3c7f1e-8f5b-4b53-9b8e-%012zx\","
				     "\"speed_limit\":\"80\","
				     "\"device_limit\":null,\"conn_limit\":12}",
				     i ? "," : "", i + 1, i);
	n += (size_t)sprintf(text + n, "]}");
	*len = n;
	return text;
}

/* panel-apis U7 gives a whole pull of 100,000 users 200 ms; scanning must be a small part of it. */
static void a_hundred_thousand_users_are_scanned_quickly(void **state)
{
	struct json_token t;
	struct json p;
	size_t len, keys = 0;
	char *text = user_list(100000, &len);
	double start = seconds(), spent;

	json_init(&p, text, len, 0);
	do {
		assert_int_equal(json_next(&p, &t), 0);
		keys += t.type == JSON_T_KEY;
	} while (t.type != JSON_T_END);
	spent = seconds() - start;
	assert_int_equal(keys, 500001);
	print_message("%zu bytes in %.1f ms\n", len, spent * 1e3);
	assert_true(spent < 0.5 * unit_slow()); /* generous: this also runs under sanitizers */
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_document_is_a_list_of_tokens),
		cmocka_unit_test(what_is_not_json_is_refused_at_its_byte),
		cmocka_unit_test(comments_stand_wherever_blanks_may),
		cmocka_unit_test(comment_markers_in_text_are_text),
		cmocka_unit_test(one_trailing_comma_is_enough),
		cmocka_unit_test(a_byte_order_mark_and_crlf_are_blanks),
		cmocka_unit_test(escapes_become_utf8),
		cmocka_unit_test(nul_and_broken_utf8_mark_the_text_bad),
		cmocka_unit_test(nesting_ends_at_64),
		cmocka_unit_test(every_strict_prefix_wants_more),
		cmocka_unit_test(an_error_stays),
		cmocka_unit_test(skip_steps_over_a_whole_value),
		cmocka_unit_test(keys_compare_with_escapes_resolved),
		cmocka_unit_test(a_hundred_thousand_users_are_scanned_quickly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
