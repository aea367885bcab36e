/* reality_client.c - any bytes as what a server says to our REALITY client, who talks to somebody that
 * has the key and answers with the right messages wherever the input asks for them: the client
 * believes only him who has made his certificate, his signature and his Finished as they must be.
 *
 * First byte: bit 0 an ML-DSA-65 signature is asked for, bit 1 the hybrid is chosen, bits 2 and 3 the
 * suite, the rest the sizes of the pieces that arrive.  Then items, a byte of kind each (modulo):
 *
 *     0  length (2), that many bytes as they are
 *     1  type (1), length (2), that many bytes: a record in clear
 *     2  type (1), length (2), that many bytes: a sealed record
 *     3  ServerHello, with ChangeCipherSpec behind
 *     4  EncryptedExtensions, sealed; 5 Certificate, 6 CertificateVerify, 7 Finished
 */
#include "base/buf.h"
#include "base/rd.h"
#include "base/wr.h"
#include "crypto/ed25519.h"
#include "tls/reality_auth.h"
#include "tls/tls13.h"
#include "tls/tls13_exchange.h"

#include "wire.h"

#define HELLO_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct run {
	struct wire w;
	struct x25519 *key;
	struct ed25519 *signer;
	struct mldsa65_key *mldsa;
	struct reality_client_conf conf;
	uint8_t hello[HELLO_MAX], answer[HELLO_MAX]; /* the client's message, and ours */
	size_t hellolen, answerlen;
	uint8_t auth[REALITY_AUTH_KEY];
	struct tls13 keys;
	struct tls_dir out;
	/* The kinds of right messages in their order, 3, 34, ... 34567; and the same without 4, which
	 * anybody can say. */
	unsigned said, proof;
	bool strange; /* something else has been said as well */
};

/* Made once, and never let go. */
static void set_up(struct run *r)
{
	static const uint8_t seed[MLDSA65_SEED] = "a seed";

	r->w.l = loop_new(LOOP_VIRTUAL, 1);
	r->key = x25519_new(NULL);
	r->signer = ed25519_new(NULL);
	r->mldsa = mldsa65_key_new(seed);
	NEED(r->w.l && r->key && r->signer && r->mldsa);
	memcpy(r->conf.public_key, x25519_key_public(r->key), X25519_LEN);
	memcpy(r->conf.server_name, "weir.test", 10);
}

/* What the client says first, and the key that it proves to know. */
static void hear_hello(struct run *r, struct stream *s)
{
	uint8_t shared[X25519_LEN];
	struct tls_hello h;
	struct rd in;
	struct bufq q;
	ssize_t n;

	NEED(stream_open(s) == -EAGAIN);
	bufq_init(&q, loop_pool(r->w.l), SIZE_MAX);
	while ((n = stream_pull(r->w.far, &q, HELLO_MAX)) > 0)
		;
	NEED(bufq_len(&q) > TLS_HEADER && bufq_len(&q) <= TLS_HEADER + HELLO_MAX);
	bufq_take(&q, r->hello, TLS_HEADER);
	r->hellolen = bufq_len(&q);
	bufq_take(&q, r->hello, r->hellolen);
	bufq_done(&q);
	in = rd_of(r->hello, r->hellolen);
	NEED(tls_hello_parse(&in, &h) == 0);
	NEED(x25519_key_shared(r->key, tls_hello_share(&h, GROUP_X25519).p, shared) == 0);
	NEED(reality_auth_key(shared, r->hello + 6, r->auth) == 0);
}

static void put_record(struct run *r, uint8_t type, const uint8_t *p, size_t len)
{
	const uint8_t head[TLS_HEADER] = {type, 3, 3, (uint8_t)(len >> 8), (uint8_t)len};

	put(&r->w, head, sizeof(head));
	put(&r->w, p, len);
}

