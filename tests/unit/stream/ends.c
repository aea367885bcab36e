#include "unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/sock.h"
#include "stream/pair.h"
#include "stream/tcp.h"

#include "ends.h"

void tcp_fds(int fd[2])
{
	struct addr at;
	int lfd;

	assert_int_equal(addr_parse(&at, "127.0.0.1:0"), 0);
	lfd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(lfd >= 0);
	assert_int_equal(bind(lfd, &at.sa, at.len), 0);
	assert_int_equal(listen(lfd, 1), 0);
	assert_int_equal(sock_local(lfd, &at), 0);
	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd[0], &at.sa, at.len), 0);
	fd[1] = accept(lfd, NULL, NULL);
	assert_true(fd[1] >= 0);
	close(lfd);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fcntl(fd[i], F_SETFL, O_NONBLOCK), 0);
		assert_int_equal(sock_set_nodelay(fd[i], true), 0);
	}
}

void ends_join(struct loop *l, enum ends_kind kind, struct stream **a, struct stream **b)
{
	int fd[2];

	if (kind == ENDS_PAIR) {
		assert_int_equal(pair_new(l, 100 * 1024, a, b), 0);
		return;
	}
	if (kind == ENDS_UNIX)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	else
		tcp_fds(fd);
	*a = tcp_stream_new(l, fd[0], NULL);
	*b = tcp_stream_new(l, fd[1], NULL);
	assert_non_null(*a);
	assert_non_null(*b);
}

void ends_open(struct ends *e, enum ends_kind kind)
{
	e->l = loop_new(kind == ENDS_PAIR ? LOOP_VIRTUAL : LOOP_EPOLL, 1);
	assert_non_null(e->l);
	ends_join(e->l, kind, &e->a, &e->b);
	settle(e->l);
}

void ends_close(struct ends *e)
{
	stream_free(e->a);
	stream_free(e->b);
	assert_int_equal(loop_pool(e->l)->nused, 0);
	loop_free(e->l);
}

void settle(struct loop *l)
{
	while (loop_turn(l, 5 * NSEC_MS) > 0)
		;
}

void push_text(struct stream *s, const char *text)
{
	struct bufq q;

	bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
	assert_int_equal(bufq_append(&q, text, strlen(text)), 0);
	assert_int_equal(stream_push(s, &q), strlen(text));
	assert_true(bufq_empty(&q));
}

ssize_t pull_text(struct stream *s, char *out)
{
	struct bufq q;
	ssize_t n = -EAGAIN;

	bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
	for (int i = 0; i < 100 && n == -EAGAIN; i++) {
		n = stream_pull(s, &q, 63);
		if (n == -EAGAIN)
			loop_turn(s->loop, 5 * NSEC_MS);
	}
	out[bufq_take(&q, out, 63)] = '\0';
	bufq_done(&q);
	return n;
}
