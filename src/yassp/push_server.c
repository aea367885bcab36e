#include "yassp/push_server.h"

#include <errno.h>
#include <limits.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/jout.h"
#include "crypto/ct.h"
#include "crypto/hash.h"
#include "net/listener.h"
#include "net/sock.h"
#include "yassp/list.h"

#define CONNECTIONS_MAX 32u
#define CALLER_MAX \
	16u /* of these from one address: panels may share theirs, strangers shall not have all */
#define PATIENCE       (10 * NSEC_SEC) /* for a request, and for a list to be applied */
#define SWALLOW	       (64 << 10)      /* bodies read and dropped for the sake of a clean refusal */
#define CONNECTION_MEM (32 << 10)

struct push_server {
	struct loop *loop;
	struct yassp *y;
	struct MHD_Daemon *daemon;
	struct watch watch; /* of the daemon's epoll descriptor */
	struct timer again;
	struct addr at;
	uint8_t token[HASH_MAX];  /* SHA-256 */
	struct list_node waiting; /* requests whose list is being applied */
	bool closing;
};

/* One connection: who takes too long is cut off. */
struct caller {
	struct timer deadline;
	int fd;
	struct loop *loop;
};

struct request {
	struct push_server *p;
	struct MHD_Connection *conn;
	struct list_node link; /* in `waiting`, while suspended */
	struct timer patience;
	bool is_push, ready, suspended;
	unsigned status; /* of a refusal or answer; 0: none yet */
	const char *allow;
	char message[PROFILE_WHY_MAX];
	char *body;
	size_t len, cap;
};

static struct caller *caller_of(struct MHD_Connection *conn)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* How much longer the other side may take; negative: as long as we do. */
static void caller_patience(struct MHD_Connection *conn, nsec_t patience)
{
	struct caller *c = caller_of(conn);

	if (c && patience < 0)
		timer_stop(&c->deadline);
	else if (c)
		timer_set(c->loop, &c->deadline, loop_now(c->loop) + patience);
}

/* ---- answers ----------------------------------------------------------------------------- */

static void refuse(struct request *r, unsigned status, const char *message)
{
	if (r->status)
		return;
	r->status = status;
	snprintf(r->message, sizeof(r->message), "%s", message);
}

static struct MHD_Response *text_response(char *text, size_t len, const char *type)
{
	struct MHD_Response *res =
		MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);

	if (!res)
		free(text);
	else if (type)
		MHD_add_response_header(res, "Content-Type", type);
	return res;
}

static struct MHD_Response *response_of(const struct request *r)
{
	struct jout j = {0};

	if (r->status == 204)
		return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	if (r->status == 200)
		return text_response(strdup("It works."), 9, "text/plain");
	jout_str(&j, "{\"message\":");
	jout_quoted(&j, r->message);
	jout_str(&j, "}");
	return j.failed ? NULL : text_response(j.at, j.len, "application/json");
}

static enum MHD_Result answer(struct request *r)
{
	struct MHD_Response *res = response_of(r);
	enum MHD_Result result;

	if (!res)
		return MHD_NO;
	if (r->allow)
		MHD_add_response_header(res, "Allow", r->allow);
	result = MHD_queue_response(r->conn, r->status, res);
	MHD_destroy_response(res);
	return result;
}

/* ---- before the body --------------------------------------------------------------------- */

static bool token_fits(const struct request *r)
{
	const char *token = NULL;
	uint8_t digest[HASH_MAX];
	size_t len = 0;

	return MHD_lookup_connection_value_n(r->conn, MHD_GET_ARGUMENT_KIND, "token", 5, &token,
					     &len) == MHD_YES &&
	       token && hash(HASH_SHA256, token, len, digest) == 0 &&
	       ct_equal(digest, r->p->token, hash_size(HASH_SHA256));
}

/* What the headers say; SIZE_MAX when only its end will tell. */
static size_t announced(const struct request *r)
{
	const char *len = MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, "Content-Length");

	if (MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, "Transfer-Encoding"))
		return SIZE_MAX;
	return len ? strtoull(len, NULL, 10) : 0;
}

