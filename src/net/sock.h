/* sock.h - sockets with their options, as values with errors.
 *
 * Every descriptor made here is non-blocking and close-on-exec.  Functions return 0 or -errno.
 */
#ifndef WEIR_NET_SOCK_H
#define WEIR_NET_SOCK_H

#include "net/addr.h"

struct sock_keepalive {
	unsigned idle_s;     /* silence before the first probe; 0: the kernel's */
	unsigned interval_s; /* between probes; 0: the kernel's */
	unsigned count;	     /* probes without an answer that end it; 0: the kernel's */
};

/* Of both sides of every relay: a peer that has vanished is noticed after two minutes. */
extern const struct sock_keepalive sock_usual_keepalive;

/* A stream or datagram (`type`: SOCK_STREAM, SOCK_DGRAM) socket of `family`.  *fd on success. */
MUST_CHECK int sock_new(int family, int type, int *fd);

int sock_set_nodelay(int fd, bool on);
int sock_set_reuseaddr(int fd, bool on);
int sock_set_reuseport(int fd, bool on);
int sock_set_v6only(int fd, bool on);
int sock_set_keepalive(int fd, const struct sock_keepalive *k);
int sock_set_mark(int fd, uint32_t mark);	    /* SO_MARK; needs CAP_NET_ADMIN */
int sock_set_device(int fd, const char *interface); /* SO_BINDTODEVICE */
int sock_set_buffers(int fd, int rcv, int snd);	    /* bytes; 0 leaves the kernel's own tuning */
int sock_set_congestion(int fd, const char *name);  /* "bbr", "cubic" */
int sock_set_user_timeout(int fd, unsigned ms);	    /* TCP_USER_TIMEOUT */
int sock_set_maxseg(int fd, unsigned bytes);
int sock_set_notsent_lowat(int fd, unsigned bytes);
int sock_set_rcvlowat(int fd, unsigned bytes);	   /* fewer do not wake; 1: the kernel's own */
int sock_set_tfo_listen(int fd, unsigned backlog); /* TCP_FASTOPEN; after bind, before listen */
int sock_set_tfo_connect(int fd, bool on);

/* Close with a reset instead of an end of stream. */
int sock_set_abort(int fd);

/* Bind to a source address; a port of 0 is chosen when connecting (IP_BIND_ADDRESS_NO_PORT), so
 * that sources are not limited to 28,000 connections in all.
 */
int sock_bind_source(int fd, const struct addr *src);

/* Starts connecting: 0 when it is done already or under way (writable tells, then sock_error()). */
MUST_CHECK int sock_connect(int fd, const struct addr *to);
int sock_error(int fd); /* SO_ERROR: 0 or -errno */

int sock_local(int fd, struct addr *out);
int sock_peer(int fd, struct addr *out);

/* Bound, for datagrams: `reuseport` for one socket per worker; an IPv6 wildcard also takes IPv4. */
MUST_CHECK int sock_udp_open(const struct addr *at, bool reuseport, int *fd);

#endif
