/* The server side (proto/sealed_server.h).  Nothing is taken out of what has come before the whole
 * request is right.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "proto/sealed_server.h"
#include "proto/vmess/vmess.h"
#include "proto/vmess/vmess_layer.h"
#include "proto/vmess/vmess_seal.h"
#include "proto/vmess/vmess_udp.h"
#include "transport/muxcool/muxcool.h"

enum phase {
	READ_USER,    /* the auth id, which tells whose it is */
	READ_LENGTH,  /* what follows up to the request, which tells how long that is */
	READ_REQUEST, /* the request */
	READ_REST,    /* what has come along behind it */
};

/* From accept until the answer has begun. */
struct hello {
	struct sealed_hello base;
	struct vmess_request req;
	struct vmess_search search;
	uint8_t key[VMESS_KEY_LEN]; /* the user's: he himself may go while we wait for bytes */
	uint16_t len;		    /* of the request */
	uint8_t phase;
};

static struct hello *hello_of(const struct vmess_layer *l)
{
	return l->base.head;
}

/* ---- what it is for ---------------------------------------------------------------------- */

static struct dgram *serve_packets(struct stream *s)
{
	const struct hello *h = hello_of(vmess_layer_of(s));

	return framed_new(s, &vmess_udp_framing, false, &h->base.request.dest, NULL);
}

static void set_request(struct hello *h)
{
	h->base.request.network = h->req.cmd == VMESS_UDP ? NETWORK_UDP : NETWORK_TCP;
	h->base.request.udp = h->req.cmd == VMESS_UDP ? serve_packets : NULL;
	h->base.request.mux = h->req.cmd == VMESS_MUX ? &muxcool_kind : NULL;
	h->base.request.dest = h->req.dest;
}

/* Packets have chunks in any case, else nobody could tell them apart. */
static bool can_serve(const struct vmess_request *req)
{
	return req->cmd != VMESS_UDP || req->cipher != VMESS_NONE || req->option & VMESS_CHUNKS;
}

/* ---- reading it -------------------------------------------------------------------------- */

static int read_user(struct vmess_layer *l)
{
	struct hello *h = hello_of(l);
	const struct vmess_port *port = h->base.inbound->port;
	struct addr peer;
	const struct vmess_asker asker = {
		.users = h->base.inbound->users,
		.peer = stream_peer(l->base.lower, &peer) ? &peer : NULL,
		.now = loop_now(l->base.s.loop),
		.wall = loop_wall(l->base.s.loop),
	};
	uint8_t id[VMESS_ID_LEN];
	struct user *user;
	int err;

	if (bufq_peek(&l->base.rq, 0, id, sizeof(id)) < sizeof(id))
		return -ERR_MORE;
	err = vmess_find(port->finder, &h->search, &asker, id, &user);
	l->base.again = err == -EAGAIN;
	if (err)
		return err;
	memcpy(h->key, user_key(user), sizeof(h->key));
	h->base.known = true;
	h->phase = READ_LENGTH;
	return 0;
}

static int read_length(struct vmess_layer *l)
{
	struct hello *h = hello_of(l);
	uint8_t head[VMESS_HEAD];
	size_t len;
	int err;

	if (bufq_peek(&l->base.rq, 0, head, sizeof(head)) < sizeof(head))
		return -ERR_MORE;
	err = vmess_head_open(h->key, head, &len);
	if (err)
		return err;
	if (len > VMESS_REQ_MAX)
		return -ERR_TOO_BIG;
	h->len = (uint16_t)len;
	h->phase = READ_REQUEST;
	return 0;
}

/* The same auth id again is a recording, played back.  It is remembered once its owner has shown that he
 * has the key. */
static int remember(struct vmess_layer *l, const uint8_t *id)
{
	const struct vmess_port *port = hello_of(l)->base.inbound->port;

	return port->replay ? replay_add(port->replay, id, VMESS_ID_LEN, loop_now(l->base.s.loop))
			    : 0;
}

