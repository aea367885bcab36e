/* tls_load.c - the two ends of the TLS benchmark: one sends as fast as the other reads. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/listener.h"
#include "stream/tcp.h"
#include "tls/client.h"
#include "tls_bench.h"

#define PIECE (256 * 1024)

/* One connection's end. */
struct pump {
	struct stream *s;
	struct waiter w;
	struct bufq q;
};

static struct loop *loop;
static uint64_t arrived, wanted;
static bool sends;
static int opened;

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int bench_listen(uint16_t *port)
{
	struct sockaddr_in at = loopback(0);
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) || listen(fd, 4096) ||
	    getsockname(fd, (struct sockaddr *)&at, &len))
		abort();
	*port = ntohs(at.sin_port);
	return fd;
}

int bench_connect(uint16_t port)
{
	struct sockaddr_in to = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) ||
	    fcntl(fd, F_SETFL, O_NONBLOCK))
		abort();
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* What the bytes are does not matter: chunks come as the pool has them. */
static void load_queue(struct bufq *q)
{
	while (bufq_len(q) < PIECE) {
		struct buf *b = buf_new(loop_pool(loop));

		if (!b)
			abort();
		b->end += BUF_PAYLOAD;
		bufq_push(q, b);
	}
}

static void pump_step(struct waiter *w)
{
	struct pump *p = container_of(w, struct pump, w);
	ssize_t n = stream_open(p->s);

	if (n == -EAGAIN) {
		stream_want(p->s, STREAM_RD | STREAM_WR, w);
		return;
	}
	if (n == 0 && sends) {
		load_queue(&p->q);
		n = stream_push(p->s, &p->q);
	} else if (n == 0) {
		n = stream_pull(p->s, &p->q, PIECE);
		arrived += n > 0 ? (uint64_t)n : 0;
		bufq_done(&p->q);
	}
	if (n > 0)
		loop_queue(loop, w);
	else if (n == -EAGAIN)
		stream_want(p->s, sends ? STREAM_WR : STREAM_RD, w);
	if (!sends && arrived >= wanted)
		loop_stop(loop);
}

static void pump_start(struct stream *s, void (*step)(struct waiter *w))
{
	struct pump *p = calloc(1, sizeof(*p));

	if (!p || !s)
		abort();
	p->s = s;
	bufq_init(&p->q, loop_pool(loop), SIZE_MAX);
	waiter_init(&p->w, step);
	loop_queue(loop, &p->w);
}

static void accepted(struct listener *l, int fd, const struct addr *peer)
{
	pump_start(tcp_stream_new(loop, fd, peer), pump_step);
}

static void begin(const struct bench *b, bool sending)
{
	loop = loop_new(LOOP_EPOLL, 0);
	if (!loop)
		abort();
	wanted = b->bytes;
	sends = sending;
}

void load_target(const struct bench *b, int listener)
{
	static struct listener l;

	begin(b, !b->up);
	listener_init(&l, loop, accepted);
	if (listener_adopt(&l, listener))
		abort();
	loop_run(loop);
}

static struct stream *client_stream(const struct bench *b, const struct tls_client_conf *conf)
{
	struct stream *s = tcp_stream_new(loop, bench_connect(b->relay_port), NULL);

	return !s || !strcmp(b->way, "copy") || !strcmp(b->way, "cipher") ? s
									  : tls_client_new(s, conf);
}

static struct tls_client_conf *client_conf(void)
{
	struct tls_client_options o = {.server_name = "bench.example", .verify = TLS_VERIFY_NONE};
	char why[200];

	return tls_client_conf_new(&o, why, sizeof(why));
}

void load_client(const struct bench *b)
{
	begin(b, b->up);
	for (int i = 0; i < b->flows; i++)
		pump_start(client_stream(b, client_conf()), pump_step);
	loop_run(loop);
}

static void idle_step(struct waiter *w)
{
	struct pump *p = container_of(w, struct pump, w);
	int err = stream_open(p->s);

	if (err == -EAGAIN)
		stream_want(p->s, STREAM_RD | STREAM_WR, w);
	else if (err)
		abort();
	else
		opened++;
}

void load_idle(const struct bench *b, int ready)
{
	struct tls_client_conf *conf = client_conf();

	begin(b, false);
	/* Sixteen at a time: a burst like those that a node sees, not one at a time. */
	for (int i = 0; i < b->flows; i++) {
		pump_start(client_stream(b, conf), idle_step);
		while (i - opened > 16)
			loop_turn(loop, NSEC_SEC);
	}
	while (opened < b->flows)
		loop_turn(loop, NSEC_SEC);
	if (write(ready, "!", 1) != 1)
		abort();
	pause();
}
