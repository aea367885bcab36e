#include "floor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS 16 /* moves in a row before others have their turn */

static int listen_port, target_port;

/* A thread has connections of its own, and nothing else is shared. */
static _Thread_local int ep;
static _Thread_local struct conn *dead;

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static int new_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	return fd;
}

static void watch(int fd, void *what, unsigned events)
{
	struct epoll_event ev = {.events = events, .data.ptr = what};

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static void conn_kill(struct conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	for (int i = 0; i < 2; i++) {
		close(c->side[i].fd);
		drop_held(&c->side[i]);
	}
	c->next = dead;
	dead = c;
}

static void conn_new(int fd)
{
	struct sockaddr_in to = loopback(target_port);
	struct conn *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->side[0].fd = fd;
	c->side[1].fd = new_socket();
	for (int i = 0; i < 2; i++)
		c->side[i].conn = c;
	if (connect(c->side[1].fd, (struct sockaddr *)&to, sizeof(to)) < 0 &&
	    errno != EINPROGRESS) {
		conn_kill(c);
		return;
	}
	for (int i = 0; i < 2; i++)
		watch(c->side[i].fd, &c->side[i], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

static bool holds(const struct side *s)
{
	return s->held || s->pipe;
}

/* Everything that the flags allow in one direction.  False: the connection is over. */
static bool run(struct side *from, struct side *to)
{
	for (int i = 0; i < ROUNDS; i++) {
		if (holds(from) ? !to->writable : !from->readable || from->eof)
			return true;
		switch (move(from, to)) {
		case MOVED:
			continue;
		case BROKEN:
			return false;
		case BLOCKED:
			if (from->eof && !holds(from))
				shutdown(to->fd, SHUT_WR);
		}
	}
	return true;
}

static void on_event(struct side *s, unsigned events)
{
	struct conn *c = s->conn;
	struct side *a = &c->side[0], *b = &c->side[1];

	if (c->dead)
		return;
	s->readable |= (events & (EPOLLIN | EPOLLRDHUP)) != 0;
	s->writable |= (events & EPOLLOUT) != 0;
	if ((events & EPOLLERR) || !run(a, b) || !run(b, a) ||
	    (a->eof && b->eof && !holds(a) && !holds(b)))
		conn_kill(c);
}

/* All that wait: one at each turn would wait for seconds behind busy ones. */
static void accept_all(int lfd)
{
	int fd;

	while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		conn_new(fd);
}

static int listener_open(void)
{
	struct sockaddr_in at = loopback(listen_port);
	int fd = new_socket();

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4096) < 0) {
		perror("listen");
		exit(1);
	}
	return fd;
}

static void bury(void)
{
	while (dead) {
		struct conn *c = dead;

		dead = c->next;
		free(c);
	}
}

static void *serve(void *unused)
{
	struct epoll_event ev[256];
	int lfd, n;

	ep = epoll_create1(EPOLL_CLOEXEC);
	lfd = listener_open();
	watch(lfd, NULL, EPOLLIN);
	for (;;) {
		n = epoll_wait(ep, ev, 256, -1);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr)
				on_event(ev[i].data.ptr, ev[i].events);
			else
				accept_all(lfd);
		}
		bury();
	}
	return NULL;
}

int floor_main(int argc, char **argv)
{
	const char *threads = getenv("THREADS");
	pthread_t thread;

	if (argc < 3) {
		fprintf(stderr, "usage: [THREADS=N] %s LISTEN-PORT TARGET-PORT\n", argv[0]);
		return 2;
	}
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	listen_port = atoi(argv[1]);
	target_port = atoi(argv[2]);
	for (int i = 1; i < (threads ? atoi(threads) : 1); i++) {
		if (pthread_create(&thread, NULL, serve, NULL))
			return 1;
	}
	serve(NULL);
	return 0;
}
