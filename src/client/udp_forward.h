/* udp_forward.h - datagrams to a local port leave through an outbound for one destination.
 *
 * One association for each local sender, ended when it is quiet.
 *
 * Threads: one loop's.
 */
#ifndef WEIR_CLIENT_UDP_FORWARD_H
#define WEIR_CLIENT_UDP_FORWARD_H

#include "stream/dialer.h"

struct udp_forward;

/* `outbound` outlives it.  0 or -errno. */
MUST_CHECK int udp_forward_open(struct loop *l, const struct addr *at, const struct dest *to,
				struct dialer *outbound, nsec_t idle, struct udp_forward **out);
void udp_forward_close(struct udp_forward *f); /* NULL is fine */

#endif
