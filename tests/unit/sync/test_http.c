/* test_http.c - the real transport against a small server of its own on loopback, which misbehaves
 * in the ways that panels and the boxes before them do (H1-H9).
 */
#include "unit.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/addr.h"
#include "sync/http.h"

/* --- the server ------------------------------------------------------------------------------ */

static struct {
	int fd;
	uint16_t port;
	pthread_t thread;
	SSL_CTX *tls;
	_Atomic unsigned conns, posts, open;
	_Atomic bool over;
} srv;

struct conn {
	int fd;
	SSL *ssl;
	struct addr peer;
	char head[8192], *body;
	size_t len, body_len;
};

static ssize_t conn_read(struct conn *c, void *p, size_t n)
{
	return c->ssl ? SSL_read(c->ssl, p, (int)n) : recv(c->fd, p, n, 0);
}

static bool conn_write(struct conn *c, const void *p, size_t n)
{
	while (n) {
		ssize_t k = c->ssl ? SSL_write(c->ssl, p, (int)MIN(n, (size_t)1 << 20))
				   : send(c->fd, p, n, MSG_NOSIGNAL);

		if (k <= 0)
			return false;
		p = (const char *)p + k;
		n -= (size_t)k;
	}
	return true;
}

static bool say(struct conn *c, const char *text)
{
	return conn_write(c, text, strlen(text));
}

static void pause_ms(int ms)
{
	for (int i = 0; i < ms && !srv.over; i += 10)
		usleep(10000);
}

/* Head and body of one request; false: the client is gone. */
static bool read_request(struct conn *c)
{
	char *end, *length;
	size_t want = 0, have;
	ssize_t n;

	c->len = 0;
	for (;;) {
		if (c->len + 1 >= sizeof(c->head))
			return false;
		n = conn_read(c, c->head + c->len, sizeof(c->head) - 1 - c->len);
		if (n <= 0)
			return false;
		c->len += (size_t)n;
		c->head[c->len] = '\0';
		end = strstr(c->head, "\r\n\r\n");
		if (end)
			break;
	}
	length = strcasestr(c->head, "\r\nContent-Length:");
	if (length && length < end)
		want = strtoul(length + 17, NULL, 10);
	c->body = end + 4;
	have = c->len - (size_t)(c->body - c->head);
	while (have < want) {
		if (c->len + 1 >= sizeof(c->head)) { /* large bodies are counted, not kept */
			char sink[4096];

			n = conn_read(c, sink, MIN(sizeof(sink), want - have));
		} else {
			n = conn_read(c, c->head + c->len,
				      MIN(want - have, sizeof(c->head) - 1 - c->len));
			c->len += n > 0 ? (size_t)n : 0;
		}
		if (n <= 0)
			return false;
		have += (size_t)n;
	}
	c->head[c->len] = '\0';
	c->body_len = want;
	return true;
}

static bool answer(struct conn *c, const char *status, const char *headers, const char *body)
{
	char head[1024];

	snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n", status,
		 strlen(body), headers);
	return say(c, head) && say(c, body);
}

/* {"users":[{"id":1,"uuid":"a"}]} */
static const uint8_t gz_users[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03,
				   0xab, 0x56, 0x2a, 0x2d, 0x4e, 0x2d, 0x2a, 0x56, 0xb2, 0x8a,
				   0xae, 0x56, 0xca, 0x4c, 0x51, 0xb2, 0x32, 0xd4, 0x51, 0x2a,
				   0x2d, 0x05, 0x31, 0x94, 0x12, 0x95, 0x6a, 0x63, 0x6b, 0x01,
				   0x67, 0xf9, 0xa2, 0xfb, 0x1f, 0x00, 0x00, 0x00};

/* The beginning of many millions of zeros; every zero byte that follows is a thousand more. */
static const uint8_t gz_bomb[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00,
				  0x02, 0x03, 0xec, 0xc1, 0x01, 0x01, 0x00, 0x00,
				  0x00, 0x80, 0x90, 0xfe, 0xaf, 0xee, 0x08, 0x0a};