static int take_request(struct vmess_layer *l, const uint8_t *text)
{
	struct hello *h = hello_of(l);
	struct rd r = rd_of(text, h->len);
	int err = vmess_request_parse(&r, &h->req);

	/* It is whole: more bytes will not help.  And what we do not know is as wrong. */
	if (err == -ERR_MORE || err == -ERR_UNSUPPORTED)
		return -ERR_MALFORMED;
	if (err)
		return err;
	if (!can_serve(&h->req))
		return -ERR_MALFORMED;
	set_request(h);
	err = vmess_dir_set(&l->in, &h->req, h->req.key, h->req.iv);
	l->base.plain = l->in.raw;
	l->in.may_wait = true;
	return err;
}

static int read_request(struct vmess_layer *l)
{
	struct hello *h = hello_of(l);
	uint8_t mem[VMESS_HEAD_MAX], text[VMESS_REQ_MAX];
	size_t whole = VMESS_HEAD + h->len + AEAD_TAG;
	int err;

	if (bufq_peek(&l->base.rq, 0, mem, whole) < whole)
		return -ERR_MORE;
	err = vmess_request_open(h->key, mem, h->len, text);
	if (!err)
		err = take_request(l, text);
	if (!err)
		err = remember(l, mem);
	cleanse(text, sizeof(text));
	if (err)
		return err;
	bufq_drain(&l->base.rq, whole);
	h->phase = READ_REST;
	return 0;
}

/* A request whose body has been changed on the way is as wrong as one whose head has: what came in one
 * piece is judged as one piece.  He who asked for it may have been removed since: no request of nobody.
 */
static int read_rest(struct vmess_layer *l)
{
	struct hello *h = hello_of(l);
	ssize_t n = l->in.raw ? -ERR_MORE : 1;

	while (n > 0)
		n = vmess_chunk_open(&l->in, &l->base.rq, &h->base.text);
	l->base.eof = n == 0;
	if (n < 0 && n != -ERR_MORE)
		return (int)n;
	h->base.request.user = user_table_find(h->base.inbound->users, h->key);
	h->base.done = true;
	return h->base.request.user ? 0 : -ERR_AUTH;
}

static int server_step(struct sealed *b)
{
	struct vmess_layer *l = vmess_layer_of(&b->s);

	switch (hello_of(l)->phase) {
	case READ_USER:
		return read_user(l);
	case READ_LENGTH:
		return read_length(l);
	case READ_REQUEST:
		return read_request(l);
	default:
		return read_rest(l);
	}
}

/* ---- the answer -------------------------------------------------------------------------- */

static int emit_answer(struct vmess_layer *l, struct wr *w)
{
	const struct vmess_request *req = &hello_of(l)->req;
	uint8_t key[VMESS_KEY_LEN], iv[VMESS_KEY_LEN], *out = wr_room(w, VMESS_SEALED_ANSWER);
	int err = out ? vmess_turn(req->key, key) : w->err;

	if (!err)
		err = vmess_turn(req->iv, iv);
	if (!err)
		err = vmess_dir_set(&l->out, req, key, iv);
	return err ? err : vmess_answer_seal(key, iv, req->answer, out);
}

static ssize_t server_write_head(struct sealed *b, struct bufq *src)
{
	return vmess_write_head(vmess_layer_of(&b->s), emit_answer, src);
}

/* ---- the layer --------------------------------------------------------------------------- */

static void server_free_head(struct sealed *b)
{
	struct hello *h = b->head;

	sealed_hello_done(&h->base);
	cleanse(h, sizeof(*h));
	free(h);
}

static const struct sealed_ops server_role = {
	VMESS_SEALED,
	.write_head = server_write_head,
	.free_head = server_free_head,
};

static const struct stream_ops server_ops = {
	VMESS_LAYER_COMMON,
	SEALED_SERVER,
};

struct stream *vmess_server(struct stream *lower, const struct proto_inbound *inbound)
{
	struct hello *h = calloc(1, sizeof(*h));

	return sealed_server_new(sizeof(struct vmess_layer), lower, &server_ops, &server_role,
				 h ? &h->base : NULL, inbound, server_step);
}
