#include "panel/http.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/jout.h"
#include "base/log.h"
#include "panel/callers.h"
#include "panel/headers.h"
#include "panel/http_server.h"

int64_t wall_now(void)
{
	return time(NULL);
}

nsec_t mono_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NSEC_SEC + t.tv_nsec;
}

const char *request_header(struct request *req, const char *name)
{
	return MHD_lookup_connection_value(req->conn, MHD_HEADER_KIND, name);
}

const char *request_query(struct request *req, const char *name, size_t *len)
{
	const char *value = NULL;

	if (MHD_lookup_connection_value_n(req->conn, MHD_GET_ARGUMENT_KIND, name, strlen(name),
					  &value, len) != MHD_YES ||
	    !value || memchr(value, '\0', *len))
		return NULL;
	return value;
}

/* The first answer stands. */
static void request_decide(struct request *req, unsigned status, struct MHD_Response *answer)
{
	if (req->answer || req->queued) {
		if (answer)
			MHD_destroy_response(answer);
		return;
	}
	req->status = status;
	req->answer = answer;
}

void request_answer(struct request *req, unsigned status, char *body, size_t len)
{
	struct MHD_Response *r = body || !len ? json_response(body, len, req->conn) : NULL;

	if (!r) {
		req->hang_up = true; /* no memory even for an answer: hang up */
		return;
	}
	request_decide(req, status, r);
}

void request_answer_json(struct request *req, unsigned status, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	if (text)
		request_answer(req, status, text, strlen(text));
	else
		request_fail(req, -ENOMEM);
}

void request_answer_kept(struct request *req, struct resource *r)
{
	if (req->answer || req->queued)
		return;
	req->queued = true;
	if (resource_answer(r, req->conn) != MHD_YES)
		req->hang_up = true;
}

static void refuse(struct request *req, unsigned status, const char *header, const char *value,
		   const char *message)
{
	struct jout j = {0};
	struct MHD_Response *r;

	jout_str(&j, "{\"message\":");
	jout_quoted(&j, message);
	jout_str(&j, ",\"code\":");
	jout_int(&j, status);
	jout_str(&j, ",\"details\":null}");
	r = j.failed ? NULL : json_response(j.at, j.len, NULL);
	if (!r) {
		req->hang_up = true;
		return;
	}
	if (header)
		MHD_add_response_header(r, header, value);
	request_decide(req, status, r);
}

