/* The client side: the request goes with the first payload, the answer is checked against it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/aes_block.h"
#include "crypto/ct.h"
#include "crypto/random.h"
#include "proto/shadowsocks/shadowsocks.h"
#include "proto/shadowsocks/ss_layer.h"
#include "proto/shadowsocks/ss_plain.h"
#include "proto/shadowsocks/ss_wire.h"
#include "proto/uot/uot.h"

#define IPSK_MAX ARRAY_LEN(((struct ss_client_conf *)0)->ipsk)
#define PIECES	 16

/* Until both directions are under way. */
struct hail {
	struct ss_client_conf conf;
	uint8_t salt[SS_SALT_MAX]; /* of the request */
	bool answered;		   /* the answer's header is done, `first` bytes follow it */
	uint16_t first;
	struct dest dest;
};

static struct hail *hail_of(const struct ss_layer *l)
{
	return l->base.head;
}

int ss_client_conf_set(struct ss_client_conf *c, const struct ss_method *m, const char *password)
{
	struct ss_client_conf conf = {.method = m};
	const char *colon;
	int err = 0;

	while (m->identity && !err && (colon = strchr(password, ':'))) {
		if (conf.nipsk == IPSK_MAX)
			return -ERR_MALFORMED;
		err = ss_key(m, password, (size_t)(colon - password), conf.ipsk[conf.nipsk++]);
		password = colon + 1;
	}
	if (!err && m->class == SS_AEAD && !*password)
		err = -ERR_MALFORMED;
	if (!err)
		err = ss_key(m, password, strlen(password), conf.key);
	if (!err)
		*c = conf;
	cleanse(&conf, sizeof(conf));
	return err;
}

/* ---- the request ------------------------------------------------------------------------- */

/* Each server on the way learns which key comes next (SIP023). */
static int put_identities(const struct hail *h, struct wr *w)
{
	const struct ss_client_conf *c = &h->conf;
	uint8_t subkey[SS_KEY_MAX], id[SS_IDENTITY_LEN];
	int err = 0;

	for (unsigned i = 0; i < c->nipsk && !err; i++) {
		ss_identity_subkey(c->method, c->ipsk[i], h->salt, subkey);
		ss_identity_hash(c->method, i + 1 < c->nipsk ? c->ipsk[i + 1] : c->key, id);
		err = aes_block_encrypt(subkey, c->method->key_len, id, id);
		wr_bytes(w, id, sizeof(id));
	}
	cleanse(subkey, sizeof(subkey));
	return err;
}

/* `iov[0]` is what precedes the payload; the first `len` bytes of `src` follow.  To wq, behind `head`. */
static ssize_t put_sealed(struct ss_layer *l, const struct wr *head, struct iovec *iov, int n,
			  struct bufq *src, size_t len)
{
	struct buf *b = bufq_tail_room(&l->base.wq, head->len + iov[0].iov_len + len + AEAD_TAG);
	int err;

	if (!b)
		return -ENOMEM;
	memcpy(b->data + b->end, head->base, head->len);
	err = ss_seal_pieces(&l->out, iov, n, b->data + b->end + head->len);
	bufq_commit(&l->base.wq, err ? 0 : head->len + iov[0].iov_len + len + AEAD_TAG);
	if (err)
		return err;
	bufq_drain(src, len);
	return (ssize_t)len;
}

/* How much of `src` goes along, as pieces behind iov[0]; room for the headers is left. */
static size_t along(const struct bufq *src, struct iovec *iov, int *n)
{
	size_t len = 0;

	*n = 1 + bufq_iov(src, iov + 1, PIECES, BUF_PAYLOAD - 2048);
	for (int i = 1; i < *n; i++)
		len += iov[i].iov_len;
	return len;
}

static int seal_fixed(struct ss_layer *l, struct wr *head, size_t variable)
{
	uint8_t text[SS_FIXED], *to;
	struct wr w = wr_of(text, sizeof(text));
	struct ss_fixed f = {(uint64_t)loop_wall(l->base.s.loop), (uint16_t)variable};

	ss_fixed_emit(&w, &f);
	to = wr_room(head, SS_FIXED + AEAD_TAG);
	return to ? ss_seal_piece(&l->out, text, sizeof(text), to) : -ENOBUFS;
}

static int seal_length(struct ss_layer *l, struct wr *head, size_t len)
{
	const uint8_t text[2] = {(uint8_t)(len >> 8), (uint8_t)len};
	uint8_t *to = wr_room(head, SS_LEN);

	return to ? ss_seal_piece(&l->out, text, sizeof(text), to) : -ENOBUFS;
}

static ssize_t client_write_head(struct sealed *b, struct bufq *src)
{
	struct ss_layer *l = ss_layer_of(&b->s);
	struct hail *h = hail_of(l);
	const struct ss_method *m = h->conf.method;
	uint8_t mem[SS_SALT_MAX + IPSK_MAX * SS_IDENTITY_LEN + SS_FIXED + AEAD_TAG];
	uint8_t text[SS_ADDRESS_MAX + 2 + SS_PADDING_MAX];
	struct wr head = wr_of(mem, sizeof(mem)), w = wr_of(text, sizeof(text));
	struct iovec iov[1 + PIECES];
	size_t len, padding = 0;
	int n, err;

	random_bytes(h->salt, m->salt_len);
	wr_bytes(&head, h->salt, m->salt_len);
	len = along(src, iov, &n);
	if (len < SS_PADDING_MAX)
		padding = 1 + random_below((uint32_t)(SS_PADDING_MAX - len));
	if (m->class == SS_2022)
		ss_variable_emit(&w, &h->dest, padding);
	else
		wr_dest(&w, DEST_SOCKS, &h->dest);
	iov[0] = (struct iovec){text, w.len};
	err = w.err ? w.err : ss_dir_derive(&l->out, m, h->conf.key, h->salt);
	if (!err)
		err = put_identities(h, &head);
	if (!err)
		err = m->class == SS_2022 ? seal_fixed(l, &head, w.len + len)
					  : seal_length(l, &head, w.len + len);
	return err ? err : put_sealed(l, &head, iov, n, src, len);
}

