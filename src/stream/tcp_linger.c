#include "stream/tcp_linger.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "net/sock.h"

#define LOOK_EVERY  (20 * NSEC_MS)
#define AT_MOST	    (10 * NSEC_SEC)
#define AFTER_TAKEN NSEC_SEC /* for the peer to end its side */
#define READ_SIZE   16384
#define READS	    32 /* a look */

/* All of one loop: they end with it. */
struct lingers {
	struct loop_local local;
	struct list_node all;
};

struct linger_fd {
	struct list_node link;
	struct timer look;
	struct loop *loop;
	nsec_t until;
	int fd;
	bool abort, taken;
};

static const char lingers_key;

static void linger_end(struct linger_fd *g)
{
	if (g->abort)
		sock_set_abort(g->fd);
	close(g->fd);
	timer_stop(&g->look);
	list_del(&g->link);
	free(g);
}

static void lingers_free(struct loop_local *local)
{
	struct lingers *all = container_of(local, struct lingers, local);
	struct list_node *pos, *tmp;

	list_for_each_safe(pos, tmp, &all->all)
		linger_end(list_entry(pos, struct linger_fd, link));
	free(all);
}

static struct lingers *lingers_of(struct loop *l)
{
	struct loop_local *local = loop_local_find(l, &lingers_key);
	struct lingers *all;

	if (local)
		return container_of(local, struct lingers, local);
	all = calloc(1, sizeof(*all));
	if (!all)
		return NULL;
	all->local.key = &lingers_key;
	all->local.free = lingers_free;
	list_init(&all->all);
	loop_local_add(l, &all->local);
	return all;
}

/* True when nothing more will come. */
static bool forget_input(int fd)
{
	uint8_t nowhere[READ_SIZE];
	ssize_t n;

	for (int i = 0; i < READS; i++) {
		n = recv(fd, nowhere, sizeof(nowhere), MSG_DONTWAIT);
		if (n <= 0)
			return n == 0 || (errno != EAGAIN && errno != EINTR);
	}
	return false;
}

/* A reset leaves the count of what is out as it was: there is nothing to wait for all the same. */
static bool is_over(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return !getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) && info.tcpi_state == TCP_CLOSE;
}

static void on_look(struct timer *t)
{
	struct linger_fd *g = container_of(t, struct linger_fd, look);
	nsec_t now = loop_now(g->loop);
	bool ended = forget_input(g->fd);
	int unsent = 0;

	if (!g->taken && (ioctl(g->fd, SIOCOUTQ, &unsent) < 0 || unsent == 0)) {
		g->taken = true;
		g->until = MIN(g->until, now + AFTER_TAKEN);
	}
	if ((g->taken && (g->abort || ended)) || now >= g->until || (ended && is_over(g->fd)))
		linger_end(g);
	else
		timer_set(g->loop, t, now + LOOK_EVERY);
}

void tcp_linger(struct loop *l, int fd, bool abort)
{
	struct lingers *all = is_over(fd) ? NULL : lingers_of(l);
	struct linger_fd *g = all ? calloc(1, sizeof(*g)) : NULL;

	if (!g) {
		close(fd);
		return;
	}
	if (!abort)
		shutdown(fd, SHUT_WR); /* the end of what is on its way */
	*g = (struct linger_fd){
		.loop = l, .fd = fd, .abort = abort, .until = loop_now(l) + AT_MOST};
	timer_init(&g->look, on_look);
	list_add(&all->all, &g->link);
	timer_set(l, &g->look, loop_now(l) + LOOK_EVERY);
}