void request_refuse(struct request *req, unsigned status, const char *fmt, ...)
{
	char message[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	refuse(req, status, NULL, NULL, message);
}

void request_refuse_with(struct request *req, unsigned status, const char *header,
			 const char *value, const char *fmt, ...)
{
	char message[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	refuse(req, status, header, value, message);
}

void request_fail(struct request *req, int err)
{
	switch (err) {
	case -EBUSY:
	case -ENOMEM:
	case -ENOSPC:
		request_refuse_with(req, 503, "Retry-After", "1", "%s", err_text(err));
		break;
	case -ENOENT:
		request_refuse(req, 404, "not found");
		break;
	default:
		request_refuse(req, 500, "%s", err_text(err));
	}
	if (err != -ENOENT)
		log_msg(LOG_WARN, "panel", "%s %s: %s", req->method, req->path, err_text(err));
}

/* "/", "/api", "/api/v2sp" and the configured path, with or without a slash at the end. */
static bool is_node_path(const struct panel *p, const char *path)
{
	static const char *const always[] = {"", "/api", "/api/v2sp"};
	size_t len = strlen(path);

	while (len > 0 && path[len - 1] == '/')
		len--;
	for (size_t i = 0; i < ARRAY_LEN(always); i++) {
		if (len == strlen(always[i]) && strncmp(path, always[i], len) == 0)
			return true;
	}
	return p->node_path && len == strlen(p->node_path) && strncmp(path, p->node_path, len) == 0;
}

const struct http_part *http_route(const struct panel *p, const char *path)
{
	if (is_node_path(p, path))
		return &http_node;
	if (strncmp(path, "/admin/v1/", 10) == 0)
		return &http_admin;
	if (strncmp(path, "/yassp/", 7) == 0)
		return &http_yassp;
	return NULL;
}

/* The page for people who look at the panel with a browser. */
static const char page[] =
	"<!doctype html><html lang=en><meta charset=utf-8><title>weir panel</title>"
	"<p>This is the API of a weir panel: nodes ask it for their configuration and users, and "
	"report "
	"traffic; <code>weir panel node</code> and <code>weir panel user</code> manage it, and so "
	"does "
	"<code>/admin/v1/</code> with the admin token.</html>";

static bool wants_page(struct request *req)
{
	size_t len;

	return req->get && strcmp(req->path, "/") == 0 && !request_query(req, "action", &len) &&
	       html_accepted(request_header(req, "Accept"));
}

static void page_answer(struct request *req)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(sizeof(page) - 1, (void *)page,
								 MHD_RESPMEM_PERSISTENT);

	if (!r) {
		req->hang_up = true; /* without an answer it would go on as a node's request */
		return;
	}
	MHD_add_response_header(r, "Content-Type", "text/html; charset=utf-8");
	MHD_add_response_header(r, "Content-Security-Policy", "default-src 'none'");
	request_decide(req, MHD_HTTP_OK, r);
}

/* What the headers say about the body: its length, SIZE_MAX when only its end will tell. */
static size_t body_announced(struct request *req)
{
	const char *length = request_header(req, "Content-Length");
	int64_t n = 0;

	if (request_header(req, "Transfer-Encoding"))
		return SIZE_MAX;
	if (!length)
		return 0;
	return decimal_parse(length, strlen(length), &n) < 0 ? SIZE_MAX : (size_t)n;
}

static void body_check(struct request *req, size_t announced)
{
	const char *coding = request_header(req, "Content-Encoding");

	if (announced != SIZE_MAX && announced > BODY_MAX)
		request_refuse(req, 413, "the body is larger than %u bytes", BODY_MAX);
	else if (coding && strcasecmp(coding, "identity") != 0)
		request_refuse(req, 415, "send the body without a content coding");
}

/* Checks what can be checked before the body.  A refusal of a request with a long body is sent at
 * once and ends the connection, which is what keeps the body from being sent.
 */
static enum MHD_Result request_begin(struct request *req)
{
	size_t announced = body_announced(req);

	if (wants_page(req))
		page_answer(req);
	else if (!req->part)
		request_refuse(req, 404, "nothing here");
	else
		req->part->check(req);
	if (!req->answer && !req->hang_up)
		body_check(req, announced);
	req->let_in = !req->answer && !req->hang_up;
	if (req->let_in)
		caller_let_in(req->conn);
	if (req->answer && announced > BODY_SWALLOW)
		return request_end(req);
	return req->hang_up ? MHD_NO : MHD_YES;
}

static bool body_room(struct request *req, size_t n)
{
	size_t cap = req->cap ? req->cap : 4096;
	char *at;

	if (n > BODY_MAX || req->len + n > BODY_MAX)
		return false;
	while (cap <= req->len + n)
		cap *= 2;
	if (cap == req->cap)
		return true;
	if (atomic_fetch_add(&req->panel->bodies, cap - req->cap) + cap > BODIES_MAX ||
	    !(at = realloc(req->body, cap))) {
		atomic_fetch_sub(&req->panel->bodies, cap - req->cap);
		request_refuse_with(req, 503, "Retry-After", "1", "too many requests at this time");
		return true;
	}
	req->body = at;
	req->cap = cap;
	return true;
}

static enum MHD_Result request_body(struct request *req, const char *bytes, size_t n)
{
	if (!req->answer && !body_room(req, n))
		request_refuse(req, 413, "the body is larger than %u bytes", BODY_MAX);
	if (req->hang_up)
		return MHD_NO;
	if (!req->answer)
		memcpy(req->body + req->len, bytes, n);
	req->len += n;
	/* A chunked body cannot be answered before its end, and need not have one. */
	return req->len > 2 * (size_t)BODY_MAX ? MHD_NO : MHD_YES;
}

enum MHD_Result request_end(struct request *req)
{
	enum MHD_Result ok = MHD_NO;

	if (req->queued)
		return req->hang_up ? MHD_NO : MHD_YES;
	if (req->answer) {
		ok = MHD_queue_response(req->conn, req->status, req->answer);
		MHD_destroy_response(req->answer);
		req->answer = NULL;
		req->queued = true;
	}
	return ok;
}

static struct request *request_new(struct panel *p, struct MHD_Connection *conn, const char *path,
				   const char *method)
{
	struct request *req = calloc(1, sizeof(*req));

	if (!req)
		return NULL;
	req->panel = p;
	req->conn = conn;
	req->path = path;
	req->method = method;
	req->get = !strcmp(method, "GET") || !strcmp(method, "HEAD");
	req->part = http_route(p, path);
	atomic_fetch_add(&p->open_requests, 1);
	return req;
}

enum MHD_Result http_on_request(void *cls, struct MHD_Connection *conn, const char *url,
				const char *method, const char *version, const char *bytes,
				size_t *n, void **slot)
{
	struct request *req = *slot;
	size_t len = *n;

	if (!req) {
		req = *slot = request_new(cls, conn, url, method);
		return req ? request_begin(req) : MHD_NO;
	}
	if (len > 0) {
		*n = 0;
		return request_body(req, bytes, len);
	}
	if (!req->answer && !req->queued) {
		if (req->body)
			req->body[req->len] = '\0';
		req->part->serve(req);
	}
	return request_end(req);
}

void http_on_completed(void *cls, struct MHD_Connection *conn, void **slot,
		       enum MHD_RequestTerminationCode how)
{
	struct request *req = *slot;

	if (!req)
		return;
	*slot = NULL;
	if (req->let_in)
		caller_answered(conn);
	if (req->answer)
		MHD_destroy_response(req->answer);
	atomic_fetch_sub(&req->panel->bodies, req->cap);
	atomic_fetch_sub(&req->panel->open_requests, 1);
	free(req->body);
	free(req);
}
