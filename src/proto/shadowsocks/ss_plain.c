/* Shadowsocks without integrity, both ends: an address, then bytes, under a stream cipher or none.  A
 * port has one user: nothing in such a stream says whose it is.
 */
#include "proto/shadowsocks/ss_plain.h"
#include "proto/client.h"
#include "proto/header.h"
#include "proto/shadowsocks/shadowsocks.h"
#include "proto/shadowsocks/ss_cipher.h"
#include "proto/shadowsocks/ss_wire.h"
#include "proto/uot/uot.h"

static int plain_parse(struct header_server *h, struct rd *in)
{
	struct dest d;

	rd_dest(in, DEST_SOCKS, &d);
	if (in->err)
		return in->err == -ERR_MORE ? in->err : -ERR_AUTH;
	if (user_table_count(h->inbound->users) == 0)
		return -ERR_AUTH;
	if (uot_version_of(&d) != UOT_NONE)
		return -ERR_UNSUPPORTED;
	h->request.user = user_table_at(h->inbound->users, 0);
	h->request.network = NETWORK_TCP;
	h->request.dest = d;
	h->known = true;
	return 0;
}

static const struct header_ops plain_ops = {
	.stream = HEADER_STREAM_OPS("shadowsocks-plain"),
	.max = SS_ADDRESS_MAX,
	.parse = plain_parse,
};

struct stream *ss_plain_server(struct stream *lower, const struct proto_inbound *inbound)
{
	const struct ss_conf *c = inbound->conf;
	const struct ss_method *m = c->method;
	const struct user_table *users = inbound->users;

	/* Without a user nobody's key opens it: the noise ends as a stranger. */
	if (m->class == SS_STREAM && user_table_count(users) > 0) {
		lower = ss_cipher_new(lower, m, user_key(user_table_at(users, 0)));
		if (!lower)
			return NULL;
	}
	return header_server_new(lower, &plain_ops, inbound);
}

struct stream *ss_plain_client(struct stream *lower, const struct ss_client_conf *conf,
			       const struct dest *dest)
{
	uint8_t mem[SS_ADDRESS_MAX];
	struct wr w = wr_of(mem, sizeof(mem));

	if (conf->method->class == SS_STREAM)
		lower = ss_cipher_new(lower, conf->method, conf->key);
	if (!lower)
		return NULL;
	wr_dest(&w, DEST_SOCKS, dest);
	return client_stream_new(lower, mem, w.len, NULL);
}
