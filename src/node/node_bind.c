/* The sockets of a node: those that a new configuration needs and the old one has not. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "net/sock.h"
#include "node/inbound_plugin.h"
#include "node/node_apply.h"

static bool listens_at(const struct node *n, const struct addr *at, uint8_t kind)
{
	for (unsigned i = 0; i < n->nlistening; i++) {
		if (addr_equal(&n->listening[i], at) && n->kinds[i] == kind)
			return true;
	}
	return false;
}

/* In a row of any kind. */
static bool holds(const struct node *n, const struct addr *at, bool udp)
{
	for (unsigned i = 0; i < n->nlistening; i++) {
		if (addr_equal(&n->listening[i], at) &&
		    inbound_serves(n->in, (enum inbound_kind)n->kinds[i], udp))
			return true;
	}
	return false;
}

void node_bind_close(struct node *n, struct apply *a)
{
	for (unsigned w = 0; w < n->env.workers->n && a->fds; w++) {
		for (unsigned i = 0; i < INBOUND_FDS; i++) {
			if (*apply_fd(a, w, i) >= 0)
				close(*apply_fd(a, w, i));
		}
	}
}

/* The workers share the port by SO_REUSEPORT, which would also let another node, or another program
 * of ours, share it: half of the clients would land there.  Without it the kernel says who is
 * there.
 */
static int probe(const struct addr *at, bool udp)
{
	const struct listener_conf alone = {0};
	int fd, err = udp ? sock_udp_open(at, false, &fd) : listener_bind(at, &alone, &fd);

	if (!err)
		close(fd);
	return err;
}

static int bind_one(struct node *n, struct apply *a, unsigned i, bool udp)
{
	struct inbound *in = a->in;
	int err = holds(n, &in->listen[i], udp) ? 0 : probe(&in->listen[i], udp);

	for (unsigned w = 0; w < n->env.workers->n && !err; w++) {
		if (udp)
			err = sock_udp_open(&in->listen[i], true,
					    apply_fd(a, w, INBOUND_LISTEN_MAX + i));
		else
			err = listener_bind(&in->listen[i], &in->listener, apply_fd(a, w, i));
	}
	return err;
}

static void close_row(struct node *n, struct apply *a, unsigned i)
{
	for (unsigned w = 0; w < n->env.workers->n; w++) {
		int *both[] = {apply_fd(a, w, i), apply_fd(a, w, INBOUND_LISTEN_MAX + i)};

		for (int k = 0; k < 2; k++) {
			if (*both[k] >= 0)
				close(*both[k]);
			*both[k] = -1;
		}
	}
}

/* *udp: how far it came. */
static int bind_row(struct node *n, struct apply *a, unsigned i, bool *udp)
{
	enum inbound_kind kind = (enum inbound_kind)a->in->kind[i];
	int err = 0;

	*udp = false;
	if (inbound_serves(a->in, kind, false))
		err = bind_one(n, a, i, false);
	if (!err && inbound_serves(a->in, kind, true)) {
		*udp = true;
		err = bind_one(n, a, i, true);
	}
	return err;
}

/* A number that is free for TCP and UDP; whoever takes it meanwhile makes us choose again. */
static int bind_any(struct node *n, struct apply *a, unsigned i, bool *udp)
{
	struct addr *at = &a->in->listen[i], any = *at;
	int err = -EADDRINUSE;

	for (int tries = 0; tries < 20 && err == -EADDRINUSE; tries++) {
		uint16_t port;

		*at = any;
		err = plugin_free_port(PLUGIN_TCP_AND_UDP, &port);
		if (err)
			break;
		addr_set_port(at, port);
		err = bind_row(n, a, i, udp);
		if (err)
			close_row(n, a, i);
	}
	return err;
}

int node_bind(struct node *n, struct apply *a)
{
	unsigned total = n->env.workers->n * INBOUND_FDS;
	int err = 0;

	a->fds = malloc(total * sizeof(*a->fds));
	if (!a->fds)
		return -ENOMEM;
	for (unsigned i = 0; i < total; i++)
		a->fds[i] = -1;
	for (unsigned i = 0; i < a->in->nlisten && !err; i++) {
		struct addr *at = &a->in->listen[i];
		char text[ADDR_TEXT_MAX];
		bool udp = false;

		if (listens_at(n, at, a->in->kind[i]))
			continue;
		/* only the plugin needs to know this number */
		err = a->in->plugin && a->in->plugin->inner == i ? bind_any(n, a, i, &udp)
								 : bind_row(n, a, i, &udp);
		if (err)
			log_msg(LOG_ERROR, "node", "%s: cannot listen on %s%s: %s", n->tag,
				addr_format(at, text), udp ? " (UDP)" : "", err_text(err));
	}
	return err;
}
