/* local.h - a local listener whose connections leave through an outbound: SOCKS5, or one fixed
 * destination.  The sessions are those of the node (session.h), without users.
 *
 * Threads: one loop's.
 */
#ifndef WEIR_CLIENT_LOCAL_H
#define WEIR_CLIENT_LOCAL_H

#include "net/listener.h"
#include "session/session.h"

struct local {
	struct session_inbound si;
	struct listener listener;
	const struct dest *to; /* NULL: SOCKS5 */
};

/* `outbound` and `times` outlive it; so does `to`.  0 or -errno of the listener. */
MUST_CHECK int local_open(struct local *l, struct loop *loop, const struct addr *at,
			  const struct dest *to, struct dialer *outbound,
			  const struct session_times *times);

/* The port that was bound. */
MUST_CHECK int local_bound(const struct local *l, struct addr *out);

/* Ends its sessions, too; harmless on one that is zero-filled. */
void local_close(struct local *l);

#endif
