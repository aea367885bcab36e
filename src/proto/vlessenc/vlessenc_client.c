/* The client's side of the hello: with the latest ticket if there is one, else with one round trip. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/random.h"
#include "proto/vlessenc/vlessenc_layer.h"
#include "proto/vlessenc/vlessenc_tickets.h"

enum step {
	STEP_BEGIN,
	STEP_ANSWER,
	STEP_TICKET,
	STEP_PADDING_LEN,
	STEP_RESUMED,
};

static int seal_len(struct vlessenc_aead *a, size_t len, uint8_t *out)
{
	uint8_t text[2] = {(uint8_t)(len >> 8), (uint8_t)len};

	return vlessenc_seal(a, text, sizeof(text), out);
}

static void unite(struct vlessenc_handshake *hs)
{
	memcpy(hs->united + VLESSENC_PFS, hs->secret, sizeof(hs->secret));
}

/* `at` is behind the relays.  The hello waits for the first payload, to travel with it. */
static int resume(struct vlessenc_layer *l, const uint8_t *hello, uint8_t *at)
{
	struct vlessenc_handshake *hs = l->hs;
	int err = seal_len(&hs->nfs, VLESSENC_TICKET_BOX, at);

	at += VLESSENC_LEN_BOX;
	if (!err)
		err = vlessenc_seal(&hs->nfs, hs->ticket, sizeof(hs->ticket), at);
	if (err)
		return err;
	unite(hs);
	vlessenc_aead_set(&l->out.aead, hs->alg, at, VLESSENC_TICKET_BOX, hs->united,
			  sizeof(hs->united));
	err = vlessenc_set_masks(l, NULL, hs->iv);
	if (!err)
		err = bufq_append(&l->base.wq, hello, (size_t)(at + VLESSENC_TICKET_BOX - hello));
	hs->step = STEP_RESUMED;
	hs->body = VLESSENC_IV;
	l->base.head_in = l->base.held = true;
	return err;
}

static int make_keys(struct vlessenc_handshake *hs)
{
	uint8_t seed[MLKEM768_SEED];

	hs->kem = malloc(sizeof(*hs->kem));
	hs->half = malloc(VLESSENC_HALF_C);
	if (!hs->kem || !hs->half)
		return -ENOMEM;
	random_bytes(seed, sizeof(seed));
	mlkem768_key_set(hs->kem, seed);
	memcpy(hs->half, hs->kem->pub, MLKEM768_PUB);
	return x25519_keygen(hs->priv, hs->half + MLKEM768_PUB);
}

/* Everything goes behind one another into memory; the paddings cut it to pieces. */
static int send_keys(struct vlessenc_layer *l, const uint8_t *hello, size_t before)
{
	struct vlessenc_handshake *hs = l->hs;
	struct vlessenc_pieces *out = &hs->out;
	const size_t keys = VLESSENC_LEN_BOX + VLESSENC_HALF_C + AEAD_TAG;
	uint32_t padding;
	uint8_t *at;
	int err;

	out->n = vlessenc_padding_draw(&l->conf->padding, out->len, out->gap_ms, &padding);
	out->bytes = calloc(1, before + keys + padding);
	if (!out->bytes)
		return -ENOMEM;
	out->len[0] += (uint32_t)(before + keys);
	memcpy(out->bytes, hello, before);
	at = out->bytes + before;
	err = seal_len(&hs->nfs, VLESSENC_HALF_C + AEAD_TAG, at);
	at += VLESSENC_LEN_BOX;
	if (!err)
		err = vlessenc_seal(&hs->nfs, hs->half, VLESSENC_HALF_C, at);
	at += VLESSENC_HALF_C + AEAD_TAG;
	padding -= VLESSENC_LEN_BOX;
	if (!err)
		err = seal_len(&hs->nfs, padding, at);
	at += VLESSENC_LEN_BOX;
	if (!err)
		err = vlessenc_seal(&hs->nfs, at, padding - AEAD_TAG, at);
	if (!err)
		vlessenc_send_pieces(l);
	hs->step = STEP_ANSWER;
	return err;
}

