/* inbound_proto.h - what a protocol takes out of a node's description for itself: in->conf, and what it
 * asks of the layers below.  A protocol has a line of the table in inbound_proto.c, and a file, if
 * there is something that only it has.
 */
#ifndef WEIR_NODE_INBOUND_PROTO_H
#define WEIR_NODE_INBOUND_PROTO_H

#include "node/inbound.h"

/* When all else of `in` is there.  Errors as inbound_build(). */
MUST_CHECK int inbound_proto(const struct inbound_plan *plan, struct inbound *in,
			     char why[INBOUND_WHY_MAX]);

/* ---- of one protocol --------------------------------------------------------------------- */

int inbound_vless(const struct inbound_plan *plan, struct inbound *in, char why[INBOUND_WHY_MAX]);

/* Behind a plugin too, which takes listen addresses for itself. */
int inbound_ss(const struct inbound_plan *plan, struct inbound *in, char why[INBOUND_WHY_MAX]);

#endif
