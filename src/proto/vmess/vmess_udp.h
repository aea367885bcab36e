/* vmess_udp.h - the packets of command 2 as they lie between vmess_body.h and framed.h. */
#ifndef WEIR_PROTO_VMESS_UDP_H
#define WEIR_PROTO_VMESS_UDP_H

#include "stream/framed.h"

extern const struct framing vmess_udp_framing; /* u16 length, one destination */

#endif
