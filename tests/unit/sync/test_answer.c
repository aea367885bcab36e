/* test_answer.c - classes of answers, the fate of a POST, Retry-After. */
#include "unit.h"

#include <stdio.h>

#include "base/json_value.h"
#include "sync/answer.h"

static bool failure(const char *body, char *message)
{
	struct json_value *doc;
	struct arena a;
	bool yes;

	arena_init(&a, 0);
	assert_int_equal(json_parse(body, strlen(body), 0, &a, &doc, NULL, NULL), 0);
	yes = answer_is_failure(doc, message);
	arena_done(&a);
	return yes;
}

static void failure_envelopes_are_known(void **state)
{
	static const char *const bad[] = {
		"{\"status\":\"fail\"}", "{\"status\":\"ERROR\"}", "{\"ret\":0}",
		"{\"ret\":\"0\"}",	 "{\"success\":false}",	   "{\"success\":0}",
		"{\"data\":false}",	 "{\"error\":\"x\"}",	   "{\"error\":{\"a\":1}}",
		"{\"error\":true}",
	};
	static const char *const good[] = {
		"{}",
		"{\"status\":\"success\"}",
		"{\"ret\":1}",
		"{\"data\":true}",
		"{\"error\":null}",
		"{\"error\":\"\"}",
		"{\"message\":\"ok\"}",
		"{\"error\":[]}",
		"{\"success\":true}",
		"[1]",
		"\"text\"",
	};
	char message[ANSWER_MESSAGE_MAX];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(failure(bad[i], message));
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_false(failure(good[i], message));
}

static void messages_are_short_and_printable(void **state)
{
	char message[ANSWER_MESSAGE_MAX], body[1024], *s = body;

	failure("{\"status\":\"fail\",\"message\":\"no\\nway\"}", message);
	assert_string_equal(message, "no.way");
	failure("{\"ret\":0,\"msg\":\"Invalid request.\"}", message);
	assert_string_equal(message, "Invalid request.");
	failure("{\"error\":\"token is error\"}", message);
	assert_string_equal(message, "token is error");
	s += snprintf(s, 64, "{\"message\":\"");
	memset(s, 'm', 500);
	memcpy(s + 500, "\"}", 3);
	answer_message(body, strlen(body), message);
	assert_int_equal(strlen(message), 200);
	answer_message("<html>", 6, message);
	assert_string_equal(message, "");
}

static enum post_fate fate(int status, const char *body, bool whole)
{
	char message[ANSWER_MESSAGE_MAX];
	struct http_call c = {.status = status,
			      .answer = (char *)body,
			      .answer_len = strlen(body),
			      .body_sent = true};

	return answer_post_fate(&c, whole, message);
}

static void a_post_is_done_by_any_success_without_complaint(void **state)
{
	static const char *const bodies[] = {"",
					     "ok",
					     "{\"message\":\"ok\"}",
					     "{\"data\":true}",
					     "{\"ret\":1}",
					     "\xef\xbb\xbf {} ",
					     "[]"};

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		assert_int_equal(fate(200, bodies[i], true), POST_DONE);
	assert_int_equal(fate(204, "", false), POST_DONE);
	assert_int_equal(fate(200, "{\"status\":\"fail\",\"message\":\"token\"}", true),
			 POST_FAILED);
}

static void a_success_that_is_html_or_broken_json_is_ambiguous(void **state)
{
	assert_int_equal(fate(200, "\n <html>", true), POST_AMBIGUOUS);
	assert_int_equal(fate(200, "{\"data\":tr", true), POST_AMBIGUOUS);
	assert_int_equal(fate(200, "[", true), POST_AMBIGUOUS);
}

static void errors_are_definitive_for_panels_that_push_as_a_whole(void **state)
{
	static const int statuses[] = {301, 400, 413, 422, 429, 500, 502, 503, 504, 520};

	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		assert_int_equal(fate(statuses[i], "", true), POST_FAILED);
}

static void other_panels_may_have_billed_before_they_failed(void **state)
{
	static const int definite[] = {301, 400, 404, 413, 422, 429, 502, 503};
	static const int ambiguous[] = {500, 504, 520, 524};

	for (size_t i = 0; i < ARRAY_LEN(definite); i++)
		assert_int_equal(fate(definite[i], "", false), POST_FAILED);
	for (size_t i = 0; i < ARRAY_LEN(ambiguous); i++)
		assert_int_equal(fate(ambiguous[i], "", false), POST_AMBIGUOUS);
	assert_int_equal(fate(500, "{\"message\":\"token is error\"}", false), POST_FAILED);
	assert_int_equal(fate(500, "{\"message\":\"server is not exist\"}", false), POST_FAILED);
	assert_int_equal(fate(500, "{\"message\":\"Server Error\"}", false), POST_AMBIGUOUS);
}

static void without_an_answer_the_first_body_byte_decides(void **state)
{
	char message[ANSWER_MESSAGE_MAX];
	struct http_call c = {.err = -ERR_TIMEOUT, .answer = (char *)""};

	assert_int_equal(answer_post_fate(&c, true, message), POST_FAILED);
	c.body_sent = true;
	assert_int_equal(answer_post_fate(&c, true, message), POST_AMBIGUOUS);
	c.status = 500; /* the head came, the rest did not */
	assert_int_equal(answer_post_fate(&c, true, message), POST_AMBIGUOUS);
}

static void retry_after_is_seconds_or_a_date_and_at_most_ten_minutes(void **state)
{
	const int64_t wall = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT */

	assert_int_equal(answer_retry_after("", "", wall), 0);
	assert_int_equal(answer_retry_after("30", "", wall), 30);
	assert_int_equal(answer_retry_after("86400", "", wall), 600);
	assert_int_equal(answer_retry_after("99999999999999999999", "", wall), 600);
	assert_int_equal(answer_retry_after("-5", "", wall), 0);
	assert_int_equal(answer_retry_after("soon", "", wall), 0);
	assert_int_equal(answer_retry_after("Sun, 06 Nov 1994 08:50:37 GMT", "", wall), 60);
	assert_int_equal(answer_retry_after("Sunday, 06-Nov-94 08:50:37 GMT", "", wall), 60);
	assert_int_equal(answer_retry_after("Sun Nov  6 08:50:37 1994", "", wall), 60);
	assert_int_equal(answer_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", "", wall), 0);
	/* Our clock may be wrong by years: the panel's own date counts. */
	assert_int_equal(answer_retry_after("Sun, 06 Nov 1994 08:50:37 GMT",
					    "Sun, 06 Nov 1994 08:50:17 GMT", wall + 315360000),
			 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failure_envelopes_are_known),
		cmocka_unit_test(messages_are_short_and_printable),
		cmocka_unit_test(a_post_is_done_by_any_success_without_complaint),
		cmocka_unit_test(a_success_that_is_html_or_broken_json_is_ambiguous),
		cmocka_unit_test(errors_are_definitive_for_panels_that_push_as_a_whole),
		cmocka_unit_test(other_panels_may_have_billed_before_they_failed),
		cmocka_unit_test(without_an_answer_the_first_body_byte_decides),
		cmocka_unit_test(retry_after_is_seconds_or_a_date_and_at_most_ten_minutes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
