/* http.c - the real transport: libcurl's multi handle on the control loop.
 *
 * libcurl says which descriptors it wants watched and when it wants a timer; the loop tells it what
 * became ready.  A finished call is reported from that same turn, outside any libcurl callback, so
 * that done() may start the next call.
 *
 * Two things libcurl does not offer are done here: the no-progress limit of H8 (its low-speed limit
 * is an average that a slow panel can trip), by looking every now and then at how many bytes have
 * moved; and the guarantee for calls that must not be repeated: libcurl resends a request by itself
 * when a kept connection turns out dead, so such calls get a fresh connection and a body that
 * cannot be rewound.
 */
#include "sync/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "sync/http_impl.h"

#define KEPT_CONNECTIONS 8

/* A descriptor of libcurl. */
struct socket_watch {
	struct watch watch;
	struct http_curl *h;
};

static const struct http_ops client_ops;

static struct http_curl *of(struct http *h)
{
	return container_of(h, struct http_curl, base);
}

void http_call_reset(struct http_call *c)
{
	if (c->answer)
		explicit_bzero(c->answer, c->answer_len);
	free(c->answer);
	c->answer = NULL;
	c->answer_len = 0;
	c->err = c->status = 0;
	c->body_sent = false;
	c->etag[0] = c->retry_after[0] = c->date[0] = c->modified[0] = c->detail[0] = '\0';
}

/* --- a call's life --------------------------------------------------------------------------- */

static void flight_free(struct flight *f)
{
	timer_stop(&f->idle);
	list_del(&f->link);
	if (f->easy) {
		curl_multi_remove_handle(f->h->multi, f->easy);
		curl_easy_cleanup(f->easy);
	}
	curl_slist_free_all(f->headers);
	if (f->call)
		f->call->impl = NULL;
	free(f);
}

static int err_of(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_URL_MALFORMAT:
		return -EINVAL;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -ERR_RESOLVE;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_INTERFACE_FAILED:
		return -EADDRNOTAVAIL;
	case CURLE_OPERATION_TIMEDOUT:
		return -ERR_TIMEOUT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return -ERR_TLS;
	case CURLE_BAD_CONTENT_ENCODING:
		return -ERR_MALFORMED;
	case CURLE_UNSUPPORTED_PROTOCOL:
		return -ERR_UNSUPPORTED;
	case CURLE_SEND_ERROR:
	case CURLE_SEND_FAIL_REWIND:
		return -EPIPE;
	default: /* what is left is a connection that ended at the wrong place */
		return -ERR_TRUNCATED;
	}
}

/* A redirect that was not followed is an answer with that status, which says no by itself. */
static bool is_refused_redirect(const struct flight *f, CURLcode code)
{
	return code == CURLE_TOO_MANY_REDIRECTS ||
	       (code == CURLE_UNSUPPORTED_PROTOCOL && f->call->status / 100 == 3);
}

static void finish(struct flight *f, CURLcode code)
{
	struct http_call *c = f->call;
	long status = 0;

	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	c->status = (int)status;
	if (is_refused_redirect(f, code))
		code = CURLE_OK;
	c->err = f->err < 0 ? f->err : err_of(code);
	if (c->err)
		snprintf(c->detail, sizeof(c->detail), "%s",
			 f->err < 0   ? err_text(f->err)
			 : f->text[0] ? f->text
				      : curl_easy_strerror(code));
	if (!c->answer && flight_gather(f, "", 0) < 0 && !c->err)
		c->err = -ENOMEM;
	flight_free(f);
	c->done(c);
}

static void reap(struct http_curl *h)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left))) {
		struct flight *f;
		CURLcode code = m->data.result;
		char *p = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p);
		f = (struct flight *)(void *)p;
		finish(f, code);
	}
}

