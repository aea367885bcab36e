/* VMess streams against somebody who has the keys: what is sealed is the input's, so that the decoders
 * behind the cipher are reached; and against somebody who has not.
 *
 * First byte: bit 0 our role (a client), bit 1 no sealing at all, bit 2 a fallback stands behind, the
 * rest the sizes of the pieces that arrive.  Second byte: how long the request (the answer) is; then it,
 * and then chunks, a byte of length each.  A request's checksum is put right.
 */
#include "proto/known.h"
#include "proto/vmess/vmess.h"
#include "proto/vmess/vmess_body.h"
#include "proto/vmess/vmess_seal.h"
#include "user/registry.h"

#include "wire.h"

#define CREDENTIAL "3f2504e0-4f89-11d3-9a0c-0305e82c3301"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct run {
	struct wire w;
	struct known *known;
	struct vmess_port port;
	struct proto_inbound in;
	struct vmess_client_conf client;
};

static int derive(void *arg, const char *credential, size_t len, uint8_t *key, uint8_t *secret)
{
	int err = vmess_proto.user_key(credential, len, key);

	return err ? err : vmess_proto.user_secret(key, secret);
}

/* Made once, and never let go. */
static void set_up(struct run *r)
{
	static const uint8_t epoch[COUNTERS_EPOCH_LEN];
	struct user_registry_conf conf = {.node = 1,
					  .derive = derive,
					  .key_len = vmess_proto.key_len,
					  .secret_len = vmess_proto.secret_len,
					  .pack = true};
	struct user_entry alice = {.id = 1, .credential = CREDENTIAL, .credential_len = 36};
	static struct user_registry *reg;
	struct user_publication *pub;
	struct user_changes changes;
	struct user_list list;

	r->w.l = loop_new(LOOP_VIRTUAL, 1);
	NEED(counters_create(NULL, epoch, 1, &conf.counters) == 0);
	NEED(user_registry_new(&conf, &reg) == 0);
	user_list_init(&list);
	NEED(user_list_add(&list, &alice) == 0);
	NEED(user_registry_apply(reg, &list, &changes, &pub) == 0);
	user_list_done(&list);
	r->in.users = pub->table;
	pub->acks = 1;
	user_publication_ack(pub);
	NEED(known_new(&r->known) == 0);
	NEED(vmess_finder_new(r->known, 1, &r->port.finder) == 0);
	r->in.port = &r->port;
	NEED(vmess_client_conf_set(&r->client, CREDENTIAL, "aes-128-gcm") == 0);
}

/* ---- what arrives ------------------------------------------------------------------------ */

/* Chunks of what is left; of packets each with its length in front.  One of 0 ends the direction. */
static void put_chunks(struct run *r, struct vmess_dir *d)
{
	uint8_t n, text[2 + 256], sealed[2048];
	struct bufq src, out;
	size_t at;

	bufq_init(&src, loop_pool(r->w.l), SIZE_MAX);
	bufq_init(&out, loop_pool(r->w.l), SIZE_MAX);
	while (r->w.len > 0 && r->w.n < WIRE_MAX / 2) {
		take(&r->w, &n, 1);
		at = d->packets ? 2 : 0;
		text[0] = 0;
		text[1] = n;
		take(&r->w, text + at, n);
		if (n == 0) {
			NEED(vmess_seal_end(d, &out) == 0);
		} else {
			NEED(bufq_append(&src, text, at + n) == 0);
			NEED(vmess_seal(d, &src, SIZE_MAX, &out) == (ssize_t)(at + n));
		}
		while ((at = bufq_take(&out, sealed, sizeof(sealed))) > 0)
			put(&r->w, sealed, at);
	}
	vmess_dir_clear(d);
}

static void put_sum(struct wr *w)
{
	uint32_t h = 0x811c9dc5;

	for (size_t i = 0; i < w->len; i++)
		h = (h ^ w->base[i]) * 0x01000193;
	wr_be32(w, h);
}

