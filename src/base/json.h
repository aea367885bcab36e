/* json.h - a JSON pull parser: one token at a time out of a complete buffer, in constant memory.
 *
 *     struct json p;
 *     struct json_token t;
 *
 *     json_init(&p, text, len, JSON_RELAXED);
 *     while ((err = json_next(&p, &t)) == 0 && t.type != JSON_T_END)
 *             ...
 *     if (err)
 *             complain(p.at.line, p.at.column, p.what);
 *
 * Objects give BEGIN, then KEY and the value's tokens for each member, then END.  What json_next()
 * accepted so far was correct JSON; the whole document is correct once JSON_T_END has come. Numbers
 * stay text, so that 64-bit integers survive; strings stay where they are, and json_unescape()
 * copies them out.  A byte order mark is skipped.  Documents to walk at will: json_value.h.
 *
 * Errors: -ERR_MORE when the text ends early, -ERR_MALFORMED at a wrong byte, -ERR_TOO_BIG for
 * nesting beyond JSON_DEPTH.  An error stays.
 */
#ifndef WEIR_JSON_H
#define WEIR_JSON_H

#include "base/base.h"
#include "base/err.h"

#define JSON_DEPTH 64

enum json_flags {
	JSON_COMMENTS = 1,	  /* line comments and block comments wherever blanks may stand */
	JSON_TRAILING_COMMAS = 2, /* one comma before a closing bracket */
	JSON_RELAXED = JSON_COMMENTS | JSON_TRAILING_COMMAS,
};

enum json_type {	     /* T_: jansson has the bare names, and some files include both */
		 JSON_T_END, /* of the document */
		 JSON_T_OBJECT,
		 JSON_T_OBJECT_END,
		 JSON_T_ARRAY,
		 JSON_T_ARRAY_END,
		 JSON_T_KEY,
		 JSON_T_STRING,
		 JSON_T_NUMBER,
		 JSON_T_TRUE,
		 JSON_T_FALSE,
		 JSON_T_NULL,
};

struct json_pos {
	uint32_t line, column; /* from 1; the column counts bytes */
};

struct json_token {
	enum json_type type;
	struct json_pos at;
	const char *text; /* KEY, STRING: between the quotes; else the token itself */
	size_t len;
	bool escaped; /* has backslashes: json_unescape() before use */
	bool bad; /* holds a NUL (as an escape) or bytes that are not UTF-8: the field is wrong */
};

struct json {
	const char *text;
	size_t len, pos, line_start;
	uint32_t line;
	uint8_t flags, depth, state;
	uint64_t objects; /* bit n: the open bracket at depth n is an object */
	int err;
	struct json_pos at; /* of the error */
	const char *what;   /* of the error, a phrase; static storage */
};

void json_init(struct json *p, const char *text, size_t len, unsigned flags);

/* The next token.  After JSON_T_END, JSON_T_END again. */
MUST_CHECK int json_next(struct json *p, struct json_token *out);

/* `t` is the token that json_next() gave last: skip what it opened or announced, a whole object, a
 * whole array, or the value of a key.  Nothing to do for other tokens.
 */
MUST_CHECK int json_skip(struct json *p, const struct json_token *t);

/* The text of a KEY, STRING or NUMBER with escapes resolved; `out` has room for t->len bytes, which
 * always suffice; no NUL is added.  Lone surrogates become U+FFFD.  Returns the length.
 */
size_t json_unescape(const struct json_token *t, char *out);

/* Is this the KEY `name`?  Exactly, or ASCII case-insensitively. */
bool json_key_is(const struct json_token *t, const char *name);
bool json_key_like(const struct json_token *t, const char *name);

#endif