static curl_off_t bytes_moved(struct flight *f)
{
	curl_off_t up = 0, down = 0;

	curl_easy_getinfo(f->easy, CURLINFO_SIZE_UPLOAD_T, &up);
	curl_easy_getinfo(f->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
	return up + down + (curl_off_t)f->head_bytes;
}

static void on_idle(struct timer *t)
{
	struct flight *f = container_of(t, struct flight, idle);
	curl_off_t moved = bytes_moved(f);

	if (moved == f->moved) {
		f->err = -ERR_TIMEOUT;
		finish(f, CURLE_OPERATION_TIMEDOUT);
		return;
	}
	f->moved = moved;
	timer_set(f->h->loop, t, loop_now(f->h->loop) + f->call->timeout);
}

static int client_start(struct http *base, struct http_call *c)
{
	struct flight *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return -ENOMEM;
	f->h = of(base);
	f->call = c;
	timer_init(&f->idle, on_idle);
	list_add_tail(&f->h->flights, &f->link);
	http_call_reset(c);
	f->easy = curl_easy_init();
	err = f->easy ? flight_set_up(f) : -ENOMEM;
	if (!err)
		err = flight_set_headers(f);
	if (!err && curl_multi_add_handle(f->h->multi, f->easy) != CURLM_OK)
		err = -ENOMEM;
	if (err) {
		flight_free(f);
		return err;
	}
	c->impl = f;
	timer_set(f->h->loop, &f->idle, loop_now(f->h->loop) + c->timeout);
	return 0;
}

static void client_cancel(struct http *base, struct http_call *c)
{
	if (c->impl)
		flight_free(c->impl);
}

/* --- libcurl and the loop -------------------------------------------------------------------- */

static void on_socket(struct watch *w, unsigned ev)
{
	struct http_curl *h = container_of(w, struct socket_watch, watch)->h;
	int running,
		what = (ev & IO_RD ? CURL_CSELECT_IN : 0) | (ev & IO_WR ? CURL_CSELECT_OUT : 0);

	curl_multi_socket_action(h->multi, w->fd, what, &running); /* `w` may be gone after this */
	reap(h);
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *assigned)
{
	struct http_curl *h = arg;
	struct socket_watch *s = assigned;
	unsigned ev = (what & CURL_POLL_IN ? IO_RD : 0) | (what & CURL_POLL_OUT ? IO_WR : 0);
	int err;

	if (what == CURL_POLL_REMOVE) {
		err = s ? watch_set(h->loop, &s->watch, 0) : 0;
		free(s);
		return err ? -1 : 0;
	}
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -1;
		s->h = h;
		s->watch = (struct watch){.fd = fd, .fire = on_socket};
		curl_multi_assign(h->multi, fd, s);
	}
	return watch_set(h->loop, &s->watch, ev) ? -1 : 0;
}

static void on_timer(struct timer *t)
{
	struct http_curl *h = container_of(t, struct http_curl, timer);
	int running;

	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	reap(h);
}

static int want_timer(CURLM *multi, long ms, void *arg)
{
	struct http_curl *h = arg;

	if (ms < 0)
		timer_stop(&h->timer);
	else
		timer_set(h->loop, &h->timer, loop_now(h->loop) + ms * NSEC_MS);
	return 0;
}

static void client_free(struct http *base)
{
	struct http_curl *h = of(base);

	while (!list_empty(&h->flights))
		flight_free(list_entry(h->flights.next, struct flight, link));
	if (h->multi)
		curl_multi_cleanup(h->multi);
	timer_stop(&h->timer);
	free(h->agent);
	free(h);
	curl_global_cleanup();
}

static const struct http_ops client_ops = {
	.start = client_start,
	.cancel = client_cancel,
	.free = client_free,
};

struct http *http_curl_new(struct loop *loop, const char *agent)
{
	struct http_curl *h;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return NULL;
	h = calloc(1, sizeof(*h));
	if (!h) {
		curl_global_cleanup();
		return NULL;
	}
	h->base.ops = &client_ops;
	h->loop = loop;
	list_init(&h->flights);
	timer_init(&h->timer, on_timer);
	h->agent = strdup(agent);
	h->multi = curl_multi_init();
	if (!h->agent || !h->multi) {
		client_free(&h->base);
		return NULL;
	}
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
	return &h->base;
}