static bool send_gzip(struct conn *c, bool bomb)
{
	static const uint8_t zeros[16000];
	char head[200];
	size_t len = bomb ? sizeof(gz_bomb) + sizeof(zeros) : sizeof(gz_users);

	snprintf(head, sizeof(head),
		 "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", len);
	if (!say(c, head))
		return false;
	if (!bomb)
		return conn_write(c, gz_users, sizeof(gz_users));
	return conn_write(c, gz_bomb, sizeof(gz_bomb)) && conn_write(c, zeros, sizeof(zeros));
}

static bool send_big(struct conn *c)
{
	static char mega[1 << 20];
	bool ok;

	memset(mega, 'x', sizeof(mega));
	ok = say(c, "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
	for (int i = 0; i < 100 && ok; i++)
		ok = conn_write(c, mega, sizeof(mega));
	return ok;
}

static bool drip(struct conn *c, int n, int ms)
{
	bool ok = say(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");

	for (int i = 0; i < n && ok && !srv.over; i++) {
		pause_ms(ms);
		ok = say(c, "x");
	}
	return ok;
}

static bool redirect(struct conn *c, const char *status, const char *where)
{
	char head[300];

	snprintf(head, sizeof(head), "ETag: \"wrong\"\r\nLocation: %s\r\n", where);
	return answer(c, status, head, "moved");
}

static bool send_error_page(struct conn *c)
{
	size_t len = 200 * 1024;
	char *page = malloc(len + 1);
	bool ok;

	memset(page, 'e', len);
	page[len] = '\0';
	memcpy(page, "<html>", 6);
	ok = answer(c, "500 Oops", "Retry-After: 7\r\n", page);
	free(page);
	return ok;
}

static bool echo(struct conn *c)
{
	char peer[ADDR_TEXT_MAX], text[9000];

	snprintf(text, sizeof(text), "%s|%s", addr_format_ip(&c->peer, peer), c->head);
	return answer(c, "200 OK", "ETag: W/\"e\"\r\nContent-Type: text/plain\r\n", text);
}

static bool redirected(struct conn *c, const char *path)
{
	char where[100];
	int left = 0;

	if (sscanf(path, "/hops/%d ", &left) == 1) {
		snprintf(where, sizeof(where), left > 1 ? "/hops/%d" : "/echo", left - 1);
		return redirect(c, "302 Found", where);
	}
	if (!strncmp(path, "/ftp ", 5))
		return redirect(c, "302 Found", "ftp://127.0.0.1/x");
	if (!strncmp(path, "/other ", 7)) {
		snprintf(where, sizeof(where), "http://localhost:%u/echo", srv.port);
		return redirect(c, "302 Found", where);
	}
	return redirect(c, "301 Moved", "/echo"); /* /moved */
}

/* False: the connection ends. */
static bool serve(struct conn *c)
{
	const char *path = strchr(c->head, ' ') + 1;

	srv.posts += !strncmp(c->head, "POST ", 5);
	if (!strncmp(path, "/echo", 5))
		return echo(c);
	if (!strncmp(path, "/gzip ", 6))
		return send_gzip(c, false);
	if (!strncmp(path, "/bomb ", 6))
		return send_gzip(c, true);
	if (!strncmp(path, "/short ", 7))
		return say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"users\":[]}") &&
		       false;
	if (!strncmp(path, "/cut ", 5))
		return say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1,2,") &&
		       false;
	if (!strncmp(path, "/silent ", 8))
		return false;
	if (!strncmp(path, "/big ", 5))
		return send_big(c);
	if (!strncmp(path, "/page ", 6))
		return send_error_page(c);
	if (!strncmp(path, "/stall ", 7))
		return drip(c, 1, 5000);
	if (!strncmp(path, "/drip ", 6))
		return drip(c, 100, 200);
	if (!strncmp(path, "/304 ", 5))
		return say(c, "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n");
	if (!strncmp(path, "/204 ", 5))
		return say(c, "HTTP/1.1 204 No Content\r\n\r\n");
	return redirected(c, path);
}

static void *on_conn(void *arg)
{
	struct conn *c = arg;
	if (!c->ssl || SSL_accept(c->ssl) > 0) {
		while (read_request(c) && serve(c) && !srv.over)
			;
	}
	SSL_free(c->ssl);
	close(c->fd);
	free(c);
	srv.open--;
	return NULL;
}

static void *on_server(void *arg)
{
	while (!srv.over) {
		struct pollfd p = {.fd = srv.fd, .events = POLLIN};
		struct conn *c;
		pthread_t t;

		if (poll(&p, 1, 20) <= 0)
			continue;
		c = calloc(1, sizeof(*c));
		c->peer.len = sizeof(c->peer.in6);
		c->fd = accept(srv.fd, &c->peer.sa, &c->peer.len);
		if (srv.tls) {
			c->ssl = SSL_new(srv.tls);
			SSL_set_fd(c->ssl, c->fd);
		}
		srv.conns++;
		srv.open++;
		pthread_create(&t, NULL, on_conn, c);
		pthread_detach(t);
	}
	return NULL;
}

static void server_start(SSL_CTX *tls)
{
	struct addr a = addr_from_ip4("\x7f\0\0\x01", 0);

	memset(&srv, 0, sizeof(srv));
	srv.tls = tls;
	srv.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(srv.fd, &a.sa, a.len), 0);
	assert_int_equal(listen(srv.fd, 16), 0);
	assert_int_equal(getsockname(srv.fd, &a.sa, &a.len), 0);
	srv.port = addr_port(&a);
	assert_int_equal(pthread_create(&srv.thread, NULL, on_server, NULL), 0);
}

