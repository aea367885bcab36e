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

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "net/addr.h"

#define MAX_REDIRECTS	 5
#define MAX_RATIO	 200
#define RATIO_FREE_BYTES (8 << 20)
#define KEPT_CONNECTIONS 8
#define GATHER_START	 4096

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

/* --- the answer ------------------------------------------------------------------------------ */

static bool is_header(const char *line, size_t len, const char *name, const char **value, size_t *n)
{
	size_t name_len = strlen(name);

	if (len <= name_len || strncasecmp(line, name, name_len) != 0 || line[name_len] != ':')
		return false;
	line += name_len + 1;
	len -= name_len + 1;
	while (len && (*line == ' ' || *line == '\t'))
		line++, len--;
	while (len && strchr(" \t\r\n", line[len - 1]))
		len--;
	*value = line;
	*n = len;
	return true;
}

static void keep_header(const char *line, size_t len, const char *name, char *out, size_t size)
{
	const char *value;
	size_t n;

	if (!is_header(line, len, name, &value, &n) || memchr(value, '\0', n))
		return;
	if (n >= size)
		n = 0;
	memcpy(out, value, n);
	out[n] = '\0';
}

static size_t on_header(char *line, size_t one, size_t len, void *arg)
{
	struct flight *f = arg;
	struct http_call *c = f->call;

	f->head_bytes += len;
	if (len > 5 && !strncasecmp(line, "HTTP/", 5)) /* another answer: a redirect was followed */
		c->etag[0] = c->retry_after[0] = c->date[0] = c->modified[0] = '\0';
	keep_header(line, len, "ETag", c->etag, sizeof(c->etag));
	keep_header(line, len, "Retry-After", c->retry_after, sizeof(c->retry_after));
	keep_header(line, len, "Date", c->date, sizeof(c->date));
	keep_header(line, len, "Last-Modified", c->modified, sizeof(c->modified));
	keep_header(line, len, "last_modified", c->modified, sizeof(c->modified));
	return len;
}

static int gather(struct flight *f, const char *bytes, size_t len)
{
	struct http_call *c = f->call;

	if (c->answer_len + len >= f->room) {
		size_t room = f->room ? f->room : GATHER_START;
		char *p;

		while (c->answer_len + len >= room)
			room *= 2;
		p = realloc(c->answer, room);
		if (!p)
			return -ENOMEM;
		c->answer = p;
		f->room = room;
	}
	memcpy(c->answer + c->answer_len, bytes, len);
	c->answer_len += len;
	c->answer[c->answer_len] = '\0';
	return 0;
}

/* A small body that unfolds into a huge one is an attack or a mistake. */
static bool ratio_is_absurd(struct flight *f)
{
	curl_off_t wire = 0;

	if (f->got <= RATIO_FREE_BYTES)
		return false;
	curl_easy_getinfo(f->easy, CURLINFO_SIZE_DOWNLOAD_T, &wire);
	return (curl_off_t)f->got > MAX_RATIO * (wire + CURL_MAX_WRITE_SIZE);
}

static int take_body(struct flight *f, const char *bytes, size_t len)
{
	struct http_call *c = f->call;
	long status = 0;

	f->got += len;
	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200 || status >= 300) {
		len = MIN(len, HTTP_ERROR_BODY_MAX - c->answer_len);
		return f->got > c->max_answer && f->got > HTTP_ERROR_BODY_MAX
			       ? -ERR_TOO_BIG
			       : gather(f, bytes, len);
	}
	if (f->got > c->max_answer || ratio_is_absurd(f))
		return -ERR_TOO_BIG;
	return c->sink ? c->sink(c, bytes, len) : gather(f, bytes, len);
}

static size_t on_body(char *bytes, size_t one, size_t len, void *arg)
{
	struct flight *f = arg;

	f->err = take_body(f, bytes, len);
	return f->err < 0 ? 0 : len;
}

/* --- the request ----------------------------------------------------------------------------- */

static size_t give_body(char *out, size_t one, size_t size, void *arg)
{
	struct flight *f = arg;
	size_t n = MIN(one * size, f->call->body_len - f->body_at);

	f->call->body_sent = true;
	memcpy(out, (const char *)f->call->body + f->body_at, n);
	f->body_at += n;
	return n;
}