/* ---- the answer -------------------------------------------------------------------------- */

static int read_salt(struct ss_layer *l)
{
	struct hail *h = hail_of(l);
	uint8_t salt[SS_SALT_MAX];
	size_t len = h->conf.method->salt_len;

	if (bufq_peek(&l->base.rq, 0, salt, len) < len)
		return -ERR_MORE;
	bufq_drain(&l->base.rq, len);
	return ss_dir_derive(&l->in, h->conf.method, h->conf.key, salt);
}

static int read_answer(struct ss_layer *l)
{
	struct hail *h = hail_of(l);
	const struct ss_method *m = h->conf.method;
	uint8_t mem[SS_SALT_MAX + SS_ANSWER_MAX + AEAD_TAG], text[SS_ANSWER_MAX];
	size_t len = m->salt_len + SS_ANSWER(m->salt_len) + AEAD_TAG;
	struct rd r = rd_of(text, SS_ANSWER(m->salt_len));
	struct ss_answer a;
	int err;

	if (bufq_peek(&l->base.rq, 0, mem, len) < len)
		return -ERR_MORE;
	err = ss_dir_derive(&l->in, m, h->conf.key, mem);
	if (!err)
		err = ss_open_piece(&l->in, mem + m->salt_len, len - m->salt_len, text);
	if (!err)
		err = ss_answer_parse(&r, m->salt_len, &a);
	if (err)
		return err;
	if (!ss_time_ok(a.time, loop_wall(l->base.s.loop)) || memcmp(a.salt, h->salt, m->salt_len))
		return -ERR_AUTH;
	bufq_drain(&l->base.rq, len);
	h->first = a.first;
	h->answered = true;
	return 0;
}

/* A server that has nothing to say yet may send an empty first piece. */
static int read_first(struct ss_layer *l, struct bufq *first)
{
	uint8_t tag[AEAD_TAG], none[1];

	if (hail_of(l)->first > 0)
		return ss_open_payload(&l->in, &l->base.rq, hail_of(l)->first, first);
	if (bufq_peek(&l->base.rq, 0, tag, sizeof(tag)) < sizeof(tag))
		return -ERR_MORE;
	bufq_drain(&l->base.rq, sizeof(tag));
	return ss_open_piece(&l->in, tag, sizeof(tag), none);
}

static int client_read_head(struct sealed *b, struct bufq *first)
{
	struct ss_layer *l = ss_layer_of(&b->s);
	int err;

	if (hail_of(l)->conf.method->class == SS_AEAD)
		return read_salt(l);
	err = hail_of(l)->answered ? 0 : read_answer(l);
	return err ? err : read_first(l, first);
}

/* ---- the layer --------------------------------------------------------------------------- */

static void client_free_head(struct sealed *b)
{
	cleanse(b->head, sizeof(struct hail));
	free(b->head);
}

static const struct sealed_ops client_role = {
	SS_SEALED,
	.read_head = client_read_head,
	.write_head = client_write_head,
	.free_head = client_free_head,
	.client = true,
};

static const struct stream_ops client_ops = {
	SS_LAYER_COMMON,
	.open = sealed_client_open,
	.query = sealed_query,
};

struct stream *ss_client_new(struct stream *lower, const struct ss_client_conf *conf,
			     const struct dest *dest)
{
	struct sealed *b;
	struct hail *h;

	if (ss_method_insecure(conf->method))
		return ss_plain_client(lower, conf, dest);
	h = calloc(1, sizeof(*h));
	if (!h) {
		stream_free(lower);
		return NULL;
	}
	h->conf = *conf;
	dest_copy(&h->dest, dest);
	b = sealed_new(sizeof(struct ss_layer), lower, &client_ops, &client_role, h);
	if (!b)
		return NULL;
	b->most = conf->method->chunk;
	return &b->s;
}

struct dgram *ss_client_uot(struct stream *lower, const struct ss_client_conf *conf, int version)
{
	const struct uot_request any = {.dest.type = DEST_NONE};
	uint8_t mem[UOT_REQUEST_MAX];
	struct wr w = wr_of(mem, sizeof(mem));
	struct stream *s;
	struct bufq first;
	struct dest to;

	uot_dest(version == 1 ? UOT_V1 : UOT_V2, &to);
	bufq_init(&first, loop_pool(lower->loop), SIZE_MAX);
	s = ss_client_new(lower, conf, &to);
	if (!s || version == 1)
		return s ? framed_new(s, &uot_framing, true, NULL, NULL) : NULL;
	uot_request_emit(&w, &any);
	if (bufq_append(&first, mem, w.len)) {
		stream_free(s);
		return NULL;
	}
	return framed_new(s, &uot_framing, true, NULL, &first);
}
