/* headers.h - the small texts of a request: decimal ids, entity tags, accepted codings. */
#ifndef WEIR_PANEL_HEADERS_H
#define WEIR_PANEL_HEADERS_H

#include "base/base.h"

/* Digits only, at least one, up to 2^63-1.  0 or -ERR_MALFORMED. */
MUST_CHECK int decimal_parse(const char *text, size_t len, int64_t *out);

/* Does `If-None-Match: header` name `etag`, given without its quotes?  A list, `*`, weak tags
 * (the comparison is the weak one, RFC 9110 13.1.2) and tags that lost their quotes on the way.
 */
bool etag_listed(const char *header, const char *etag);

/* Does `Accept-Encoding: header` want gzip?  NULL and a weight of zero do not. */
bool gzip_accepted(const char *header);

/* Does `Accept: header` name text/html?  Browsers do, nodes and scripts do not. */
bool html_accepted(const char *header);

/* The credential of `Authorization: Bearer X`, or NULL. */
const char *bearer_token(const char *header);

#endif
