/* Shadowsocks streams against somebody who has the keys: what is sealed is the input's, so that the
 * decoders behind the cipher are reached; and against somebody who has not.
 *
 * First byte: bits 0-1 the method, bit 2 our role (a client), bit 3 no sealing at all, bit 4 the times
 * and salts that must fit are put right, bits 5-7 the sizes of the pieces that arrive.
 */
#include "proto/shadowsocks/shadowsocks.h"
#include "proto/shadowsocks/ss_chunk.h"
#include "proto/shadowsocks/ss_wire.h"
#include "user/registry.h"

#include "wire.h"

#define CREDENTIAL "3f2504e0-4f89-11d3-9a0c-0305e82c3301"

static const char *const names[] = {"aes-128-gcm", "chacha20-ietf-poly1305",
				    "2022-blake3-aes-128-gcm", "2022-blake3-chacha20-poly1305"};

struct house {
	struct ss_conf conf;
	struct proto_inbound in;
	struct ss_client_conf client;
	struct user_registry *reg; /* made once, and never let go */
	struct counters *counters;
};

struct run {
	struct wire w;
	struct house *h;
};

static int derive(void *arg, const char *credential, size_t len, uint8_t *key, uint8_t *secret)
{
	return ss_user_derive(arg, SS_CREDENTIAL_TEXT, credential, len, key, secret);
}

static void house_open(struct house *h, const char *name)
{
	static const uint8_t epoch[COUNTERS_EPOCH_LEN];
	struct user_registry_conf conf = {
		.node = 1, .derive = derive, .key_len = SS_KEY_MAX, .secret_len = SS_KEY_MAX};
	struct user_entry alice = {.id = 1, .credential = CREDENTIAL, .credential_len = 36};
	uint8_t key[SS_KEY_MAX], secret[SS_KEY_MAX];
	struct user_publication *pub;
	struct user_changes changes;
	struct ss_finder_conf fc;
	struct ss_finder *finder;
	struct user_list list;

	h->conf.method = ss_method_find(name);
	h->conf.named = h->conf.method->identity;
	NEED(counters_create(NULL, epoch, 1, &h->counters) == 0);
	conf.counters = h->counters;
	conf.derive_arg = (void *)(uintptr_t)h->conf.method;
	NEED(user_registry_new(&conf, &h->reg) == 0);
	user_list_init(&list);
	NEED(user_list_add(&list, &alice) == 0);
	NEED(user_registry_apply(h->reg, &list, &changes, &pub) == 0);
	user_list_done(&list);
	h->in.users = pub->table;
	pub->acks = 1;
	user_publication_ack(pub);
	fc = (struct ss_finder_conf){h->conf.method, h->conf.named ? h->conf.psk : NULL};
	NEED(ss_finder_new(&fc, &finder) == 0);
	h->in.conf = &h->conf;
	h->in.port = finder;
	NEED(ss_user_derive(h->conf.method, SS_CREDENTIAL_TEXT, CREDENTIAL, 36, key, secret) == 0);
	h->client.method = h->conf.method;
	memcpy(h->client.key, h->conf.method->class == SS_2022 ? secret : key, SS_KEY_MAX);
	h->client.nipsk = h->conf.named;
}

/* ---- what arrives ------------------------------------------------------------------------ */

static void put_piece(struct run *r, struct ss_dir *d, const void *text, size_t len)
{
	static uint8_t sealed[65536 + AEAD_TAG];

	NEED(ss_seal_piece(d, text, len, sealed) == 0);
	put(&r->w, sealed, len + AEAD_TAG);
}

/* Chunks of what is left: a byte of length each, sometimes a length that is a lie. */
static void put_chunks(struct run *r, struct ss_dir *d)
{
	while (r->w.len > 0) {
		uint8_t n, text[256], length[2] = {0};

		take(&r->w, &n, 1);
		length[1] = n;
		length[0] = n == 0xff ? 0xff : 0;
		take(&r->w, text, n);
		put_piece(r, d, length, 2);
		put_piece(r, d, text, n);
	}
}

