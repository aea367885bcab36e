/* url.h - putting a panel's address together, and hiding its secrets in logs.  Pure. */
#ifndef WEIR_SYNC_URL_H
#define WEIR_SYNC_URL_H

#include "base/base.h"

/* A text that grows; `err` is sticky (-ENOMEM), the text always ends in NUL once something is in
 * it. */
struct text {
	char *s;
	size_t len, size;
	int err;
};

void text_add(struct text *t, const char *bytes, size_t len);
void text_adds(struct text *t, const char *s);
void text_addf(struct text *t, const char *fmt, ...) PRINTF(2, 3);
void text_done(struct text *t);

/* `value` with everything but RFC 3986's unreserved characters percent-encoded (H4). */
void text_add_escaped(struct text *t, const char *value);

/* The first parameter after a verbatim base (A.1): behind '?', or '&' when the base has a query, or
 * nothing when that ends in either.
 */
void url_first_param(struct text *t, const char *name, const char *value);
void url_param(struct text *t, const char *name, const char *value);

/* `base` and `path` with exactly one slash between (B.1); a query of the base is kept behind it. */
void url_join(struct text *t, const char *base, const char *path);

/* Empty or "/" path and no query: the addresses for which rule A1 tries others. */
bool url_is_bare(const char *base);

/* `scheme://host:port` of it: what Retry-After (SC9) and the start of a log line go by. */
void url_origin(struct text *t, const char *url);

/* For the log (H10): the values of token, key and muKey, and user-info, become "***". */
void url_mask(struct text *t, const char *url);

#endif
