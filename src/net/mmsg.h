/* mmsg.h - datagrams in batches: one system call for up to MMSG_BATCH packets.
 *
 * `local` is the address a packet was sent to, and the one an answer must come from: on a wildcard
 * socket the kernel would choose by route, and a client behind NAT would not know the answer.  It
 * is filled in where mmsg_want_local() was called, and unset (len 0) elsewhere.
 */
#ifndef WEIR_NET_MMSG_H
#define WEIR_NET_MMSG_H

#include "base/buf.h"
#include "net/addr.h"

#define MMSG_BATCH 32

struct mmsg {
	struct buf *buf;   /* one chunk per packet; may be empty */
	struct addr peer;  /* where it came from, where it goes; unset: the connected peer */
	struct addr local; /* without a port */
};

/* Ask for local addresses on this socket.  0 or -errno. */
int mmsg_want_local(int fd, int family);

/* Up to `max` packets, whose chunks are then the caller's.  A packet of more than BUF_PAYLOAD bytes
 * is dropped and counted in *dropped.  >= 0: that many (0: all were dropped, try again); -EAGAIN:
 * no more;
 * -ENOMEM: no chunk to receive into; -errno (ECONNREFUSED on connected sockets: an ICMP message).
 */
MUST_CHECK int mmsg_recv(int fd, struct buf_pool *pool, struct mmsg *m, int max, uint64_t *dropped);

/* Send m[0..n), whose chunks stay the caller's.  `family` is the socket's: on AF_INET6 an IPv4 peer
 * is mapped.  > 0: that many were sent; -EAGAIN: none; -errno: m[0] cannot be sent, drop it.
 */
MUST_CHECK int mmsg_send(int fd, int family, const struct mmsg *m, int n);

#endif
