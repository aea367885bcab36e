/* The server side (proto/sealed_server.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/random.h"
#include "proto/sealed_server.h"
#include "proto/shadowsocks/shadowsocks.h"
#include "proto/shadowsocks/ss_layer.h"
#include "proto/shadowsocks/ss_plain.h"
#include "proto/shadowsocks/ss_wire.h"
#include "proto/uot/uot.h"

enum phase {
	READ_USER,     /* salt, and the piece that tells whose it is */
	READ_VARIABLE, /* 2022: the variable header */
	READ_ADDRESS,  /* SIP004: chunks until the address is whole */
	READ_UOT,      /* UDP over TCP, version 2: what it begins with */
	READ_REST,     /* what has come along behind the address */
};

/* From accept until the answer has begun. */
struct hello {
	struct sealed_hello base; /* .request.user: NULL, or held by user_get() */
	struct ss_search search;
	uint8_t salt[SS_SALT_MAX];
	uint8_t key[SS_KEY_MAX]; /* the user's, for the answer */
	uint16_t variable;
	uint8_t phase;
	bool uot_connect; /* all packets are for request.dest */
};

static struct hello *hello_of(const struct ss_layer *l)
{
	return l->base.head;
}

static const struct ss_conf *conf_of(const struct ss_layer *l)
{
	return hello_of(l)->base.inbound->conf;
}

/* The same salt again is a recording, played back. */
static int remember(struct ss_layer *l, const uint8_t *salt)
{
	const struct ss_conf *c = conf_of(l);

	return c->replay
		       ? replay_add(c->replay, salt, c->method->salt_len, loop_now(l->base.s.loop))
		       : 0;
}

static struct dgram *serve_uot(struct stream *s)
{
	const struct hello *h = hello_of(ss_layer_of(s));

	if (h->uot_connect)
		return framed_new(s, &uot_connect_framing, false, &h->base.request.dest, NULL);
	return framed_new(s, &uot_framing, false, NULL, NULL);
}

/* ---- whose it is ------------------------------------------------------------------------- */

static size_t user_bytes(const struct ss_conf *c)
{
	if (c->method->class == SS_AEAD)
		return c->method->salt_len + SS_HEAD_LEN;
	return c->method->salt_len + (c->named ? SS_IDENTITY_LEN : 0u) + SS_FIXED + AEAD_TAG;
}

static int find_user(struct ss_layer *l, const uint8_t *bytes)
{
	struct hello *h = hello_of(l);
	const struct ss_method *m = conf_of(l)->method;
	struct ss_found found = {0};
	struct addr peer;
	const struct ss_asker asker = {
		.users = h->base.inbound->users,
		.peer = stream_peer(l->base.lower, &peer) ? &peer : NULL,
		.now = loop_now(l->base.s.loop),
	};
	int err = ss_find_stream(h->base.inbound->port, &h->search, &asker, bytes,
				 bytes + m->salt_len, &found);

	l->base.again = err == -EAGAIN;
	/* The rest of the request may take turns, in which the user may be removed. */
	if (!err && !user_get(found.user))
		err = -ERR_AUTH;
	if (!err) {
		const uint8_t *key =
			m->class == SS_2022 ? user_secret(found.user) : user_key(found.user);

		h->base.request.user = found.user;
		memcpy(h->key, key, SS_KEY_MAX);
		memcpy(h->salt, bytes, m->salt_len);
		ss_dir_set(&l->in, m, found.subkey);
	}
	cleanse(&found, sizeof(found));
	return err;
}

/* 2022: the fixed header proves whose it is, and that it is of today. */
static int read_fixed(struct ss_layer *l, const uint8_t *sealed)
{
	struct hello *h = hello_of(l);
	uint8_t text[SS_FIXED];
	struct rd r = rd_of(text, sizeof(text));
	struct ss_fixed f;
	int err = ss_open_piece(&l->in, sealed, SS_FIXED + AEAD_TAG, text);

	if (!err)
		err = ss_fixed_parse(&r, &f);
	if (!err && !ss_time_ok(f.time, loop_wall(l->base.s.loop)))
		err = -ERR_AUTH;
	if (!err)
		err = remember(l, h->salt);
	if (!err)
		h->variable = f.variable;
	return err;
}