static void put_request(struct run *r)
{
	const struct ss_method *m = r->h->conf.method;
	uint8_t salt[SS_SALT_MAX], fixed[SS_FIXED], text[1024];
	struct wr w = wr_of(fixed, sizeof(fixed));
	struct ss_dir d;
	size_t n;

	take(&r->w, salt, sizeof(salt));
	put(&r->w, salt, m->salt_len);
	NEED(ss_dir_derive(&d, m, r->h->client.key, salt) == 0);
	if (m->class == SS_2022) {
		/* The identity header is made by a client of ours, elsewhere: named ones get noise. */
		take(&r->w, fixed, sizeof(fixed));
		n = MIN(r->w.len / 2, sizeof(text));
		if (r->w.flags & 16)
			ss_fixed_emit(&w,
				      &(struct ss_fixed){(uint64_t)loop_wall(r->w.l), (uint16_t)n});
		put_piece(r, &d, fixed, sizeof(fixed));
		take(&r->w, text, n);
		put_piece(r, &d, text, n);
	}
	put_chunks(r, &d);
	ss_dir_clear(&d);
}

static void put_answer(struct run *r, const uint8_t *asked)
{
	const struct ss_method *m = r->h->conf.method;
	uint8_t salt[SS_SALT_MAX], head[SS_ANSWER_MAX], text[512];
	struct wr w = wr_of(head, sizeof(head));
	struct ss_dir d;
	size_t n;

	take(&r->w, salt, sizeof(salt));
	put(&r->w, salt, m->salt_len);
	NEED(ss_dir_derive(&d, m, r->h->client.key, salt) == 0);
	if (m->class == SS_2022) {
		n = MIN(r->w.len / 2, sizeof(text));
		take(&r->w, head, sizeof(head));
		if (r->w.flags & 16)
			ss_answer_emit(&w, m->salt_len,
				       &(struct ss_answer){(uint64_t)loop_wall(r->w.l), asked,
							   (uint16_t)n});
		put_piece(r, &d, head, SS_ANSWER(m->salt_len));
		take(&r->w, text, n);
		put_piece(r, &d, text, n);
	}
	put_chunks(r, &d);
	ss_dir_clear(&d);
}

/* ---- and what is made of it -------------------------------------------------------------- */

static void serve(struct run *r)
{
	struct stream *s = shadowsocks_proto.server(r->w.near, &r->h->in);
	union stream_value v;
	int err;

	NEED(s && stream_query(s, STREAM_REQUEST, &v) == -ENOTSUP);
	err = open_on(&r->w, s);
	NEED((stream_query(s, STREAM_REQUEST, &v) == 0) == (err == 0));
	NEED(err || (v.request->user && v.request->dest.type != DEST_NONE));
	read_on(&r->w, s);
	stream_free(s);
}

static void ask(struct run *r)
{
	struct dest to;
	struct stream *s;
	uint8_t asked[SS_SALT_MAX] = {0};
	struct bufq q;

	NEED(dest_parse(&to, "a.example:1") == 0);
	s = ss_client_new(r->w.near, &r->h->client, &to);
	NEED(s && stream_open(s) == 0);
	bufq_init(&q, loop_pool(r->w.l), SIZE_MAX);
	NEED(bufq_append(&q, "hi", 2) == 0 && stream_push(s, &q) == 2);
	while (stream_pull(r->w.far, &q, 4096) > 0)
		;
	bufq_peek(&q, 0, asked, r->h->conf.method->salt_len);
	bufq_done(&q);
	if (!(r->w.flags & 8))
		put_answer(r, asked);
	read_on(&r->w, s);
	stream_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct house houses[ARRAY_LEN(names)];
	static struct run r;

	if (!r.w.l) {
		r.w.l = loop_new(LOOP_VIRTUAL, 1);
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			house_open(&houses[i], names[i]);
	}
	if (!wire_begin(&r.w, data, len, 5))
		return 0;
	r.h = &houses[r.w.flags & 3];
	if (r.w.flags & 8)
		put(&r.w, r.w.data, r.w.len);
	else if (!(r.w.flags & 4))
		put_request(&r);
	wire_open(&r.w);
	if (r.w.flags & 4)
		ask(&r);
	else
		serve(&r);
	wire_end(&r.w);
	return 0;
}
