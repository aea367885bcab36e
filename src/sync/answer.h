/* answer.h - what kind of answer a panel gave (panel-apis 2.3).  Pure. */
#ifndef WEIR_SYNC_ANSWER_H
#define WEIR_SYNC_ANSWER_H

#include "base/base.h"
#include "sync/http.h"

struct json_value;

enum answer_class {
	ANSWER_NONE, /* not asked yet */
	ANSWER_OK,
	ANSWER_SAME, /* 304, and something is applied */
	ANSWER_NET,  /* no complete answer */
	ANSWER_HTTP, /* a status that says no */
	ANSWER_APP,  /* 2xx with a failure envelope */
	ANSWER_PARSE,
	ANSWER_VALID, /* required data missing or impossible */
	ANSWER_CLASSES,
};

const char *answer_name(enum answer_class c); /* for people: "unreadable", ... */

#define ANSWER_MESSAGE_MAX 201

/* A failure envelope: `status` fail or error, `ret` 0, `success` false, `data` false, or a
 * non-empty `error`.  `message` gets what the panel says about it, printable, "" when nothing.
 */
bool answer_is_failure(const struct json_value *doc, char message[ANSWER_MESSAGE_MAX]);

/* The panel's message out of an error body; "" when it has none. */
void answer_message(const char *body, size_t len, char message[ANSWER_MESSAGE_MAX]);

/* What became of a POST. */
enum post_fate {
	POST_DONE,	/* the panel has it */
	POST_FAILED,	/* definitely not (TR4) */
	POST_AMBIGUOUS, /* it may have some or all of it (TR5) */
};

/* `whole`: of the dialect.  `message` as above. */
enum post_fate answer_post_fate(const struct http_call *c, bool whole,
				char message[ANSWER_MESSAGE_MAX]);

/* SC9: seconds that a Retry-After asks for, 0..600.  A date counts from the answer's own Date where
 * it has one, else from `wall` (seconds since 1970).  0 when there is none or it makes no sense.
 */
int64_t answer_retry_after(const char *value, const char *date, int64_t wall);

#endif
