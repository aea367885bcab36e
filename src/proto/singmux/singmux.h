/* singmux.h - sing-box's multiplex, as a server: smux, yamux or h2mux on a carrier that asked for it
 * by name; each stream begins with its own request.
 */
#ifndef WEIR_PROTO_SINGMUX_H
#define WEIR_PROTO_SINGMUX_H

#include "stream/mux.h"

extern const struct mux_kind singmux_kind;
extern const struct mux_kind singmux_padded_kind; /* whoever does not pad is turned away */

#endif
