#include "panel/resource.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "base/hex.h"
#include "crypto/hash.h"
#include "panel/headers.h"

/* Big bodies at the fastest level: 3 % more bytes for a quarter of the time. */
#define GZIP_BIG (256 * 1024)

static int gzip_pack(const char *body, size_t len, char **out, size_t *out_len)
{
	z_stream z = {0};
	char *at, *less;

	if (deflateInit2(&z, len > GZIP_BIG ? 1 : 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) !=
	    Z_OK)
		return -ENOMEM;
	size_t cap = deflateBound(&z, len);

	if (len > UINT32_MAX / 2 || !(at = malloc(cap))) {
		deflateEnd(&z);
		return -ENOMEM;
	}
	z.next_in = (Bytef *)body;
	z.avail_in = (uInt)len;
	z.next_out = (Bytef *)at;
	z.avail_out = (uInt)cap;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END) {
		deflateEnd(&z);
		free(at);
		return -ENOMEM;
	}
	/* What is kept for long gives back the room that the worst case would have needed. */
	less = realloc(at, z.total_out);
	*out = less ? less : at;
	*out_len = z.total_out;
	deflateEnd(&z);
	return 0;
}

/* RFC 9110 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT" */
#define HTTP_DATE "%a, %d %b %Y %H:%M:%S GMT"

static void response_validators(struct MHD_Response *to, const struct resource *r)
{
	char quoted[sizeof(r->etag) + 2], date[40];
	time_t at = r->modified;
	struct tm tm;

	snprintf(quoted, sizeof(quoted), "\"%s\"", r->etag);
	MHD_add_response_header(to, "ETag", quoted);
	MHD_add_response_header(to, "Vary", "Accept-Encoding");
	if (at && gmtime_r(&at, &tm) && strftime(date, sizeof(date), HTTP_DATE, &tm))
		MHD_add_response_header(to, "Last-Modified", date);
}

/* Takes `body`.  `of` (may be NULL) is the resource that it is a form of. */
static struct MHD_Response *response_of(char *body, size_t len, const struct resource *of,
					bool gzip)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE);

	if (!r) {
		free(body);
		return NULL;
	}
	MHD_add_response_header(r, "Cache-Control", "no-store");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	if (len)
		MHD_add_response_header(r, "Content-Type", "application/json; charset=utf-8");
	if (gzip)
		MHD_add_response_header(r, "Content-Encoding", "gzip");
	if (of)
		response_validators(r, of);
	return r;
}

static bool wants_gzip(struct MHD_Connection *conn)
{
	return gzip_accepted(MHD_lookup_connection_value(conn, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_ACCEPT_ENCODING));
}

int resource_tag(const char *body, size_t len, char etag[RESOURCE_TAG])
{
	uint8_t digest[HASH_MAX];
	int err = hash(HASH_SHA256, body, len, digest);

	if (!err)
		hex_format(digest, hash_size(HASH_SHA256), etag);
	return err;
}

int resource_set(struct resource *r, char *body, size_t len, int64_t modified)
{
	struct resource fresh = {.body = body, .len = len, .modified = modified};
	int err = resource_tag(body, len, fresh.etag);

	if (err) {
		free(body);
		return err;
	}
	fresh.plain = response_of(body, len, &fresh, false);
	if (!fresh.plain)
		return -ENOMEM;
	fresh.unchanged = response_of(NULL, 0, &fresh, false);
	if (!fresh.unchanged) {
		MHD_destroy_response(fresh.plain);
		return -ENOMEM;
	}
	resource_done(r);
	*r = fresh;
	return 0;
}

void resource_done(struct resource *r)
{
	if (r->plain)
		MHD_destroy_response(r->plain);
	if (r->gzip)
		MHD_destroy_response(r->gzip);
	if (r->unchanged)
		MHD_destroy_response(r->unchanged);
	*r = (struct resource){0};
}

/* What the client has is what we have.  A tag has precedence over a date (RFC 9110 13.1.3). */
static bool unchanged_for(const struct resource *r, struct MHD_Connection *conn)
{
	const char *tags =
		MHD_lookup_connection_value(conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_IF_NONE_MATCH);
	const char *since = MHD_lookup_connection_value(conn, MHD_HEADER_KIND,
							MHD_HTTP_HEADER_IF_MODIFIED_SINCE);
	struct tm tm = {0};

	if (tags)
		return etag_listed(tags, r->etag);
	return since && r->modified && strptime(since, HTTP_DATE, &tm) &&
	       timegm(&tm) >= r->modified;
}

enum MHD_Result resource_answer(struct resource *r, struct MHD_Connection *conn)
{
	char *packed;
	size_t len;

	if (unchanged_for(r, conn))
		return MHD_queue_response(conn, MHD_HTTP_NOT_MODIFIED, r->unchanged);
	if (!wants_gzip(conn))
		return MHD_queue_response(conn, MHD_HTTP_OK, r->plain);
	if (!r->gzip && gzip_pack(r->body, r->len, &packed, &len) == 0)
		r->gzip = response_of(packed, len, r, true);
	return MHD_queue_response(conn, MHD_HTTP_OK, r->gzip ? r->gzip : r->plain);
}

struct MHD_Response *json_response(char *body, size_t len, struct MHD_Connection *conn)
{
	char *packed;
	size_t packed_len;

	if (!len || !conn || !wants_gzip(conn) || gzip_pack(body, len, &packed, &packed_len) < 0)
		return response_of(body, len, NULL, false);
	free(body);
	return response_of(packed, packed_len, NULL, true);
}
