#include "stream/tcp.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/sock.h"
#include "stream/tcp_linger.h"

#define READ_CHUNKS 16 /* 256 KiB in one read at most */
#define WRITE_IOV   64

/* What one read brings, with what the layers on the way have wrapped around it: without that, every
 * 256 KiB under TLS end in a second write of a few bytes.
 */
#define WRITE_MAX (264 * 1024)

/* What most streams are never asked for. */
struct names {
	struct addr local, peer; /* len 0: unknown */
};

struct tcp {
	struct stream base;
	struct io io;
	int16_t err;	/* what broke it: the kernel tells only once */
	int16_t werr;	/* what broke writing alone: there may still be something to read */
	uint8_t chunks; /* the size of the next read, 1..READ_CHUNKS */
	bool connecting, abort, has_peer;
	struct names *names; /* when somebody has asked */
	struct addr peer[];  /* of accepted ones: one */
};

static struct tcp *tcp_of(const struct stream *s)
{
	return container_of(s, struct tcp, base);
}

static int fail(struct tcp *t, int err)
{
	t->err = (int16_t)err;
	return err;
}

static int tcp_open(struct stream *s)
{
	struct tcp *t = tcp_of(s);
	int err;

	if (t->err)
		return t->err;
	if (!t->connecting)
		return 0;
	if (!(t->io.ready & IO_WR))
		return -EAGAIN;
	err = t->io.hup ? sock_error(t->io.fd) : 0; /* a failure comes as EPOLLERR */
	if (err)
		return fail(t, err);
	t->connecting = false;
	return 0;
}

/* ---- reading ----------------------------------------------------------------------------- */

/* Where one read goes: the room of the last chunk in the queue, then fresh chunks. */
struct landing {
	struct iovec iov[READ_CHUNKS + 1];
	struct buf *fresh[READ_CHUNKS];
	size_t tail, bytes; /* room in the queue's last chunk; in all */
	int niov, nfresh;
};

static void landing_add(struct landing *at, void *base, size_t len)
{
	at->iov[at->niov++] = (struct iovec){.iov_base = base, .iov_len = len};
	at->bytes += len;
}

/* False when memory ran out before the first byte. */
static bool landing_open(struct landing *at, struct bufq *dst, size_t bytes)
{
	struct buf *b = dst->tail;

	at->bytes = at->tail = 0;
	at->niov = at->nfresh = 0;
	if (buf_pool_short(dst->pool))
		bytes = MIN(bytes, (size_t)BUF_PAYLOAD);
	if (b && buf_room(b) > 0) {
		at->tail = MIN(buf_room(b), bytes);
		landing_add(at, b->data + b->end, at->tail);
	}
	while (at->bytes < bytes && at->nfresh < READ_CHUNKS) {
		b = buf_new(dst->pool);
		if (!b)
			break;
		at->fresh[at->nfresh++] = b;
		landing_add(at, b->data + b->end, MIN((size_t)BUF_PAYLOAD, bytes - at->bytes));
	}
	return at->bytes > 0;
}

static void landing_close(struct landing *at, struct bufq *dst, size_t got)
{
	size_t n = MIN(got, at->tail);
	int i, used = 0;

	if (n > 0)
		bufq_commit(dst, n);
	for (got -= n; got > 0; got -= n) {
		struct buf *b = at->fresh[used++];

		n = MIN(got, (size_t)BUF_PAYLOAD);
		b->end += (uint32_t)n;
		bufq_push(dst, b);
	}
	/* Backwards: the next read takes them in the same order, from memory that is still warm. */
	for (i = at->nfresh; i-- > used;)
		buf_free(at->fresh[i]);
}

static void adapt(struct tcp *t, size_t asked, size_t got)
{
	if (got == asked && asked >= t->chunks * (size_t)BUF_PAYLOAD)
		t->chunks = MIN(t->chunks * 2, READ_CHUNKS);
	else if (got <= asked / 4 && t->chunks > 1)
		t->chunks /= 2;
}

static ssize_t tcp_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct tcp *t = tcp_of(s);
	UNINIT struct landing at;
	ssize_t n;
	int err;

	if (t->err)
		return t->err;
	if (!(t->io.ready & IO_RD))
		return -EAGAIN;
	if (!landing_open(&at, dst, MIN(max, t->chunks * (size_t)BUF_PAYLOAD)))
		return -ENOMEM;
	do {
		n = readv(t->io.fd, at.iov, at.niov);
	} while (n < 0 && errno == EINTR);
	err = errno;
	landing_close(&at, dst, n > 0 ? (size_t)n : 0);
	if (n < 0 && err != EAGAIN)
		return fail(t, -err);
	if (n < 0) {
		t->io.ready &= ~IO_RD;
		return -EAGAIN;
	}
	if (n > 0 && (size_t)n < at.bytes && !t->io.hup)
		t->io.ready &= ~IO_RD;
	adapt(t, at.bytes, (size_t)n);
	return n;
}

