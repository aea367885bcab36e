#include "proto/proto.h"

#include <string.h>

#include "proto/shadowsocks/shadowsocks.h"
#include "proto/trojan/trojan.h"
#include "proto/vless/vless.h"
#include "proto/vmess/vmess.h"

static const struct proto *const protos[] = {
	&vless_proto,
	&trojan_proto,
	&shadowsocks_proto,
	&vmess_proto,
};

const struct proto *proto_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(protos); i++) {
		if (!strcmp(protos[i]->name, name))
			return protos[i];
	}
	return NULL;
}