static void put_request(struct run *r)
{
	uint8_t n, text[VMESS_REQ_MAX], mem[VMESS_HEAD_MAX], id[VMESS_ID_LEN], part[255];
	struct wr t = wr_of(text, sizeof(text)), w = wr_of(mem, sizeof(mem));
	static uint32_t count;
	struct vmess_request req;
	struct vmess_dir d;
	struct rd in;

	take(&r->w, &n, 1);
	take(&r->w, part, n);
	wr_bytes(&t, part, n);
	put_sum(&t);
	count++;
	vmess_id_make(loop_wall(r->w.l), (const uint8_t *)&count, id);
	NEED(vmess_head_seal(r->client.key, id, part, text, t.len, &w) == 0);
	put(&r->w, mem, w.len);
	in = rd_of(text, t.len);
	if (vmess_request_parse(&in, &req)) {
		put(&r->w, r->w.data, r->w.len);
		return;
	}
	NEED(vmess_dir_set(&d, &req, req.key, req.iv) == 0);
	put_chunks(r, &d);
}

/* To what a client of ours has just asked. */
static void put_answer(struct run *r, const uint8_t *asked)
{
	uint8_t key[VMESS_KEY_LEN], iv[VMESS_KEY_LEN], text[VMESS_REQ_MAX];
	uint8_t sealed[VMESS_SEALED_ANSWER], first;
	struct vmess_request req;
	struct vmess_dir d;
	struct rd in;
	size_t len;

	NEED(vmess_head_open(r->client.key, asked, &len) == 0);
	NEED(vmess_request_open(r->client.key, asked, len, text) == 0);
	in = rd_of(text, len);
	NEED(vmess_request_parse(&in, &req) == 0);
	NEED(vmess_turn(req.key, key) == 0 && vmess_turn(req.iv, iv) == 0);
	take(&r->w, &first, 1);
	NEED(vmess_answer_seal(key, iv, first & 1 ? req.answer : first, sealed) == 0);
	put(&r->w, sealed, sizeof(sealed));
	NEED(vmess_dir_set(&d, &req, key, iv) == 0);
	put_chunks(r, &d);
}

/* ---- and what is made of it -------------------------------------------------------------- */

/* All that a stranger sent is there for somebody else. */
static void expect_all(struct run *r, struct stream *s)
{
	static uint8_t got[WIRE_MAX];
	struct bufq q;
	size_t n;

	bufq_init(&q, loop_pool(r->w.l), SIZE_MAX);
	while (stream_pull(s, &q, sizeof(got)) > 0)
		;
	n = bufq_take(&q, got, sizeof(got));
	NEED(!(r->w.flags & 4) || (n == r->w.fed && !memcmp(got, r->w.bytes, n)));
}

static void serve(struct run *r)
{
	struct stream *s = vmess_proto.server(r->w.near, &r->in);
	union stream_value v;
	struct bufq first;
	int err;

	NEED(s && stream_query(s, STREAM_REQUEST, &v) == -ENOTSUP);
	err = open_on(&r->w, s);
	NEED(err != -EAGAIN); /* an end decides */
	if (!err) {
		NEED(stream_query(s, STREAM_REQUEST, &v) == 0);
		NEED(v.request->user);
		read_on(&r->w, s);
	} else {
		bufq_init(&first, loop_pool(r->w.l), 64);
		s = stream_peel(s, &first);
		NEED(s && bufq_empty(&first));
		expect_all(r, s);
	}
	stream_free(s);
}

static void ask(struct run *r)
{
	uint8_t asked[VMESS_HEAD_MAX] = {0};
	struct dest to;
	struct stream *s;
	struct bufq q;

	NEED(dest_parse(&to, "a.example:1") == 0);
	r->client.option = (uint8_t)(r->w.flags >> 3);
	s = vmess_client_new(r->w.near, &r->client, &to);
	NEED(s && stream_open(s) == 0);
	bufq_init(&q, loop_pool(r->w.l), SIZE_MAX);
	NEED(bufq_append(&q, "hi", 2) == 0 && stream_push(s, &q) == 2);
	while (stream_pull(r->w.far, &q, 4096) > 0)
		;
	bufq_peek(&q, 0, asked, sizeof(asked));
	bufq_done(&q);
	if (!(r->w.flags & 2))
		put_answer(r, asked);
	read_on(&r->w, s);
	stream_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct run r;

	if (!r.w.l)
		set_up(&r);
	if (!wire_begin(&r.w, data, len, 3))
		return 0;
	r.in.first_pull_decides = r.w.flags & 4;
	if (r.w.flags & 2)
		put(&r.w, r.w.data, r.w.len);
	else if (!(r.w.flags & 1))
		put_request(&r);
	wire_open(&r.w);
	if (r.w.flags & 1)
		ask(&r);
	else
		serve(&r);
	wire_end(&r.w);
	return 0;
}
