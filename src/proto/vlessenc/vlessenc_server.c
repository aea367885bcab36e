/* The server's side of the hello.  Whatever is wrong with it ends in -ERR_AUTH and silence; only a
 * ticket that nobody knows is answered, by one who knew our public key: with noise that its client
 * takes for "begin anew".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/random.h"
#include "proto/vlessenc/vlessenc_layer.h"
#include "proto/vlessenc/vlessenc_tickets.h"

#define SLACK	  (60 * NSEC_SEC) /* that a ticket lives longer than the client was told */
#define NOISE_MIN 1279
#define NOISE_MAX 2279

enum step {
	STEP_RELAYS,
	STEP_BODY,
	STEP_PADDING_LEN,
	STEP_PADDING,
};

/* The client decides about the cipher; its first box tells. */
static int try_ciphers(struct vlessenc_handshake *hs, const uint8_t *box, uint8_t len[2])
{
	static const enum aead_alg algs[] = {AEAD_AES_256_GCM, AEAD_CHACHA20_POLY1305};
	int err = -ERR_AUTH;

	for (unsigned i = 0; i < ARRAY_LEN(algs) && err == -ERR_AUTH; i++) {
		hs->alg = algs[i];
		vlessenc_aead_set(&hs->nfs, hs->alg, hs->iv, sizeof(hs->iv), hs->secret,
				  sizeof(hs->secret));
		err = vlessenc_open(&hs->nfs, box, VLESSENC_LEN_BOX, len);
	}
	return err;
}

static int read_relays(struct vlessenc_layer *l)
{
	uint8_t bytes[VLESSENC_RELAYS_MAX + VLESSENC_LEN_BOX], len[2];
	struct vlessenc_handshake *hs = l->hs;
	size_t relays = l->conf->relays;
	int err;

	if (bufq_len(&l->base.rq) < VLESSENC_IV + relays + VLESSENC_LEN_BOX)
		return -EAGAIN;
	bufq_take(&l->base.rq, hs->iv, sizeof(hs->iv));
	bufq_take(&l->base.rq, bytes, relays + VLESSENC_LEN_BOX);
	hs->step = STEP_BODY;
	err = vlessenc_relays_open(l->conf, hs->iv, bytes, hs->secret);
	if (!err)
		err = try_ciphers(hs, bytes + relays, len);
	if (err)
		return err;
	hs->body = vlessenc_be16(len);
	if (hs->body != VLESSENC_TICKET_BOX && hs->body < VLESSENC_HALF_C + AEAD_TAG)
		return -ERR_AUTH;
	return 0;
}

/* No record: neither at the beginning nor behind the 16 bytes that a client takes for ours. */
static int send_noise(struct vlessenc_layer *l)
{
	struct vlessenc_pieces *out = &l->hs->out;
	size_t len = NOISE_MIN + random_below(NOISE_MAX - NOISE_MIN);

	out->bytes = malloc(len);
	if (!out->bytes)
		return -ENOMEM;
	random_bytes(out->bytes, len);
	for (size_t i = 0; i <= VLESSENC_IV; i += VLESSENC_IV)
		out->bytes[i] ^= out->bytes[i] == 0x17 ? 0x80 : 0;
	out->n = 1;
	out->len[0] = (uint32_t)len;
	vlessenc_send_pieces(l);
	return -ERR_AUTH;
}

static void unite(struct vlessenc_handshake *hs)
{
	memcpy(hs->united + VLESSENC_PFS, hs->secret, sizeof(hs->secret));
}

static int resume(struct vlessenc_layer *l)
{
	struct vlessenc_handshake *hs = l->hs;
	uint8_t sealed[VLESSENC_TICKET_BOX], pre[VLESSENC_IV];
	int err = -ERR_AUTH;

	if (bufq_len(&l->base.rq) < sizeof(sealed))
		return -EAGAIN;
	bufq_take(&l->base.rq, sealed, sizeof(sealed));
	if (vlessenc_open(&hs->nfs, sealed, sizeof(sealed), hs->ticket))
		return -ERR_AUTH;
	if (l->conf->tickets && l->conf->zero_rtt)
		err = vlessenc_tickets_use(l->conf->tickets, hs->ticket, hs->secret,
					   loop_now(l->base.s.loop), hs->united);
	if (err == -ERR_AUTH)
		return send_noise(l);
	if (err)
		return err == -ERR_REPLAY ? -ERR_AUTH : err;
	unite(hs);
	random_bytes(pre, sizeof(pre));
	vlessenc_aead_set(&l->in.aead, hs->alg, sealed, sizeof(sealed), hs->united,
			  sizeof(hs->united));
	vlessenc_aead_set(&l->out.aead, hs->alg, pre, sizeof(pre), hs->united, sizeof(hs->united));
	err = vlessenc_set_masks(l, hs->iv, pre);
	if (!err)
		err = bufq_append(&l->base.wq, pre, sizeof(pre));
	l->base.held = true;
	return err;
}

