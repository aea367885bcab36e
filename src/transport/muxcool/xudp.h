/* xudp.h - XUDP: a mux.cool connection that carries one UDP association, as a framing.
 *
 * The first New decides the session's id; a TCP New or a second session ends the association, since
 * the multiplexer proper is another layer.
 */
#ifndef WEIR_TRANSPORT_XUDP_H
#define WEIR_TRANSPORT_XUDP_H

#include "stream/framed.h"

extern const struct framing xudp_framing;

#endif
