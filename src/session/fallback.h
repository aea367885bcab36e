/* fallback.h - which server behind gets a connection that is not ours: by SNI, ALPN and path.
 *
 * The table and the selection are Xray's, so that configurations mean the same
 * (docs/protocols/vless.md, section 6): later duplicates win, entries inherit what they lack, an unknown
 * name takes the longest configured name that is a substring of it.
 */
#ifndef WEIR_SESSION_FALLBACK_H
#define WEIR_SESSION_FALLBACK_H

#include "base/base.h"
#include "net/addr.h"
#include "net/dest.h"

struct fallback {
	char *sni, *alpn, *path; /* "" = any; lower case but for the path */
	char *unix_path;	 /* NULL: `dest` */
	struct dest dest;
	uint8_t xver; /* PROXY protocol version to the backend; 0: none */
};

struct fallback_table;

/* Copies everything.  NULL: no memory.  n = 0 gives a table that selects nothing. */
struct fallback_table *fallback_table_new(const struct fallback *v, size_t n);
void fallback_table_free(struct fallback_table *t);
bool fallback_table_empty(const struct fallback_table *t); /* NULL is empty */

/* `first` is what the peer has sent so far (may be shorter than a request line); NULL: nobody wants
 * it.
 */
const struct fallback *fallback_select(const struct fallback_table *t, const char *sni,
				       const char *alpn, const void *first, size_t len);

/* "80", "host:80", "/path", "@abstract", "@@padded": into dest or unix_path.  0 or -ERR_MALFORMED. */
MUST_CHECK int fallback_parse_dest(struct fallback *f, const char *text);

#endif
