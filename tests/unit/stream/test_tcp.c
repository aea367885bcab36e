#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hostile.h"
#include "net/sock.h"
#include "stream/tcp.h"

#include "ends.h"

static int listen_on(struct addr *at)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(addr_parse(at, "127.0.0.1:0"), 0);
	assert_int_equal(bind(fd, &at->sa, at->len), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(sock_local(fd, at), 0);
	return fd;
}

static int open_till_decided(struct stream *s)
{
	int err = -EAGAIN;

	for (int i = 0; i < 100 && err == -EAGAIN; i++) {
		err = stream_open(s);
		if (err == -EAGAIN)
			loop_turn(s->loop, 10 * NSEC_MS);
	}
	return err;
}

static void a_connection_is_open_once_the_kernel_says_so(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct stream *s;
	struct addr at, peer, local;
	int lfd = listen_on(&at);

	assert_int_equal(tcp_connect(l, &at, NULL, &s), 0);
	assert_int_equal(stream_open(s), -EAGAIN);
	assert_int_equal(open_till_decided(s), 0);
	assert_int_equal(stream_open(s), 0);
	assert_true(stream_peer(s, &peer));
	assert_true(addr_equal(&peer, &at));
	assert_true(stream_local(s, &local));
	assert_int_not_equal(addr_port(&local), 0);
	push_text(s, "hello");
	stream_free(s);
	close(lfd);
	loop_free(l);
}

static void a_refused_connection_fails_to_open_and_stays_failed(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct stream *s;
	struct addr at;
	char text[64];

	close(listen_on(&at));
	assert_int_equal(tcp_connect(l, &at, NULL, &s), 0);
	assert_int_equal(open_till_decided(s), -ECONNREFUSED);
	assert_int_equal(stream_open(s), -ECONNREFUSED);
	assert_int_equal(pull_text(s, text), -ECONNREFUSED);
	stream_free(s);
	loop_free(l);
}

static void a_connection_leaves_from_the_source_it_was_given(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct addr at, source, local;
	struct stream *s;
	int lfd = listen_on(&at);

	assert_int_equal(addr_parse(&source, "127.0.0.7:0"), 0);
	assert_int_equal(tcp_connect(l, &at, &source, &s), 0);
	assert_int_equal(open_till_decided(s), 0);
	assert_true(stream_local(s, &local));
	addr_set_port(&local, 0);
	assert_true(addr_equal(&local, &source));
	stream_free(s);

	assert_int_equal(addr_parse(&source, "192.0.2.1:0"), 0); /* not ours */
	assert_int_equal(tcp_connect(l, &at, &source, &s), -EADDRNOTAVAIL);
	close(lfd);
	loop_free(l);
}

static int option(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	assert_int_equal(getsockopt(fd, level, name, &v, &len), 0);
	return v;
}