static void put_sealed(struct run *r, uint8_t type, const uint8_t *p, size_t len)
{
	static uint8_t record[TLS_HEADER + TLS_CIPHER_MAX];
	struct iovec iov = {(void *)(uintptr_t)p, len};

	if (!r->said || len > TLS_PLAIN_MAX)
		return;
	NEED(tls_seal(&r->out, type, &iov, 1, len, record) == 0);
	put(&r->w, record, len + TLS_OVERHEAD);
	if (type == TLS_HANDSHAKE)
		NEED(tls13_add(&r->keys, p, len) == 0);
}

/* A message as it must be; in its turn, or not. */
static void put_right(struct run *r, unsigned kind, struct wr *w)
{
	size_t n = w->len - 4;

	NEED(!w->err);
	w->base[1] = 0;
	w->base[2] = (uint8_t)(n >> 8);
	w->base[3] = (uint8_t)n;
	put_sealed(r, TLS_HANDSHAKE, w->base, w->len);
	if (r->said < 34567)
		r->said = r->said * 10 + kind;
	if (r->proof < 3567 && kind != 4)
		r->proof = r->proof * 10 + kind;
}

static void put_hello(struct run *r)
{
	const uint16_t suite = (uint16_t)(0x1301 + (r->w.flags >> 2 & 3) % 3),
		       group = r->w.flags & 2 ? GROUP_X25519MLKEM768 : GROUP_X25519;
	struct wr w = wr_of(r->answer, sizeof(r->answer));
	uint8_t share[TLS13_SHARE_MAX], secret[TLS13_SECRET_MAX];
	struct rd in = rd_of(r->hello, r->hellolen);
	size_t sharelen, len;
	struct tls_hello h;

	if (r->said)
		return;
	NEED(tls_hello_parse(&in, &h) == 0);
	NEED(tls13_exchange(r->key, group, tls_hello_share(&h, group), share, &sharelen, secret,
			    &len) == 0);
	wr_u8(&w, 2);
	wr_be24(&w, (uint32_t)(2 + 32 + 1 + REALITY_ID_LEN + 2 + 1 + 2 + 6 + 8 + sharelen));
	wr_be16(&w, 0x0303);
	wr_bytes(&w, "a random that is not one at all.", 32);
	wr_u8(&w, REALITY_ID_LEN);
	wr_bytes(&w, r->hello + REALITY_ID_AT, REALITY_ID_LEN);
	wr_be16(&w, suite);
	wr_u8(&w, 0);
	wr_be16(&w, (uint16_t)(6 + 8 + sharelen));
	wr_bytes(&w, "\0\x2b\0\2\3\4\0\x33", 8);
	wr_be16(&w, (uint16_t)(4 + sharelen));
	wr_be16(&w, group);
	wr_be16(&w, (uint16_t)sharelen);
	wr_bytes(&w, share, sharelen);
	NEED(!w.err);
	r->answerlen = w.len;
	NEED(tls13_start(&r->keys, suite) == 0);
	NEED(tls13_add(&r->keys, r->hello, r->hellolen) == 0);
	NEED(tls13_add(&r->keys, r->answer, w.len) == 0);
	NEED(tls13_handshake(&r->keys, secret, len) == 0);
	NEED(tls_dir_set(&r->out, suite, r->keys.s_hs, 0) == 0);
	put_record(r, TLS_HANDSHAKE, r->answer, w.len);
	put_record(r, TLS_CCS, (const uint8_t *)"\1", 1);
	r->said = r->proof = 3;
}

