#include "unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "net/proxy_proto.h"
#include "stream/proxied.h"
#include "stream/tcp.h"

#include "ends.h"
#include "hostile.h"
#include "one_end.h"
#include "watcher.h"

static struct addr at(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, text), 0);
	return a;
}

static size_t header(uint8_t *out, int version)
{
	struct wr w = wr_of(out, PROXY_EMIT_MAX);
	struct addr src = at("198.51.100.7:1234"), dst = at("203.0.113.9:443");

	proxy_emit(&w, version, &src, &dst);
	assert_int_equal(w.err, 0);
	return w.len;
}

static void one_open(struct one *o)
{
	struct addr peer = at("10.0.0.1:5"), local = at("10.0.0.2:6");
	struct stream *near = one_begin(o, 65536);

	pair_set_addr(near, &peer, &local);
	o->s = proxied_new(near);
	assert_non_null(o->s);
}

static const char *addr_text(struct stream *s, bool peer)
{
	static char text[ADDR_TEXT_MAX];
	struct addr a;

	assert_true(peer ? stream_peer(s, &a) : stream_local(s, &a));
	return addr_format(&a, text);
}

static void the_header_says_who_the_peer_is_and_goes(void **state)
{
	for (int version = 1; version <= 2; version++) {
		uint8_t head[PROXY_EMIT_MAX];
		size_t len = header(head, version);
		char text[64];
		struct one o;

		one_open(&o);
		assert_string_equal(addr_text(o.s, true), "10.0.0.1:5");
		for (size_t i = 0; i < len; i++) {
			assert_int_equal(stream_open(o.s), -EAGAIN);
			send_bytes(o.far, head + i, 1);
		}
		send_bytes(o.far, "payload", 7);
		assert_int_equal(stream_open(o.s), 0);
		assert_int_equal(stream_open(o.s), 0);
		assert_string_equal(addr_text(o.s, true), "198.51.100.7:1234");
		assert_string_equal(addr_text(o.s, false), "203.0.113.9:443");
		assert_int_equal(pull_text(o.s, text), 7);
		assert_string_equal(text, "payload");
		push_text(o.s, "answer");
		assert_int_equal(pull_text(o.far, text), 6);
		assert_int_equal(stream_shut(o.s), 0);
		assert_true(pair_is_shut(o.far) == false);
		assert_int_equal(pull_text(o.far, text), 0);
		one_close(&o);
	}
}

static void a_header_that_names_nobody_leaves_the_real_addresses(void **state)
{
	static const char v2_local[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
	struct one o;

	one_open(&o);
	send_bytes(o.far, "PROXY UNKNOWN\r\n", 15);
	assert_int_equal(stream_open(o.s), 0);
	assert_string_equal(addr_text(o.s, true), "10.0.0.1:5");
	assert_string_equal(addr_text(o.s, false), "10.0.0.2:6");
	one_close(&o);

	one_open(&o);
	send_bytes(o.far, v2_local, sizeof(v2_local) - 1);
	assert_int_equal(stream_open(o.s), 0);
	assert_string_equal(addr_text(o.s, true), "10.0.0.1:5");
	one_close(&o);
}

static void a_wrong_header_fails_for_good_and_a_short_one_is_a_truncation(void **state)
{
	struct one o;

	one_open(&o);
	send_bytes(o.far, "GET / HTTP/1.1\r\n", 16);
	assert_int_equal(stream_open(o.s), -ERR_MALFORMED);
	assert_int_equal(stream_open(o.s), -ERR_MALFORMED);
	one_close(&o);

	one_open(&o);
	send_bytes(o.far, "PROXY TC", 8);
	assert_int_equal(stream_open(o.s), -EAGAIN);
	stream_shut(o.far);
	assert_int_equal(stream_open(o.s), -ERR_TRUNCATED);
	assert_int_equal(stream_open(o.s), -ERR_TRUNCATED);
	one_close(&o);
}

/* A socket can be written to all the time; waiting for the header must not mean asking all the
 * time. */
static void who_waits_for_the_header_sleeps(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct watcher x = {0};
	struct stream *near, *s;
	int fd[2];

	tcp_fds(fd);
	near = tcp_stream_new(l, fd[0], NULL);
	s = proxied_new(near);
	waiter_init(&x.w, watcher_wake);
	assert_int_equal(stream_open(s), -EAGAIN);
	stream_want(s, STREAM_RD | STREAM_WR, &x.w);
	for (int i = 0; i < 3; i++)
		loop_turn(l, 5 * NSEC_MS);
	assert_int_equal(x.wakes, 0);
	assert_int_equal(send(fd[1], "PROXY", 5, 0), 5);
	loop_turn(l, NSEC_SEC);
	assert_int_equal(x.wakes, 1);
	close(fd[1]);
	stream_free(s);
	loop_free(l);
}

/* ---- over a stream that misbehaves ----------------------------------------------------------- */

struct duo {
	struct talker a, b;
};

static void duo_start(struct loop *l, void *state)
{
	struct duo *t = state;
	uint8_t head[PROXY_EMIT_MAX];
	size_t len = header(head, 1);
	struct stream *x, *y;
	struct bufq q;

	assert_int_equal(pair_new(l, 100, &x, &y), 0);
	bufq_init(&q, loop_pool(l), SIZE_MAX);
	assert_int_equal(bufq_append(&q, head, len), 0);
	assert_int_equal(stream_push(x, &q), len);
	talker_start(&t->a, dribble_new(x, &DRIBBLE(1)), 300, 1, 2);
	talker_start(&t->b, proxied_new(dribble_new(y, &DRIBBLE(2))), 200, 2, 1);
}

static void duo_check(void *state)
{
	struct duo *t = state;

	assert_int_equal(t->a.err, 0);
	assert_int_equal(t->b.err, 0);
	assert_int_equal(t->a.received, 200);
	assert_int_equal(t->b.received, 300);
}

static void the_layer_survives_a_dribble_and_a_kill_at_each_turn(void **state)
{
	struct scenario sc = {duo_start, talkers_done, talkers_stop, duo_check, sizeof(struct duo)};

	assert_true(kill_at_each_turn(&sc, 1) > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_says_who_the_peer_is_and_goes),
		cmocka_unit_test(a_header_that_names_nobody_leaves_the_real_addresses),
		cmocka_unit_test(a_wrong_header_fails_for_good_and_a_short_one_is_a_truncation),
		cmocka_unit_test(who_waits_for_the_header_sleeps),
		cmocka_unit_test(the_layer_survives_a_dribble_and_a_kill_at_each_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