static int read_user(struct ss_layer *l)
{
	const struct ss_conf *c = conf_of(l);
	struct hello *h = hello_of(l);
	uint8_t bytes[SS_SALT_MAX + SS_IDENTITY_LEN + SS_FIXED + AEAD_TAG];
	size_t len = user_bytes(c);
	int err;

	if (bufq_peek(&l->base.rq, 0, bytes, len) < len)
		return -ERR_MORE;
	err = find_user(l, bytes);
	if (err)
		return err;
	h->base.known = true;
	if (c->method->class == SS_AEAD) {
		h->phase = READ_ADDRESS;
		len = c->method->salt_len; /* the length is opened with its chunk */
	} else {
		h->phase = READ_VARIABLE;
		err = read_fixed(l, bytes + len - SS_FIXED - AEAD_TAG);
	}
	if (!err)
		bufq_drain(&l->base.rq, len);
	return err;
}

/* ---- what it wants ----------------------------------------------------------------------- */

/* Where to is known.  Nobody but us is behind the names of UDP over TCP. */
static int dest_read(struct ss_layer *l)
{
	struct hello *h = hello_of(l);
	enum uot_version v = uot_version_of(&h->base.request.dest);

	h->phase = v == UOT_V2 ? READ_UOT : READ_REST;
	if (v == UOT_NONE)
		return 0;
	if (!conf_of(l)->uot)
		return -ERR_UNSUPPORTED;
	h->base.request.network = NETWORK_UDP;
	h->base.request.udp = serve_uot;
	h->base.request.dest = (struct dest){.type = DEST_NONE};
	return 0;
}

static int read_variable(struct ss_layer *l)
{
	struct hello *h = hello_of(l);
	uint8_t head[SS_ADDRESS_MAX + 2];
	struct rd r;
	size_t skip, len = h->variable + (size_t)AEAD_TAG;
	int err;

	if (h->variable == 0)
		return -ERR_MALFORMED;
	if (bufq_len(&l->base.rq) < len)
		return -ERR_MORE;
	err = ss_open_payload(&l->in, &l->base.rq, h->variable, &h->base.text);
	if (err)
		return err;
	r = rd_of(head, bufq_peek(&h->base.text, 0, head, sizeof(head)));
	err = ss_variable_parse(&r, h->variable, &h->base.request.dest, &skip);
	if (err)
		return -ERR_MALFORMED; /* it is whole: more bytes will not help */
	bufq_drain(&h->base.text, skip);
	return dest_read(l);
}

/* One chunk more.  The first one that opens proves who has written it. */
static int read_chunk(struct ss_layer *l)
{
	struct hello *h = hello_of(l);
	int err = l->in.begun ? 0 : ss_open_length(&l->in, &l->base.rq);

	if (!err)
		err = ss_open_rest(&l->in, &l->base.rq, &h->base.text);
	if (err)
		return err;
	return h->phase == READ_ADDRESS && l->in.count == 2 ? remember(l, h->salt) : 0;
}

static int read_address(struct ss_layer *l)
{
	struct hello *h = hello_of(l);
	uint8_t head[SS_ADDRESS_MAX];
	struct rd r = rd_of(head, bufq_peek(&h->base.text, 0, head, sizeof(head)));
	int err = r.len ? 0 : -ERR_MORE;

	if (!err) {
		rd_dest(&r, DEST_SOCKS, &h->base.request.dest);
		err = r.err;
	}
	if (err == -ERR_MORE)
		return read_chunk(l);
	if (err)
		return err;
	bufq_drain(&h->base.text, r.pos);
	return dest_read(l);
}

static int read_uot(struct ss_layer *l)
{
	struct hello *h = hello_of(l);
	uint8_t head[UOT_REQUEST_MAX];
	struct rd r = rd_of(head, bufq_peek(&h->base.text, 0, head, sizeof(head)));
	struct uot_request q;
	int err = uot_request_parse(&r, &q);

	if (err == -ERR_MORE)
		return read_chunk(l);
	if (err)
		return err;
	bufq_drain(&h->base.text, r.pos);
	h->uot_connect = q.connect && q.dest.type != DEST_NONE;
	if (h->uot_connect)
		h->base.request.dest = q.dest;
	h->phase = READ_REST;
	return 0;
}

