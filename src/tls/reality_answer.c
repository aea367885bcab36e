/* Our flight, shaped like the target's (docs/protocols/reality.md, section 6). */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/wr.h"
#include "crypto/ct.h"
#include "crypto/random.h"
#include "tls/reality_impl.h"
#include "tls/tls13_exchange.h"

enum {
	MSG_ENCRYPTED_EXTENSIONS = 8,
	MSG_CERTIFICATE = 11,
	MSG_CERTIFICATE_VERIFY = 15,
	MSG_FINISHED = 20,
	SIG_ED25519 = 0x0807,
	MESSAGES = 4,
	MESSAGES_MAX = 1024 + REALITY_PQ_CERT_LEN,
};

/* The four messages of a server, side by side. */
struct messages {
	uint8_t bytes[MESSAGES_MAX];
	struct wr w;
	size_t end[MESSAGES];
};

static size_t begin(struct messages *m, uint8_t type, size_t len)
{
	size_t at = m->w.len;

	wr_u8(&m->w, type);
	wr_be24(&m->w, (uint32_t)len);
	return at;
}

static int end(struct messages *m, int i, size_t at, struct tls13 *k)
{
	m->end[i] = m->w.len;
	return m->w.err ? m->w.err : tls13_add(k, m->bytes + at, m->w.len - at);
}

static int put_extensions(struct messages *m, struct tls13 *k)
{
	size_t at = begin(m, MSG_ENCRYPTED_EXTENSIONS, 2);

	wr_be16(&m->w, 0);
	return end(m, 0, at, k);
}

/* `hello` is ours, as it is sent. */
static int make_certificate(const struct reality_secrets *s, struct tls_bytes client_hello,
			    struct tls_bytes hello, uint8_t *out)
{
	const uint8_t *pub = ed25519_public(s->signer);
	uint8_t mac[64], rnd[32], sig[MLDSA65_SIG] UNINIT;
	int err;

	if (!s->mldsa)
		return reality_cert_emit(pub, s->auth, out);
	err = reality_pq_signed(pub, s->auth, client_hello, hello, mac);
	if (err)
		return err;
	random_bytes(rnd, sizeof(rnd));
	mldsa65_sign(s->mldsa, rnd, mac, sizeof(mac), sig);
	return reality_pq_cert_emit(pub, s->auth, sig, out);
}

static int put_certificate(struct messages *m, const struct reality_secrets *s,
			   struct tls_bytes client_hello, struct tls_bytes hello, struct tls13 *k)
{
	const uint32_t len = s->mldsa ? REALITY_PQ_CERT_LEN : REALITY_CERT_LEN;
	size_t at = begin(m, MSG_CERTIFICATE, 1 + 3 + 3 + len + 2);
	uint8_t *room;
	int err;

	wr_u8(&m->w, 0);
	wr_be24(&m->w, 3 + len + 2);
	wr_be24(&m->w, len);
	room = wr_room(&m->w, len);
	wr_be16(&m->w, 0);
	if (!room)
		return -ERR_TOO_BIG;
	err = make_certificate(s, client_hello, hello, room);
	return err ? err : end(m, 1, at, k);
}

static int put_verify(struct messages *m, const struct reality_secrets *s, struct tls13 *k)
{
	uint8_t text[TLS13_SIGNED_MAX], sig[ED25519_SIG];
	size_t at, len;
	int err;

	err = tls13_signed(k, text, &len);
	if (!err)
		err = ed25519_sign(s->signer, text, len, sig);
	if (err)
		return err;
	at = begin(m, MSG_CERTIFICATE_VERIFY, 2 + 2 + ED25519_SIG);
	wr_be16(&m->w, SIG_ED25519);
	wr_be16(&m->w, ED25519_SIG);
	wr_bytes(&m->w, sig, sizeof(sig));
	return end(m, 2, at, k);
}

static int put_finished(struct messages *m, struct tls13 *k)
{
	uint8_t verify[TLS_SECRET_MAX];
	size_t at;
	int err = tls13_finished(k, k->s_hs, verify);

	if (err)
		return err;
	at = begin(m, MSG_FINISHED, k->size);
	wr_bytes(&m->w, verify, k->size);
	return end(m, 3, at, k);
}

/* The target's ServerHello with our share in the place of its own. */
static int put_hello(const struct target_flight *f, const uint8_t *share, struct tls13 *k,
		     struct wr *out)
{
	const struct server_hello *h = &f->hello;
	uint8_t *p;

	wr_u8(out, TLS_HANDSHAKE);
	wr_be16(out, 0x0303);
	wr_be16(out, (uint16_t)h->raw.len);
	p = wr_room(out, h->raw.len);
	if (!p)
		return -ERR_TOO_BIG;
	memcpy(p, h->raw.p, h->raw.len);
	memcpy(p + (h->share.p - h->raw.p), share, h->share.len);
	wr_bytes(out, "\x14\x03\x03\x00\x01\x01", 6);
	return out->err ? -ERR_TOO_BIG : tls13_add(k, p, h->raw.len);
}

static int put_record(struct tls_dir *d, enum tls_type type, const uint8_t *p, size_t len,
		      size_t wire, struct wr *out)
{
	uint8_t *room = wr_room(out, wire);

	return room ? tls_seal_padded(d, type, p, len, wire, room) : -ERR_TOO_BIG;
}

