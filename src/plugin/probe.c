#include "plugin/probe.h"

#include <unistd.h>

#include "net/sock.h"

#define EVERY (50 * NSEC_MS)

static void forget(struct port_probe *p)
{
	if (p->watch.fd < 0)
		return;
	if (watch_set(p->loop, &p->watch, 0) == 0)
		close(p->watch.fd);
	p->watch.fd = -1;
}

static void finish(struct port_probe *p, bool accepts)
{
	port_probe_stop(p);
	p->done(p, accepts);
}

/* Where nobody listens on a port of the kernel's own range, a connection to it may become one with
 * itself.
 */
static bool is_connected(int fd)
{
	struct addr us, them;

	return sock_error(fd) == 0 && sock_peer(fd, &them) == 0 && sock_local(fd, &us) == 0 &&
	       !addr_equal(&us, &them);
}

static void on_writable(struct watch *w, unsigned ev)
{
	struct port_probe *p = container_of(w, struct port_probe, watch);

	if (is_connected(w->fd))
		finish(p, true);
	else
		forget(p);
}

static void look(struct timer *t)
{
	struct port_probe *p = container_of(t, struct port_probe, again);
	nsec_t now = loop_now(p->loop);
	int fd;

	forget(p);
	if (now >= p->until) {
		finish(p, false);
		return;
	}
	timer_set(p->loop, t, now + EVERY);
	if (sock_new(p->at.sa.sa_family, SOCK_STREAM, &fd) < 0)
		return;
	p->watch = (struct watch){.fd = fd, .fire = on_writable};
	sock_set_abort(fd); /* it holds up no port, whatever becomes of it */
	if (sock_connect(fd, &p->at) < 0 || watch_set(p->loop, &p->watch, IO_WR) < 0) {
		close(fd);
		p->watch.fd = -1;
	}
}

void port_probe_init(struct port_probe *p, struct loop *l,
		     void (*done)(struct port_probe *p, bool accepts))
{
	*p = (struct port_probe){.loop = l, .done = done, .watch = {.fd = -1}};
	timer_init(&p->again, look);
}

void port_probe_start(struct port_probe *p, const struct addr *at, nsec_t patience)
{
	p->at = *at;
	p->until = loop_now(p->loop) + patience;
	timer_set(p->loop, &p->again, loop_now(p->loop) + EVERY);
}

void port_probe_stop(struct port_probe *p)
{
	timer_stop(&p->again);
	forget(p);
}
