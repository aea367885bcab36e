/* load_dgram.c - datagrams: users who keep a window of them under way, and a target that sends each
 * back.  What is lost is not sent again: a user who has heard nothing for a while starts anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define SIZE   200 /* of a datagram's payload */
#define WINDOW 64
#define BATCH  64
#define LOST   (50 * NSEC_MS)

/* ---- the target -------------------------------------------------------------------------- */

struct echo {
	struct io io;
	struct waiter w;
	struct loop *loop;
};

static void echo_some(struct echo *e)
{
	static uint8_t data[BATCH][2048];
	static struct sockaddr_storage from[BATCH];
	struct mmsghdr m[BATCH];
	struct iovec iov[BATCH];
	int n;

	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){data[i], sizeof(data[i])};
		m[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &from[i],
						    .msg_namelen = sizeof(from[i]),
						    .msg_iov = &iov[i],
						    .msg_iovlen = 1}};
	}
	n = recvmmsg(e->io.fd, m, BATCH, 0, NULL);
	if (n < BATCH)
		e->io.ready &= (uint8_t)~IO_RD;
	for (int i = 0; i < n; i++)
		iov[i].iov_len = m[i].msg_len;
	if (n > 0)
		(void)sendmmsg(e->io.fd, m, (unsigned)n, 0);
}

static void on_echo(struct waiter *w)
{
	struct echo *e = container_of(w, struct echo, w);

	echo_some(e);
	io_want(e->loop, &e->io, IO_RD, &e->w);
}

void load_echo_open(struct load *l, uint16_t port)
{
	static struct echo e;
	struct addr at = addr_from_ip4("\x7f\0\0\1", port);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), room = 4 << 20;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (fd < 0 || bind(fd, &at.sa, at.len) < 0 || io_add(l->loop, &e.io, fd))
		load_die("echo", -errno);
	e.loop = l->loop;
	waiter_init(&e.w, on_echo);
	io_want(l->loop, &e.io, IO_RD, &e.w);
}

/* ---- a user ------------------------------------------------------------------------------ */

struct talker {
	struct load *load;
	struct dgram *d;
	struct waiter w;
	struct timer lost;
	int under_way;
	uint64_t heard, heard_then;
};

static void hear(struct talker *t)
{
	struct packet p[DGRAM_BATCH];
	int n = dgram_recv(t->d, p, DGRAM_BATCH);

	if (n == 0 || (n < 0 && n != -EAGAIN))
		load_die("datagrams", n ? n : -ECONNRESET);
	for (int i = 0; i < n; i++) {
		if (buf_len(p[i].buf) != SIZE)
			load_die("a datagram of another size", -EBADMSG);
		buf_free(p[i].buf);
	}
	n = MAX(n, 0);
	t->heard += (uint64_t)n;
	t->load->pings += (uint64_t)n;
	t->under_way = MAX(t->under_way - n, 0);
}

static void say(struct talker *t)
{
	int want = MIN(WINDOW - t->under_way, DGRAM_BATCH), n;
	struct packet p[DGRAM_BATCH];

	/* Few at a time cost more than many: half a window is worth going. */
	if (want < DGRAM_BATCH)
		return;
	for (int i = 0; i < want; i++) {
		p[i] = (struct packet){.buf = buf_new(loop_pool(t->load->loop)),
				       .dest = t->load->to};
		if (!p[i].buf)
			load_die("memory", -ENOMEM);
		memset(p[i].buf->data + p[i].buf->end, '.', SIZE);
		p[i].buf->end += SIZE;
	}
	n = dgram_send(t->d, p, want);
	if (n < 0 && n != -EAGAIN)
		load_die("datagrams", n);
	n = MAX(n, 0);
	for (int i = n; i < want; i++)
		buf_free(p[i].buf);
	t->under_way += n;
}

static void on_talk(struct waiter *w)
{
	struct talker *t = container_of(w, struct talker, w);

	hear(t);
	say(t);
	dgram_want(t->d, STREAM_RD, &t->w);
}

static void on_lost(struct timer *timer)
{
	struct talker *t = container_of(timer, struct talker, lost);

	if (t->heard == t->heard_then) {
		t->under_way = 0;
		loop_queue(t->load->loop, &t->w);
	}
	t->heard_then = t->heard;
	timer_set(t->load->loop, &t->lost, loop_now(t->load->loop) + LOST);
}

void load_talker_new(struct load *l)
{
	struct talker *t = calloc(1, sizeof(*t));
	int err = t ? dialer_dgram(l->dialer, l->loop, &l->to, &t->d) : -ENOMEM;

	if (err)
		load_die("association", err);
	t->load = l;
	waiter_init(&t->w, on_talk);
	timer_init(&t->lost, on_lost);
	timer_set(l->loop, &t->lost, loop_now(l->loop) + LOST);
	loop_queue(l->loop, &t->w);
}