static void server_stop(void)
{
	srv.over = true;
	pthread_join(srv.thread, NULL);
	close(srv.fd);
	while (srv.open)
		usleep(1000);
	SSL_CTX_free(srv.tls);
}

/* --- calls ----------------------------------------------------------------------------------- */

static struct loop *loop;
static struct http *http;
static bool answered;
static size_t sunk;
static char url[200];

static int set_up(void **state)
{
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	server_start(NULL);
	loop = loop_new(LOOP_EPOLL, 0);
	http = http_curl_new(loop, "weir-test/1");
	return 0;
}

static int tear_down(void **state)
{
	http_free(http);
	loop_free(loop);
	server_stop();
	return 0;
}

static void on_done(struct http_call *c)
{
	answered = true;
}

static int on_bytes(struct http_call *c, const void *bytes, size_t len)
{
	sunk += len;
	return 0;
}

static struct http_call call_of(enum http_method m, const char *path)
{
	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", srv.port, path);
	return (struct http_call){.method = m,
				  .url = url,
				  .timeout = 5 * NSEC_SEC,
				  .max_answer = 1 << 20,
				  .body = m == HTTP_POST ? "{\"a\":1}" : NULL,
				  .body_len = m == HTTP_POST ? 7 : 0,
				  .done = on_done};
}

static void finish(struct http_call *c)
{
	nsec_t end = loop_now(loop) + 60 * NSEC_SEC;

	answered = false;
	assert_int_equal(http_start(http, c), 0);
	assert_false(answered); /* never from inside start */
	while (!answered && loop_now(loop) < end)
		loop_turn(loop, 100 * NSEC_MS);
	assert_true(answered);
}

static bool has(const struct http_call *c, const char *text)
{
	return strstr(c->answer, text) != NULL;
}

static void a_get_carries_its_headers(void **state)
{
	struct http_call c = call_of(HTTP_GET, "/echo?a=b%20c");

	c.fields[c.n_fields++] = (struct http_field){"If-None-Match", "W/\"abc\""};
	finish(&c);
	assert_int_equal(c.err, 0);
	assert_int_equal(c.status, 200);
	assert_string_equal(c.etag, "W/\"e\"");
	assert_true(has(&c, "GET /echo?a=b%20c HTTP/1.1\r\n"));
	assert_true(has(&c, "\r\nAccept: application/json\r\n"));
	assert_true(has(&c, "\r\nAccept-Encoding: gzip\r\n"));
	assert_true(has(&c, "\r\nUser-Agent: weir-test/1\r\n"));
	assert_true(has(&c, "\r\nIf-None-Match: W/\"abc\"\r\n"));
	http_call_reset(&c);
}