static int put_flight(const struct target_flight *f, const struct messages *m,
		      const struct tls13 *k, struct wr *out)
{
	struct tls_dir d = {0};
	size_t from = 0;
	int err = tls_dir_set(&d, k->suite, k->s_hs, 0);

	if (f->combined && !err)
		err = put_record(&d, TLS_HANDSHAKE, m->bytes, m->w.len, f->wire[0], out);
	for (int i = 0; i < MESSAGES && !f->combined && !err; i++) {
		err = put_record(&d, TLS_HANDSHAKE, m->bytes + from, m->end[i] - from, f->wire[i],
				 out);
		from = m->end[i];
	}
	tls_dir_clear(&d);
	return err;
}

/* What came along with the target's flight were tickets: to be passed by. */
static int put_extra(const struct target_flight *f, struct reality_answer *a, struct wr *out)
{
	struct tls_dir d = {0};
	int err = tls_dir_set(&d, a->keys.suite, a->keys.s_ap, 0);

	for (unsigned i = 0; i < f->nextra && !err; i++)
		err = put_record(&d, TLS_DATA, NULL, 0, f->extra[i], out);
	a->out_seq = d.seq;
	tls_dir_clear(&d);
	return err;
}

/* Our share, and the secret that it makes with the client's. */
static int exchange(const struct reality_secrets *s, struct tls_bytes raw, uint16_t group,
		    uint8_t *share, uint8_t *secret, size_t *len)
{
	struct rd r = rd_of(raw.p, raw.len);
	struct tls_hello h;
	size_t sharelen;
	int err = tls_hello_parse(&r, &h);

	return err ? err
		   : tls13_exchange(s->x25519, group, tls_hello_share(&h, group), share, &sharelen,
				    secret, len);
}

int reality_answer_emit(const struct reality_secrets *s, struct tls_bytes raw,
			const struct target_flight *f, struct reality_answer *a, struct wr *out)
{
	uint8_t share[TLS13_SHARE_MAX], secret[TLS13_SECRET_MAX];
	struct tls13 *k = &a->keys;
	const struct tls_bytes hello = {out->base + out->len + TLS_HEADER, f->hello.raw.len};
	struct messages m UNINIT;
	size_t len;
	int err;

	m.w = wr_of(m.bytes, sizeof(m.bytes));
	err = tls13_start(k, f->hello.suite);
	if (!err)
		err = exchange(s, raw, f->hello.group, share, secret, &len);
	if (!err)
		err = tls13_add(k, raw.p, raw.len);
	if (!err)
		err = put_hello(f, share, k, out);
	if (!err)
		err = tls13_handshake(k, secret, len);
	cleanse(secret, sizeof(secret));
	if (!err)
		err = put_extensions(&m, k);
	if (!err)
		err = put_certificate(&m, s, raw, hello, k);
	if (!err)
		err = put_verify(&m, s, k);
	if (!err)
		err = put_finished(&m, k);
	if (!err)
		err = put_flight(f, &m, k, out);
	if (!err)
		err = tls13_application(k);
	if (!err)
		err = put_extra(f, a, out);
	return err ? err : tls13_finished(k, k->c_hs, a->finished);
}

int reality_finished_parse(struct rd *in, const struct reality_answer *a)
{
	uint8_t text[4 + TLS_SECRET_MAX + 64], type = 0;
	struct tls_dir d = {0};
	struct rd r = *in;
	const uint8_t *record;
	size_t len, n = 0;
	int err;

	/* ChangeCipherSpec, as middleboxes want it (RFC 8446, appendix D.4): once.  What the target
	 * says to more of them is for the target to say. */
	if (rd_left(&r) > 0 && r.base[r.pos] == TLS_CCS)
		rd_expect(&r, "\x14\x03\x03\x00\x01\x01", 6);
	rd_check(&r, rd_u8(&r) == TLS_DATA);
	rd_check(&r, rd_be16(&r) == 0x0303);
	len = rd_be16(&r);
	if (!r.err && (len < 1 + AEAD_TAG || len > sizeof(text) + AEAD_TAG))
		return -ERR_MALFORMED;
	record = rd_bytes(&r, len);
	if (r.err)
		return r.err;
	err = tls_dir_set(&d, a->keys.suite, a->keys.c_hs, 0);
	if (!err)
		err = tls_open_one(&d, record - TLS_HEADER, TLS_HEADER + len, text, &n, &type);
	tls_dir_clear(&d);
	if (err)
		return err;
	if (type != TLS_HANDSHAKE || n != 4u + a->keys.size || text[0] != MSG_FINISHED || text[1] ||
	    text[2] || text[3] != a->keys.size || !ct_equal(text + 4, a->finished, a->keys.size))
		return -ERR_AUTH;
	*in = r;
	return 0;
}

enum alpn_class reality_alpn_class(const struct tls_hello *h)
{
	struct tls_bytes list = h->alpn, name;

	if (!tls_hello_next_alpn(&list, &name))
		return ALPN_CLASS_NONE;
	return name.len == 2 && !memcmp(name.p, "h2", 2) ? ALPN_CLASS_HTTP2 : ALPN_CLASS_HTTP1;
}