/* ---- writing ----------------------------------------------------------------------------- */

static ssize_t tcp_push(struct stream *s, struct bufq *src)
{
	struct tcp *t = tcp_of(s);
	UNINIT struct iovec iov[WRITE_IOV];
	struct msghdr msg = {.msg_iov = iov};
	size_t asked = 0;
	ssize_t n;

	if (t->err || t->werr)
		return t->err ? t->err : t->werr;
	if (!(t->io.ready & IO_WR))
		return -EAGAIN;
	msg.msg_iovlen = (size_t)bufq_iov(src, iov, WRITE_IOV, WRITE_MAX);
	for (size_t i = 0; i < msg.msg_iovlen; i++)
		asked += iov[i].iov_len;
	do {
		n = sendmsg(t->io.fd, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN) {
		t->werr = (int16_t)-errno;
		return t->werr;
	}
	if (n < (ssize_t)asked && !(n > 0 && t->io.hup))
		t->io.ready &= ~IO_WR;
	if (n < 0)
		return -EAGAIN;
	bufq_drain(src, (size_t)n);
	return n;
}

static void tcp_want(struct stream *s, unsigned ev, struct waiter *w)
{
	io_want(s->loop, &tcp_of(s)->io, ev, w);
}

static int tcp_shut(struct stream *s)
{
	struct tcp *t = tcp_of(s);
	int err;

	if (t->err)
		return t->err;
	if (shutdown(t->io.fd, SHUT_WR) == 0)
		return 0;
	err = -errno;
	if (err == -ENOTCONN) /* reset meanwhile: the socket knows why */
		err = sock_error(t->io.fd);
	return fail(t, err ? err : -ECONNRESET);
}

static void tcp_free(struct stream *s)
{
	struct tcp *t = tcp_of(s);
	int unsent = 0;

	/* A reset, and a close with something unread is one, throws away what the kernel has taken and not
	 * sent yet: those bytes go first.
	 */
	io_del(s->loop, &t->io);
	if (!t->connecting && (t->abort || (t->io.ready & IO_RD)))
		ioctl(t->io.fd, SIOCOUTQ, &unsent);
	if (unsent > 0) {
		tcp_linger(s->loop, t->io.fd, t->abort);
	} else {
		if (t->abort)
			sock_set_abort(t->io.fd);
		close(t->io.fd);
	}
	free(t->names);
	stream_done(s);
	loop_free_later(s->loop, t);
}

static int tcp_splice(struct stream *s, enum stream_dir dir, struct stream_raw *out)
{
	struct tcp *t = tcp_of(s);

	if (t->err)
		return t->err;
	if (t->connecting)
		return -EAGAIN;
	out->io = &t->io;
	return 0;
}

/* Of this socket, kept once asked for; NULL: unknown. */
static const struct addr *name_of(struct tcp *t, enum stream_attr attr)
{
	struct addr *a;

	if (!t->names)
		t->names = calloc(1, sizeof(*t->names));
	if (!t->names)
		return NULL;
	a = attr == STREAM_PEER ? &t->names->peer : &t->names->local;
	if (!a->len)
		(void)(attr == STREAM_PEER ? sock_peer(t->io.fd, a) : sock_local(t->io.fd, a));
	return a->len ? a : NULL;
}

static int tcp_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	struct tcp *t = tcp_of(s);
	const struct addr *a = NULL;

	if (attr == STREAM_SOURCE)
		attr = STREAM_PEER;
	if (attr == STREAM_PEER && t->has_peer)
		a = t->peer->len ? t->peer : NULL;
	else if (attr == STREAM_PEER || attr == STREAM_LOCAL)
		a = name_of(t, attr);
	if (!a)
		return -ENOTSUP;
	out->addr = a;
	return 0;
}

static int unix_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	if (attr != STREAM_ABORT)
		return -ENOTSUP;
	tcp_of(s)->abort = v.num != 0;
	return 0;
}

