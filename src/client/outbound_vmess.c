#include <string.h>

#include "base/err.h"
#include "client/outbound_proto.h"

static int of_link(const struct share_link *link, struct outbound_conf *out,
		   char why[FROM_LINK_WHY])
{
	int err = vmess_client_conf_set(&out->vmess, link->credential, link->encryption);

	if (strstr(link->experiments, "AuthenticatedLength"))
		out->vmess.option |= VMESS_SEALED_LENGTH;
	if (err == -ERR_UNSUPPORTED)
		return wrong(why, "cipher %.40s of VMess is not in this build", link->encryption);
	if (err == -ERR_MALFORMED)
		return wrong(why, "the id is neither a UUID nor a text of 1 to 30 bytes");
	return err;
}

static struct stream *stream(struct stream *lower, const struct outbound_conf *c,
			     const struct dest *to)
{
	return vmess_client_new(lower, &c->vmess, to);
}

static struct stream *carrier(struct stream *lower, const struct outbound_conf *c)
{
	return vmess_client_mux(lower, &c->vmess);
}

static struct dgram *packets(struct stream *lower, const struct outbound_conf *c,
			     const struct dest *first)
{
	return vmess_client_udp(lower, &c->vmess, first, c->plain_udp);
}

const struct outbound_proto outbound_vmess = {
	.of_link = of_link,
	.stream = stream,
	.muxcool = carrier,
	.packets = packets,
	.has_plain_udp = true,
};
