#include "proto/vless/vless_udp.h"

#include "proto/vless/vless_wire.h"
#include "stream/framed_len.h"

const struct framing vless_udp_framing = {
	.name = "vless-udp",
	.max = VLESS_UDP_MAX,
	.parse = framed_some_parse,
	.emit = framed_some_emit,
};
