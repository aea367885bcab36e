#include "client/outbound_proto.h"

const struct outbound_proto *outbound_proto_of(enum share_kind kind)
{
	static const struct outbound_proto *const protos[] = {
		[SHARE_VLESS] = &outbound_vless,
		[SHARE_TROJAN] = &outbound_trojan,
		[SHARE_SHADOWSOCKS] = &outbound_shadowsocks,
		[SHARE_VMESS] = &outbound_vmess,
	};

	return protos[kind];
}
