#include "net/mmsg.h"

#include <errno.h>
#include <string.h>

#include "net/sock.h"

/* Room for one address of either family, aligned as cmsg wants it. */
union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct batch {
	struct mmsghdr hdr[MMSG_BATCH];
	struct iovec iov[MMSG_BATCH];
	union control control[MMSG_BATCH];
	struct addr peer[MMSG_BATCH];
};

int mmsg_want_local(int fd, int family)
{
	int on = 1, err;

	if (family == AF_INET6)
		err = setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	else
		err = setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	return err < 0 ? -errno : 0;
}

/* ---- receiving --------------------------------------------------------------------------- */

static struct addr local_of(struct msghdr *h)
{
	struct addr none = {0};

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			return addr_from_ip4(&info.ipi_addr, 0);
		}
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			return addr_from_ip6(&info.ipi6_addr, 0);
		}
	}
	return none;
}

/* Chunks to receive into; fewer than `max` when memory is short. */
static int prepare(struct batch *b, struct buf_pool *pool, struct mmsg *m, int max)
{
	int n;

	for (n = 0; n < max; n++) {
		m[n].buf = buf_new(pool);
		if (!m[n].buf)
			break;
		b->iov[n] = (struct iovec){m[n].buf->data + BUF_FRONT, BUF_PAYLOAD};
		b->hdr[n].msg_hdr = (struct msghdr){
			.msg_name = &b->peer[n].sa,
			.msg_namelen = sizeof(b->peer[n].in6),
			.msg_iov = &b->iov[n],
			.msg_iovlen = 1,
			.msg_control = &b->control[n],
			.msg_controllen = sizeof(b->control[n]),
		};
	}
	return n;
}

/* One received packet into `to`; false: dropped. */
static bool take(struct mmsghdr *h, struct addr *peer, struct buf *buf, struct mmsg *to)
{
	if (h->msg_hdr.msg_flags & MSG_TRUNC) {
		buf_free(buf);
		return false;
	}
	buf->end = BUF_FRONT + h->msg_len;
	peer->len = h->msg_hdr.msg_namelen;
	*to = (struct mmsg){.buf = buf, .peer = *peer, .local = local_of(&h->msg_hdr)};
	return true;
}

int mmsg_recv(int fd, struct buf_pool *pool, struct mmsg *m, int max, uint64_t *dropped)
{
	struct batch b;
	int room, got, err, n = 0;

	room = prepare(&b, pool, m, MIN(max, MMSG_BATCH));
	if (room == 0)
		return -ENOMEM;
	got = recvmmsg(fd, b.hdr, (unsigned)room, MSG_DONTWAIT, NULL);
	err = got < 0 ? -errno : 0;
	for (int i = MAX(got, 0); i < room; i++)
		buf_free(m[i].buf);
	for (int i = 0; i < got; i++) {
		if (take(&b.hdr[i], &b.peer[i], m[i].buf, &m[n]))
			n++;
		else
			++*dropped;
	}
	return err ? err : n;
}

/* ---- sending ----------------------------------------------------------------------------- */

static struct addr for_socket(const struct addr *a, int family)
{
	uint8_t ip[16];

	if (a->len == 0)
		return *a;
	if (family == AF_INET)
		return addr_unmap(a);
	if (a->sa.sa_family == AF_INET6)
		return *a;
	addr_ip16(a, ip);
	return addr_from_ip6(ip, addr_port(a));
}

/* The source address as ancillary data.  A dual-stack socket takes IPv4 ones mapped. */
static void set_source(struct msghdr *h, union control *room, const struct addr *local, int family)
{
	struct addr src = for_socket(local, family);
	struct in_pktinfo info4 = {0};
	struct in6_pktinfo info6 = {0};
	bool v6 = family == AF_INET6;
	struct cmsghdr *c;

	if (src.len == 0 || src.sa.sa_family != family)
		return;
	h->msg_control = room;
	h->msg_controllen = v6 ? CMSG_SPACE(sizeof(info6)) : CMSG_SPACE(sizeof(info4));
	memset(room, 0, sizeof(*room));
	c = CMSG_FIRSTHDR(h);
	if (v6) {
		info6.ipi6_addr = src.in6.sin6_addr;
		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info6));
		memcpy(CMSG_DATA(c), &info6, sizeof(info6));
	} else {
		info4.ipi_spec_dst = src.in.sin_addr;
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info4));
		memcpy(CMSG_DATA(c), &info4, sizeof(info4));
	}
}

int mmsg_send(int fd, int family, const struct mmsg *m, int n)
{
	struct batch b;
	int sent;

	n = MIN(n, MMSG_BATCH);
	for (int i = 0; i < n; i++) {
		struct msghdr *h = &b.hdr[i].msg_hdr;

		b.peer[i] = for_socket(&m[i].peer, family);
		b.iov[i] = (struct iovec){buf_head(m[i].buf), buf_len(m[i].buf)};
		*h = (struct msghdr){.msg_iov = &b.iov[i], .msg_iovlen = 1};
		if (b.peer[i].len) {
			h->msg_name = &b.peer[i].sa;
			h->msg_namelen = b.peer[i].len;
		}
		set_source(h, &b.control[i], &m[i].local, family);
	}
	sent = sendmmsg(fd, b.hdr, (unsigned)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	return sent < 0 ? -errno : sent;
}
