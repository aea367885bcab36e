/* trojan_udp.h - Trojan's packet framing, the same in both directions. */
#ifndef WEIR_PROTO_TROJAN_UDP_H
#define WEIR_PROTO_TROJAN_UDP_H

#include "stream/framed.h"

extern const struct framing trojan_framing;

#endif
