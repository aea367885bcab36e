/* load_target.c - the far end: sockets by hand, so that it costs as little as can be. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "net/listener.h"

struct end {
	struct io io;
	struct waiter w;
	struct load *load;
	uint8_t wish; /* 0: not told yet */
	bool begun;
	uint64_t at; /* bulk: how far it is */
};

struct target {
	struct listener listener;
	struct load *load;
};

static char block[LOAD_BLOCK];

static void end_free(struct end *e)
{
	io_del(e->load->loop, &e->io);
	close(e->io.fd);
	loop_free_later(e->load->loop, e);
}

/* One read; false when the connection is over. */
static bool receive(struct end *e)
{
	/* thrown away by the kernel */
	int discard = e->wish == LOAD_UP && !e->load->check ? MSG_TRUNC : 0;
	ssize_t n = recv(e->io.fd, block, sizeof(block), discard), off = 0;

	if (n < 0 && errno == EAGAIN) {
		e->io.ready &= (uint8_t)~IO_RD;
		return true;
	}
	if (n <= 0)
		return false;
	if (!e->wish) {
		e->wish = (uint8_t)block[0];
		off = e->wish != LOAD_PING;
	}
	if (e->wish == LOAD_UP) {
		load_compare(e->load, e->at, block + off, (size_t)(n - off));
		e->at += (uint64_t)(n - off);
		load_moved(e->load, &e->begun, (size_t)(n - off));
	} else if (e->wish == LOAD_PING && send(e->io.fd, block, (size_t)n, MSG_NOSIGNAL) != n) {
		return false;
	}
	return true;
}

static bool supply(struct end *e)
{
	ssize_t n = send(e->io.fd, load_pattern(e->at), LOAD_BLOCK, MSG_NOSIGNAL);

	if (n < LOAD_BLOCK)
		e->io.ready &= (uint8_t)~IO_WR;
	e->at += n > 0 ? (uint64_t)n : 0;
	return n > 0 || errno == EAGAIN;
}

static void on_wake(struct waiter *w)
{
	struct end *e = container_of(w, struct end, w);
	bool sends = e->wish == LOAD_DOWN;
	enum io_event ev = sends ? IO_WR : IO_RD;

	if (!(sends ? supply(e) : receive(e))) {
		end_free(e);
		return;
	}
	io_want(e->load->loop, &e->io, ev, &e->w); /* at once while it is still ready */
}

static void on_accept(struct listener *l, int fd, const struct addr *peer)
{
	struct load *load = container_of(l, struct target, listener)->load;
	struct end *e = calloc(1, sizeof(*e));
	int err = e ? io_add(load->loop, &e->io, fd) : -ENOMEM;

	if (err)
		load_die("target", err);
	e->load = load;
	waiter_init(&e->w, on_wake);
	io_want(load->loop, &e->io, IO_RD, &e->w);
}

void load_target_open(struct load *l, uint16_t port)
{
	static struct target t;
	struct addr at = addr_from_ip4("\x7f\0\0\1", port);
	int err;

	t.load = l;
	listener_init(&t.listener, l->loop, on_accept);
	err = listener_open(&t.listener, &at, &(struct listener_conf){.backlog = 4096});
	if (err)
		load_die("target", err);
}
