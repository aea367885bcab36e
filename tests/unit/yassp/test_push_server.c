/* The push server over real sockets. */
#include "unit.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "fake_engine.h"
#include "net/sock.h"
#include "yassp/push_server.h"

#define TWO "[{\"port\":9102,\"method\":\"aes-256-gcm\",\"password\":\"c\"}]"

struct world {
	struct http http;
	struct loop *loop;
	struct ledger *ledger;
	struct engine *engine;
	struct yassp *y;
	struct push_server *p;
	struct yassp_conf conf;
	struct addr at;
};

/* No panel: whatever is asked stays open. */
static int no_start(struct http *h, struct http_call *c)
{
	return 0;
}

static void no_cancel(struct http *h, struct http_call *c)
{
}

static const struct http_ops no_panel = {.start = no_start, .cancel = no_cancel};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	uint32_t node;

	log_set_level(LOG_NONE);
	w->http.ops = &no_panel;
	w->loop = loop_new(LOOP_EPOLL, 0);
	assert_int_equal(ledger_open(NULL, 1, &w->ledger, NULL), 0);
	assert_int_equal(ledger_node(w->ledger, "yassp", 0, "h", &node), 0);
	w->engine = fake_engine_new(w->loop, w->ledger, node);
	w->conf = (struct yassp_conf){.url = "http://panel.test",
				      .hostname = "h",
				      .psk = "k",
				      .push_address = "127.0.0.1",
				      .push_token = "s&cret",
				      .pull_interval_s = 60,
				      .timeout_s = 1800,
				      .threshold = 1000};
	const struct yassp_env env = {.loop = w->loop,
				      .http = &w->http,
				      .ledger = w->ledger,
				      .ledger_node = node,
				      .engine = w->engine,
				      .conf = &w->conf,
				      .tag = "t"};

	assert_int_equal(yassp_new(&env, &w->y), 0);
	assert_int_equal(push_server_start(w->loop, w->y, &w->conf, &w->p), 0);
	push_server_at(w->p, &w->at);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	push_server_stop(w->p);
	yassp_free(w->y);
	engine_free(w->engine);
	ledger_close(w->ledger);
	loop_free(w->loop);
	free(w);
	return 0;
}

static int connect_from(struct world *w, const char *source)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct addr from;

	assert_true(fd >= 0);
	assert_int_equal(addr_parse_ip(&from, source, 0), 0);
	assert_int_equal(bind(fd, &from.sa, from.len), 0);
	assert_int_equal(sock_connect(fd, &w->at), 0);
	for (int i = 0; i < 100 && sock_error(fd) == 0; i++) {
		struct addr peer;

		if (sock_peer(fd, &peer) == 0)
			break;
		loop_turn(w->loop, NSEC_MS);
	}
	return fd;
}

static int connect_to(struct world *w)
{
	return connect_from(w, "127.0.0.1");
}

static void send_all(struct world *w, int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return; /* it has hung up: the answer says why */
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
		loop_turn(w->loop, n < 0 ? NSEC_MS : 0);
	}
}

/* Everything up to the end of the connection, for at most so long. */
static char *read_all(struct world *w, int fd, nsec_t patience)
{
	static char text[64 * 1024];
	nsec_t until = loop_now(w->loop) + patience;
	size_t len = 0;

	while (loop_now(w->loop) < until) {
		ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);

		if (n > 0)
			len += (size_t)n;
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		text[len] = '\0';
		loop_turn(w->loop, 10 * NSEC_MS);
	}
	text[len] = '\0';
	return text;
}

static char *ask_by(struct world *w, int fd, const char *request)
{
	char *text;

	send_all(w, fd, request, strlen(request));
	text = read_all(w, fd, (nsec_t)(5 * NSEC_SEC * unit_slow()));
	close(fd);
	return text;
}

static char *ask(struct world *w, const char *request)
{
	return ask_by(w, connect_to(w), request);
}

#define END	"Connection: close\r\nHost: h\r\n"
#define PUSH(b) "Content-Length: " b "\r\n" END "\r\n"

static void says(struct world *w, const char *request, const char *status, const char *part)
{
	const char *text = ask(w, request);

	if (strncmp(text, status, strlen(status)) != 0 || !strstr(text, part))
		fail_msg("wanted %s and \"%s\", got: %s", status, part, text);
}

static void it_says_that_it_works(void **state)
{
	struct world *w = *state;

	says(w, "GET /?token=s%26cret HTTP/1.1\r\n" END "\r\n", "HTTP/1.1 200", "It works.");
	says(w, "GET / HTTP/1.1\r\n" END "\r\n", "HTTP/1.1 401", "wrong token");
	says(w, "GET /?token= HTTP/1.1\r\n" END "\r\n", "HTTP/1.1 401", "");
	says(w, "GET /?token=s%26cre HTTP/1.1\r\n" END "\r\n", "HTTP/1.1 401", "");
}

