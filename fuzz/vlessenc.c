/* VLESS Encryption against somebody who has the keys: what is sealed into the boxes and records is the
 * input's, so that what stands behind the ciphers is reached; and against somebody who has not.
 *
 * First byte: bits 0-1 the mode, bit 2 our role (a client), bit 3 no sealing at all, bit 4 with a ticket,
 * bits 5-7 the sizes of the pieces that arrive.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "proto/vlessenc/vlessenc.h"
#include "proto/vlessenc/vlessenc_record.h"
#include "proto/vlessenc/vlessenc_tickets.h"
#include "stream/pair.h"

#define NEED(what)               \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

#define WIRE_MAX 70000

struct house {
	struct vlessenc_tickets *tickets;
	struct vlessenc_conf *server, *client; /* made once, and never let go */
};

struct run {
	struct loop *l;
	struct house *h;
	uint8_t flags;
	const uint8_t *data;
	size_t len;
	uint8_t wire[WIRE_MAX];
	size_t nwire, fed;
	uint32_t sizes, serial;
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

static void take(struct run *r, void *out, size_t len)
{
	size_t n = MIN(len, r->len);

	memset(out, 0, len);
	memcpy(out, r->data, n);
	r->data += n;
	r->len -= n;
}

static void put(struct run *r, const void *bytes, size_t len)
{
	len = MIN(len, sizeof(r->wire) - r->nwire);
	memcpy(r->wire + r->nwire, bytes, len);
	r->nwire += len;
}

/* A box of the next `len` bytes of the input. */
static void put_box(struct run *r, struct vlessenc_aead *a, size_t len)
{
	static uint8_t box[65536 + AEAD_TAG];

	take(r, box, len);
	NEED(vlessenc_seal(a, box, len, box) == 0);
	put(r, box, len + AEAD_TAG);
}

static size_t put_len(struct run *r, struct vlessenc_aead *a)
{
	uint8_t text[2], box[VLESSENC_LEN_BOX];

	take(r, text, sizeof(text));
	NEED(vlessenc_seal(a, text, sizeof(text), box) == 0);
	put(r, box, sizeof(box));
	return vlessenc_be16(text);
}

/* Records of what is left: a byte of length each, sometimes a header that is a lie. */
static void put_records(struct run *r, struct vlessenc_dir *d)
{
	struct bufq src, out;
	uint8_t n, text[256];

	bufq_init(&src, loop_pool(r->l), SIZE_MAX);
	bufq_init(&out, loop_pool(r->l), SIZE_MAX);
	while (r->len > 0) {
		take(r, &n, 1);
		take(r, text, n);
		if (n == 0xff)
			put(r, text, 7);
		NEED(n == 0 || bufq_append(&src, text, n) == 0);
		NEED(vlessenc_record_seal(d, &src, SIZE_MAX, false, &out) == n);
	}
	while (!bufq_empty(&out))
		put(r, text, bufq_take(&out, text, sizeof(text)));
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

	take(r, iv, sizeof(iv));
	NEED(vlessenc_relays_make(r->h->client, iv, relays, united + VLESSENC_PFS) == 0);
	put(r, iv, sizeof(iv));
	put(r, relays, r->h->client->relays);
	vlessenc_aead_set(&a, AEAD_AES_256_GCM, iv, sizeof(iv), united + VLESSENC_PFS, 32);
	if (!(r->flags & 16)) {
		len = put_len(r, &a);
		put_box(r, &a, len < AEAD_TAG ? 0 : len - AEAD_TAG);
		len = put_len(r, &a);
		put_box(r, &a, len < AEAD_TAG ? 0 : len - AEAD_TAG);
		vlessenc_aead_clear(&a);
		return;
	}
	memset(ticket, 1, sizeof(ticket));
	memcpy(ticket, &r->serial, sizeof(r->serial));
	NEED(vlessenc_tickets_add(r->h->tickets, ticket, united, loop_now(r->l),
				  loop_now(r->l) + NSEC_SEC) == 0);
	NEED(vlessenc_seal(&a, (uint8_t[2]){0, VLESSENC_TICKET_BOX}, 2, sealed) == 0);
	put(r, sealed, VLESSENC_LEN_BOX);
	NEED(vlessenc_seal(&a, ticket, sizeof(ticket), sealed) == 0);
	put(r, sealed, sizeof(sealed));
	vlessenc_aead_set(&d.aead, AEAD_AES_256_GCM, sealed, sizeof(sealed), united,
			  sizeof(united));
	if (r->h->server->mode == VLESSENC_RANDOM)
		NEED(vlessenc_dir_mask(&d, united, iv) == 0);
	put_records(r, &d);
	vlessenc_dir_clear(&d);
	vlessenc_aead_clear(&a);
}

static bool feed(struct run *r, struct stream *far)
{
	struct bufq q;
	size_t n;

	if (r->fed == r->nwire) {
		stream_shut(far);
		return false;
	}
	r->sizes = r->sizes * 1664525u + 1013904223u;
	n = r->sizes >> 31 ? 1 + (r->sizes >> 24) % 50 : r->nwire;
	n = MIN(n, r->nwire - r->fed);
	bufq_init(&q, loop_pool(r->l), SIZE_MAX);
	NEED(bufq_append(&q, r->wire + r->fed, n) == 0);
	NEED(stream_push(far, &q) == (ssize_t)n);
	r->fed += n;
	return true;
}

static void read_on(struct run *r, struct stream *s, struct stream *far)
{
	bool more = true;
	struct bufq q;
	ssize_t n;

	do {
		bufq_init(&q, loop_pool(r->l), SIZE_MAX);
		n = stream_pull(s, &q, 1 + r->sizes % 40000);
		NEED(n <= 0 || bufq_len(&q) == (size_t)n);
		bufq_done(&q);
		if (n == -EAGAIN && more)
			more = feed(r, far);
		else if (n == -EAGAIN)
			break;
	} while (n > 0 || n == -EAGAIN);
}

static void meet(struct run *r, struct stream *s, struct stream *far)
{
	int turns = 0;

	NEED(s);
	while (stream_open(s) == -EAGAIN && turns < 3)
		turns += !feed(r, far);
	read_on(r, s, far);
	stream_free(s);
}

/* A client that resumes reads its server's first bytes as they come. */
static void give_ticket(struct run *r)
{
	uint8_t ticket[VLESSENC_TICKET] = {1}, pfs[VLESSENC_PFS] = {0};

	NEED(vlessenc_tickets_add(r->h->client->tickets, ticket, pfs, loop_now(r->l),
				  loop_now(r->l) + NSEC_SEC) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const modes[] = {"native", "xorpub", "random", "random"};
	static struct house houses[ARRAY_LEN(modes)];
	static struct run r;
	struct stream *near, *far;

	if (!r.l) {
		r.l = loop_new(LOOP_VIRTUAL, 1);
		for (size_t i = 0; i < ARRAY_LEN(modes); i++)
			house_open(&houses[i], modes[i]);
	}
	if (len == 0)
		return 0;
	r.flags = data[0];
	r.h = &houses[r.flags & 3];
	r.sizes = r.flags >> 5;
	r.serial++;
	r.data = data + 1;
	r.len = len - 1;
	r.nwire = r.fed = 0;
	if (r.flags & 12)
		put(&r, r.data, r.len);
	else
		put_hello(&r);
	NEED(pair_new(r.l, SIZE_MAX >> 1, &near, &far) == 0);
	if (r.flags & 4) {
		if (r.flags & 16)
			give_ticket(&r);
		meet(&r, vlessenc_client_new(near, r.h->client), far);
	} else {
		meet(&r, vlessenc_server_new(near, r.h->server), far);
	}
	stream_free(far);
	loop_turn(r.l, 0);
	NEED(loop_pool(r.l)->nused == 0);
	return 0;
}
