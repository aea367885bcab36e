/* weir_relay.c - the program's own relay and nothing else of it: listener, two TCP leaves, relay.
 * To be held against the floors.  `weir_relay LISTEN-PORT TARGET-PORT [copy]`.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/listener.h"
#include "stream/relay.h"
#include "stream/tcp.h"

struct conn {
	struct relay relay;
	struct meter meter;
	uint64_t bytes[2];
	struct stream *a, *b;
	struct loop *loop;
	struct waiter w;
	bool relaying;
};

static struct relay_conf conf = {.idle = 300 * NSEC_SEC, .linger = 60 * NSEC_SEC, .splice = true};
static struct addr target;

static size_t allow(struct meter *m, enum relay_dir dir, size_t want, nsec_t now, nsec_t *pause)
{
	return want;
}

static void count(struct meter *m, enum relay_dir dir, size_t bytes, nsec_t now)
{
	container_of(m, struct conn, meter)->bytes[dir] += bytes;
}

static void conn_free(struct conn *c)
{
	if (c->relaying)
		relay_stop(&c->relay);
	waiter_cancel(&c->w);
	stream_free(c->a);
	stream_free(c->b);
	loop_free_later(c->loop, c);
}

static void on_wake(struct waiter *w)
{
	struct conn *c = container_of(w, struct conn, w);
	int err;

	if (c->relaying) {
		conn_free(c);
		return;
	}
	err = stream_open(c->b);
	if (err == -EAGAIN) {
		stream_want(c->b, STREAM_RD | STREAM_WR, w);
	} else if (err) {
		conn_free(c);
	} else {
		c->relaying = true;
		relay_start(&c->relay, &(struct relay_plan){.a = c->a,
							    .b = c->b,
							    .meter = &c->meter,
							    .conf = &conf,
							    .done = &c->w});
	}
}

static void on_accept(struct listener *l, int fd, const struct addr *peer)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->loop = l->loop;
	c->meter = (struct meter){.allow = allow, .count = count};
	waiter_init(&c->w, on_wake);
	c->a = tcp_stream_new(l->loop, fd, peer);
	if (!c->a || tcp_connect(l->loop, &target, NULL, &c->b)) {
		conn_free(c);
		return;
	}
	loop_queue(c->loop, &c->w);
}

int main(int argc, char **argv)
{
	struct loop *loop = loop_new(LOOP_EPOLL, 0);
	struct listener listener;
	struct addr at;
	int err;

	if (argc < 3 || !loop) {
		fprintf(stderr, "usage: %s LISTEN-PORT TARGET-PORT [copy]\n", argv[0]);
		return 2;
	}
	conf.splice = argc < 4 || strcmp(argv[3], "copy") != 0;
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	at = addr_from_ip4("\x7f\0\0\1", (uint16_t)atoi(argv[1]));
	target = addr_from_ip4("\x7f\0\0\1", (uint16_t)atoi(argv[2]));
	listener_init(&listener, loop, on_accept);
	err = listener_open(&listener, &at, &(struct listener_conf){0});
	if (err) {
		fprintf(stderr, "listen: %s\n", err_text(err));
		return 1;
	}
	loop_run(loop);
	loop_free(loop);
	return 0;
}
