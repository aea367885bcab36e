/* muxcool_flow.h - UDP in mux.cool: a flow is a session of UDP in one connection, an association is
 * what stands behind it: at a server a socket, its port, and the mapping that far ends know; at a client
 * whoever sends.
 *
 * A server's association with a global id outlives its flow for XUDP_REST: who comes back with the same id, as
 * the same user and on the same worker, finds the port he had.  Rested ones are few: XUDP_REST_USER of a
 * user, XUDP_REST_ALL of a worker; beyond that the one that has rested longest goes.
 */
#ifndef WEIR_TRANSPORT_MUXCOOL_FLOW_H
#define WEIR_TRANSPORT_MUXCOOL_FLOW_H

#include "stream/mux_core.h"
#include "transport/muxcool/xudp_wire.h"

#define XUDP_REST      (60 * NSEC_SEC)
#define XUDP_REST_USER 64
#define XUDP_REST_ALL  1024
#define XUDP_QUEUE     32   /* packets that nobody has taken */
#define XUDP_QUEUED    2048 /* of a worker */

struct muxcool_flow;

/* New: `f` says which.  A known association leaves the flow it had; a new one goes to the sink.  0,
 * -ENOMEM, or -ECONNREFUSED: nobody wants it, and the peer has been told. */
MUST_CHECK int muxcool_flow_new(struct mux_core *m, const struct muxcool_frame *f,
				struct muxcool_flow **out);
/* A client's: it says New with its first packet, and ends with its flow: recv() says 0, or why its carrier
 * did not open.  NULL: no memory. */
struct dgram *muxcool_flow_open(struct mux_core *m, uint16_t number, const struct dest *first,
				const uint8_t id[8]);
/* NULL: it is no flow. */
struct muxcool_flow *muxcool_flow_of(struct mux_child *c);
/* No packet fits. Alone in its connection it stops that; among others it loses what comes. */
bool muxcool_flow_is_full(const struct muxcool_flow *f);
/* A packet of `n` (<= BUF_PAYLOAD) bytes, the first of `q`, to `dest`; DEST_NONE: where the first went.
 * Taken in any case: packets may be lost. */
void muxcool_flow_feed(struct muxcool_flow *f, struct bufq *q, size_t n, const struct dest *dest);
/* Something has been sent back in it, or in the flow that its association had before. */
bool muxcool_flow_answered(const struct muxcool_flow *f);
/* The peer has ended it; freed. */
void muxcool_flow_end(struct muxcool_flow *f);

#endif
