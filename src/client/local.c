#include "client/local.h"

#include <unistd.h>

#include "client/fixed.h"
#include "net/sock.h"
#include "proto/socks/socks.h"
#include "stream/tcp.h"

static struct stream *build_stack(struct session_inbound *si, struct stream *leaf)
{
	struct local *l = container_of(si, struct local, si);

	return l->to ? fixed_new(leaf, l->to) : socks_server_new(leaf);
}

static void on_accept(struct listener *listener, int fd, const struct addr *peer)
{
	struct local *l = container_of(listener, struct local, listener);
	struct stream *leaf = tcp_stream_new(l->si.loop, fd, peer);

	if (leaf)
		session_start(&l->si, leaf);
}

int local_open(struct local *l, struct loop *loop, const struct addr *at, const struct dest *to,
	       struct dialer *outbound, const struct session_times *times)
{
	const struct listener_conf conf = {0};

	*l = (struct local){.to = to};
	l->si = (struct session_inbound){
		.loop = loop,
		.stack = build_stack,
		.outbound = outbound,
		.times = times,
		.reject = REJECT_CLOSE,
	};
	list_init(&l->si.sessions);
	listener_init(&l->listener, loop, on_accept);
	return listener_open(&l->listener, at, &conf);
}

int local_bound(const struct local *l, struct addr *out)
{
	return sock_local(l->listener.fd, out);
}

void local_close(struct local *l)
{
	listener_close(&l->listener);
	if (!l->si.loop)
		return;
	session_end_all(&l->si);
}