static void a_post_has_a_length_and_no_chunks_and_no_expectation(void **state)
{
	struct http_call c = call_of(HTTP_POST, "/echo");

	c.once = true;
	c.fields[c.n_fields++] = (struct http_field){"Idempotency-Key", "k1"};
	finish(&c);
	assert_int_equal(c.err, 0);
	assert_true(c.body_sent);
	assert_true(has(&c, "POST /echo"));
	assert_true(has(&c, "\r\nContent-Type: application/json\r\n"));
	assert_true(has(&c, "\r\nContent-Length: 7\r\n"));
	assert_true(has(&c, "\r\nIdempotency-Key: k1\r\n"));
	assert_true(has(&c, "\r\n\r\n{\"a\":1}"));
	assert_false(has(&c, "chunked"));
	assert_false(has(&c, "100-continue"));
	http_call_reset(&c);
}

static void a_large_post_is_no_different(void **state)
{
	struct http_call c = call_of(HTTP_POST, "/echo");
	char *body = malloc(3 << 20);

	memset(body, ' ', 3 << 20);
	c.body = body;
	c.body_len = 3 << 20;
	finish(&c);
	assert_int_equal(c.err, 0);
	assert_true(has(&c, "Content-Length: 3145728"));
	assert_false(has(&c, "100-continue"));
	http_call_reset(&c);
	free(body);
}

static void gzip_is_undone(void **state)
{
	struct http_call c = call_of(HTTP_GET, "/gzip");

	finish(&c);
	assert_int_equal(c.err, 0);
	assert_string_equal(c.answer, "{\"users\":[{\"id\":1,\"uuid\":\"a\"}]}");
	http_call_reset(&c);
}

static void a_gzip_bomb_is_an_error(void **state)
{
	struct http_call c = call_of(HTTP_GET, "/bomb");

	c.max_answer = (size_t)256 << 20;
	c.sink = on_bytes;
	sunk = 0;
	finish(&c);
	assert_int_equal(c.err, -ERR_TOO_BIG);
	/* what comes at once is libcurl's affair */
	assert_in_range(sunk, (8 << 20) - 65536, 16 << 20);
	http_call_reset(&c);
}

static void a_body_cut_short_is_an_error(void **state)
{
	static const char *const paths[] = {"/short", "/cut", "/silent"};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct http_call c = call_of(HTTP_GET, paths[i]);

		finish(&c);
		assert_int_equal(c.err, -ERR_TRUNCATED);
		assert_true(*c.detail);
		http_call_reset(&c);
	}
}

static void a_hundred_megabytes_stream_through(void **state)
{
	struct http_call c = call_of(HTTP_GET, "/big");

	c.max_answer = (size_t)256 << 20;
	c.sink = on_bytes;
	c.timeout = 30 * NSEC_SEC;
	sunk = 0;
	finish(&c);
	assert_int_equal(c.err, 0);
	assert_int_equal(sunk, 100 << 20);
	assert_int_equal(c.answer_len, 0);
	http_call_reset(&c);
}

static void a_body_over_its_limit_is_an_error(void **state)
{
	struct http_call c = call_of(HTTP_GET, "/big");

	finish(&c);
	assert_int_equal(c.err, -ERR_TOO_BIG);
	assert_true(c.answer_len <= c.max_answer);
	http_call_reset(&c);
}

static void an_error_page_is_kept_to_its_limit(void **state)
{
	struct http_call c = call_of(HTTP_GET, "/page");

	c.sink = on_bytes; /* only for what says yes */
	sunk = 0;
	finish(&c);
	assert_int_equal(c.err, 0);
	assert_int_equal(c.status, 500);
	assert_int_equal(c.answer_len, HTTP_ERROR_BODY_MAX);
	assert_int_equal(sunk, 0);
	assert_string_equal(c.retry_after, "7");
	http_call_reset(&c);
}

