/* The HTTP disguise of simple-obfs, both ends. */
#include "unit.h"

#include "crypto/random.h"
#include "stream/pair.h"
#include "transport/httpobfs/httpobfs.h"

#include "hostile.h"
#include "stage.h"

#define KEY (const uint8_t *)"0123456789abcdef"

static const char simple[] = "GET / HTTP/1.1\r\n"
			     "Host: www.example.com:8388\r\n"
			     "User-Agent: curl/7.3.5\r\n"
			     "Upgrade: websocket\r\n"
			     "Connection: Upgrade\r\n"
			     "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
			     "Content-Length: 58\r\n"
			     "\r\n";
/* As Go writes it: in the order of the alphabet. */
static const char gos[] =
	"GET /x HTTP/1.1\r\nHost: WWW.example.COM\r\nConnection: Upgrade\r\n"
	"Content-Length: 5\r\nsec-websocket-key: x\r\nupgrade:  WebSocket \r\n\r\n";

static int parse(const char *text, size_t len, const char *host, size_t *used)
{
	struct rd r = rd_of(text, len);
	int err = httpobfs_request_parse(&r, host);

	*used = r.pos;
	return err;
}

static void a_request_is_written_as_simple_obfs_writes_it(void **state)
{
	struct httpobfs_request req = {"www.example.com", "", 8388, 3, 5, KEY, 58};
	char text[512];
	struct wr w = wr_of(text, sizeof(text));

	httpobfs_request_emit(&w, &req);
	assert_int_equal(w.err, 0);
	assert_int_equal(w.len, sizeof(simple) - 1);
	assert_memory_equal(text, simple, w.len);
}

static void an_answer_is_written_as_simple_obfs_writes_it(void **state)
{
	static const char want[] = "HTTP/1.1 101 Switching Protocols\r\n"
				   "Server: nginx/1.10.11\r\n"
				   "Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
				   "Upgrade: websocket\r\n"
				   "Connection: Upgrade\r\n"
				   "Sec-WebSocket-Accept: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
				   "\r\n";
	struct httpobfs_answer a = {1700000000, 10, 11, KEY};
	char text[512];
	struct wr w = wr_of(text, sizeof(text));
	struct rd r;

	httpobfs_answer_emit(&w, &a);
	assert_int_equal(w.len, sizeof(want) - 1);
	assert_memory_equal(text, want, w.len);
	for (size_t n = 0; n < w.len; n++) {
		r = rd_of(text, n);
		assert_int_equal(httpobfs_answer_parse(&r), -ERR_MORE);
		assert_int_equal(r.pos, 0);
	}
	r = rd_of(text, w.len);
	assert_int_equal(httpobfs_answer_parse(&r), 0);
	assert_int_equal(r.pos, w.len);
	r = rd_of("HTTP/1.1 400", 12);
	assert_int_equal(httpobfs_answer_parse(&r), -ERR_MALFORMED);
}

static void every_prefix_of_a_request_wants_more_and_nothing_behind_it_is_taken(void **state)
{
	static const char *const heads[] = {simple, gos};
	char text[1024];
	size_t used;

	for (int i = 0; i < 2; i++) {
		size_t len = strlen(heads[i]);

		for (size_t n = 0; n < len; n++) {
			assert_int_equal(parse(heads[i], n, "www.example.com", &used), -ERR_MORE);
			assert_int_equal(used, 0);
		}
		memcpy(text, heads[i], len);
		memset(text + len, 0xff, 100);
		assert_int_equal(parse(text, len + 100, "www.example.com", &used), 0);
		assert_int_equal(used, len);
		assert_int_equal(parse(text, len, "", &used), 0);
	}
}

static void other_requests_of_the_web_are_not_it(void **state)
{
	static const char *const others[] = {
		"GET / HTTP/1.0\r\nHost: www.example.com\r\nUpgrade: websocket\r\n\r\n",
		"GET /\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: www.example.com\r\nUpgrade: h2c\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: www.example.org\r\nUpgrade: websocket\r\n\r\n",
		"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
	};
	size_t used;

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_int_equal(parse(others[i], strlen(others[i]), "www.example.com", &used),
				 -ERR_MALFORMED);
}

static void a_head_has_an_end(void **state)
{
	char text[HTTPOBFS_HEAD_MAX + 1];
	size_t used;

	memset(text, 'a', sizeof(text));
	memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
	assert_int_equal(parse(text, HTTPOBFS_HEAD_MAX - 1, "", &used), -ERR_MORE);
	assert_int_equal(parse(text, HTTPOBFS_HEAD_MAX, "", &used), -ERR_MALFORMED);
}

static void noise_is_no_http_from_its_first_bytes_on(void **state)
{
	uint8_t noise[40];
	unsigned http = 0;
	size_t used;

	for (int i = 0; i < 2000; i++) {
		random_bytes(noise, sizeof(noise));
		http += parse((const char *)noise, sizeof(noise), "", &used) != -ERR_UNSUPPORTED;
	}
	assert_true(http <= 2); /* one in 300,000 does look like a head that has not ended */
}

