/* carriers.h - the multiplexers that are asked for by the name of a destination which nobody owns: of
 * any protocol whose requests name one.
 */
#ifndef WEIR_PROTO_CARRIERS_H
#define WEIR_PROTO_CARRIERS_H

#include "proto/proto.h"
#include "stream/mux.h"

/* NULL: an ordinary destination. */
const struct mux_kind *carrier_find(const struct proto_inbound *in, const struct dest *d);

#endif