static void a_list_is_applied_before_the_answer(void **state)
{
	struct world *w = *state;

	says(w, "POST /instances?token=s%26cret HTTP/1.1\r\nContent-Length: 53\r\n" END "\r\n" TWO,
	     "HTTP/1.1 204", "");
	assert_int_equal(engine_count(w->engine), 1);
	w->engine->latency = 300 * NSEC_MS;
	says(w, "POST /instances?token=s%26cret HTTP/1.1\r\n" PUSH("2") "[]", "HTTP/1.1 204", "");
	assert_int_equal(engine_count(w->engine), 0);
}

static void chunks_will_do_and_any_type(void **state)
{
	struct world *w = *state;

	says(w,
	     "POST /instances/?token=s%26cret HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
	     "Content-Type: text/html\r\n" END "\r\n35\r\n" TWO "\r\n0\r\n\r\n",
	     "HTTP/1.1 204", "");
	assert_int_equal(engine_count(w->engine), 1);
}

static void the_token_counts_in_the_query_only(void **state)
{
	struct world *w = *state;

	says(w, "POST /instances HTTP/1.1\r\n" PUSH("2") "[]", "HTTP/1.1 401", "message");
	says(w, "POST /instances?token=wrong HTTP/1.1\r\n" PUSH("2") "[]", "HTTP/1.1 401", "");
	says(w,
	     "POST /instances HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	     "Content-Length: 14\r\n" END "\r\ntoken=s%26cret",
	     "HTTP/1.1 401", "");
	assert_int_equal(w->engine->puts, 0);
}

static void what_is_no_list_is_refused_with_a_reason(void **state)
{
	struct world *w = *state;

	says(w, "POST /instances?token=s%26cret HTTP/1.1\r\n" PUSH("1") "[", "HTTP/1.1 400",
	     "{\"message\":\"not JSON");
	says(w, "POST /instances?token=s%26cret HTTP/1.1\r\n" PUSH("2") "{}", "HTTP/1.1 400",
	     "not a list");
	says(w, "POST /instances?token=s%26cret HTTP/1.1\r\n" PUSH("0"), "HTTP/1.1 400",
	     "not JSON");
}

static void other_paths_and_methods_are_not_there(void **state)
{
	struct world *w = *state;

	says(w, "GET /other?token=s%26cret HTTP/1.1\r\n" END "\r\n", "HTTP/1.1 404", "");
	says(w, "PUT /instances?token=s%26cret HTTP/1.1\r\n" PUSH("2") "[]", "HTTP/1.1 405",
	     "Allow: POST");
	says(w, "GET /instances?token=s%26cret HTTP/1.1\r\n" END "\r\n", "HTTP/1.1 405",
	     "Allow: POST");
	says(w, "POST /?token=s%26cret HTTP/1.1\r\n" PUSH("2") "[]", "HTTP/1.1 405",
	     "Allow: GET, HEAD");
}

static void what_is_too_large_is_refused_by_its_header(void **state)
{
	struct world *w = *state;

	says(w,
	     "POST /instances?token=s%26cret HTTP/1.1\r\nContent-Length: 17825792\r\n" END "\r\n",
	     "HTTP/1.1 413", "16 MiB");
	says(w, "POST /instances?token=wrong HTTP/1.1\r\nContent-Length: 17825792\r\n" END "\r\n",
	     "HTTP/1.1 401", "");
}

static void and_chunked_when_it_becomes_so(void **state)
{
	struct world *w = *state;
	char *chunk = malloc((1 << 20) + 16), *text;
	int fd = connect_to(w);
	static const char head[] =
		"POST /instances?token=s%26cret HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END
		"\r\n";

	memcpy(chunk, "100000\r\n", 8);
	memset(chunk + 8, ' ', 1 << 20);
	memcpy(chunk + 8 + (1 << 20), "\r\n", 2);
	send_all(w, fd, head, strlen(head));
	for (int i = 0; i < 17; i++)
		send_all(w, fd, chunk, (1 << 20) + 10);
	send_all(w, fd, "0\r\n\r\n", 5);
	text = read_all(w, fd, (nsec_t)(5 * NSEC_SEC * unit_slow()));
	assert_int_equal(strncmp(text, "HTTP/1.1 413", 12), 0);
	close(fd);
	free(chunk);
}

