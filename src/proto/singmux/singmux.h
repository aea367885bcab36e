/* singmux.h - sing-box's multiplex: smux, yamux or h2mux on a carrier that asked for it by name; each
 * stream begins with its own request.
 */
#ifndef WEIR_PROTO_SINGMUX_H
#define WEIR_PROTO_SINGMUX_H

#include "stream/mux.h"

extern const struct mux_kind singmux_kind;
extern const struct mux_kind singmux_padded_kind; /* whoever does not pad is turned away */

/* The client's: a carrier to singmux_dest() (singmux_wire.h).  A server that cannot reach the target says so:
 * the first pull is -ERR_UNREACHED then. */
extern const struct mux_client_kind singmux_smux_client;
extern const struct mux_client_kind singmux_yamux_client;
extern const struct mux_client_kind singmux_h2mux_client;

#endif
