/* muxcool.h - mux.cool: streams and packets of many requests in one connection, and XUDP, which is the
 * same with a single association (docs/protocols/mux.md).
 *
 * Carried by command 3 of VLESS and VMess, and by a request for the host of muxcool_kind of any
 * protocol.
 */
#ifndef WEIR_TRANSPORT_MUXCOOL_H
#define WEIR_TRANSPORT_MUXCOOL_H

#include "stream/mux.h"

extern const struct mux_kind muxcool_kind;

#endif
