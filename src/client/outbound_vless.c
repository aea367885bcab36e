#include <string.h>

#include "base/err.h"
#include "client/outbound_proto.h"
#include "proto/vless/vless.h"

/* ---- links ------------------------------------------------------------------------------- */

static int make_id(const struct share_link *link, struct outbound_conf *out,
		   char why[FROM_LINK_WHY])
{
	const char *what;
	int err;

	if (vless_id_of_text(link->credential, strlen(link->credential), out->id))
		return wrong(why, "the id is neither a UUID nor a text of 1 to 30 bytes");
	if (!*link->encryption || !strcmp(link->encryption, "none"))
		return 0;
	err = vlessenc_client_conf_new(link->encryption, &out->encryption, &what);
	return err == -ERR_CONFIG ? wrong(why, "encryption: %s", what) : err;
}

static int make_flow(const struct share_link *link, struct outbound_conf *out,
		     char why[FROM_LINK_WHY])
{
	if (!*link->flow)
		return 0;
	out->udp443 = !strcmp(link->flow, "xtls-rprx-vision-udp443");
	out->vision = out->udp443 || !strcmp(link->flow, "xtls-rprx-vision");
	if (!out->vision)
		return wrong(why, "flow %.60s is not in this build", link->flow);
	if (link->security == SECURITY_NONE && !out->encryption)
		return wrong(why, "flow %.60s needs TLS, REALITY or encryption", link->flow);
	return 0;
}

static int of_link(const struct share_link *link, struct outbound_conf *out,
		   char why[FROM_LINK_WHY])
{
	int err = make_id(link, out, why);

	return err ? err : make_flow(link, out, why);
}

static void done(struct outbound_conf *c)
{
	vlessenc_conf_free(c->encryption);
	c->encryption = NULL;
}

/* ---- layers ------------------------------------------------------------------------------ */

static struct stream *encrypted(struct stream *lower, const struct outbound_conf *c)
{
	return c->encryption ? vlessenc_client_new(lower, c->encryption) : lower;
}

static struct stream *stream(struct stream *lower, const struct outbound_conf *c,
			     const struct dest *to)
{
	struct stream *s = encrypted(lower, c);

	if (!s)
		return NULL;
	return c->vision ? vless_client_vision(s, c->id, to) : vless_client_new(s, c->id, to);
}

static struct stream *carrier(struct stream *lower, const struct outbound_conf *c)
{
	struct stream *s = encrypted(lower, c);

	return s ? vless_client_mux(s, c->id, c->vision) : NULL;
}

static struct dgram *packets(struct stream *lower, const struct outbound_conf *c,
			     const struct dest *first)
{
	struct stream *s = encrypted(lower, c);

	if (!s)
		return NULL;
	return c->vision ? vless_client_vision_udp(s, c->id, c->udp443)
			 : vless_client_udp(s, c->id, first, c->plain_udp);
}

const struct outbound_proto outbound_vless = {
	.of_link = of_link,
	.done = done,
	.stream = stream,
	.muxcool = carrier,
	.packets = packets,
	.has_plain_udp = true,
};
