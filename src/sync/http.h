/* http.h - asking a panel: one request, one answer, on the control loop, never blocking.
 *
 *     call->method = HTTP_GET;
 *     call->url = url;
 *     call->timeout = 30 * NSEC_SEC;
 *     call->done = on_answer;                  (always later, from the loop)
 *     err = http_start(http, call);
 *
 * The rules are those of panel-apis 2.1 (H1-H9).  An answer is complete or it is an error: a body
 * cut short never looks like one.  Nothing here logs; `detail` never holds more than host names.
 *
 * The transport is an interface, so that the scheduler is tested with a fake one in virtual time.
 * http_curl_new() is the real one.
 */
#ifndef WEIR_SYNC_HTTP_H
#define WEIR_SYNC_HTTP_H

#include "base/base.h"
#include "event/loop.h"

enum http_method {
	HTTP_GET,
	HTTP_POST,
};

struct http_field {
	const char *name, *value;
};

#define HTTP_MAX_FIELDS	    6
#define HTTP_ERROR_BODY_MAX (64 * 1024)
#define HTTP_ETAG_MAX	    512 /* a longer one is taken for none */

struct http_call {
	/* Set by the asker; everything pointed at stays its own and must live until done. */
	enum http_method method;
	const char *url;
	struct http_field fields[HTTP_MAX_FIELDS]; /* beside those of H3 and H5 */
	size_t n_fields;
	const char *user, *password; /* Basic authentication; NULL: none */
	const char *send_ip;	     /* local address; NULL: any */
	const void *body;	     /* POST: JSON */
	size_t body_len;
	size_t max_answer; /* bytes after decompression */
	nsec_t timeout;	   /* connect, and every period without progress; in all four times that */
	bool insecure;	   /* no certificate verification */
	bool https_only;   /* a redirection to http:// is not followed */
	bool once; /* a repeat would bill twice: never on a connection that may be half dead */

	/* Body bytes of a 2xx answer as they come, instead of gathering them; a negative value ends
	 * the call with that `err`.
	 */
	int (*sink)(struct http_call *c, const void *bytes, size_t len);
	void (*done)(struct http_call *c); /* once; not after http_cancel() */

	/* The answer, valid from done() until http_call_reset(). */
	/* 0: a complete answer with `status`; negative: none (E-net, or the limits of H9) */
	int err;
	int status;	   /* also next to an err when the head had arrived */
	bool body_sent;	   /* the first body byte was on its way: a failure is ambiguous (TR5) */
	char *answer;	   /* gathered, NUL-terminated, never NULL after done; freed by reset */
	size_t answer_len; /* error bodies end at HTTP_ERROR_BODY_MAX */
	char etag[HTTP_ETAG_MAX]; /* verbatim; "": none */
	char retry_after[64], date[64];
	char modified[64]; /* Last-Modified, or last_modified, which yassp-server looks for */
	char detail[256];  /* of err, for the log */

	void *impl; /* the transport's */
};

struct http;

struct http_ops {
	int (*start)(struct http *h, struct http_call *c);
	void (*cancel)(struct http *h, struct http_call *c);
	void (*free)(struct http *h);
};

struct http {
	const struct http_ops *ops;
};

/* 0: done() will come.  Negative: it will not, nothing has happened. */
MUST_CHECK static inline int http_start(struct http *h, struct http_call *c)
{
	return h->ops->start(h, c);
}

/* No done() follows.  Harmless when the call is not under way. */
static inline void http_cancel(struct http *h, struct http_call *c)
{
	h->ops->cancel(h, c);
}

static inline void http_free(struct http *h)
{
	if (h)
		h->ops->free(h);
}

/* Free the answer and forget it, keep what the asker set.  Not while under way. */
void http_call_reset(struct http_call *c);

/* The real one, on libcurl.  `agent` is the User-Agent ("weir/0.1.0"), copied.  NULL: no memory.
 * Free it before the loop and not from inside a done().
 */
struct http *http_curl_new(struct loop *loop, const char *agent);

#endif