static void redirects_are_followed_five_times_for_get(void **state)
{
	struct http_call c = call_of(HTTP_GET, "/hops/5");

	finish(&c);
	assert_int_equal(c.err, 0);
	assert_int_equal(c.status, 200);
	assert_string_equal(c.etag, "W/\"e\""); /* of the last answer */
	http_call_reset(&c);
	c = call_of(HTTP_GET, "/hops/6");
	finish(&c);
	assert_int_equal(c.err, 0);
	assert_int_equal(c.status, 302);
	http_call_reset(&c);
	c = call_of(HTTP_GET, "/ftp");
	finish(&c);
	assert_int_equal(c.status, 302);
	http_call_reset(&c);
}

static void a_redirected_post_stays_where_it_was(void **state)
{
	struct http_call c = call_of(HTTP_POST, "/moved");

	finish(&c);
	assert_int_equal(c.err, 0);
	assert_int_equal(c.status, 301);
	assert_int_equal(srv.posts, 1);
	http_call_reset(&c);
}

static void credentials_stay_with_their_host(void **state)
{
	struct http_call c = call_of(HTTP_GET, "/echo");

	c.user = "host";
	c.password = "psk";
	finish(&c);
	assert_true(has(&c, "\r\nAuthorization: Basic aG9zdDpwc2s=\r\n"));
	http_call_reset(&c);
	c = call_of(HTTP_GET, "/other");
	c.user = "host";
	c.password = "psk";
	finish(&c);
	assert_int_equal(c.status, 200);
	assert_false(has(&c, "Authorization"));
	http_call_reset(&c);
}

static void answers_without_a_body_are_complete(void **state)
{
	struct http_call c = call_of(HTTP_GET, "/304");

	finish(&c);
	assert_int_equal(c.err, 0);
	assert_int_equal(c.status, 304);
	assert_string_equal(c.etag, "\"x\"");
	http_call_reset(&c);
	c = call_of(HTTP_POST, "/204");
	finish(&c);
	assert_int_equal(c.status, 204);
	assert_string_equal(c.answer, "");
	http_call_reset(&c);
}

static void silence_ends_after_the_timeout_and_slowness_does_not(void **state)
{
	struct http_call c = call_of(HTTP_GET, "/stall");
	nsec_t start = loop_now(loop), took;

	c.timeout = 500 * NSEC_MS;
	finish(&c);
	took = loop_now(loop) - start;
	assert_int_equal(c.err, -ERR_TIMEOUT);
	assert_in_range(took, 500 * NSEC_MS, 1500 * NSEC_MS);
	http_call_reset(&c);
	c = call_of(HTTP_GET,
		    "/drip"); /* a byte every 200 ms: progress, but 4 x timeout is the end */
	c.timeout = 500 * NSEC_MS;
	start = loop_now(loop);
	finish(&c);
	took = loop_now(loop) - start;
	assert_int_equal(c.err, -ERR_TIMEOUT);
	assert_in_range(took, 1900 * NSEC_MS, 2900 * NSEC_MS);
	assert_true(c.answer_len >= 5);
	http_call_reset(&c);
}

static void connections_are_kept(void **state)
{
	for (int i = 0; i < 5; i++) {
		struct http_call c = call_of(HTTP_GET, "/echo");

		finish(&c);
		assert_int_equal(c.err, 0);
		http_call_reset(&c);
	}
	assert_int_equal(srv.conns, 1);
}

static void what_must_not_be_repeated_is_not(void **state)
{
	struct http_call c = call_of(HTTP_GET, "/echo");

	finish(&c); /* leaves a kept connection, on which libcurl would repeat by itself */
	http_call_reset(&c);
	c = call_of(HTTP_POST, "/silent");
	c.once = true;
	finish(&c);
	assert_int_equal(c.err, -ERR_TRUNCATED);
	assert_true(c.body_sent);
	assert_int_equal(srv.posts, 1);
	assert_int_equal(srv.conns, 2);
	http_call_reset(&c);
}

static void nothing_was_sent_to_a_closed_port(void **state)
{
	struct http_call c = call_of(HTTP_POST, "/echo");

	c.url = "http://127.0.0.1:1/";
	c.once = true;
	finish(&c);
	assert_int_equal(c.err, -ECONNREFUSED);
	assert_false(c.body_sent);
	http_call_reset(&c);
	c = call_of(HTTP_GET, "/");
	c.url = "http://no-such-name.invalid/";
	finish(&c);
	assert_int_equal(c.err, -ERR_RESOLVE);
	http_call_reset(&c);
}

