#include <string.h>

#include "client/outbound_proto.h"
#include "proto/trojan/trojan.h"

static int of_link(const struct share_link *link, struct outbound_conf *out,
		   char why[FROM_LINK_WHY])
{
	return trojan_key_of_password(link->credential, strlen(link->credential), out->key);
}

static struct stream *stream(struct stream *lower, const struct outbound_conf *c,
			     const struct dest *to)
{
	return trojan_client_new(lower, c->key, to);
}

static struct dgram *packets(struct stream *lower, const struct outbound_conf *c,
			     const struct dest *first)
{
	return trojan_client_udp(lower, c->key, first);
}

const struct outbound_proto outbound_trojan = {
	.of_link = of_link,
	.stream = stream,
	.packets = packets,
};
