/* http_impl.h - what the two files of the real transport share. */
#ifndef WEIR_SYNC_HTTP_IMPL_H
#define WEIR_SYNC_HTTP_IMPL_H

#include <curl/curl.h>

#include "sync/http.h"

struct http_curl {
	struct http base;
	struct loop *loop;
	CURLM *multi;
	struct timer timer; /* libcurl's */
	char *agent;
	struct list_node flights;
};

/* A call under way. */
struct flight {
	struct http_curl *h;
	struct http_call *call;
	CURL *easy;
	struct curl_slist *headers;
	struct timer idle;
	struct list_node link;
	curl_off_t moved; /* bytes both ways when the idle timer was set */
	size_t head_bytes;
	size_t body_at;	  /* of the request */
	size_t got, room; /* of the answer */
	int err;	  /* ours, behind CURLE_WRITE_ERROR and the like */
	char text[CURL_ERROR_SIZE];
};

/* All that libcurl has to know of the call, but its headers.  0 or -errno. */
MUST_CHECK int flight_set_up(struct flight *f);
MUST_CHECK int flight_set_headers(struct flight *f);

/* More of the answer, behind what is there; a NUL follows it.  0 or -ENOMEM. */
MUST_CHECK int flight_gather(struct flight *f, const char *bytes, size_t len);

#endif
