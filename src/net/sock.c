#include "net/sock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

const struct sock_keepalive sock_usual_keepalive = {.idle_s = 60, .interval_s = 15, .count = 4};

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

int sock_new(int family, int type, int *fd)
{
	int s = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (s < 0)
		return -errno;
	*fd = s;
	return 0;
}

int sock_set_nodelay(int fd, bool on)
{
	return set_int(fd, IPPROTO_TCP, TCP_NODELAY, on);
}

int sock_set_reuseaddr(int fd, bool on)
{
	return set_int(fd, SOL_SOCKET, SO_REUSEADDR, on);
}

int sock_set_reuseport(int fd, bool on)
{
	return set_int(fd, SOL_SOCKET, SO_REUSEPORT, on);
}

int sock_set_v6only(int fd, bool on)
{
	return set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, on);
}

int sock_set_keepalive(int fd, const struct sock_keepalive *k)
{
	int err = set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);

	if (!err && k->idle_s)
		err = set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)k->idle_s);
	if (!err && k->interval_s)
		err = set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, (int)k->interval_s);
	if (!err && k->count)
		err = set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, (int)k->count);
	return err;
}

int sock_set_mark(int fd, uint32_t mark)
{
	return set_int(fd, SOL_SOCKET, SO_MARK, (int)mark);
}

int sock_set_device(int fd, const char *interface)
{
	socklen_t len = (socklen_t)strlen(interface) + 1;

	return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, len) < 0 ? -errno : 0;
}

int sock_set_buffers(int fd, int rcv, int snd)
{
	int err = 0;

	if (rcv > 0)
		err = set_int(fd, SOL_SOCKET, SO_RCVBUF, rcv);
	if (!err && snd > 0)
		err = set_int(fd, SOL_SOCKET, SO_SNDBUF, snd);
	return err;
}

int sock_set_congestion(int fd, const char *name)
{
	socklen_t len = (socklen_t)strlen(name);

	return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, len) < 0 ? -errno : 0;
}

int sock_set_user_timeout(int fd, unsigned ms)
{
	return set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)ms);
}

int sock_set_maxseg(int fd, unsigned bytes)
{
	return set_int(fd, IPPROTO_TCP, TCP_MAXSEG, (int)bytes);
}

int sock_set_notsent_lowat(int fd, unsigned bytes)
{
	return set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)bytes);
}

int sock_set_rcvlowat(int fd, unsigned bytes)
{
	return set_int(fd, SOL_SOCKET, SO_RCVLOWAT, (int)bytes);
}

int sock_set_tfo_listen(int fd, unsigned backlog)
{
	return set_int(fd, IPPROTO_TCP, TCP_FASTOPEN, (int)backlog);
}

int sock_set_tfo_connect(int fd, bool on)
{
	return set_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, on);
}

int sock_set_abort(int fd)
{
	struct linger now = {.l_onoff = 1};

	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) < 0 ? -errno : 0;
}

int sock_bind_source(int fd, const struct addr *src)
{
	int err;

	if (addr_port(src) == 0) {
		err = set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
		if (err)
			return err;
	}
	return bind(fd, &src->sa, src->len) < 0 ? -errno : 0;
}

int sock_connect(int fd, const struct addr *to)
{
	if (connect(fd, &to->sa, to->len) < 0 && errno != EINPROGRESS && errno != EINTR)
		return -errno;
	return 0;
}

int sock_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return -errno;
	return -err;
}

/* The union holds IPv4 and IPv6; other families are none of ours. */
static int keep_ip(const struct addr *a, struct addr *out)
{
	if (a->sa.sa_family != AF_INET && a->sa.sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	*out = *a;
	return 0;
}

int sock_local(int fd, struct addr *out)
{
	struct addr a = {.len = sizeof(a.in6)};

	if (getsockname(fd, &a.sa, &a.len) < 0)
		return -errno;
	return keep_ip(&a, out);
}

int sock_peer(int fd, struct addr *out)
{
	struct addr a = {.len = sizeof(a.in6)};

	if (getpeername(fd, &a.sa, &a.len) < 0)
		return -errno;
	return keep_ip(&a, out);
}

int sock_udp_open(const struct addr *at, bool reuseport, int *fd)
{
	int s, err;

	err = sock_new(at->sa.sa_family, SOCK_DGRAM, &s);
	if (err)
		return err;
	if (at->sa.sa_family == AF_INET6)
		err = sock_set_v6only(s, false);
	if (!err && reuseport)
		err = sock_set_reuseport(s, true);
	if (!err && bind(s, &at->sa, at->len) < 0)
		err = -errno;
	if (err) {
		close(s);
		return err;
	}
	*fd = s;
	return 0;
}
