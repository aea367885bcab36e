/* resource.h - an answer that is asked for again and again, kept ready: its bytes, their entity
 * tag, the gzip form (made when first asked for) and the 304.
 *
 * MHD counts references of responses: what is being sent stays valid when the resource changes.
 * Threads: one at a time for each resource.
 */
#ifndef WEIR_PANEL_RESOURCE_H
#define WEIR_PANEL_RESOURCE_H

#include <microhttpd.h>

#include "base/base.h"

#define RESOURCE_TAG 65 /* SHA-256 in hexadecimal, and a NUL */

struct resource {
	char etag[RESOURCE_TAG]; /* without its quotes */
	int64_t modified;	 /* Last-Modified, wall clock in seconds; 0: it has none */
	struct MHD_Response *plain, *gzip, *unchanged;
	char *body; /* of `plain` */
	size_t len;
};

/* The tag that these bytes have. */
MUST_CHECK int resource_tag(const char *body, size_t len, char etag[RESOURCE_TAG]);

/* Takes `body` (malloc), also on failure. */
MUST_CHECK int resource_set(struct resource *r, char *body, size_t len, int64_t modified);
void resource_done(struct resource *r);

/* Queue what the request's conditions ask for: 200 or 304. */
enum MHD_Result resource_answer(struct resource *r, struct MHD_Connection *conn);

/* A response of `body` (malloc, taken), JSON and not to be cached; in gzip if `conn` takes it.
 * NULL: no memory.
 */
struct MHD_Response *json_response(char *body, size_t len, struct MHD_Connection *conn);

#endif