/* ---- the layer --------------------------------------------------------------------------- */

static struct httpobfs_conf server_conf, client_conf;

static void duo_start(struct loop *l, void *state)
{
	struct talker *t = state;
	struct stream *x, *y;

	assert_int_equal(pair_new(l, 300, &x, &y), 0);
	talker_start(&t[0], httpobfs_client_new(dribble_new(x, &DRIBBLE(1)), &client_conf), 900, 1,
		     2);
	talker_start(&t[1], httpobfs_server_new(dribble_new(y, &DRIBBLE(2)), &server_conf), 700, 2,
		     1);
}

static void duo_check(void *state)
{
	struct talker *t = state;

	assert_int_equal(t[0].err, 0);
	assert_int_equal(t[1].err, 0);
	assert_int_equal(t[1].received, 900);
	assert_int_equal(t[0].received, 700);
}

static void every_byte_arrives_over_the_worst_of_networks_killed_at_each_turn(void **state)
{
	const struct scenario sc = {duo_start, talkers_done, talkers_stop, duo_check,
				    2 * sizeof(struct talker)};

	assert_int_equal(httpobfs_conf_set(&server_conf, "www.example.com", NULL, 0), 0);
	assert_int_equal(httpobfs_conf_set(&client_conf, "www.example.com", "/x", 8388), 0);
	kill_at_each_turn(&sc, 1);
}

struct gate {
	struct loop *l;
	struct stream *s, *far;
};

static int knock(struct gate *g, const void *bytes, size_t len)
{
	struct stream *near;

	stream_free(g->s);
	stream_free(g->far);
	assert_int_equal(pair_new(g->l, 65536, &near, &g->far), 0);
	g->s = httpobfs_server_new(near, &server_conf);
	put_bytes(g->far, bytes, len);
	return stream_open(g->s);
}

static void a_stream_without_disguise_passes_and_another_request_is_a_stranger(void **state)
{
	static const char web[] = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
	struct gate g = {.l = loop_new(LOOP_VIRTUAL, 1)};
	uint8_t noise[50] = {0x81, 1, 2}, got[65536];

	assert_int_equal(httpobfs_conf_set(&server_conf, "www.example.com", NULL, 0), 0);
	assert_int_equal(knock(&g, noise, sizeof(noise)), 0);
	assert_int_equal(get_bytes(g.s, got, sizeof(got), NULL), sizeof(noise));
	assert_memory_equal(got, noise, sizeof(noise));
	put_bytes(g.s, "answer", 6);
	assert_int_equal(get_bytes(g.far, got, sizeof(got), NULL), 6);

	assert_int_equal(knock(&g, web, sizeof(web) - 1), -ERR_AUTH);
	assert_int_equal(get_bytes(g.s, got, sizeof(got), NULL), sizeof(web) - 1);
	assert_memory_equal(got, web, sizeof(web) - 1);
	put_bytes(g.s, "HTTP", 4); /* a fallback's */
	assert_int_equal(get_bytes(g.far, got, sizeof(got), NULL), 4);

	assert_int_equal(knock(&g, simple, sizeof(simple) - 1), 0);
	put_bytes(g.s, "answer", 6);
	assert_true(get_bytes(g.far, got, sizeof(got), NULL) > 100); /* one write */
	stream_free(g.s);
	stream_free(g.far);
	loop_turn(g.l, 0);
	assert_int_equal(loop_pool(g.l)->nused, 0);
	loop_free(g.l);
}

static void hosts_and_paths_that_break_a_head_are_refused(void **state)
{
	struct httpobfs_conf c;

	assert_int_equal(httpobfs_conf_set(&c, "a\r\nb", NULL, 0), -ERR_MALFORMED);
	assert_int_equal(httpobfs_conf_set(&c, "a b", NULL, 0), -ERR_MALFORMED);
	assert_int_equal(httpobfs_conf_set(&c, "a", "/ x", 0), -ERR_MALFORMED);
	assert_int_equal(httpobfs_conf_set(&c, NULL, NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_written_as_simple_obfs_writes_it),
		cmocka_unit_test(an_answer_is_written_as_simple_obfs_writes_it),
		cmocka_unit_test(
			every_prefix_of_a_request_wants_more_and_nothing_behind_it_is_taken),
		cmocka_unit_test(other_requests_of_the_web_are_not_it),
		cmocka_unit_test(a_head_has_an_end),
		cmocka_unit_test(noise_is_no_http_from_its_first_bytes_on),
		cmocka_unit_test(every_byte_arrives_over_the_worst_of_networks_killed_at_each_turn),
		cmocka_unit_test(
			a_stream_without_disguise_passes_and_another_request_is_a_stranger),
		cmocka_unit_test(hosts_and_paths_that_break_a_head_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
