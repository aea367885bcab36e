#include "stream/udp.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/sock.h"

#define BATCH_START 4

enum {
	SOCK_V4,
	SOCK_V6,
	NSOCK,
};

struct udp {
	struct dgram base;
	struct io io[NSOCK]; /* fd -1: not open */
	struct addr source;
	struct addr *local;
	uint8_t batch; /* packets asked for at once; grows while they come */
	uint8_t turn;  /* which socket is read first */
};

static const int families[NSOCK] = {AF_INET, AF_INET6};

static struct udp *udp_of(const struct dgram *d)
{
	return container_of(d, struct udp, base);
}

static bool is_open(const struct io *io)
{
	return io->fd >= 0;
}

static int sock_open(struct udp *u, int which)
{
	struct waiter *waiting = u->io[!which].rd;
	struct addr *source = &u->source;
	int fd, err;

	err = sock_new(families[which], SOCK_DGRAM, &fd);
	if (err)
		return err;
	if (which == SOCK_V6)
		err = sock_set_v6only(fd, true);
	if (!err && source->len && source->sa.sa_family == families[which] &&
	    bind(fd, &source->sa, source->len) < 0)
		err = -errno;
	if (!err)
		err = io_add(u->base.loop, &u->io[which], fd);
	if (err) {
		u->io[which].fd = -1;
		close(fd);
		return err;
	}
	/* Whoever already waits for packets waits for this socket's too. */
	if (waiting)
		io_want(u->base.loop, &u->io[which], IO_RD, waiting);
	return 0;
}

/* ---- receiving --------------------------------------------------------------------------- */

struct batch {
	struct mmsghdr msg[DGRAM_BATCH];
	struct iovec iov[DGRAM_BATCH];
	struct addr addr[DGRAM_BATCH];
};

static void batch_set(struct batch *b, int i, void *base, size_t len)
{
	b->iov[i] = (struct iovec){.iov_base = base, .iov_len = len};
	b->msg[i].msg_hdr = (struct msghdr){
		.msg_name = &b->addr[i].sa,
		.msg_namelen = b->addr[i].len,
		.msg_iov = &b->iov[i],
		.msg_iovlen = 1,
	};
}

/* Chunks for up to `max` packets; how many there are memory decides. */
static int batch_prepare(struct udp *u, struct batch *b, struct packet *p, int max)
{
	int n;

	for (n = 0; n < max; n++) {
		p[n].buf = buf_new(loop_pool(u->base.loop));
		if (!p[n].buf)
			break;
		b->addr[n].len = sizeof(b->addr[n].in6);
		batch_set(b, n, buf_head(p[n].buf), BUF_PAYLOAD);
	}
	return n;
}

/* The first `got` are packets now; what was cut off is dropped, what was not used is freed. */
static int batch_finish(struct udp *u, struct batch *b, struct packet *p, int got, int prepared)
{
	int kept = 0;

	for (int i = 0; i < got; i++) {
		struct buf *buf = p[i].buf;

		if (b->msg[i].msg_hdr.msg_flags & MSG_TRUNC) {
			u->base.dropped++;
			buf_free(buf);
			continue;
		}
		buf->end += b->msg[i].msg_len;
		b->addr[i].len = b->msg[i].msg_hdr.msg_namelen;
		p[kept].buf = buf;
		dest_set_addr(&p[kept++].dest, &b->addr[i]);
	}
	while (prepared > got)
		buf_free(p[--prepared].buf);
	return kept;
}

/* How many packets, or 0: the socket has none. */
static int sock_recv(struct udp *u, struct io *io, struct packet *p, int max)
{
	UNINIT struct batch b;
	int got, prepared, err;

	prepared = batch_prepare(u, &b, p, MIN(max, (int)u->batch));
	if (prepared == 0)
		return -ENOMEM;
	do {
		got = recvmmsg(io->fd, b.msg, (unsigned)prepared, 0, NULL);
	} while (got < 0 && errno == EINTR);
	err = errno;
	/* Other errors are news about packets sent earlier, told once: nothing to stop for. */
	if ((got < 0 && err == EAGAIN) || (got >= 0 && got < prepared))
		io->ready &= ~IO_RD;
	if (got == prepared && u->batch < DGRAM_BATCH)
		u->batch *= 2;
	else if (got <= u->batch / 4 && u->batch > BATCH_START)
		u->batch /= 2;
	return batch_finish(u, &b, p, MAX(got, 0), prepared);
}

static int udp_recv(struct dgram *d, struct packet *p, int max)
{
	struct udp *u = udp_of(d);
	int n = 0, err = 0;

	u->turn = !u->turn;
	for (int i = 0; i < NSOCK && n < max && err >= 0; i++) {
		struct io *io = &u->io[i ^ u->turn];

		if (!is_open(io) || !(io->ready & IO_RD))
			continue;
		err = sock_recv(u, io, p + n, max - n);
		if (err > 0)
			n += err;
	}
	if (n > 0)
		return n;
	return err < 0 ? err : -EAGAIN;
}