static int refuse_rewind(void *arg, curl_off_t offset, int origin)
{
	struct flight *f = arg;

	if (f->call->once || origin != SEEK_SET || offset < 0 || (size_t)offset > f->call->body_len)
		return CURL_SEEKFUNC_FAIL;
	f->body_at = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

static int add_header(struct flight *f, const char *name, const char *value)
{
	struct curl_slist *l;
	char *line;

	if (asprintf(&line, "%s:%s%s", name, *value ? " " : "", value) < 0)
		return -ENOMEM;
	l = curl_slist_append(f->headers, line);
	free(line);
	if (!l)
		return -ENOMEM;
	f->headers = l;
	return 0;
}

static int set_headers(struct flight *f)
{
	const struct http_call *c = f->call;
	int err = add_header(f, "Accept", "application/json");

	if (!err && c->method == HTTP_POST)
		err = add_header(f, "Content-Type", "application/json");
	if (!err)
		err = add_header(f, "Expect",
				 ""); /* no 100-continue: PHP front ends stumble on it */
	for (size_t i = 0; i < c->n_fields && !err; i++)
		err = add_header(f, c->fields[i].name, c->fields[i].value);
	if (!err && curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers) != CURLE_OK)
		err = -ENOMEM;
	return err;
}

static void set_method(struct flight *f)
{
	const struct http_call *c = f->call;

	if (c->method == HTTP_GET) {
		curl_easy_setopt(f->easy, CURLOPT_FOLLOWLOCATION, 1L);
		curl_easy_setopt(f->easy, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
		curl_easy_setopt(f->easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
		return;
	}
	curl_easy_setopt(f->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body_len);
	curl_easy_setopt(f->easy, CURLOPT_READFUNCTION, give_body);
	curl_easy_setopt(f->easy, CURLOPT_READDATA, f);
	curl_easy_setopt(f->easy, CURLOPT_SEEKFUNCTION, refuse_rewind);
	curl_easy_setopt(f->easy, CURLOPT_SEEKDATA, f);
	curl_easy_setopt(f->easy, CURLOPT_FRESH_CONNECT, c->once ? 1L : 0L);
}

/* Only names of the family of `send_ip` are worth asking for (H2). */
static int set_local_address(struct flight *f)
{
	char name[ADDR_TEXT_MAX + 8], ip[ADDR_TEXT_MAX];
	struct addr a;
	bool v6;

	if (!f->call->send_ip)
		return 0;
	if (addr_parse_ip(&a, f->call->send_ip, 0))
		return -EINVAL;
	v6 = a.sa.sa_family == AF_INET6;
	snprintf(name, sizeof(name), "host!%s", addr_format_ip(&a, ip));
	curl_easy_setopt(f->easy, CURLOPT_INTERFACE, name);
	curl_easy_setopt(f->easy, CURLOPT_IPRESOLVE,
			 (long)(v6 ? CURL_IPRESOLVE_V6 : CURL_IPRESOLVE_V4));
	return 0;
}

static void set_limits(struct flight *f)
{
	const struct http_call *c = f->call;
	long ms = (long)(c->timeout / NSEC_MS);

	curl_easy_setopt(f->easy, CURLOPT_CONNECTTIMEOUT_MS, ms);
	curl_easy_setopt(f->easy, CURLOPT_TIMEOUT_MS, 4 * ms);
	curl_easy_setopt(f->easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
	curl_easy_setopt(f->easy, CURLOPT_SSL_VERIFYPEER, c->insecure ? 0L : 1L);
	curl_easy_setopt(f->easy, CURLOPT_SSL_VERIFYHOST, c->insecure ? 0L : 2L);
}

static int set_up(struct flight *f)
{
	const struct http_call *c = f->call;
	CURL *e = f->easy;

	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, f->text);
	curl_easy_setopt(e, CURLOPT_PRIVATE, f);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "gzip");
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, f);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, f);
	if (curl_easy_setopt(e, CURLOPT_USERAGENT, f->h->agent) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_URL, c->url) != CURLE_OK)
		return -ENOMEM;
	if (c->user) {
		curl_easy_setopt(e, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(e, CURLOPT_USERNAME, c->user);
		curl_easy_setopt(e, CURLOPT_PASSWORD, c->password ? c->password : "");
	}
	set_method(f);
	set_limits(f);
	return set_local_address(f);
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
	if (!c->answer && gather(f, "", 0) < 0 && !c->err)
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
	err = f->easy ? set_up(f) : -ENOMEM;
	if (!err)
		err = set_headers(f);
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