static void check(struct request *r, const char *path, const char *method)
{
	bool root = !strcmp(path, "/");
	bool instances = !strcmp(path, "/instances") || !strcmp(path, "/instances/");

	if (!root && !instances) {
		refuse(r, 404, "nothing here");
	} else if (root && strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		r->allow = "GET, HEAD";
		refuse(r, 405, "wrong method");
	} else if (instances && strcmp(method, "POST") != 0) {
		r->allow = "POST";
		refuse(r, 405, "wrong method");
	} else if (!token_fits(r)) {
		refuse(r, 401, "wrong token");
	} else if (instances && announced(r) != SIZE_MAX && announced(r) > YASSP_LIST_MAX) {
		refuse(r, 413, "larger than 16 MiB");
	} else if (root) {
		r->status = 200;
	} else {
		r->is_push = true;
	}
}

/* ---- the body ---------------------------------------------------------------------------- */

static bool make_room(struct request *r, size_t n)
{
	size_t cap = r->cap ? r->cap : 4096;
	char *at;

	if (r->len + n > YASSP_LIST_MAX) {
		refuse(r, 413, "larger than 16 MiB");
		return false;
	}
	while (cap < r->len + n)
		cap *= 2;
	if (cap == r->cap)
		return true;
	at = realloc(r->body, cap);
	if (!at) {
		refuse(r, 503, "no memory");
		return false;
	}
	r->body = at;
	r->cap = cap;
	return true;
}

static void keep(struct request *r, const char *bytes, size_t n)
{
	if (r->status || !make_room(r, n))
		return;
	memcpy(r->body + r->len, bytes, n);
	r->len += n;
}

static void wipe(struct request *r)
{
	if (r->body)
		explicit_bzero(r->body, r->cap);
	free(r->body);
	r->body = NULL;
	r->len = r->cap = 0;
}

/* ---- applying ---------------------------------------------------------------------------- */

static void resume(struct request *r)
{
	r->ready = true;
	timer_stop(&r->patience);
	if (!r->suspended)
		return;
	r->suspended = false;
	list_del(&r->link);
	MHD_resume_connection(r->conn);
	caller_patience(r->conn, PATIENCE);
	timer_set(r->p->loop, &r->p->again, loop_now(r->p->loop));
}

static void on_applied(void *arg)
{
	resume(arg);
}

/* It is being applied still; that it was taken is what the panel wants to know. */
static void on_patience_over(struct timer *t)
{
	struct request *r = container_of(t, struct request, patience);

	yassp_push_forget(r->p->y, r);
	resume(r);
}

static enum MHD_Result apply(struct request *r)
{
	char why[PROFILE_WHY_MAX] = "";
	int err;

	r->is_push = false;
	if (r->p->closing) {
		refuse(r, 503, "stopping");
		return answer(r);
	}
	r->status = 204;
	err = yassp_push(r->p->y, r->body ? r->body : "", r->len, on_applied, r, why);
	wipe(r);
	if (err) {
		r->status = 0;
		refuse(r, err == -ENOMEM ? 503 : 400, why);
		return answer(r);
	}
	if (r->ready)
		return answer(r);
	r->suspended = true;
	list_add_tail(&r->p->waiting, &r->link);
	timer_set(r->p->loop, &r->patience, loop_now(r->p->loop) + PATIENCE);
	MHD_suspend_connection(r->conn);
	caller_patience(r->conn, -1);
	return MHD_YES;
}

/* ---- libmicrohttpd's calls --------------------------------------------------------------- */

static struct request *request_new(struct push_server *p, struct MHD_Connection *conn)
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->p = p;
	r->conn = conn;
	list_init(&r->link);
	timer_init(&r->patience, on_patience_over);
	return r;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *path,
				  const char *method, const char *version, const char *bytes,
				  size_t *n, void **state)
{
	struct request *r = *state;

	if (!r) {
		r = *state = request_new(cls, conn);
		if (!r)
			return MHD_NO;
		check(r, path, method);
		/* A refusal ends the connection, and keeps a long body from being sent. */
		return r->status && announced(r) > SWALLOW ? answer(r) : MHD_YES;
	}
	if (*n) {
		keep(r, bytes, *n);
		*n = 0;
		return MHD_YES;
	}
	return r->is_push && !r->status ? apply(r) : answer(r);
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **state,
			 enum MHD_RequestTerminationCode how)
{
	struct request *r = *state;