/* ---- sending ----------------------------------------------------------------------------- */

/* The socket for this destination, opened if need be; NULL: there is none. */
static struct io *sock_for(struct udp *u, const struct dest *to)
{
	int which;

	if (to->type != DEST_IP4 && to->type != DEST_IP6)
		return NULL;
	which = to->type == DEST_IP4 ? SOCK_V4 : SOCK_V6;
	if (!is_open(&u->io[which]) && sock_open(u, which))
		return NULL;
	return &u->io[which];
}

/* Packets from the front that leave by the same socket. */
static int batch_gather(struct udp *u, struct batch *b, const struct io *io, struct packet *p,
			int n)
{
	int i;

	for (i = 0; i < n && i < DGRAM_BATCH; i++) {
		if (i > 0 && sock_for(u, &p[i].dest) != io)
			break;
		if (dest_addr(&p[i].dest, &b->addr[i]))
			break;
		batch_set(b, i, buf_head(p[i].buf), buf_len(p[i].buf));
	}
	return i;
}

static int drop(struct udp *u, struct packet *p)
{
	u->base.dropped++;
	buf_free(p->buf);
	return 1;
}

/* How many packets have been dealt with, or -EAGAIN. */
static int send_some(struct udp *u, struct packet *p, int n)
{
	struct io *io = sock_for(u, &p->dest);
	UNINIT struct batch b;
	int sent;

	if (!io)
		return drop(u, p);
	if (!(io->ready & IO_WR))
		return -EAGAIN;
	n = batch_gather(u, &b, io, p, n);
	do {
		sent = sendmmsg(io->fd, b.msg, (unsigned)n, 0);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno == EAGAIN) {
		io->ready &= ~IO_WR;
		return -EAGAIN;
	}
	if (sent <= 0)
		return drop(u, p);
	for (int i = 0; i < sent; i++)
		buf_free(p[i].buf);
	return sent;
}

static int udp_send(struct dgram *d, struct packet *p, int n)
{
	int done = 0;

	while (done < n) {
		int sent = send_some(udp_of(d), p + done, n - done);

		if (sent < 0)
			return done > 0 ? done : sent;
		done += sent;
	}
	return done;
}

/* ---- waiting, and the end -------------------------------------------------------------------- */

static void udp_want(struct dgram *d, unsigned ev, struct waiter *w)
{
	struct udp *u = udp_of(d);
	bool full = false;

	for (int i = 0; i < NSOCK; i++) {
		struct io *io = &u->io[i];
		unsigned e = ev & STREAM_RD;

		if (!is_open(io))
			continue;
		/* A socket that can send is not the one that could not. */
		if ((ev & STREAM_WR) && !(io->ready & IO_WR)) {
			e |= STREAM_WR;
			full = true;
		}
		if (e)
			io_want(d->loop, io, e, w);
	}
	if ((ev & STREAM_WR) && !full)
		loop_queue(d->loop, w);
}

static void udp_free(struct dgram *d)
{
	struct udp *u = udp_of(d);

	for (int i = 0; i < NSOCK; i++) {
		if (!is_open(&u->io[i]))
			continue;
		io_del(d->loop, &u->io[i]);
		close(u->io[i].fd);
	}
	free(u->local);
	loop_free_later(d->loop, u);
}

static int udp_query(const struct dgram *d, enum stream_attr attr, union stream_value *out)
{
	struct udp *u = udp_of(d);
	struct addr a;
	int err;

	if (attr != STREAM_LOCAL)
		return -ENOTSUP;
	if (!u->local) {
		err = sock_local(u->io[is_open(&u->io[SOCK_V4]) ? SOCK_V4 : SOCK_V6].fd, &a);
		if (err)
			return err;
		u->local = malloc(sizeof(a));
		if (!u->local)
			return -ENOMEM;
		*u->local = a;
	}
	out->addr = u->local;
	return 0;
}

static const struct dgram_ops udp_ops = {
	.name = "udp",
	.recv = udp_recv,
	.send = udp_send,
	.want = udp_want,
	.free = udp_free,
	.query = udp_query,
};

int udp_dgram_new(struct loop *l, int family, const struct addr *source, struct dgram **out)
{
	struct udp *u = calloc(1, sizeof(*u));
	int err;

	if (!u)
		return -ENOMEM;
	u->base.ops = &udp_ops;
	u->base.loop = l;
	u->io[SOCK_V4].fd = u->io[SOCK_V6].fd = -1;
	u->batch = BATCH_START;
	if (source)
		u->source = *source;
	err = sock_open(u, family == AF_INET6 ? SOCK_V6 : SOCK_V4);
	if (err) {
		free(u);
		return err;
	}
	*out = &u->base;
	return 0;
}
