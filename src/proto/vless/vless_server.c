/* The server side of VLESS.  Nothing is answered before the whole request is right, so every flaw
 * in it, behind a known id too, goes to the reject policy, as with Trojan: there is one answer to
 * whatever is wrong.
 * Command 2 is length-prefixed packets of one destination, command 3 mux.cool: for who has the flow of
 * UDP alone, as streams inside would miss what the flow is for.
 */
#include <errno.h>
#include <stdlib.h>

#include "proto/header.h"
#include "proto/vless/vision.h"
#include "proto/vless/vless.h"
#include "proto/vless/vless_udp.h"
#include "proto/vlessenc/vlessenc.h"
#include "proto/vlessenc/vlessenc_tickets.h"
#include "transport/muxcool/muxcool.h"

static bool has_flow(const struct header_server *h)
{
	const struct vless_conf *c = h->inbound->conf;

	return c && c->vision;
}

static void vless_answer(struct bufq *first)
{
	uint8_t head[2];
	struct wr w = wr_of(head, sizeof(head));

	vless_response_emit(&w);
	/* Two bytes that cannot be stored mean that the session's next allocation fails as well. */
	(void)!bufq_append(first, head, w.len);
}

static struct dgram *plain_udp(struct stream *s)
{
	struct header_server *h = container_of(s, struct header_server, s);
	struct dest dest;
	struct bufq first;
	struct stream *lower;

	dest_copy(&dest, &h->request.dest);
	bufq_init(&first, loop_pool(h->s.loop), 64);
	lower = stream_peel(s, &first);
	return framed_new(lower, &vless_udp_framing, false, &dest, &first);
}

/* The first frame of a mux connection: session 0 and UDP, so that it is XUDP. */
static int is_xudp(struct rd r)
{
	const uint8_t *frame = rd_bytes(&r, 7);

	if (!frame)
		return r.err;
	return frame[2] == 0 && frame[3] == 0 && frame[6] == 2 ? 0 : -ERR_UNSUPPORTED;
}

/* Who is configured for the flow has to name it, unless it is UDP that he asks for; who is not,
 * may not.  As in the reference this is between friends: a mismatch is closed, and goes to no
 * fallback.
 */
static int agree_on_flow(struct header_server *h, const struct vless_request *req,
			 const struct rd *in)
{
	if (req->flow == VLESS_FLOW_OTHER)
		return -ERR_UNSUPPORTED;
	if (req->flow == VLESS_FLOW_NONE) {
		if (!has_flow(h) || req->cmd == VLESS_UDP)
			return 0;
		return req->cmd == VLESS_MUX ? is_xudp(*in) : -ERR_UNSUPPORTED;
	}
	if (!has_flow(h) || req->cmd == VLESS_UDP || vision_set_records(h->lower))
		return -ERR_UNSUPPORTED;
	h->over = vision_server_new(h->s.loop, req->id);
	return h->over ? 0 : -ENOMEM;
}

/* Records that stand behind the request are opened one by one from the beginning; those of who turns
 * out not to use the flow are again opened as they come.
 */
static void by_record(struct header_server *h, bool on)
{
	static const union stream_value none;

	if (!has_flow(h))
		return;
	if (on)
		(void)!vision_set_records(h->lower); /* asked again once it matters */
	else if (!h->over)
		(void)stream_set(h->lower, STREAM_RECORD_MODE, none);
}

static int vless_parse(struct header_server *h, struct rd *in)
{
	struct vless_request req;
	uint8_t key[VLESS_ID_LEN];
	int err;

	err = vless_prefix_parse(in, req.id);
	if (err)
		return err == -ERR_MORE ? err : -ERR_AUTH;
	vless_key_of_id(req.id, key);
	h->request.user = user_table_find(h->inbound->users, key);
	if (!h->request.user)
		return -ERR_AUTH;
	h->known = true;

	err = vless_request_parse(in, &req);
	if (err)
		return err == -ERR_MORE ? err : -ERR_AUTH;
	err = agree_on_flow(h, &req, in);
	if (err)
		return err;
	h->request.network = req.cmd == VLESS_UDP ? NETWORK_UDP : NETWORK_TCP;
	h->request.udp = req.cmd == VLESS_UDP ? plain_udp : NULL;
	h->request.mux = req.cmd == VLESS_MUX ? &muxcool_kind : NULL;
	h->request.mux_udp_only = has_flow(h);
	h->request.dest = req.dest;
	return 0;
}

static const struct header_ops vless_ops = {
	.stream = HEADER_STREAM_OPS("vless"),
	.max = VLESS_REQ_MAX,
	.parse = vless_parse,
	.answer = vless_answer,
	.reading = by_record,
	.put_on = vision_server_put_on,
};

static struct stream *vless_server(struct stream *lower, const struct proto_inbound *inbound)
{
	const struct vless_conf *c = inbound->conf;

	if (c && c->encryption)
		lower = vlessenc_server_new(lower, c->encryption);
	return lower ? header_server_new(lower, &vless_ops, inbound) : NULL;
}

static int vless_user_key(const char *credential, size_t len, uint8_t *key)
{
	uint8_t id[VLESS_ID_LEN];
	int err = vless_id_of_text(credential, len, id);

	if (!err)
		vless_key_of_id(id, key);
	return err;
}

/* A ticket of VLESS Encryption is good whatever else has changed. */
static int memory_new(void **out)
{
	struct vlessenc_tickets *t;
	int err = vlessenc_tickets_new(&t);

	if (!err)
		*out = t;
	return err;
}

static void memory_free(void *memory)
{
	vlessenc_tickets_free(memory);
}

static void conf_free(void *conf)
{
	struct vless_conf *c = conf;

	vlessenc_conf_free(c->encryption);
	free(c);
}

const struct proto vless_proto = {
	.name = "vless",
	.key_len = VLESS_ID_LEN,
	.user_key = vless_user_key,
	.server = vless_server,
	.falls_back = true,
	.reality = true,
	.memory_new = memory_new,
	.memory_free = memory_free,
	.conf_free = conf_free,
};