	if (!r)
		return;
	/* Whoever knows the token may go on; what was refused renews nothing. */
	if (r->status == 200 || r->status == 204)
		caller_patience(conn, PATIENCE);
	*state = NULL;
	timer_stop(&r->patience);
	list_del(&r->link);
	yassp_push_forget(r->p->y, r);
	wipe(r);
	free(r);
}

static void on_deadline(struct timer *t)
{
	shutdown(container_of(t, struct caller, deadline)->fd, SHUT_RDWR);
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct push_server *p = cls;
	const union MHD_ConnectionInfo *info;
	struct caller *c = *context;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (c)
			timer_stop(&c->deadline);
		free(c);
		*context = NULL;
		return;
	}
	info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
	c = calloc(1, sizeof(*c));
	if (!c || !info) {
		free(c);
		return;
	}
	c->loop = p->loop;
	c->fd = info->connect_fd;
	timer_init(&c->deadline, on_deadline);
	timer_set(p->loop, &c->deadline, loop_now(p->loop) + PATIENCE);
	*context = c;
}

/* ---- on the loop ------------------------------------------------------------------------- */

static void run(struct push_server *p)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(p->daemon);
	if (MHD_get_timeout(p->daemon, &ms) == MHD_YES)
		timer_set(p->loop, &p->again,
			  loop_now(p->loop) + (nsec_t)MIN(ms, 3600000ull) * NSEC_MS);
}

static void on_ready(struct watch *w, unsigned ev)
{
	run(container_of(w, struct push_server, watch));
}

static void on_again(struct timer *t)
{
	run(container_of(t, struct push_server, again));
}

static int listen_at(const struct yassp_conf *conf, struct addr *at, int *fd)
{
	int err = addr_parse_ip(at, conf->push_address, (uint16_t)conf->push_port);

	if (!err)
		err = listener_bind(at, &(struct listener_conf){0}, fd);
	if (!err)
		err = sock_local(*fd, at);
	return err;
}

static int start_daemon(struct push_server *p, int fd)
{
	const union MHD_DaemonInfo *info;

	p->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, p,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, CALLER_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_MEM, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, p, MHD_OPTION_END);
	if (!p->daemon)
		return -ENOMEM;
	info = MHD_get_daemon_info(p->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return -ENOTSUP;
	p->watch = (struct watch){.fd = info->epoll_fd, .fire = on_ready};
	return watch_set(p->loop, &p->watch, IO_RD);
}

int push_server_start(struct loop *l, struct yassp *y, const struct yassp_conf *conf,
		      struct push_server **out)
{
	struct push_server *p = calloc(1, sizeof(*p));
	int err, fd = -1;

	if (!p)
		return -ENOMEM;
	p->loop = l;
	p->y = y;
	p->watch.fd = -1;
	list_init(&p->waiting);
	timer_init(&p->again, on_again);
	err = hash(HASH_SHA256, conf->push_token, strlen(conf->push_token), p->token);
	if (!err)
		err = listen_at(conf, &p->at, &fd);
	if (!err)
		err = start_daemon(p, fd);
	if (err) {
		if (fd >= 0 && !p->daemon)
			close(fd);
		push_server_stop(p);
		return err;
	}
	*out = p;
	return 0;
}

void push_server_at(const struct push_server *p, struct addr *out)
{
	*out = p->at;
}

/* What waits is let go first, and nothing is made to wait: the daemon does not end with connections
 * that are suspended.
 */
void push_server_stop(struct push_server *p)
{
	if (!p)
		return;
	p->closing = true;
	while (!list_empty(&p->waiting)) {
		struct request *r = container_of(p->waiting.next, struct request, link);

		yassp_push_forget(p->y, r);
		resume(r);
	}
	timer_stop(&p->again);
	if (p->watch.fd >= 0)
		(void)!watch_set(p->loop, &p->watch, 0);
	if (p->daemon) {
		MHD_run(p->daemon);
		MHD_stop_daemon(p->daemon);
	}
	timer_stop(&p->again);
	free(p);
}