/* Two bytes of seconds, the rest random.  What could not be remembered is not resumable. */
static void make_ticket(struct vlessenc_layer *l)
{
	struct vlessenc_handshake *hs = l->hs;
	nsec_t now = loop_now(l->base.s.loop);
	const struct vlessenc_conf *c = l->conf;
	uint32_t life = c->tickets ? vlessenc_life_draw(c) : 0;
	nsec_t longest = MAX(c->life_from, c->life_to) * NSEC_SEC;

	random_bytes(hs->ticket, sizeof(hs->ticket));
	hs->ticket[0] = (uint8_t)(life >> 8);
	hs->ticket[1] = (uint8_t)life;
	if (life > 0 &&
	    vlessenc_tickets_add(c->tickets, hs->ticket, hs->united, now, now + longest + SLACK))
		hs->ticket[0] = hs->ticket[1] = 0;
}

/* Everything of it goes behind one another into memory; the paddings cut it to pieces. */
static int send_answer(struct vlessenc_layer *l, const uint8_t answer[VLESSENC_HALF_S])
{
	struct vlessenc_handshake *hs = l->hs;
	struct vlessenc_pieces *out = &hs->out;
	uint8_t len[2], *at;
	uint32_t padding;
	int err;

	out->n = vlessenc_padding_draw(&l->conf->padding, out->len, out->gap_ms, &padding);
	out->bytes = calloc(1, VLESSENC_HALF_S + AEAD_TAG + VLESSENC_TICKET_BOX + padding);
	if (!out->bytes)
		return -ENOMEM;
	out->len[0] += VLESSENC_HALF_S + AEAD_TAG + VLESSENC_TICKET_BOX;
	at = out->bytes;
	err = vlessenc_seal_last(&hs->nfs, answer, VLESSENC_HALF_S, at);
	at += VLESSENC_HALF_S + AEAD_TAG;
	if (!err)
		err = vlessenc_seal(&l->out.aead, hs->ticket, sizeof(hs->ticket), at);
	at += VLESSENC_TICKET_BOX;
	padding -= VLESSENC_LEN_BOX;
	len[0] = (uint8_t)(padding >> 8);
	len[1] = (uint8_t)padding;
	if (!err)
		err = vlessenc_seal(&l->out.aead, len, sizeof(len), at);
	at += VLESSENC_LEN_BOX;
	if (!err)
		err = vlessenc_seal(&l->out.aead, at, padding - AEAD_TAG, at);
	if (!err)
		vlessenc_send_pieces(l);
	return err;
}

static int answer(struct vlessenc_layer *l)
{
	uint8_t client[VLESSENC_HALF_C], mine[VLESSENC_HALF_S];
	struct vlessenc_handshake *hs = l->hs;
	int err = vlessenc_take_box(l, &hs->nfs, hs->body, client, sizeof(client));

	if (err)
		return err;
	hs->step = STEP_PADDING_LEN;
	err = vlessenc_answer_make(client, mine, hs->united);
	if (err)
		return err;
	unite(hs);
	vlessenc_aead_set(&l->out.aead, hs->alg, mine, sizeof(mine), hs->united,
			  sizeof(hs->united));
	vlessenc_aead_set(&l->in.aead, hs->alg, client, sizeof(client), hs->united,
			  sizeof(hs->united));
	make_ticket(l);
	err = vlessenc_set_masks(l, hs->iv, hs->ticket);
	return err ? err : send_answer(l, mine);
}

static int run(struct vlessenc_layer *l)
{
	struct vlessenc_handshake *hs = l->hs;
	uint8_t len[2];
	int err = hs->step == STEP_RELAYS ? read_relays(l) : 0;

	if (!err && hs->step == STEP_BODY) {
		if (hs->body == VLESSENC_TICKET_BOX)
			return resume(l);
		err = answer(l);
	}
	if (!err && hs->step == STEP_PADDING_LEN) {
		err = vlessenc_take_box(l, &hs->nfs, VLESSENC_LEN_BOX, len, sizeof(len));
		if (!err) {
			hs->body = vlessenc_be16(len);
			hs->step = STEP_PADDING;
		}
	}
	if (!err && hs->step == STEP_PADDING)
		err = vlessenc_take_box(l, &hs->nfs, hs->body, NULL, 0);
	return err;
}

const struct vlessenc_role vlessenc_server_role = {.run = run};
