#include "unit.h"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/listener.h"
#include "net/sock.h"

static struct {
	int count, failed, last_err, last_fd;
	struct addr peer;
	bool close_in_accept;
} got;

static void on_accept(struct listener *l, int fd, const struct addr *peer)
{
	got.count++;
	got.peer = *peer;
	got.last_fd = fd;
	if (got.close_in_accept)
		listener_close(l);
	close(fd);
}

static void on_failed(struct listener *l, int err)
{
	got.failed++;
	got.last_err = err;
}

static void open_at(struct listener *l, struct loop *loop, const char *text, struct addr *at)
{
	memset(&got, 0, sizeof(got));
	assert_int_equal(addr_parse(at, text), 0);
	listener_init(l, loop, on_accept);
	l->failed = on_failed;
	assert_int_equal(listener_open(l, at, &(struct listener_conf){.tfo = 16}), 0);
	assert_int_equal(sock_local(l->fd, at), 0);
}

static int client(const struct addr *to)
{
	int fd;

	assert_int_equal(sock_new(to->sa.sa_family, SOCK_STREAM, &fd), 0);
	assert_int_equal(sock_connect(fd, to), 0);
	return fd;
}

static void turns(struct loop *l, int wanted)
{
	for (int i = 0; i < 1000 && got.count < wanted; i++)
		loop_turn(l, 10 * NSEC_MS);
}

static void connections_arrive_with_the_peer_s_address(void **state)
{
	struct loop *loop = loop_new(LOOP_EPOLL, 0);
	struct listener l;
	struct addr at, mine;
	int fd[200];

	open_at(&l, loop, "127.0.0.1:0", &at);
	for (int i = 0; i < 200; i++)
		fd[i] = client(&at);
	turns(loop, 200);
	assert_int_equal(got.count, 200);
	assert_int_equal(l.accepted, 200);
	fd[0] = (close(fd[0]), client(&at));
	turns(loop, 201);
	assert_int_equal(sock_local(fd[0], &mine), 0);
	assert_true(addr_equal(&mine, &got.peer));
	for (int i = 0; i < 200; i++)
		close(fd[i]);
	listener_close(&l);
	listener_close(&l);
	loop_free(loop);
}

static void a_flood_is_taken_in_batches(void **state)
{
	struct loop *loop = loop_new(LOOP_EPOLL, 0);
	struct listener l;
	struct addr at;
	int fd[LISTENER_BATCH + 10];

	open_at(&l, loop, "127.0.0.1:0", &at);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		fd[i] = client(&at);
	for (int i = 0; i < 1000 && got.count < LISTENER_BATCH + 10; i++) {
		int before = got.count;

		loop_turn(loop, 10 * NSEC_MS);
		assert_true(got.count - before <= LISTENER_BATCH);
	}
	assert_int_equal(got.count, LISTENER_BATCH + 10);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
	listener_close(&l);
	loop_free(loop);
}

static void without_descriptors_accepting_rests_and_goes_on_later(void **state)
{
	struct loop *loop = loop_new(LOOP_EPOLL, 0);
	struct rlimit old, low;
	struct listener l;
	struct addr at;
	nsec_t start;
	int fd;

	open_at(&l, loop, "127.0.0.1:0", &at);
	fd = client(&at);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){.rlim_cur = (rlim_t)fd, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	start = loop_now(loop);
	for (int i = 0; i < 20 && got.failed < 2; i++)
		loop_turn(loop, NSEC_SEC);
	assert_int_equal(got.failed, 2);
	assert_int_equal(got.last_err, -EMFILE);
	assert_true(loop_now(loop) - start >= LISTENER_REST); /* rested, did not spin */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	turns(loop, 1);
	assert_int_equal(got.count, 1);
	close(fd);
	listener_close(&l);
	loop_free(loop);
}

static void a_paused_listener_accepts_nothing_until_it_resumes(void **state)
{
	struct loop *loop = loop_new(LOOP_EPOLL, 0);
	struct listener l;
	struct addr at;
	int fd;

	open_at(&l, loop, "127.0.0.1:0", &at);
	listener_pause(&l);
	fd = client(&at);
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 5 * NSEC_MS);
	assert_int_equal(got.count, 0);
	listener_resume(&l);
	turns(loop, 1);
	assert_int_equal(got.count, 1);
	close(fd);
	/* Paused while it waits for the next connection, too. */
	loop_turn(loop, 0);
	listener_pause(&l);
	fd = client(&at);
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 5 * NSEC_MS);
	assert_int_equal(got.count, 1);
	listener_resume(&l);
	turns(loop, 2);
	assert_int_equal(got.count, 2);
	close(fd);
	listener_close(&l);
	loop_free(loop);
}

static bool busy;

static bool is_busy(struct listener *l)
{
	return busy;
}

static void a_busy_owner_is_asked_again_after_a_rest(void **state)
{
	struct loop *loop = loop_new(LOOP_EPOLL, 0);
	struct listener l;
	struct addr at;
	int a, b;

	open_at(&l, loop, "127.0.0.1:0", &at);
	l.busy = is_busy;
	busy = true;
	a = client(&at);
	b = client(&at);
	for (int i = 0; i < 100 && got.failed < 2; i++)
		loop_turn(loop, LISTENER_REST);
	assert_int_equal(got.count, 0);
	assert_int_equal(got.failed, 2); /* at each rest once, not in each turn */
	assert_int_equal(got.last_err, -ENOBUFS);
	busy = false;
	turns(loop, 2);
	assert_int_equal(got.count, 2);
	close(a);
	close(b);
	listener_close(&l);
	loop_free(loop);
}

