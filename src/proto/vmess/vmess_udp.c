#include "proto/vmess/vmess_udp.h"

#include "proto/vmess/vmess_body.h"
#include "stream/framed_len.h"

/* A packet is a chunk; one without text would be the end. */
const struct framing vmess_udp_framing = {
	.name = "vmess-udp",
	.max = VMESS_PACKET_MAX,
	.parse = framed_some_parse,
	.emit = framed_some_emit,
};