static void a_connection_is_kept_alive_on_our_side_too(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct stream_raw raw;
	struct stream *s;
	struct addr at;
	int lfd = listen_on(&at);

	assert_int_equal(tcp_connect(l, &at, NULL, &s), 0);
	assert_int_equal(open_till_decided(s), 0);
	assert_int_equal(stream_splice(s, STREAM_IN, &raw), 0);
	assert_int_equal(option(raw.io->fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option(raw.io->fd, IPPROTO_TCP, TCP_KEEPIDLE),
			 sock_usual_keepalive.idle_s);
	assert_int_equal(option(raw.io->fd, IPPROTO_TCP, TCP_KEEPCNT), sock_usual_keepalive.count);
	stream_free(s);
	close(lfd);
	loop_free(l);
}

static void a_connection_can_be_given_up_before_it_is_open(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct stream *s;
	struct addr at;
	int lfd = listen_on(&at);

	assert_int_equal(tcp_connect(l, &at, NULL, &s), 0);
	stream_free(s);
	settle(l);
	close(lfd);
	loop_free(l);
}

static void unix_sockets_connect_by_path_and_by_abstract_names(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char name[64], text[64];
	struct stream *s, *t;
	struct addr a;
	int lfd;

	snprintf(name, sizeof(name), "@weir-test-%d", (int)getpid());
	memcpy(un.sun_path + 1, name + 1, strlen(name) - 1);
	lfd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(lfd, (struct sockaddr *)&un,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
			 0);
	assert_int_equal(listen(lfd, 4), 0);
	assert_int_equal(unix_connect(l, name, &s), 0);
	assert_string_equal(s->ops->name, "unix");
	assert_int_equal(stream_open(s), 0);
	assert_false(stream_peer(s, &a));
	t = tcp_stream_new(l, accept4(lfd, NULL, NULL, SOCK_NONBLOCK), NULL);
	push_text(s, "over a path");
	assert_int_equal(pull_text(t, text), 11);
	stream_free(s);
	stream_free(t);
	close(lfd);

	/* what HAProxy listens on: the whole address, padded with NULs */
	lfd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(lfd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(lfd, 4), 0);
	snprintf(text, sizeof(text), "@%s", name);
	assert_int_equal(unix_connect(l, text, &s), 0);
	stream_free(s);
	close(lfd);

	assert_int_equal(unix_connect(l, "/nowhere/at/all", &s), -ENOENT);
	assert_int_equal(unix_connect(l, "", &s), -EINVAL);
	loop_free(l);
}

/* Up to 64 MiB of zeroes towards `s`, whose window grows at its own pace: the largest pull. */
static size_t largest_pull(struct stream *from, struct stream *s)
{
	size_t largest = 0, left = 64 << 20;
	struct bufq out, in;
	ssize_t n;

	bufq_init(&out, loop_pool(s->loop), SIZE_MAX);
	bufq_init(&in, loop_pool(s->loop), SIZE_MAX);
	while (left > 0 && largest < 256 * 1024) {
		static const uint8_t zeroes[65536];

		while (bufq_len(&out) < 512 * 1024)
			assert_int_equal(bufq_append(&out, zeroes, sizeof(zeroes)), 0);
		while (stream_push(from, &out) > 0 && !bufq_empty(&out))
			;
		loop_turn(s->loop, NSEC_MS);
		n = stream_pull(s, &in, SIZE_MAX);
		if (n > 0) {
			largest = MAX(largest, (size_t)n);
			left -= MIN(left, (size_t)n);
		}
		bufq_done(&in);
	}
	bufq_done(&out);
	return largest;
}

static void reads_grow_while_they_come_back_full(void **state)
{
	struct ends e;

	ends_open(&e, ENDS_TCP);
	assert_int_equal(largest_pull(e.a, e.b), 256 * 1024);
	ends_close(&e);
}

static void small_reads_share_a_chunk(void **state)
{
	struct ends e;
	struct bufq q;

	ends_open(&e, ENDS_TCP);
	bufq_init(&q, loop_pool(e.l), SIZE_MAX);
	for (int i = 0; i < 50; i++) {
		push_text(e.a, "0123456789");
		while (stream_pull(e.b, &q, 16384) == -EAGAIN)
			loop_turn(e.l, NSEC_MS);
	}
	assert_int_equal(bufq_len(&q), 500);
	assert_int_equal(loop_pool(e.l)->nused, 1);
	bufq_done(&q);
	ends_close(&e);
}

static void a_short_read_spares_the_second_question(void **state)
{
	struct ends e;
	struct stream_raw raw;
	char text[64];

	ends_open(&e, ENDS_TCP);
	push_text(e.a, "x");
	settle(e.l);
	assert_int_equal(pull_text(e.b, text), 1);
	assert_int_equal(stream_splice(e.b, STREAM_IN, &raw), 0);
	assert_int_equal(raw.io->ready & IO_RD, 0);
	assert_int_equal(stream_shut(e.a), 0);
	settle(e.l);
	assert_int_equal(pull_text(e.b, text), 0); /* the end is an event of its own */
	ends_close(&e);
}

static void nothing_pulled_is_lost_when_chunks_run_out(void **state)
{
	struct ends e;
	struct bufq q;
	struct buf *hog;
	char text[64];

	ends_open(&e, ENDS_TCP);
	push_text(e.a, "kept");
	settle(e.l);
	bufq_init(&q, loop_pool(e.l), SIZE_MAX);
	loop_pool(e.l)->max = 1;
	hog = buf_new(loop_pool(e.l));
	assert_int_equal(stream_pull(e.b, &q, 100), -ENOMEM);
	buf_free(hog);
	assert_int_equal(pull_text(e.b, text), 4);
	assert_string_equal(text, "kept");
	ends_close(&e);
}

static void a_leaf_is_small(void **state)
{
	struct ends e;

	ends_open(&e, ENDS_TCP);
	assert_true(malloc_usable_size(e.a) <= 150);
	ends_close(&e);
}

struct duo {
	struct talker a, b;
};

static bool duo_done(void *state)
{
	struct duo *d = state;

	return talker_done(&d->a) && talker_done(&d->b);
}

static void megabytes_cross_both_ways_at_once(void **state)
{
	struct ends e;
	struct duo d = {.a.burst = 30000, .b.burst = 100, .a.appetite = 300000};

	ends_open(&e, ENDS_TCP);
	talker_start(&d.a, e.a, 3000000, 1, 2);
	talker_start(&d.b, e.b, 500000, 2, 1);
	assert_true(run_until(e.l, duo_done, &d));
	assert_int_equal(d.a.err, 0);
	assert_int_equal(d.b.err, 0);
	assert_int_equal(d.a.received, 500000);
	assert_int_equal(d.b.received, 3000000);
	talker_stop(&d.a);
	talker_stop(&d.b);
	e.a = e.b = NULL;
	ends_close(&e);
}

/* As many bytes as the kernel takes at once. */
static size_t push_much(struct stream *s)
{
	struct bufq q;
	size_t n = 0;
	uint8_t block[16384] = {0};

	bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
	for (int i = 0; i < 32; i++)
		assert_int_equal(bufq_append(&q, block, sizeof(block)), 0);
	while (!bufq_empty(&q)) {
		ssize_t moved = stream_push(s, &q);

		if (moved < 0)
			break;
		n += (size_t)moved;
	}
	bufq_done(&q);
	return n;
}

/* An answer ahead of an end, to a client that still uploads: unread bytes make a close a reset. */
static void what_was_taken_arrives_though_the_peer_sends_on(void **state)
{
	static const union stream_value yes = {.num = 1};

	for (int abort = 0; abort < 2; abort++) {
		struct loop *l = loop_new(LOOP_EPOLL, 0);
		int small = 4096, much = 1 << 20;
		uint8_t got[8192], upload[50000] = {0};
		size_t sent, received = 0;
		struct stream *s;
		struct addr at;
		int lfd = listen_on(&at), fd, near;
		ssize_t n = 1;

		fd = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
		assert_int_equal(connect(fd, &at.sa, at.len), 0);
		near = accept4(lfd, NULL, NULL, SOCK_NONBLOCK);
		assert_int_equal(setsockopt(near, SOL_SOCKET, SO_SNDBUF, &much, sizeof(much)), 0);
		s = tcp_stream_new(l, near, NULL);
		assert_non_null(s);
		sent = push_much(s);
		assert_true(sent > 100000);
		assert_int_equal(send(fd, upload, sizeof(upload), MSG_DONTWAIT), sizeof(upload));
		if (abort)
			assert_int_equal(stream_set(s, STREAM_ABORT, yes), 0);
		stream_free(s);
		for (int i = 0; i < 20000 && n != 0; i++) {
			n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
			if (n > 0)
				received += (size_t)n;
			else if (n < 0 && errno != EAGAIN)
				break;
			else if (n < 0)
				loop_turn(l, NSEC_MS);
		}
		assert_int_equal(received, sent);
		assert_int_equal(n, abort ? -1 : 0);
		close(fd);
		close(lfd);
		loop_free(l);
	}
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* The kernel counts as unsent what a reset has made it throw away. */
static void a_socket_that_was_reset_is_closed_and_waits_for_nothing(void **state)
{
	for (int before = 0; before < 2; before++) {
		struct loop *l = loop_new(LOOP_EPOLL, 0);
		struct linger hard = {.l_onoff = 1};
		struct stream *s;
		struct addr at;
		int lfd = listen_on(&at), fd, near;

		fd = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(connect(fd, &at.sa, at.len), 0);
		near = accept4(lfd, NULL, NULL, SOCK_NONBLOCK);
		s = tcp_stream_new(l, near, NULL);
		assert_non_null(s);
		assert_true(push_much(s) > 100000);
		assert_int_equal(send(fd, "more", 4, MSG_DONTWAIT), 4);
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
		if (before) {
			close(fd);
			stream_free(s);
		} else {
			stream_free(s);
			assert_true(is_open(near));
			close(fd);
			/* Ten seconds are what he has who still takes something. */
			for (int i = 0; i < 200 && is_open(near); i++)
				loop_turn(l, 10 * NSEC_MS);
		}
		assert_false(is_open(near));
		close(lfd);
		loop_free(l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_taken_arrives_though_the_peer_sends_on),
		cmocka_unit_test(a_socket_that_was_reset_is_closed_and_waits_for_nothing),
		cmocka_unit_test(a_connection_is_open_once_the_kernel_says_so),
		cmocka_unit_test(a_refused_connection_fails_to_open_and_stays_failed),
		cmocka_unit_test(a_connection_leaves_from_the_source_it_was_given),
		cmocka_unit_test(a_connection_is_kept_alive_on_our_side_too),
		cmocka_unit_test(a_connection_can_be_given_up_before_it_is_open),
		cmocka_unit_test(unix_sockets_connect_by_path_and_by_abstract_names),
		cmocka_unit_test(reads_grow_while_they_come_back_full),
		cmocka_unit_test(small_reads_share_a_chunk),
		cmocka_unit_test(a_short_read_spares_the_second_question),
		cmocka_unit_test(nothing_pulled_is_lost_when_chunks_run_out),
		cmocka_unit_test(a_leaf_is_small),
		cmocka_unit_test(megabytes_cross_both_ways_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