static void closing_from_the_callback_is_fine(void **state)
{
	struct loop *loop = loop_new(LOOP_EPOLL, 0);
	struct listener l;
	struct addr at;
	int a, b;

	open_at(&l, loop, "127.0.0.1:0", &at);
	a = client(&at);
	b = client(&at);
	got.close_in_accept = true;
	turns(loop, 1);
	loop_turn(loop, 0);
	assert_int_equal(got.count, 1);
	assert_int_equal(l.fd, -1);
	close(a);
	close(b);
	loop_free(loop);
}

static void two_listeners_share_a_port_only_with_reuseport(void **state)
{
	struct loop *loop = loop_new(LOOP_EPOLL, 0);
	struct listener_conf shared = {.reuseport = true}, alone = {0};
	struct listener a, b, c;
	struct addr at;

	assert_int_equal(addr_parse(&at, "127.0.0.1:0"), 0);
	listener_init(&a, loop, on_accept);
	listener_init(&b, loop, on_accept);
	listener_init(&c, loop, on_accept);
	assert_int_equal(listener_open(&a, &at, &shared), 0);
	assert_int_equal(sock_local(a.fd, &at), 0);
	assert_int_equal(listener_open(&b, &at, &shared), 0);
	assert_int_equal(listener_open(&c, &at, &alone), -EADDRINUSE);
	assert_int_equal(c.fd, -1);
	listener_close(&a);
	listener_close(&b);
	listener_close(&c);
	loop_free(loop);
}

static void an_ipv6_wildcard_takes_ipv4_too_unless_told_not_to(void **state)
{
	struct loop *loop = loop_new(LOOP_EPOLL, 0);
	struct listener l;
	struct addr at, to;
	int fd;

	open_at(&l, loop, "[::]:0", &at);
	assert_int_equal(addr_parse(&to, "127.0.0.1:1"), 0);
	addr_set_port(&to, addr_port(&at));
	fd = client(&to);
	turns(loop, 1);
	assert_int_equal(got.count, 1);
	assert_int_equal(got.peer.sa.sa_family, AF_INET6);
	assert_int_equal(addr_unmap(&got.peer).sa.sa_family, AF_INET);
	close(fd);
	listener_close(&l);
	loop_free(loop);
}

static int option(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	assert_int_equal(getsockopt(fd, level, name, &v, &len), 0);
	return v;
}

static void look_at_options(struct listener *l, int fd, const struct addr *peer)
{
	got.count++;
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 31);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 7);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
	close(fd);
}

static void accepted_connections_have_the_listener_s_options(void **state)
{
	static const struct sock_keepalive k = {.idle_s = 31, .interval_s = 7, .count = 3};
	struct loop *loop = loop_new(LOOP_EPOLL, 0);
	struct listener l;
	struct addr at;
	int fd;

	memset(&got, 0, sizeof(got));
	assert_int_equal(addr_parse(&at, "127.0.0.1:0"), 0);
	listener_init(&l, loop, look_at_options);
	assert_int_equal(listener_open(&l, &at, &(struct listener_conf){.keepalive = &k}), 0);
	assert_int_equal(sock_local(l.fd, &at), 0);
	fd = client(&at);
	turns(loop, 1);
	assert_int_equal(got.count, 1);
	close(fd);
	listener_close(&l);
	loop_free(loop);
}

static void options_reach_the_kernel(void **state)
{
	struct sock_keepalive k = {.idle_s = 31, .interval_s = 7, .count = 3};
	struct addr src, local;
	int fd;

	assert_int_equal(sock_new(AF_INET, SOCK_STREAM, &fd), 0);
	assert_int_equal(sock_set_nodelay(fd, true), 0);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(sock_set_keepalive(fd, &k), 0);
	assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 31);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 7);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
	assert_int_equal(addr_parse(&src, "127.0.0.9:0"), 0);
	assert_int_equal(sock_bind_source(fd, &src), 0);
	assert_int_equal(sock_local(fd, &local), 0);
	assert_int_equal(local.in.sin_addr.s_addr, src.in.sin_addr.s_addr);
	assert_int_equal(sock_set_user_timeout(fd, 5000), 0);
	assert_int_equal(sock_set_tfo_connect(fd, true), 0);
	assert_int_equal(sock_set_congestion(fd, "no-such-thing"), -ENOENT);
	assert_int_equal(sock_peer(fd, &local), -ENOTCONN);
	assert_int_equal(sock_error(fd), 0);
	close(fd);
	assert_int_equal(sock_set_nodelay(fd, true), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_arrive_with_the_peer_s_address),
		cmocka_unit_test(a_flood_is_taken_in_batches),
		cmocka_unit_test(without_descriptors_accepting_rests_and_goes_on_later),
		cmocka_unit_test(a_paused_listener_accepts_nothing_until_it_resumes),
		cmocka_unit_test(a_busy_owner_is_asked_again_after_a_rest),
		cmocka_unit_test(closing_from_the_callback_is_fine),
		cmocka_unit_test(two_listeners_share_a_port_only_with_reuseport),
		cmocka_unit_test(an_ipv6_wildcard_takes_ipv4_too_unless_told_not_to),
		cmocka_unit_test(accepted_connections_have_the_listener_s_options),
		cmocka_unit_test(options_reach_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