/* What came without an edge is to be found by the next pull. */
static int gather(struct tcp *t, int64_t bytes)
{
	int err = sock_set_rcvlowat(t->io.fd, bytes ? (unsigned)bytes : 1);

	if (!bytes)
		t->io.ready |= IO_RD;
	return err;
}

static int tcp_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	return attr == STREAM_GATHER ? gather(tcp_of(s), v.num) : unix_set(s, attr, v);
}

static const struct stream_ops tcp_ops = {
	.name = "tcp",
	.open = tcp_open,
	.pull = tcp_pull,
	.push = tcp_push,
	.want = tcp_want,
	.shut = tcp_shut,
	.free = tcp_free,
	.splice = tcp_splice,
	.query = tcp_query,
	.set = tcp_set,
};

static const struct stream_ops unix_ops = {
	.name = "unix",
	.open = tcp_open,
	.pull = tcp_pull,
	.push = tcp_push,
	.want = tcp_want,
	.shut = tcp_shut,
	.free = tcp_free,
	.splice = tcp_splice,
	.query = tcp_query,
	.set = unix_set,
};

/* Takes `fd` in any case.  `peer` may be NULL. */
static int leaf_new(struct loop *l, int fd, const struct stream_ops *ops, const struct addr *peer,
		    struct tcp **out)
{
	struct tcp *t = calloc(1, sizeof(*t) + (peer ? sizeof(*peer) : 0));
	int err = -ENOMEM;

	if (t)
		err = io_add(l, &t->io, fd);
	if (err) {
		free(t);
		close(fd);
		return err;
	}
	stream_init(&t->base, ops, l);
	t->chunks = 1;
	t->has_peer = peer;
	if (peer)
		t->peer[0] = *peer;
	*out = t;
	return 0;
}

struct stream *tcp_stream_new(struct loop *l, int fd, const struct addr *peer)
{
	struct tcp *t;

	return leaf_new(l, fd, &tcp_ops, peer, &t) ? NULL : &t->base;
}

int tcp_connect_on(struct loop *l, int fd, const struct addr *to, struct stream **out)
{
	struct tcp *t;
	int err;

	err = sock_connect(fd, to);
	if (err) {
		close(fd);
		return err;
	}
	err = leaf_new(l, fd, &tcp_ops, NULL, &t);
	if (err)
		return err;
	/* What io_add() notes as ready is true of connected sockets only: the first edge decides.
	 */
	t->connecting = true;
	t->io.ready = 0;
	*out = &t->base;
	return 0;
}

int tcp_connect(struct loop *l, const struct addr *to, const struct addr *source,
		struct stream **out)
{
	int fd, err;

	err = sock_new(to->sa.sa_family, SOCK_STREAM, &fd);
	if (err)
		return err;
	err = sock_set_nodelay(fd, true);
	if (!err)
		err = sock_set_keepalive(fd, &sock_usual_keepalive);
	if (!err && source && source->len)
		err = sock_bind_source(fd, source);
	if (err) {
		close(fd);
		return err;
	}
	return tcp_connect_on(l, fd, to, out);
}

static int unix_address(struct sockaddr_un *un, const char *path, socklen_t *len)
{
	size_t n = strlen(path);

	*un = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (n == 0 || n >= sizeof(un->sun_path))
		return -EINVAL;
	memcpy(un->sun_path, path, n);
	if (path[0] == '@')
		un->sun_path[0] = '\0';
	if (path[0] == '@' && path[1] == '@') {
		memmove(un->sun_path + 1, un->sun_path + 2, n - 2);
		un->sun_path[n - 1] = '\0';
		n = sizeof(un->sun_path);
	} else if (path[0] != '@') {
		n++; /* a path has its NUL, an abstract name is as long as it is */
	}
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return 0;
}

int unix_connect(struct loop *l, const char *path, struct stream **out)
{
	struct sockaddr_un un;
	struct tcp *t;
	socklen_t len;
	int fd, err;

	err = unix_address(&un, path, &len);
	if (err)
		return err;
	err = sock_new(AF_UNIX, SOCK_STREAM, &fd);
	if (err)
		return err;
	/* Unix sockets connect at once or not at all: EAGAIN is a full backlog, and no event
	 * follows. */
	if (connect(fd, (struct sockaddr *)&un, len) < 0) {
		err = errno == EAGAIN ? -ECONNREFUSED : -errno;
		close(fd);
		return err;
	}
	err = leaf_new(l, fd, &unix_ops, NULL, &t);
	if (err)
		return err;
	*out = &t->base;
	return 0;
}
