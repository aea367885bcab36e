/* vlessenc_tickets.h - what a server remembers of those who may come back without a round trip, and
 * a client of its server.
 *
 * A ticket finds the secret of an earlier handshake.  It serves many connections; each brings a
 * secret of its own, which must not come twice.  Memory is bounded: when there are too many tickets
 * or uses of them, the oldest tickets go, whose clients begin anew.
 *
 * Threads: any.
 */
#ifndef WEIR_PROTO_VLESSENC_TICKETS_H
#define WEIR_PROTO_VLESSENC_TICKETS_H

#include "proto/vlessenc/vlessenc_wire.h"

#define VLESSENC_TICKETS_MAX 65536u   /* kept at once */
#define VLESSENC_USES_MAX    1048576u /* of all of them together */

struct vlessenc_tickets;

MUST_CHECK int vlessenc_tickets_new(struct vlessenc_tickets **out); /* 0 or -ENOMEM */
void vlessenc_tickets_free(struct vlessenc_tickets *t);		    /* NULL is fine */

/* Good until `expires`, on the clock of the callers' loops.  -ENOMEM: it will not be known. */
MUST_CHECK int vlessenc_tickets_add(struct vlessenc_tickets *t,
				    const uint8_t ticket[VLESSENC_TICKET],
				    const uint8_t pfs[VLESSENC_PFS], nsec_t now, nsec_t expires);

/* Server: one connection with it.  0; -ERR_AUTH: unknown or expired; -ERR_REPLAY: this secret has
 * been there before; -ENOMEM: there is no memory to remember it in.
 */
MUST_CHECK int vlessenc_tickets_use(struct vlessenc_tickets *t,
				    const uint8_t ticket[VLESSENC_TICKET],
				    const uint8_t secret[VLESSENC_SECRET], nsec_t now,
				    uint8_t pfs[VLESSENC_PFS]);

/* Client: the newest one.  False: there is none. */
bool vlessenc_tickets_newest(struct vlessenc_tickets *t, nsec_t now,
			     uint8_t ticket[VLESSENC_TICKET], uint8_t pfs[VLESSENC_PFS]);
void vlessenc_tickets_drop(struct vlessenc_tickets *t, const uint8_t ticket[VLESSENC_TICKET]);

#endif
