/* httpobfs_wire.h - the two heads of simple-obfs' HTTP disguise, pure. */
#ifndef WEIR_TRANSPORT_HTTPOBFS_WIRE_H
#define WEIR_TRANSPORT_HTTPOBFS_WIRE_H

#include "base/rd.h"
#include "base/wr.h"

#define HTTPOBFS_HEAD_MAX 4096
#define HTTPOBFS_HOST_MAX 255
#define HTTPOBFS_PATH_MAX 1024
#define HTTPOBFS_KEY_LEN  16

struct httpobfs_request {
	const char *host, *path; /* path "": / */
	uint16_t port;		 /* 0, 80: not written */
	unsigned minor, patch;	 /* curl/7.minor.patch */
	const uint8_t *key;	 /* HTTPOBFS_KEY_LEN random bytes */
	size_t length;		 /* of the bytes that go along */
};

struct httpobfs_answer {
	int64_t now;	       /* seconds since 1970 */
	unsigned minor, patch; /* nginx/1.minor.patch */
	const uint8_t *key;
};

/* A client's head off the front of `in`; `host` "": any.  -ERR_MORE; -ERR_UNSUPPORTED: this is no HTTP;
 * -ERR_MALFORMED: it is, and it is not our disguise.
 */
MUST_CHECK int httpobfs_request_parse(struct rd *in, const char *host);
void httpobfs_request_emit(struct wr *w, const struct httpobfs_request *r);

/* The server's: 101, whatever else it says. */
MUST_CHECK int httpobfs_answer_parse(struct rd *in);
void httpobfs_answer_emit(struct wr *w, const struct httpobfs_answer *a);

#endif
