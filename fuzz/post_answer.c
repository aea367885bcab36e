/* post_answer.c - what became of a report, from any answer to it.  The first byte says how the call
 * ended, the second which status it had, the rest is the body.  Held is what billing stands on:
 * "done" and "failed" are never guesses.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_value.h"
#include "sync/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { CUT_SHORT = 1, BODY_SENT = 2, WHOLE = 4 };

static bool says_failure(const char *body, size_t len)
{
	char message[ANSWER_MESSAGE_MAX];
	struct json_value *doc;
	struct arena a;
	bool failure;

	arena_init(&a, 8 << 20);
	failure =
		!json_parse(body, len, 0, &a, &doc, NULL, NULL) && answer_is_failure(doc, message);
	arena_done(&a);
	return failure;
}

static void check_message(const char *message)
{
	assert(memchr(message, '\0', ANSWER_MESSAGE_MAX));
	for (; *message; message++)
		assert((unsigned char)*message >= 0x20 && *message != 0x7f);
}

static void check_fate(const struct http_call *c, bool whole, enum post_fate fate)
{
	if (c->err)
		assert(fate == (c->body_sent ? POST_AMBIGUOUS : POST_FAILED));
	else if (c->status >= 200 && c->status < 300)
		assert(fate != POST_FAILED || says_failure(c->answer, c->answer_len));
	else
		assert(fate == POST_FAILED || (fate == POST_AMBIGUOUS && !whole));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const int statuses[] = {200, 204, 301, 304, 400, 403, 404, 422, 429, 500, 502, 503};
	char message[ANSWER_MESSAGE_MAX];
	struct http_call c = {0};
	bool whole;

	if (len < 2)
		return 0;
	c.err = data[0] & CUT_SHORT ? -ERR_TRUNCATED : 0;
	c.body_sent = data[0] & BODY_SENT;
	whole = data[0] & WHOLE;
	c.status = statuses[data[1] % ARRAY_LEN(statuses)];
	c.answer_len = len - 2;
	c.answer = malloc(c.answer_len + 1);
	if (!c.answer)
		abort();
	memcpy(c.answer, data + 2, c.answer_len);
	c.answer[c.answer_len] = '\0';
	check_fate(&c, whole, answer_post_fate(&c, whole, message));
	check_message(message);
	free(c.answer);
	return 0;
}
