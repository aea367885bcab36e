#include "sync/answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/json_value.h"
#include "sync/notes.h"

#define ENVELOPE_MEMORY (4 << 20)
#define RETRY_AFTER_MAX 600

const char *answer_name(enum answer_class c)
{
	static const char *const names[ANSWER_CLASSES] = {
		[ANSWER_NONE] = "none",	       [ANSWER_OK] = "OK",
		[ANSWER_SAME] = "unchanged",   [ANSWER_NET] = "no answer",
		[ANSWER_HTTP] = "an error",    [ANSWER_APP] = "refused by the panel",
		[ANSWER_PARSE] = "unreadable", [ANSWER_VALID] = "not possible",
	};

	return (unsigned)c < ANSWER_CLASSES ? names[c] : "?";
}

/* --- envelopes ----------------------------------------------------------------------------- */

static bool text_is(const struct json_value *v, const char *word)
{
	return v && v->type == JSON_T_STRING && !v->bad && !strcasecmp(v->text, word);
}

static bool int_is_zero(const struct json_value *v)
{
	int64_t n = 1;

	return v && json_to_int(v, &n) == 0 && n == 0;
}

static bool bool_is_false(const struct json_value *v)
{
	bool b = true;

	return v && json_to_bool(v, &b) == 0 && !b;
}

static bool says_something(const struct json_value *v)
{
	if (!v)
		return false;
	switch (v->type) {
	case JSON_T_STRING:
	case JSON_T_OBJECT:
	case JSON_T_ARRAY:
		return v->len > 0;
	case JSON_T_NUMBER:
		return !int_is_zero(v);
	default:
		return v->type == JSON_T_TRUE;
	}
}

static bool take_message(const struct json_value *v, char *message)
{
	if (!v || v->type != JSON_T_STRING || v->bad || !v->len)
		return false;
	notes_printable(v->text, v->len, message, ANSWER_MESSAGE_MAX);
	return true;
}

static void find_message(const struct json_value *doc, char *message)
{
	static const char *const keys[] = {"message", "msg", "error"};

	message[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (take_message(json_get(doc, keys[i]), message))
			return;
	}
	/* {"error": {"message": …}} */
	take_message(json_get(json_get(doc, "error"), "message"), message);
}

bool answer_is_failure(const struct json_value *doc, char message[ANSWER_MESSAGE_MAX])
{
	const struct json_value *status = json_get(doc, "status"), *data = json_get(doc, "data");

	find_message(doc, message);
	return text_is(status, "fail") || text_is(status, "error") ||
	       int_is_zero(json_get(doc, "ret")) || bool_is_false(json_get(doc, "success")) ||
	       (data && data->type == JSON_T_FALSE) || says_something(json_get(doc, "error"));
}

void answer_message(const char *body, size_t len, char message[ANSWER_MESSAGE_MAX])
{
	struct json_value *doc;
	struct arena a;

	message[0] = '\0';
	arena_init(&a, ENVELOPE_MEMORY);
	if (!json_parse(body, len, 0, &a, &doc, NULL, NULL))
		find_message(doc, message);
	arena_done(&a);
}

/* --- POST ---------------------------------------------------------------------------------- */

/* The first byte that is not blank, behind a byte order mark. */
static char first_byte(const char *body, size_t len)
{
	size_t i = len >= 3 && !memcmp(body, "\xef\xbb\xbf", 3) ? 3 : 0;

	while (i < len && strchr(" \t\r\n", body[i]) && body[i])
		i++;
	return i < len ? body[i] : '\0';
}

static enum post_fate fate_of_success(const struct http_call *c, char *message)
{
	enum post_fate fate = POST_DONE;
	struct json_value *doc;
	struct arena a;
	char first = first_byte(c->answer, c->answer_len);

	if (first == '<')
		return POST_AMBIGUOUS; /* a proxy or a dying panel spoke */
	if (first != '{' && first != '[')
		return POST_DONE;
	arena_init(&a, ENVELOPE_MEMORY);
	if (json_parse(c->answer, c->answer_len, 0, &a, &doc, NULL, NULL))
		fate = POST_AMBIGUOUS;
	else if (answer_is_failure(doc, message))
		fate = POST_FAILED;
	arena_done(&a);
	return fate;
}

/* What v2board's family checks before it looks at the body. */
static bool is_precheck(const char *message)
{
	static const char *const known[] = {"token is null", "token is error",
					    "server is not exist"};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (!strcasecmp(message, known[i]))
			return true;
	}
	return false;
}

enum post_fate answer_post_fate(const struct http_call *c, bool whole,
				char message[ANSWER_MESSAGE_MAX])
{
	message[0] = '\0';
	if (c->err)
		return c->body_sent ? POST_AMBIGUOUS : POST_FAILED;
	if (c->status >= 200 && c->status < 300)
		return fate_of_success(c, message);
	answer_message(c->answer, c->answer_len, message);
	/* A redirect comes from whatever stands before the panel: nobody has read the body. */
	if (whole || c->status < 500 || c->status == 502 || c->status == 503)
		return POST_FAILED;
	return c->status == 500 && is_precheck(message) ? POST_FAILED : POST_AMBIGUOUS;
}

/* --- Retry-After --------------------------------------------------------------------------- */

/* The three forms of RFC 9110 §5.6.7, all of them GMT. */
static bool parse_date(const char *text, int64_t *out)
{
	static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT",
					    "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct tm tm = {0};
		const char *end = strptime(text, forms[i], &tm);

		if (end && !*end) {
			*out = timegm(&tm);
			return true;
		}
	}
	return false;
}

int64_t answer_retry_after(const char *value, const char *date, int64_t wall)
{
	int64_t until, from, s;

	if (*value && !value[strspn(value, "0123456789")]) {
		errno = 0;
		s = strtoll(value, NULL, 10);
		return errno ? RETRY_AFTER_MAX : MIN(s, (int64_t)RETRY_AFTER_MAX);
	}
	if (!parse_date(value, &until))
		return 0;
	if (!parse_date(date, &from))
		from = wall;
	return MAX(MIN(until - from, (int64_t)RETRY_AFTER_MAX), (int64_t)0);
}
