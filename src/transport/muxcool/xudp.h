/* xudp.h - XUDP: a mux.cool connection that carries one UDP association, as a framing, for clients.
 * The server of mux.cool serves it like any other.
 */
#ifndef WEIR_TRANSPORT_XUDP_H
#define WEIR_TRANSPORT_XUDP_H

#include "stream/framed.h"

extern const struct framing xudp_framing;

#endif
