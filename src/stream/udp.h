/* udp.h - datagrams over unconnected sockets of both families: what is sent to any address leaves
 * from one port per family, and what comes back from anywhere is received.
 *
 * Destinations must be addresses: names are resolved above, and what still has one is dropped.  So
 * is what the kernel refuses packet by packet (too long, no route, no such family) and what arrives
 * longer than a chunk.
 */
#ifndef WEIR_STREAM_UDP_H
#define WEIR_STREAM_UDP_H

#include "stream/dgram.h"

/* The socket of `family` (AF_INET, AF_INET6) is opened at once, the other with the first packet
 * that needs it.  `source` (may be NULL) binds the socket of its own family.  0 or -errno.
 */
MUST_CHECK int udp_dgram_new(struct loop *l, int family, const struct addr *source,
			     struct dgram **out);

#endif
