/* The client side: the request goes with the first payload, the answer has to be one to it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/random.h"
#include "proto/vless/vless_wire.h"
#include "proto/vmess/vmess.h"
#include "proto/vmess/vmess_layer.h"
#include "proto/vmess/vmess_seal.h"
#include "proto/vmess/vmess_udp.h"
#include "transport/muxcool/xudp.h"

#define ANSWER_MAX (VMESS_ANSWER_LEN + 255)

/* Until both directions are under way. */
struct hail {
	uint8_t key[VMESS_KEY_LEN];				     /* the user's */
	uint8_t answer_key[VMESS_KEY_LEN], answer_iv[VMESS_KEY_LEN]; /* the other direction's */
	struct vmess_request req;
};

static struct hail *hail_of(const struct vmess_layer *l)
{
	return l->base.head;
}

int vmess_client_conf_set(struct vmess_client_conf *c, const char *id, const char *cipher)
{
	static const struct {
		const char *name;
		uint8_t cipher, option;
	} words[] = {
		{"aes-128-gcm", VMESS_AES_128_GCM, VMESS_CHUNKS | VMESS_MASK | VMESS_PADDING},
		{"chacha20-poly1305", VMESS_CHACHA20_POLY1305,
		 VMESS_CHUNKS | VMESS_MASK | VMESS_PADDING},
		/* sing-box takes no masked lengths with it */
		{"none", VMESS_NONE, VMESS_CHUNKS},
		{"zero", VMESS_NONE, 0},
	};
	struct vmess_client_conf conf = {0};
	uint8_t uuid[VLESS_ID_LEN];
	int err;

	if (!*cipher || !strcmp(cipher, "auto"))
		cipher = words[aead_has_hw_aes() ? 0 : 1].name;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!strcmp(cipher, words[i].name)) {
			conf.cipher = words[i].cipher;
			conf.option = words[i].option;
		}
	}
	if (!conf.cipher)
		return -ERR_UNSUPPORTED;
	err = vless_id_of_text(id, strlen(id), uuid);
	if (!err)
		err = vmess_command_key(uuid, conf.key);
	if (!err)
		*c = conf;
	return err;
}

/* ---- the heads --------------------------------------------------------------------------- */

static int emit_request(struct vmess_layer *l, struct wr *w)
{
	const struct hail *h = hail_of(l);
	uint8_t noise[4 + VMESS_NONCE + VMESS_PADDING_MAX], id[VMESS_ID_LEN], text[VMESS_REQ_MAX];
	struct wr t = wr_of(text, sizeof(text));
	int err;

	random_bytes(noise, sizeof(noise));
	vmess_id_make(loop_wall(l->base.s.loop), noise, id);
	vmess_request_emit(&t, &h->req, noise + 4 + VMESS_NONCE,
			   random_below(VMESS_PADDING_MAX + 1));
	err = t.err ? t.err : vmess_dir_set(&l->out, &h->req, h->req.key, h->req.iv);
	if (!err)
		err = vmess_head_seal(h->key, id, noise + 4, text, t.len, w);
	cleanse(text, sizeof(text));
	return err;
}

static ssize_t client_write_head(struct sealed *b, struct bufq *src)
{
	return vmess_write_head(vmess_layer_of(&b->s), emit_request, src);
}

static int client_read_head(struct sealed *b, struct bufq *first)
{
	struct vmess_layer *l = vmess_layer_of(&b->s);
	const struct hail *h = hail_of(l);
	uint8_t sealed[VMESS_SEALED_U16 + ANSWER_MAX + AEAD_TAG], text[ANSWER_MAX];
	size_t got = bufq_peek(&l->base.rq, 0, sealed, sizeof(sealed)), len, whole;
	int err;

	if (got < VMESS_SEALED_U16)
		return -ERR_MORE;
	err = vmess_answer_len(h->answer_key, h->answer_iv, sealed, &len);
	if (err)
		return err;
	if (len < VMESS_ANSWER_LEN || len > ANSWER_MAX)
		return -ERR_MALFORMED;
	whole = VMESS_SEALED_U16 + len + AEAD_TAG;
	if (got < whole)
		return -ERR_MORE;
	err = vmess_answer_open(h->answer_key, h->answer_iv, sealed + VMESS_SEALED_U16, len, text);
	if (!err && text[0] != h->req.answer)
		err = -ERR_AUTH;
	if (!err)
		err = vmess_dir_set(&l->in, &h->req, h->answer_key, h->answer_iv);
	if (err)
		return err;
	b->plain = l->in.raw;
	bufq_drain(&b->rq, whole);
	return 0;
}

static void client_free_head(struct sealed *b)
{
	cleanse(b->head, sizeof(struct hail));
	free(b->head);
}

static const struct sealed_ops client_role = {
	VMESS_SEALED,
	.read_head = client_read_head,
	.write_head = client_write_head,
	.free_head = client_free_head,
	.client = true,
};

/* ---- the layer --------------------------------------------------------------------------- */

static const struct stream_ops client_ops = {
	VMESS_LAYER_COMMON,
	.open = sealed_client_open,
	.query = sealed_query,
};

static int set_hail(struct hail *h, const struct vmess_client_conf *conf, uint8_t cmd,
		    const struct dest *dest)
{
	int err;

	memcpy(h->key, conf->key, sizeof(h->key));
	h->req.cipher = conf->cipher;
	h->req.option = conf->option | (cmd == VMESS_UDP ? VMESS_CHUNKS : 0);
	h->req.cmd = cmd;
	if (cmd != VMESS_MUX)
		dest_copy(&h->req.dest, dest);
	random_bytes(h->req.key, sizeof(h->req.key));
	random_bytes(h->req.iv, sizeof(h->req.iv));
	random_bytes(&h->req.answer, 1);
	err = vmess_turn(h->req.key, h->answer_key);
	return err ? err : vmess_turn(h->req.iv, h->answer_iv);
}

static struct stream *start(struct stream *lower, const struct vmess_client_conf *conf, uint8_t cmd,
			    const struct dest *dest)
{
	struct hail *h = calloc(1, sizeof(*h));
	struct sealed *b;

	if (!h || set_hail(h, conf, cmd, dest)) {
		free(h);
		stream_free(lower);
		return NULL;
	}
	b = sealed_new(sizeof(struct vmess_layer), lower, &client_ops, &client_role, h);
	return b ? &b->s : NULL;
}

struct stream *vmess_client_new(struct stream *lower, const struct vmess_client_conf *conf,
				const struct dest *dest)
{
	return start(lower, conf, VMESS_TCP, dest);
}

struct stream *vmess_client_mux(struct stream *lower, const struct vmess_client_conf *conf)
{
	return start(lower, conf, VMESS_MUX, NULL);
}

struct dgram *vmess_client_udp(struct stream *lower, const struct vmess_client_conf *conf,
			       const struct dest *dest, bool plain)
{
	struct stream *s = start(lower, conf, plain ? VMESS_UDP : VMESS_MUX, dest);

	if (!s)
		return NULL;
	return framed_new(s, plain ? &vmess_udp_framing : &xudp_framing, true, plain ? dest : NULL,
			  NULL);
}
