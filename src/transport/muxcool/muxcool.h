/* muxcool.h - mux.cool: streams and packets of many requests in one connection, and XUDP, which is the
 * same with a single association (docs/protocols/mux.md).
 *
 * Carried by command 3 of VLESS and VMess, and by a request for the host of muxcool_kind of any
 * protocol.
 */
#ifndef WEIR_TRANSPORT_MUXCOOL_H
#define WEIR_TRANSPORT_MUXCOOL_H

#include "stream/mux.h"

#define MUXCOOL_PORT 9527 /* what the reference asks for with the host */

extern const struct mux_kind muxcool_kind;
extern const struct mux_client_kind muxcool_client;

#endif