static int begin(struct vlessenc_layer *l)
{
	uint8_t hello[VLESSENC_IV + VLESSENC_RELAYS_MAX + VLESSENC_LEN_BOX + VLESSENC_TICKET_BOX];
	struct vlessenc_handshake *hs = l->hs;
	const struct vlessenc_conf *c = l->conf;
	size_t before = VLESSENC_IV + c->relays;
	int err;

	random_bytes(hs->iv, sizeof(hs->iv));
	memcpy(hello, hs->iv, sizeof(hs->iv));
	err = vlessenc_relays_make(c, hs->iv, hello + VLESSENC_IV, hs->secret);
	if (err)
		return err;
	vlessenc_aead_set(&hs->nfs, hs->alg, hs->iv, sizeof(hs->iv), hs->secret,
			  sizeof(hs->secret));
	if (c->zero_rtt &&
	    vlessenc_tickets_newest(c->tickets, loop_now(l->base.s.loop), hs->ticket, hs->united))
		return resume(l, hello, hello + before);
	err = make_keys(hs);
	return err ? err : send_keys(l, hello, before);
}

static int read_answer(struct vlessenc_layer *l)
{
	uint8_t box[VLESSENC_HALF_S + AEAD_TAG];
	struct vlessenc_handshake *hs = l->hs;

	if (bufq_len(&l->base.rq) < sizeof(box))
		return -EAGAIN;
	bufq_take(&l->base.rq, box, sizeof(box));
	if (vlessenc_open_last(&hs->nfs, box, sizeof(box), box) ||
	    vlessenc_answer_open(hs->kem, hs->priv, box, hs->united))
		return -ERR_PROTOCOL;
	unite(hs);
	vlessenc_aead_set(&l->out.aead, hs->alg, hs->half, VLESSENC_HALF_C, hs->united,
			  sizeof(hs->united));
	vlessenc_aead_set(&l->in.aead, hs->alg, box, VLESSENC_HALF_S, hs->united,
			  sizeof(hs->united));
	hs->step = STEP_TICKET;
	return 0;
}

static int read_ticket(struct vlessenc_layer *l)
{
	struct vlessenc_handshake *hs = l->hs;
	nsec_t now = loop_now(l->base.s.loop);
	int err = vlessenc_take_box(l, &l->in.aead, VLESSENC_TICKET_BOX, hs->ticket,
				    sizeof(hs->ticket));
	uint16_t life;

	if (!err)
		err = vlessenc_set_masks(l, hs->ticket, hs->iv);
	if (err)
		return err;
	life = vlessenc_be16(hs->ticket);
	/* Without memory for it the next connection takes a round trip. */
	if (l->conf->zero_rtt && life > 0)
		(void)!vlessenc_tickets_add(l->conf->tickets, hs->ticket, hs->united, now,
					    now + life * NSEC_SEC);
	hs->step = STEP_PADDING_LEN;
	return 0;
}

/* The padding itself may come late: it is read with the first record. */
static int read_padding_len(struct vlessenc_layer *l)
{
	uint8_t len[2];
	int err = vlessenc_take_box(l, &l->in.aead, VLESSENC_LEN_BOX, len, sizeof(len));

	if (err)
		return err;
	l->hs->body = vlessenc_be16(len);
	l->base.head_in = true;
	return 0;
}

static int run(struct vlessenc_layer *l)
{
	struct vlessenc_handshake *hs = l->hs;
	int err = 0;

	if (hs->step == STEP_BEGIN) {
		err = begin(l);
		if (!err && hs->step == STEP_RESUMED)
			return 0;
	}
	if (!err && hs->step == STEP_ANSWER)
		err = read_answer(l);
	if (!err && hs->step == STEP_TICKET)
		err = read_ticket(l);
	if (!err && hs->step == STEP_PADDING_LEN)
		err = read_padding_len(l);
	return err == -ERR_AUTH ? -ERR_PROTOCOL : err;
}

static int first(struct vlessenc_layer *l)
{
	struct vlessenc_handshake *hs = l->hs;
	uint8_t pre[VLESSENC_IV];
	int err;

	if (hs->step != STEP_RESUMED) {
		err = vlessenc_take_box(l, &l->in.aead, hs->body, NULL, 0);
		return err == -EAGAIN ? -ERR_MORE : err;
	}
	if (bufq_len(&l->base.rq) < sizeof(pre))
		return -ERR_MORE;
	bufq_take(&l->base.rq, pre, sizeof(pre));
	vlessenc_aead_set(&l->in.aead, hs->alg, pre, sizeof(pre), hs->united, sizeof(hs->united));
	return vlessenc_set_masks(l, pre, NULL);
}

/* What is no record says that the server does not know our ticket. */
void vlessenc_client_first_record(struct vlessenc_layer *l, bool good)
{
	if (!good && l->hs->step == STEP_RESUMED)
		vlessenc_tickets_drop(l->conf->tickets, l->hs->ticket);
}

const struct vlessenc_role vlessenc_client_role = {.run = run, .first = first};
