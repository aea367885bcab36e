/* endpoint.h - where a manager listens: a unix datagram socket or UDP, and who has spoken to it.
 *
 * Threads: control only.
 */
#ifndef WEIR_MANAGER_ENDPOINT_H
#define WEIR_MANAGER_ENDPOINT_H

#include <sys/un.h>

#include "event/loop.h"
#include "net/addr.h"

#define ENDPOINT_WHY_MAX 192
#define DATAGRAM_MAX	 65507

struct peer {
	union {
		struct sockaddr sa;
		struct sockaddr_un un;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;
};

bool peer_equal(const struct peer *a, const struct peer *b);
bool peer_named(const struct peer *p); /* false: an unbound unix socket, which hears no answer */

struct endpoint_conf {
	const char *address; /* path, "@name", "host:port", "[v6]:port"; host alone with `port` */
	int port;	     /* 0: in `address` */
	unsigned mode;	     /* of a path; 0: 0600 */
	bool allow_remote;   /* UDP beyond loopback, where nobody has to say who he is */
	bool no_names;	     /* of hosts, but for localhost: asking a resolver takes its time */
};

struct endpoint {
	int fd; /* -1: closed */
	struct watch watch;
	struct loop *loop;
	char *text; /* what is being received */
	char *path; /* to be unlinked; NULL: none */
	void (*received)(void *arg, char *text, size_t len, const struct peer *from);
	void *arg;
	struct timer again; /* for those who did not take their datagram at once */
	struct unsent *unsent, **last;
	size_t waiting; /* bytes of them */
	uint64_t lost;
};

/* What of it can be wrong in itself: 0, -ERR_CONFIG, -ERR_DENIED, with a sentence.  With `no_names` it
 * asks nobody.
 */
MUST_CHECK int endpoint_check(const struct endpoint_conf *conf, char why[ENDPOINT_WHY_MAX]);

/* Where that is, for who wants to speak to it.  0, -ERR_CONFIG with a sentence. */
MUST_CHECK int endpoint_resolve(const struct endpoint_conf *conf, struct peer *out,
				char why[ENDPOINT_WHY_MAX]);

/* 0; -EADDRINUSE: somebody answers there; -ERR_CONFIG, -ERR_DENIED, -errno, with a sentence. */
MUST_CHECK int endpoint_open(struct endpoint *ep, struct loop *l, const struct endpoint_conf *conf,
			     void (*received)(void *arg, char *text, size_t len,
					      const struct peer *from),
			     void *arg, char why[ENDPOINT_WHY_MAX]);
void endpoint_close(struct endpoint *ep); /* idempotent after a successful open */

/* A path is free for who comes next; whom this one has heard can be sent to as before, from the same
 * address.  UDP and abstract names stay taken until endpoint_close(): they cannot be given up without
 * the address, and a client who has connected to it would hear nobody else.
 */
void endpoint_leave(struct endpoint *ep);

/* Receive all that has come already. */
void endpoint_drain(struct endpoint *ep);

/* Now: 0, -EAGAIN (he does not read), or what the kernel says: -ECONNREFUSED, -ENOENT, ... */
MUST_CHECK int endpoint_try(struct endpoint *ep, const struct peer *to, const char *text,
			    size_t len);

/* Now or in a moment, in order; who never reads, or has gone, loses it. */
void endpoint_send(struct endpoint *ep, const struct peer *to, const char *text, size_t len);

#endif