static void put_certificate(struct run *r)
{
	static uint8_t text[4 + 8 + REALITY_PQ_CERT_LEN + 2], sig[MLDSA65_SIG];
	const uint32_t len = r->conf.mldsa_public ? REALITY_PQ_CERT_LEN : REALITY_CERT_LEN;
	const uint8_t *pub = ed25519_public(r->signer);
	struct wr w = wr_of(text, sizeof(text));
	uint8_t mac[64], *room;

	wr_be32(&w, 11u << 24);
	wr_u8(&w, 0);
	wr_be24(&w, 3 + len + 2);
	wr_be24(&w, len);
	room = wr_room(&w, len);
	wr_be16(&w, 0);
	NEED(room && !w.err);
	if (r->conf.mldsa_public) {
		NEED(reality_pq_signed(pub, r->auth, (struct tls_bytes){r->hello, r->hellolen},
				       (struct tls_bytes){r->answer, r->answerlen}, mac) == 0);
		mldsa65_sign(r->mldsa, NULL, mac, sizeof(mac), sig);
		NEED(reality_pq_cert_emit(pub, r->auth, sig, room) == 0);
	} else {
		NEED(reality_cert_emit(pub, r->auth, room) == 0);
	}
	put_right(r, 5, &w);
}

static void put_verify(struct run *r)
{
	uint8_t text[TLS13_SIGNED_MAX], message[8 + ED25519_SIG], sig[ED25519_SIG];
	struct wr w = wr_of(message, sizeof(message));
	size_t len;

	NEED(tls13_signed(&r->keys, text, &len) == 0);
	NEED(ed25519_sign(r->signer, text, len, sig) == 0);
	wr_be32(&w, 15u << 24);
	wr_be16(&w, 0x0807);
	wr_be16(&w, ED25519_SIG);
	wr_bytes(&w, sig, sizeof(sig));
	put_right(r, 6, &w);
}

static void put_finished(struct run *r)
{
	uint8_t message[4 + TLS_SECRET_MAX], verify[TLS_SECRET_MAX];
	struct wr w = wr_of(message, sizeof(message));

	NEED(tls13_finished(&r->keys, r->keys.s_hs, verify) == 0);
	wr_be32(&w, 20u << 24);
	wr_bytes(&w, verify, r->keys.size);
	put_right(r, 7, &w);
}

static void put_extensions(struct run *r)
{
	uint8_t message[6];
	struct wr w = wr_of(message, sizeof(message));

	wr_be32(&w, 8u << 24);
	wr_be16(&w, 0);
	put_right(r, 4, &w);
}

static void put_item(struct run *r)
{
	static uint8_t text[TLS_PLAIN_MAX];
	uint8_t kind, type = 0, size[2];
	size_t len;

	take(&r->w, &kind, 1);
	kind %= 8;
	if (kind < 3) {
		if (kind > 0)
			take(&r->w, &type, 1);
		take(&r->w, size, sizeof(size));
		len = take(&r->w, text, MIN((size_t)size[0] << 8 | size[1], sizeof(text)));
		r->strange = true;
		if (kind == 2)
			put_sealed(r, type, text, len);
		else if (kind == 1)
			put_record(r, type, text, len);
		else
			put(&r->w, text, len);
	} else if (kind == 3) {
		put_hello(r);
	} else if (r->said) {
		(void (*[])(struct run *)){put_extensions, put_certificate, put_verify,
					   put_finished}[kind - 4](r);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct run r;
	struct stream *s;

	if (!r.w.l)
		set_up(&r);
	if (!wire_begin(&r.w, data, len, 4))
		return 0;
	r.conf.mldsa_public = r.w.flags & 1 ? (uint8_t *)(uintptr_t)mldsa65_public(r.mldsa) : NULL;
	r.said = r.proof = 0;
	r.strange = false;
	wire_open(&r.w);
	s = reality_client_new(r.w.near, &r.conf);
	NEED(s);
	hear_hello(&r, s);
	for (int i = 0; i < 64 && r.w.len > 0; i++)
		put_item(&r);
	if (open_on(&r.w, s) == 0) {
		NEED(r.proof == 3567);
		read_on(&r.w, s);
	} else {
		NEED(r.said != 34567 || r.strange);
	}
	stream_free(s);
	wire_end(&r.w);
	tls13_clear(&r.keys);
	tls_dir_clear(&r.out);
	return 0;
}
