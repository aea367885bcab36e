/* http_flight.c - one call as libcurl sees it: what is asked for, and what is taken of the answer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "net/addr.h"
#include "sync/http_impl.h"

#define MAX_REDIRECTS	 5
#define MAX_RATIO	 200
#define RATIO_FREE_BYTES (8 << 20)
#define GATHER_START	 4096

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

int flight_gather(struct flight *f, const char *bytes, size_t len)
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
			       : flight_gather(f, bytes, len);
	}
	if (f->got > c->max_answer || ratio_is_absurd(f))
		return -ERR_TOO_BIG;
	return c->sink ? c->sink(c, bytes, len) : flight_gather(f, bytes, len);
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

int flight_set_headers(struct flight *f)
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
		curl_easy_setopt(f->easy, CURLOPT_REDIR_PROTOCOLS_STR,
				 c->https_only ? "https" : "http,https");
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

int flight_set_up(struct flight *f)
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
