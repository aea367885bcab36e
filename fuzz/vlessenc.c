/* VLESS Encryption against somebody who has the keys: what is sealed into the boxes and records is the
 * input's, so that what stands behind the ciphers is reached; and against somebody who has not.
 *
 * First byte: bits 0-1 the mode, bit 2 our role (a client), bit 3 no sealing at all, bit 4 with a ticket,
 * bits 5-7 the sizes of the pieces that arrive.
 */
#include <stdio.h>

#include "base/arena.h"
#include "proto/vlessenc/vlessenc.h"
#include "proto/vlessenc/vlessenc_record.h"
#include "proto/vlessenc/vlessenc_tickets.h"

#include "wire.h"

struct house {
	struct vlessenc_tickets *tickets;
	struct vlessenc_conf *server, *client; /* made once, and never let go */
};

struct run {
	struct wire w;
	struct house *h;
	uint32_t serial;
};

static void house_open(struct house *h, const char *mode)
{
	const char *text, *why;
	char decryption[256];
	struct arena mem;

	arena_init(&mem, 0);
	snprintf(decryption, sizeof(decryption), "mlkem768x25519plus.%s.600s.100-40-41.%s", mode,
		 "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE");
	NEED(vlessenc_tickets_new(&h->tickets) == 0);
	NEED(vlessenc_server_conf_new(decryption, h->tickets, &h->server, &why) == 0);
	NEED(vlessenc_client_text(decryption, &mem, &text, &why) == 0);
	NEED(vlessenc_client_conf_new(text, &h->client, &why) == 0);
	arena_done(&mem);
}

/* A box of the next `len` bytes of the input. */
static void put_box(struct run *r, struct vlessenc_aead *a, size_t len)
{
	static uint8_t box[65536 + AEAD_TAG];

	take(&r->w, box, len);
	NEED(vlessenc_seal(a, box, len, box) == 0);
	put(&r->w, box, len + AEAD_TAG);
}

static size_t put_len(struct run *r, struct vlessenc_aead *a)
{
	uint8_t text[2], box[VLESSENC_LEN_BOX];

	take(&r->w, text, sizeof(text));
	NEED(vlessenc_seal(a, text, sizeof(text), box) == 0);
	put(&r->w, box, sizeof(box));
	return vlessenc_be16(text);
}

/* Records of what is left: a byte of length each, sometimes a header that is a lie. */
static void put_records(struct run *r, struct vlessenc_dir *d)
{
	struct bufq src, out;
	uint8_t n, text[256];

	bufq_init(&src, loop_pool(r->w.l), SIZE_MAX);
	bufq_init(&out, loop_pool(r->w.l), SIZE_MAX);
	while (r->w.len > 0) {
		take(&r->w, &n, 1);
		take(&r->w, text, n);
		if (n == 0xff)
			put(&r->w, text, 7);
		NEED(n == 0 || bufq_append(&src, text, n) == 0);
		NEED(vlessenc_record_seal(d, &src, SIZE_MAX, false, &out) == n);
	}
	while (!bufq_empty(&out))
		put(&r->w, text, bufq_take(&out, text, sizeof(text)));
	bufq_done(&src);
}

/* A hello as a client would begin it; its boxes and what follows are the input's. */
static void put_hello(struct run *r)
{
	uint8_t iv[VLESSENC_IV], relays[VLESSENC_RELAYS_MAX], united[VLESSENC_UNITED] = {0};
	uint8_t ticket[VLESSENC_TICKET], sealed[VLESSENC_TICKET_BOX];
	struct vlessenc_aead a = {0};
	struct vlessenc_dir d = {0};
	size_t len;

	take(&r->w, iv, sizeof(iv));
	NEED(vlessenc_relays_make(r->h->client, iv, relays, united + VLESSENC_PFS) == 0);
	put(&r->w, iv, sizeof(iv));
	put(&r->w, relays, r->h->client->relays);
	vlessenc_aead_set(&a, AEAD_AES_256_GCM, iv, sizeof(iv), united + VLESSENC_PFS, 32);
	if (!(r->w.flags & 16)) {
		len = put_len(r, &a);
		put_box(r, &a, len < AEAD_TAG ? 0 : len - AEAD_TAG);
		len = put_len(r, &a);
		put_box(r, &a, len < AEAD_TAG ? 0 : len - AEAD_TAG);
		vlessenc_aead_clear(&a);
		return;
	}
	memset(ticket, 1, sizeof(ticket));
	memcpy(ticket, &r->serial, sizeof(r->serial));
	NEED(vlessenc_tickets_add(r->h->tickets, ticket, united, loop_now(r->w.l),
				  loop_now(r->w.l) + NSEC_SEC) == 0);
	NEED(vlessenc_seal(&a, (uint8_t[2]){0, VLESSENC_TICKET_BOX}, 2, sealed) == 0);
	put(&r->w, sealed, VLESSENC_LEN_BOX);
	NEED(vlessenc_seal(&a, ticket, sizeof(ticket), sealed) == 0);
	put(&r->w, sealed, sizeof(sealed));
	vlessenc_aead_set(&d.aead, AEAD_AES_256_GCM, sealed, sizeof(sealed), united,
			  sizeof(united));
	if (r->h->server->mode == VLESSENC_RANDOM)
		NEED(vlessenc_dir_mask(&d, united, iv) == 0);
	put_records(r, &d);
	vlessenc_dir_clear(&d);
	vlessenc_aead_clear(&a);
}

static void meet(struct run *r, struct stream *s)
{
	NEED(s);
	(void)open_on(&r->w, s);
	read_on(&r->w, s);
	stream_free(s);
}

/* A client that resumes reads its server's first bytes as they come. */
static void give_ticket(struct run *r)
{
	uint8_t ticket[VLESSENC_TICKET] = {1}, pfs[VLESSENC_PFS] = {0};

	NEED(vlessenc_tickets_add(r->h->client->tickets, ticket, pfs, loop_now(r->w.l),
				  loop_now(r->w.l) + NSEC_SEC) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const modes[] = {"native", "xorpub", "random", "random"};
	static struct house houses[ARRAY_LEN(modes)];
	static struct run r;

	if (!r.w.l) {
		r.w.l = loop_new(LOOP_VIRTUAL, 1);
		for (size_t i = 0; i < ARRAY_LEN(modes); i++)
			house_open(&houses[i], modes[i]);
	}
	if (!wire_begin(&r.w, data, len, 5))
		return 0;
	r.h = &houses[r.w.flags & 3];
	r.serial++;
	if (r.w.flags & 12)
		put(&r.w, r.w.data, r.w.len);
	else
		put_hello(&r);
	wire_open(&r.w);
	if (r.w.flags & 4) {
		if (r.w.flags & 16)
			give_ticket(&r);
		meet(&r, vlessenc_client_new(r.w.near, r.h->client));
	} else {
		meet(&r, vlessenc_server_new(r.w.near, r.h->server));
	}
	wire_end(&r.w);
	return 0;
}
