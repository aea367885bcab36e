/* singmux_udp.h - the packets of a UDP stream inside sing-box's multiplex, as framings. */
#ifndef WEIR_PROTO_SINGMUX_UDP_H
#define WEIR_PROTO_SINGMUX_UDP_H

#include "stream/framed.h"

extern const struct framing singmux_fixed_framing; /* length, data: one destination */
extern const struct framing singmux_addr_framing;  /* SOCKS address, length, data */

#endif
