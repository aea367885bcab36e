/* The SOCKS5 server of local listeners. */
#include "unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "proto/socks/socks.h"
#include "stream/tcp.h"

#include "hostile.h"
#include "one_end.h"
#include "watcher.h"

static const char script[] = "\5\1\0" /* greeting */
			     "\5\1\0\3\xb"
			     "example.com"
			     "\x1\xbb"; /* CONNECT */
static const char replies[] = "\5\0"	/* no authentication */
			      "\5\0\0\1\0\0\0\0\0\0";

static void one_open(struct one *o, size_t capacity)
{
	o->s = socks_server_new(one_begin(o, capacity));
	assert_non_null(o->s);
}

static void expect_bytes(struct stream *s, const void *bytes, size_t len)
{
	uint8_t got[256];
	struct bufq q;

	bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
	while (stream_pull(s, &q, sizeof(got)) > 0)
		;
	assert_int_equal(bufq_len(&q), len);
	bufq_take(&q, got, len);
	assert_memory_equal(got, bytes, len);
}

static void a_connect_in_two_pieces_is_served_and_nothing_behind_it_is_lost(void **state)
{
	size_t len = sizeof(script) - 1;
	char text[DEST_TEXT_MAX];
	union stream_value v;
	struct one o;

	for (size_t cut = 0; cut <= len; cut++) {
		one_open(&o, 65536);
		send_bytes(o.far, script, cut);
		assert_int_equal(stream_open(o.s), cut < len ? -EAGAIN : 0);
		send_bytes(o.far, script + cut, len - cut);
		send_bytes(o.far, "payload", 7);
		assert_int_equal(stream_open(o.s), 0);
		expect_bytes(o.far, replies, sizeof(replies) - 1);
		assert_int_equal(stream_query(o.s, STREAM_REQUEST, &v), 0);
		assert_string_equal(dest_format(&v.request->dest, text), "example.com:443");
		assert_null(v.request->user);
		o.s = stream_peel(o.s, NULL);
		expect_bytes(o.s, "payload", 7);
		one_close(&o);
	}
}

static void what_is_not_offered_is_answered_and_fails(void **state)
{
	struct one o;

	one_open(&o, 65536);
	send_bytes(o.far, "\5\1\2", 3); /* user name and password only */
	assert_int_equal(stream_open(o.s), -ERR_AUTH);
	expect_bytes(o.far, "\5\xff", 2);
	one_close(&o);

	one_open(&o, 65536);
	send_bytes(o.far, "\5\1\0\5\2\0\1\x7f\0\0\1\0\x50", 13); /* BIND */
	assert_int_equal(stream_open(o.s), -ERR_UNSUPPORTED);
	expect_bytes(o.far, "\5\0\5\7\0\1\0\0\0\0\0\0", 12);
	one_close(&o);

	one_open(&o, 65536);
	send_bytes(o.far, "\4\1\0\x50", 4); /* SOCKS4 */
	assert_int_equal(stream_open(o.s), -ERR_MALFORMED);
	one_close(&o);

	one_open(&o, 65536);
	send_bytes(o.far, "\5\1", 2);
	stream_shut(o.far);
	assert_int_equal(stream_open(o.s), -ERR_TRUNCATED);
	one_close(&o);
}

static void who_waits_for_the_request_sleeps(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct watcher x = {0};
	struct stream *s;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	s = socks_server_new(tcp_stream_new(l, fd[0], NULL));
	waiter_init(&x.w, watcher_wake);
	assert_int_equal(stream_open(s), -EAGAIN);
	stream_want(s, STREAM_RD | STREAM_WR, &x.w);
	for (int i = 0; i < 3; i++)
		loop_turn(l, 5 * NSEC_MS);
	assert_int_equal(x.wakes, 0);
	assert_int_equal(send(fd[1], script, 3, 0), 3);
	loop_turn(l, NSEC_SEC);
	assert_int_equal(x.wakes, 1);
	close(fd[1]);
	stream_free(s);
	loop_free(l);
}

/* ---- over a stream that misbehaves --------------------------------------------------------------
 * The client sends everything at once and reads its replies off before it talks.
 */
struct duo {
	struct talker a, b;
};

static void duo_start(struct loop *l, void *state)
{
	struct duo *t = state;
	struct stream *x, *y;

	assert_int_equal(pair_new(l, 70, &x, &y), 0);
	send_bytes(x, script, sizeof(script) - 1);
	t->a.skip = sizeof(replies) - 1;
	talker_start(&t->a, dribble_new(x, &DRIBBLE(1)), 300, 1, 2);
	talker_start(&t->b, socks_server_new(dribble_new(y, &DRIBBLE(2))), 350, 2, 1);
}

static void duo_check(void *state)
{
	struct duo *t = state;

	assert_int_equal(t->a.err, 0);
	assert_int_equal(t->b.err, 0);
	assert_int_equal(t->a.received, 350);
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
		cmocka_unit_test(a_connect_in_two_pieces_is_served_and_nothing_behind_it_is_lost),
		cmocka_unit_test(what_is_not_offered_is_answered_and_fails),
		cmocka_unit_test(who_waits_for_the_request_sleeps),
		cmocka_unit_test(the_layer_survives_a_dribble_and_a_kill_at_each_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