static void the_local_address_can_be_chosen(void **state)
{
	struct http_call c = call_of(HTTP_GET, "/echo");

	c.send_ip = "127.0.0.2";
	finish(&c);
	assert_int_equal(c.err, 0);
	assert_true(has(&c, "127.0.0.2|"));
	http_call_reset(&c);
	c = call_of(HTTP_GET, "/echo");
	c.send_ip = "::1"; /* the panel has no such address */
	finish(&c);
	assert_true(c.err < 0);
	http_call_reset(&c);
	c = call_of(HTTP_GET, "/echo");
	c.send_ip = "nonsense";
	assert_int_equal(http_start(http, &c), -EINVAL);
}

static void a_canceled_call_says_no_more(void **state)
{
	struct http_call a = call_of(HTTP_GET, "/stall"), b;

	answered = false;
	assert_int_equal(http_start(http, &a), 0);
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 20 * NSEC_MS);
	http_cancel(http, &a);
	http_cancel(http, &a);
	assert_false(answered);
	http_call_reset(&a);
	b = call_of(HTTP_GET, "/echo");
	finish(&b);
	assert_int_equal(b.err, 0);
	http_call_reset(&b);
	assert_int_equal(http_start(http, &a), 0); /* freed with the transport */
}

static unsigned many_done;

static void on_one_of_many(struct http_call *c)
{
	many_done++;
}

static void many_calls_run_side_by_side(void **state)
{
	struct http_call c[8];
	nsec_t end = loop_now(loop) + 20 * NSEC_SEC;

	many_done = 0;
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = call_of(HTTP_GET, i % 2 ? "/echo" : "/gzip");
		c[i].url = strdup(url);
		c[i].done = on_one_of_many;
		assert_int_equal(http_start(http, &c[i]), 0);
	}
	while (many_done < ARRAY_LEN(c) && loop_now(loop) < end)
		loop_turn(loop, 100 * NSEC_MS);
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		assert_int_equal(c[i].err, 0);
		assert_int_equal(c[i].status, 200);
		http_call_reset(&c[i]);
		free((char *)c[i].url);
	}
}

/* --- TLS ------------------------------------------------------------------------------------- */

static SSL_CTX *self_signed(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();

	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
				   (const uint8_t *)"127.0.0.1", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_sign(x, key, EVP_sha256());
	SSL_CTX_use_certificate(ctx, x);
	SSL_CTX_use_PrivateKey(ctx, key);
	X509_free(x);
	EVP_PKEY_free(key);
	return ctx;
}

static void certificates_are_verified_unless_told_otherwise(void **state)
{
	struct http_call c;

	server_stop();
	server_start(self_signed());
	c = call_of(HTTP_POST, "/echo");
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/echo", srv.port);
	c.once = true;
	finish(&c);
	assert_int_equal(c.err, -ERR_TLS);
	assert_false(c.body_sent);
	http_call_reset(&c);
	c.insecure = true;
	finish(&c);
	assert_int_equal(c.err, 0);
	assert_int_equal(c.status, 200);
	http_call_reset(&c);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_get_carries_its_headers),
		T(a_post_has_a_length_and_no_chunks_and_no_expectation),
		T(a_large_post_is_no_different),
		T(gzip_is_undone),
		T(a_gzip_bomb_is_an_error),
		T(a_body_cut_short_is_an_error),
		T(a_hundred_megabytes_stream_through),
		T(a_body_over_its_limit_is_an_error),
		T(an_error_page_is_kept_to_its_limit),
		T(redirects_are_followed_five_times_for_get),
		T(a_redirected_post_stays_where_it_was),
		T(credentials_stay_with_their_host),
		T(answers_without_a_body_are_complete),
		T(silence_ends_after_the_timeout_and_slowness_does_not),
		T(connections_are_kept),
		T(what_must_not_be_repeated_is_not),
		T(nothing_was_sent_to_a_closed_port),
		T(the_local_address_can_be_chosen),
		T(a_canceled_call_says_no_more),
		T(many_calls_run_side_by_side),
		T(certificates_are_verified_unless_told_otherwise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
