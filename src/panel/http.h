/* http.h - inside the panel: a request from its first header to its answer.
 *
 * libmicrohttpd calls us in its threads.  A request is checked when its headers are there (who
 * asks, for what, may he), before a byte of its body is kept; then the body is collected within the
 * limits; then it is served.  Each part of the API is a struct http_part with these two steps.
 *
 * Locks: `write_lock` before `read_lock`, where both are needed.
 */
#ifndef WEIR_PANEL_HTTP_H
#define WEIR_PANEL_HTTP_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "panel/panel.h"
#include "panel/presence.h"
#include "panel/roster.h"
#include "panel/store.h"

#define BODY_MAX     (32u << 20)  /* of one request (P8) */
#define BODIES_MAX   (256u << 20) /* of all at one time */
#define BODY_SWALLOW (64u << 10)  /* read and dropped for the sake of a clean refusal */

struct panel {
	struct panel_conf conf;
	char *node_path; /* conf's, copied; may be NULL */
	char address[64], new_token[65];
	struct MHD_Daemon *daemon;
	struct callers *callers;
	int listener;
	uint8_t admin_digest[TOKEN_DIGEST_LEN];

	pthread_mutex_t read_lock; /* the roster and its store */
	struct store *reader;
	struct roster roster;

	pthread_mutex_t write_lock; /* the store that writes */
	struct store *writer;
	unsigned pushes;

	struct presence *presence;
	struct yassp_push *yassp_push;
	_Atomic size_t bodies; /* bytes that request bodies hold */
	_Atomic unsigned open_requests;
};

struct request;

/* `check` may refuse; `serve` must answer or refuse. */
struct http_part {
	void (*check)(struct request *req);
	void (*serve)(struct request *req);
};

enum node_action {
	ACTION_CONFIG,
	ACTION_USER,
	ACTION_ALIVELIST,
	ACTION_PUSH,
	ACTION_ALIVE,
};

struct request {
	struct panel *panel;
	struct MHD_Connection *conn;
	const struct http_part *part;
	const char *method, *path; /* valid until the answer */
	bool get;		   /* GET or HEAD */

	struct MHD_Response *answer; /* decided, not yet sent */
	unsigned status;
	bool queued; /* sent */

	char *body; /* NUL-terminated */
	size_t len, cap;
	bool hang_up; /* no answer possible */
	bool let_in;  /* nothing was found that speaks against it */

	/* node API */
	enum node_action action;
	int64_t node;
	bool usage;

	/* admin API */
	const void *collection;
	int64_t id; /* 0: the collection itself */

	/* YaSSP API */
	void (*yassp)(struct request *req);
};

extern const struct http_part http_node, http_admin, http_yassp;

/* The part that serves `path`; NULL: none does. */
const struct http_part *http_route(const struct panel *p, const char *path);

/* Answer with JSON: `body` (malloc) is taken; NULL means that there was no memory. */
void request_answer(struct request *req, unsigned status, char *body, size_t len);
void request_answer_json(struct request *req, unsigned status, json_t *body); /* taken */

/* Answer from what is kept, at once: only while serving. */
void request_answer_kept(struct request *req, struct resource *r);

/* {"message","code","details"}. */
void request_refuse(struct request *req, unsigned status, const char *fmt, ...) PRINTF(3, 4);
void request_refuse_with(struct request *req, unsigned status, const char *header,
			 const char *value, const char *fmt, ...) PRINTF(5, 6);

/* The body as a report of traffic of the request's node, applied once for its Idempotency-Key.
 * `resolve` (may be NULL) makes users of what the report names.  False: refused or failed, which is
 * answered already.
 */
typedef int (*report_parse_fn)(const char *text, size_t len, struct push_report *out,
			       struct fault *why);
typedef int (*report_resolve_fn)(struct request *req, struct push_report *report);
bool request_push(struct request *req, report_parse_fn parse, report_resolve_fn resolve,
		  struct push_result *result);

/* From a node: `who` says from which, or refuses; who asks too often is refused; then `check` goes on.
 * All under the read lock.
 */
void request_from_node(struct request *req, struct roster_node *(*who)(struct request *req),
		       void (*check)(struct request *req, const struct roster_node *n));

/* What `make` brings up to date of the request's node, from what is kept; under the read lock. */
void request_answer_node(struct request *req, int (*make)(struct roster *r, struct roster_node *n,
							  struct resource **out));

/* A failure of the store or of memory. */
void request_fail(struct request *req, int err);

/* A parameter of the query: its text and length, or NULL.  Texts with NUL bytes are NULL. */
const char *request_query(struct request *req, const char *name, size_t *len);
const char *request_header(struct request *req, const char *name);

/* Wall clock, seconds; and the monotonic one. */
int64_t wall_now(void);
nsec_t mono_now(void);

#endif