static bool has_ended(int fd)
{
	char bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

static void who_is_too_slow_is_cut_off(void **state)
{
	static const char wrong[] = "GET /?token=wrong HTTP/1.1\r\nHost: h\r\n\r\n";
	static const char right[] = "GET /?token=s%26cret HTTP/1.1\r\nHost: h\r\n\r\n";
	struct world *w = *state;
	nsec_t from = loop_now(w->loop);
	int slow = connect_to(w), stranger = connect_to(w), friend = connect_to(w);
	bool slow_over = false, stranger_over = false;

	send_all(w, slow, "POST /inst", 10);
	while (loop_now(w->loop) - from < 13 * NSEC_SEC && !(slow_over && stranger_over)) {
		slow_over |= has_ended(slow);
		stranger_over |= has_ended(stranger);
		assert_false(has_ended(friend)); /* who knows the token may go on */
		send_all(w, slow, "a", 1);	 /* a byte now and then does not help */
		send_all(w, stranger, wrong, sizeof(wrong) - 1); /* nor do refusals */
		send_all(w, friend, right, sizeof(right) - 1);
		for (int i = 0; i < 10; i++)
			loop_turn(w->loop, 50 * NSEC_MS);
	}
	assert_true(slow_over);
	assert_true(stranger_over);
	assert_in_range((loop_now(w->loop) - from) / NSEC_MS, 9900, 12500);
	close(slow);
	close(stranger);
	close(friend);
}

static void one_address_does_not_hold_all_connections(void **state)
{
	struct world *w = *state;
	const char *text;
	int fd[40];

	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		fd[i] = connect_from(w, "127.0.0.1");
	for (int i = 0; i < 20; i++)
		loop_turn(w->loop, NSEC_MS);
	text = ask_by(w, connect_from(w, "127.0.0.2"),
		      "GET /?token=s%26cret HTTP/1.1\r\n" END "\r\n");
	assert_memory_equal(text, "HTTP/1.1 200", 12);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
}

static void the_end_does_not_wait_for_who_waits(void **state)
{
	struct world *w = *state;
	int fd = connect_to(w);
	static const char request[] = "POST /instances?token=s%26cret HTTP/1.1\r\n" PUSH("2") "[]";

	says(w, "POST /instances?token=s%26cret HTTP/1.1\r\nContent-Length: 53\r\n" END "\r\n" TWO,
	     "HTTP/1.1 204", "");
	w->engine->latency = 2 * NSEC_SEC;
	send_all(w, fd, request, strlen(request));
	for (int i = 0; i < 50 && w->engine->removes == 0; i++)
		loop_turn(w->loop, 10 * NSEC_MS);
	assert_int_equal(w->engine->removes, 1);
	push_server_stop(w->p);
	w->p = NULL;
	for (int i = 0; i < 30; i++)
		loop_turn(w->loop, 100 * NSEC_MS); /* the engine's answer, to nobody */
	close(fd);
}

/* Its last byte is there when the end comes, and nobody has read it. */
static void who_comes_with_the_end_is_refused(void **state)
{
	struct world *w = *state;
	int fd = connect_to(w);
	static const char request[] = "POST /instances?token=s%26cret HTTP/1.1\r\n" PUSH("2") "[";

	says(w, "POST /instances?token=s%26cret HTTP/1.1\r\nContent-Length: 53\r\n" END "\r\n" TWO,
	     "HTTP/1.1 204", "");
	w->engine->latency = 2 * NSEC_SEC;
	send_all(w, fd, request, strlen(request));
	for (int i = 0; i < 50; i++)
		loop_turn(w->loop, NSEC_MS);
	assert_int_equal(send(fd, "]", 1, MSG_NOSIGNAL), 1);
	push_server_stop(w->p);
	w->p = NULL;
	assert_int_equal(w->engine->removes, 0);
	assert_memory_equal(read_all(w, fd, 2 * NSEC_SEC), "HTTP/1.1 503", 12);
	close(fd);
}

static void a_busy_port_is_told(void **state)
{
	struct world *w = *state;
	struct yassp_conf conf = w->conf;
	struct push_server *p;

	conf.push_port = addr_port(&w->at);
	assert_int_equal(push_server_start(w->loop, w->y, &conf, &p), -EADDRINUSE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_says_that_it_works),
		TEST(a_list_is_applied_before_the_answer),
		TEST(chunks_will_do_and_any_type),
		TEST(the_token_counts_in_the_query_only),
		TEST(what_is_no_list_is_refused_with_a_reason),
		TEST(other_paths_and_methods_are_not_there),
		TEST(what_is_too_large_is_refused_by_its_header),
		TEST(and_chunked_when_it_becomes_so),
		TEST(who_is_too_slow_is_cut_off),
		TEST(one_address_does_not_hold_all_connections),
		TEST(the_end_does_not_wait_for_who_waits),
		TEST(who_comes_with_the_end_is_refused),
		TEST(a_busy_port_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
