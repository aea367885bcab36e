#include "net/listener.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* The peer went away, or a firewall spoke: the next connection may be fine (accept(2)). */
static bool only_this_one(int err)
{
	switch (err) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case EPERM:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
		return true;
	default:
		return false;
	}
}

static void rest(struct listener *l, int err)
{
	l->failures++;
	timer_set(l->loop, &l->rest, loop_now(l->loop) + LISTENER_REST);
	if (l->failed)
		l->failed(l, -err);
}

/* One accept4(): false when it is time to stop for this turn. */
static bool accept_one(struct listener *l)
{
	struct addr peer = {.len = sizeof(peer.in6)};
	int fd;

	if (l->busy && l->busy(l)) {
		rest(l, ENOBUFS);
		return false;
	}
	fd = accept4(l->fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		l->accepted++;
		l->accept(l, fd, &peer);
		return l->fd >= 0 && !l->paused;
	}
	if (errno == EAGAIN) {
		l->io.ready &= (uint8_t)~IO_RD;
		io_want(l->loop, &l->io, IO_RD, &l->ready);
		return false;
	}
	if (only_this_one(errno))
		return true;
	rest(l, errno);
	return false;
}

static void on_ready(struct waiter *w)
{
	struct listener *l = container_of(w, struct listener, ready);

	if (l->fd < 0 || l->paused || timer_armed(&l->rest))
		return;
	for (int i = 0; i < LISTENER_BATCH; i++) {
		if (!accept_one(l))
			return;
	}
	loop_queue(l->loop, &l->ready);
}

static void on_rest_over(struct timer *t)
{
	struct listener *l = container_of(t, struct listener, rest);

	loop_queue(l->loop, &l->ready);
}

void listener_init(struct listener *l, struct loop *loop,
		   void (*accept)(struct listener *l, int fd, const struct addr *peer))
{
	*l = (struct listener){.loop = loop, .fd = -1, .accept = accept};
	waiter_init(&l->ready, on_ready);
	timer_init(&l->rest, on_rest_over);
}

static int set_up(int fd, const struct addr *at, const struct listener_conf *conf)
{
	int err = sock_set_reuseaddr(fd, true);

	if (!err && conf->reuseport)
		err = sock_set_reuseport(fd, true);
	if (!err && at->sa.sa_family == AF_INET6)
		err = sock_set_v6only(fd, conf->v6only);
	if (err)
		return err;
	if (bind(fd, &at->sa, at->len) < 0)
		return -errno;
	if (conf->tfo)
		sock_set_tfo_listen(fd,
				    conf->tfo); /* an optimisation: a kernel without it is fine */
	if (conf->keepalive)
		sock_set_keepalive(fd, conf->keepalive);
	return listen(fd, conf->backlog > 0 ? conf->backlog : SOMAXCONN) < 0 ? -errno : 0;
}

int listener_bind(const struct addr *at, const struct listener_conf *conf, int *out)
{
	int fd, err;

	err = sock_new(at->sa.sa_family, SOCK_STREAM, &fd);
	if (err)
		return err;
	err = set_up(fd, at, conf);
	if (err) {
		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

int listener_open(struct listener *l, const struct addr *at, const struct listener_conf *conf)
{
	int fd, err;

	err = listener_bind(at, conf, &fd);
	if (err)
		return err;
	err = listener_adopt(l, fd);
	if (err)
		close(fd);
	return err;
}

int listener_adopt(struct listener *l, int fd)
{
	int err = io_add(l->loop, &l->io, fd);

	if (err)
		return err;
	sock_set_nodelay(fd, true); /* what is accepted inherits it: no call for each */
	l->fd = fd;
	if (!l->paused)
		loop_queue(l->loop, &l->ready);
	return 0;
}

void listener_pause(struct listener *l)
{
	l->paused = true;
}

void listener_resume(struct listener *l)
{
	l->paused = false;
	if (l->fd >= 0)
		loop_queue(l->loop, &l->ready);
}

void listener_close(struct listener *l)
{
	waiter_cancel(&l->ready);
	timer_stop(&l->rest);
	if (!l->loop || l->fd < 0)
		return;
	io_del(l->loop, &l->io);
	close(l->fd);
	l->fd = -1;
}

void listener_drain(struct listener *l)
{
	while (l->fd >= 0) {
		struct addr peer = {.len = sizeof(peer.in6)};
		int fd = accept4(l->fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			l->accepted++;
			l->accept(l, fd, &peer);
		} else if (!only_this_one(errno)) {
			listener_close(l);
		}
	}
}
