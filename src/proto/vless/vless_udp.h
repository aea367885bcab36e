/* vless_udp.h - the packet framing of command 2, for both roles. */
#ifndef WEIR_PROTO_VLESS_UDP_H
#define WEIR_PROTO_VLESS_UDP_H

#include "stream/framed.h"

extern const struct framing vless_udp_framing; /* u16 length, one destination */

#endif
