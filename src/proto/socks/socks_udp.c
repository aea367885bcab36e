/* The client's datagrams with their SOCKS headers taken off and put on.  The client is whoever
 * sends the first one from the address that the control connection has.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/socks/socks.h"
#include "proto/socks/socks_wire.h"

struct socks_udp {
	struct dgram d;
	struct stream *control;
	struct dgram *udp;
	struct addr allowed; /* the control connection's far end; its port is another */
	struct dest client;  /* DEST_NONE until the first datagram */
	struct waiter ended; /* the control connection has something to say: its end */
	struct waiter *rd;
	bool over;
};

static struct socks_udp *of(const struct dgram *d)
{
	return container_of(d, struct socks_udp, d);
}

static void watch_control(struct socks_udp *u)
{
	struct bufq q;
	ssize_t n;

	bufq_init(&q, loop_pool(u->d.loop), 4096);
	do {
		n = stream_pull(u->control, &q, 4096);
		bufq_done(&q);
	} while (n > 0);
	if (n == -EAGAIN)
		stream_want(u->control, STREAM_RD, &u->ended);
	else
		u->over = true;
}

static void on_control(struct waiter *w)
{
	struct socks_udp *u = container_of(w, struct socks_udp, ended);

	watch_control(u);
	if (u->over && u->rd)
		loop_queue(u->d.loop, u->rd);
}

static bool from_client(struct socks_udp *u, const struct dest *from)
{
	struct addr a, want = u->allowed;

	if (u->client.type != DEST_NONE)
		return dest_equal(&u->client, from);
	if (dest_addr(from, &a))
		return false;
	addr_set_port(&want, addr_port(&a));
	if (!addr_equal(&a, &want))
		return false;
	u->client = *from;
	return true;
}

/* Take the header off: false drops the packet. */
static bool unwrap(struct socks_udp *u, struct packet *p)
{
	struct rd r = rd_of(buf_head(p->buf), buf_len(p->buf));
	struct dest to;

	if (!from_client(u, &p->dest) || socks_udp_parse(&r, &to))
		return false;
	p->buf->start += (uint32_t)r.pos;
	p->dest = to;
	return true;
}

/* >0, or what the socket said; 0: nothing in this batch was the client's. */
static int recv_batch(struct socks_udp *u, struct packet *p, int max)
{
	int n, kept = 0;

	n = dgram_recv(u->udp, p, max);
	for (int i = 0; i < n; i++) {
		if (unwrap(u, &p[i])) {
			if (kept != i)
				p[kept] = p[i];
			kept++;
		} else {
			u->d.dropped++;
			buf_free(p[i].buf);
		}
	}
	return n > 0 ? kept : n;
}

static int socks_recv(struct dgram *d, struct packet *p, int max)
{
	int n = 0;

	/* strangers' packets do not count: until the socket is empty */
	while (n == 0 && !of(d)->over)
		n = recv_batch(of(d), p, max);
	return n;
}

static bool wrap(struct socks_udp *u, struct packet *p)
{
	uint8_t head[SOCKS_MSG_MAX + 3];
	struct wr w = wr_of(head, sizeof(head));

	socks_udp_emit(&w, &p->dest);
	if (w.err || p->buf->start < w.len || u->client.type == DEST_NONE)
		return false;
	p->buf->start -= (uint32_t)w.len;
	memcpy(buf_head(p->buf), head, w.len);
	p->dest = u->client;
	return true;
}

static int socks_send(struct dgram *d, struct packet *p, int n)
{
	struct socks_udp *u = of(d);

	for (int i = 0; i < n; i++) {
		if (!wrap(u, &p[i]) || dgram_send(u->udp, &p[i], 1) < 1) {
			d->dropped++;
			buf_free(p[i].buf);
		}
		p[i].buf = NULL;
	}
	return n;
}

static void socks_want(struct dgram *d, unsigned ev, struct waiter *w)
{
	struct socks_udp *u = of(d);

	if (ev & STREAM_RD)
		u->rd = w;
	dgram_want(u->udp, ev, w);
}

static void socks_free(struct dgram *d)
{
	struct socks_udp *u = of(d);

	waiter_cancel(&u->ended);
	stream_free(u->control);
	dgram_free(u->udp);
	loop_free_later(d->loop, u);
}

static const struct dgram_ops socks_udp_ops = {
	.name = "socks",
	.recv = socks_recv,
	.send = socks_send,
	.want = socks_want,
	.free = socks_free,
};

struct dgram *socks_udp_new(struct stream *control, struct dgram *udp)
{
	struct socks_udp *u = calloc(1, sizeof(*u));

	if (!u) {
		stream_free(control);
		dgram_free(udp);
		return NULL;
	}
	u->d = (struct dgram){.ops = &socks_udp_ops, .loop = control->loop};
	u->control = control;
	u->udp = udp;
	stream_peer(control, &u->allowed);
	waiter_init(&u->ended, on_control);
	watch_control(u);
	return &u->d;
}
