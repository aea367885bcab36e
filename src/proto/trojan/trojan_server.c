/* The server side of Trojan.  Until the whole request is right nothing has been answered, so every
 * flaw in it, behind a right password too, goes to the reject policy: to a prober the node is the
 * web server behind it (trojan.md, section 3).
 */
#include "proto/header.h"
#include "proto/trojan/trojan.h"
#include "proto/trojan/trojan_udp.h"

static struct dgram *trojan_udp(struct stream *s)
{
	struct bufq first; /* Trojan answers nothing */

	bufq_init(&first, loop_pool(s->loop), 0);
	return framed_new(stream_peel(s, &first), &trojan_framing, false, NULL, NULL);
}

static int trojan_parse(struct header_server *h, struct rd *in)
{
	struct trojan_request req;
	int err;

	err = trojan_prefix_parse(in, req.key);
	if (err)
		return err == -ERR_MORE ? err : -ERR_AUTH;
	h->request.user = user_table_find(h->inbound->users, req.key);
	if (!h->request.user)
		return -ERR_AUTH;
	h->known = true;

	err = trojan_request_parse(in, &req);
	if (err)
		return err == -ERR_MORE ? err : -ERR_AUTH;
	h->request.network = req.cmd == TROJAN_CONNECT ? NETWORK_TCP : NETWORK_UDP;
	h->request.udp = req.cmd == TROJAN_UDP ? trojan_udp : NULL;
	h->request.dest = req.dest;
	return 0;
}

static const struct header_ops trojan_ops = {
	.stream = HEADER_STREAM_OPS("trojan"),
	.max = TROJAN_REQ_MAX,
	.parse = trojan_parse,
};

static struct stream *trojan_server(struct stream *lower, const struct proto_inbound *inbound)
{
	return header_server_new(lower, &trojan_ops, inbound);
}

static int trojan_user_key(const char *credential, size_t len, uint8_t *key)
{
	if (len == 0)
		return -ERR_MALFORMED;
	return trojan_key_of_password(credential, len, key);
}

const struct proto trojan_proto = {
	.name = "trojan",
	.key_len = TROJAN_KEY_LEN,
	.user_key = trojan_user_key,
	.server = trojan_server,
	.falls_back = true,
	.reality = true,
};