/* A request whose tail has been changed on the way is as wrong as one whose head has: what came in
 * one piece is judged as one piece.
 */
static int read_rest(struct ss_layer *l)
{
	int err;

	do {
		err = read_chunk(l);
	} while (!err);
	if (err != -ERR_MORE)
		return err;
	hello_of(l)->base.done = true;
	return 0;
}

static int server_step(struct sealed *b)
{
	struct ss_layer *l = ss_layer_of(&b->s);

	switch (hello_of(l)->phase) {
	case READ_USER:
		return read_user(l);
	case READ_VARIABLE:
		return read_variable(l);
	case READ_ADDRESS:
		return read_address(l);
	case READ_UOT:
		return read_uot(l);
	default:
		return read_rest(l);
	}
}

/* ---- the answer -------------------------------------------------------------------------- */

/* 2022: says which request it answers, and how long its first payload is.  That is known when the
 * payload has been sealed, so it is sealed first, under the nonce that is to be its.
 */
static ssize_t answer_2022(struct ss_layer *l, const struct ss_method *m, uint8_t *head,
			   size_t *headlen, struct bufq *src)
{
	uint8_t text[SS_ANSWER_MAX];
	struct wr w = wr_of(text, sizeof(text));
	struct ss_answer a = {.time = (uint64_t)loop_wall(l->base.s.loop),
			      .salt = hello_of(l)->salt};
	ssize_t n;
	int err;

	l->out.count = 1;
	n = ss_seal_payload(&l->out, src, &l->base.wq);
	if (n <= 0)
		return n;
	a.first = (uint16_t)n;
	ss_answer_emit(&w, m->salt_len, &a);
	l->out.count = 0;
	err = ss_seal_piece(&l->out, text, w.len, head + m->salt_len);
	l->out.count = 2;
	*headlen += w.len + AEAD_TAG;
	return err ? err : n;
}

static ssize_t server_write_head(struct sealed *b, struct bufq *src)
{
	struct ss_layer *l = ss_layer_of(&b->s);
	const struct ss_method *m = conf_of(l)->method;
	uint8_t head[SS_SALT_MAX + SS_ANSWER_MAX + AEAD_TAG];
	size_t len = m->salt_len;
	ssize_t n;
	int err;

	random_bytes(head, len);
	err = ss_dir_derive(&l->out, m, hello_of(l)->key, head);
	if (!err)
		err = remember(l, head);
	if (err)
		return err;
	n = m->class == SS_2022 ? answer_2022(l, m, head, &len, src)
				: ss_seal(&l->out, src, l->base.burst, &l->base.wq);
	if (n <= 0)
		return n ? n : -ENOMEM;
	return bufq_prepend(&l->base.wq, head, len) ? -ENOBUFS : n;
}

static void server_free_head(struct sealed *b)
{
	struct hello *h = b->head;

	if (h->base.request.user)
		user_put(h->base.request.user);
	sealed_hello_done(&h->base);
	cleanse(h->key, sizeof(h->key));
	free(h);
}

static const struct sealed_ops server_role = {
	SS_SEALED,
	.write_head = server_write_head,
	.free_head = server_free_head,
};

static const struct stream_ops server_ops = {
	SS_LAYER_COMMON,
	SEALED_SERVER,
};

struct stream *ss_server(struct stream *lower, const struct proto_inbound *inbound)
{
	const struct ss_conf *c = inbound->conf;
	const struct ss_method *m = c->method;
	struct stream *s;
	struct hello *h;

	if (ss_method_insecure(m))
		return ss_plain_server(lower, inbound);
	h = calloc(1, sizeof(*h));
	s = sealed_server_new(sizeof(struct ss_layer), lower, &server_ops, &server_role,
			      h ? &h->base : NULL, inbound, server_step);
	if (s)
		sealed_of(s)->most = m->chunk;
	return s;
}
