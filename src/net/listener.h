/* listener.h - accepts TCP connections on one loop and hands their descriptors out.
 *
 * A batch per turn, so that a flood of connections does not starve those that exist.  When
 * descriptors or memory run out accepting rests for a moment: the connection waits in the kernel's
 * backlog meanwhile, and a warning is the owner's to give (`failed`).
 *
 *     listener_init(&l, loop, accept_one);
 *     err = listener_open(&l, &at, &conf);
 *
 * With SO_REUSEPORT every worker has its own; the kernel spreads connections over them.
 * The owner embeds it.  All calls on the loop's thread; from within `accept` all are allowed.
 */
#ifndef WEIR_NET_LISTENER_H
#define WEIR_NET_LISTENER_H

#include "event/loop.h"
#include "net/addr.h"
#include "net/sock.h"

#define LISTENER_BATCH 64
#define LISTENER_REST  (100 * NSEC_MS)
#define LISTENER_TFO   256 /* a queue of usual length for `tfo` */

struct listener_conf {
	int backlog;				/* 0: SOMAXCONN */
	bool reuseport;				/* one socket per worker on the same port */
	bool v6only;				/* an IPv6 wildcard then takes no IPv4 */
	unsigned tfo;				/* TCP Fast Open queue; 0: off */
	const struct sock_keepalive *keepalive; /* of the accepted connections; NULL: none */
};

struct listener {
	struct loop *loop;
	int fd; /* -1: closed */
	bool paused;
	struct io io;
	struct waiter ready;
	struct timer rest;
	uint64_t accepted;
	uint64_t failures; /* times accepting had to rest */

	/* `fd` is non-blocking, close-on-exec, TCP_NODELAY and from now on the callee's. */
	void (*accept)(struct listener *l, int fd, const struct addr *peer);
	void (*failed)(struct listener *l, int err); /* may be NULL */
	/* True: not now; accepting rests (-ENOBUFS) and asks again.  May be NULL. */
	bool (*busy)(struct listener *l);
};

void listener_init(struct listener *l, struct loop *loop,
		   void (*accept)(struct listener *l, int fd, const struct addr *peer));

/* 0, or -errno and nothing is open. */
MUST_CHECK int listener_open(struct listener *l, const struct addr *at,
			     const struct listener_conf *conf);

/* Only the socket, bound and listening, for listener_adopt() on another thread.  0 or -errno. */
MUST_CHECK int listener_bind(const struct addr *at, const struct listener_conf *conf, int *fd);

/* Take over a listening socket (from an old process, or bound before privileges went).  On failure
 * the descriptor stays the caller's.
 */
MUST_CHECK int listener_adopt(struct listener *l, int fd);

/* While paused, connections wait in the backlog. */
void listener_pause(struct listener *l);
void listener_resume(struct listener *l);

void listener_close(struct listener *l); /* idempotent; harmless on one that is zero-filled */

/* Accept what has already connected, then close: a bare close would reset the connections that wait
 * in the backlog.  From the owner's own call, not from within `accept`.
 */
void listener_drain(struct listener *l);

#endif
