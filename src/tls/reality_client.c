/* reality_client.c - the client: a ClientHello that proves knowledge of the server's key, and a
 * certificate that proves the same.  It looks like nobody's browser in particular.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/wr.h"
#include "crypto/ct.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "crypto/x25519.h"
#include "tls/layer.h"
#include "tls/reality_auth.h"
#include "tls/reality_flight.h"
#include "tls/tls13.h"

#define HELLO_MAX   3072
#define FLIGHT_TEXT 24576 /* a real server's chain has to fit as well, to be told from ours */
#define RECORD_READ (TLS_HEADER + TLS_CIPHER_MAX)
#define OUR_VERSION 0x1a031b /* 26.3.27: what servers that ask for a version ask for */

enum {
	MSG_CERTIFICATE = 11,
	MSG_CERTIFICATE_VERIFY = 15,
	MSG_FINISHED = 20,
	MSG_EXTENSIONS = 8,
	SIG_ED25519 = 0x0807,
};

struct reality_client {
	struct tls_handshake base;
	const struct reality_client_conf *conf;
	uint8_t priv[X25519_LEN], kem_seed[MLKEM768_SEED], auth[REALITY_AUTH_KEY],
		cert_key[ED25519_LEN];
	uint8_t hello[HELLO_MAX];
	size_t hellolen;
	uint8_t *answer; /* the ServerHello, where a signature over it is asked for */
	size_t answerlen;
	struct tls13 keys;
	struct tls_dir in;
	uint8_t *text; /* of the server's encrypted messages, as far as they have come */
	size_t textlen, used;
	uint8_t expect; /* the message that must come next; 0: ServerHello */
};

static struct reality_client *of(struct tls *t)
{
	return container_of(t->hs, struct reality_client, base);
}

/* ---- hello ------------------------------------------------------------------------------- */

static void put_sni(struct wr *w, const char *name)
{
	uint16_t n = (uint16_t)strlen(name);

	if (n == 0)
		return;
	wr_be16(w, 0);
	wr_be16(w, (uint16_t)(n + 5));
	wr_be16(w, (uint16_t)(n + 3));
	wr_u8(w, 0);
	wr_be16(w, n);
	wr_str(w, name);
}

static void put_fixed_extensions(struct wr *w)
{
	/* clang-format off */
	static const uint8_t bytes[] = {
		0x00, 0x17, 0, 0, /* extended_master_secret */
		0xff, 0x01, 0, 1, 0, /* renegotiation_info */
		0x00, 0x0a, 0, 10, 0, 8, 0x11, 0xec, 0, 29, 0, 23, 0, 24, /* supported_groups */
		0x00, 0x0b, 0, 2, 1, 0, /* ec_point_formats */
		0x00, 0x23, 0, 0, /* session_ticket */
		0x00, 0x10, 0, 14, 0, 12, 2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1',
		0x00, 0x0d, 0, 18, 0, 16, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1,
		0x00, 0x2d, 0, 2, 1, 1, /* psk_key_exchange_modes */
		0x00, 0x2b, 0, 5, 4, 3, 4, 3, 3, /* supported_versions */
	};
	/* clang-format on */

	wr_bytes(w, bytes, sizeof(bytes));
}

static void patch16(struct wr *w, size_t at)
{
	size_t n = w->len - at - 2;

	if (w->err)
		return;
	w->base[at] = (uint8_t)(n >> 8);
	w->base[at + 1] = (uint8_t)n;
}

static void put_shares(struct wr *w, const uint8_t *kem, const uint8_t pub[X25519_LEN])
{
	const uint16_t hybrid = MLKEM768_PUB + X25519_LEN, all = 4 + hybrid + 4 + X25519_LEN;

	wr_be16(w, 51); /* key_share */
	wr_be16(w, 2 + all);
	wr_be16(w, all);
	wr_be16(w, GROUP_X25519MLKEM768);
	wr_be16(w, hybrid);
	wr_bytes(w, kem, MLKEM768_PUB);
	wr_bytes(w, pub, X25519_LEN);
	wr_be16(w, GROUP_X25519);
	wr_be16(w, X25519_LEN);
	wr_bytes(w, pub, X25519_LEN);
}

static void put_hello(struct wr *w, const char *name, const uint8_t *kem,
		      const uint8_t pub[X25519_LEN])
{
	static const uint16_t suites[] = {0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030};
	uint8_t random[32], zeros[REALITY_ID_LEN] = {0};
	size_t at;

	random_bytes(random, sizeof(random));
	wr_be16(w, 0x0100); /* client_hello; the length comes last */
	wr_be16(w, 0);
	wr_be16(w, 0x0303);
	wr_bytes(w, random, sizeof(random));
	wr_u8(w, sizeof(zeros));
	wr_bytes(w, zeros, sizeof(zeros));
	wr_be16(w, sizeof(suites));
	for (size_t i = 0; i < ARRAY_LEN(suites); i++)
		wr_be16(w, suites[i]);
	wr_be16(w, 0x0100); /* no compression */
	at = w->len;
	wr_be16(w, 0);
	put_sni(w, name);
	put_fixed_extensions(w);
	put_shares(w, kem, pub);
	patch16(w, at);
	patch16(w, 2);
}

static int send_hello(struct tls *t, struct reality_client *c)
{
	struct reality_claim claim = {.version = OUR_VERSION,
				      .time = (uint32_t)loop_wall(t->base.loop)};
	struct wr w = wr_of(c->hello, sizeof(c->hello));
	uint8_t pub[X25519_LEN], shared[X25519_LEN], head[TLS_HEADER] = {22, 3, 1};
	struct mlkem768_key kem;
	int err = x25519_keygen(c->priv, pub);

	if (err)
		return err;
	random_bytes(c->kem_seed, sizeof(c->kem_seed));
	mlkem768_key_set(&kem, c->kem_seed);
	memcpy(claim.short_id, c->conf->short_id, sizeof(claim.short_id));
	put_hello(&w, c->conf->server_name, kem.pub, pub);
	mlkem768_key_clear(&kem);
	err = w.err ? w.err : x25519_shared(c->priv, c->conf->public_key, shared);
	if (!err)
		err = reality_auth_key(shared, c->hello + 6, c->auth);
	cleanse(shared, sizeof(shared));
	if (!err)
		err = reality_claim_emit(&claim, c->auth, c->hello, w.len);
	if (err)
		return err;
	c->hellolen = w.len;
	head[3] = (uint8_t)(w.len >> 8);
	head[4] = (uint8_t)w.len;
	err = bufq_append(&t->wq, head, sizeof(head));
	return err ? err : bufq_append(&t->wq, c->hello, w.len);
}

/* ---- the answer -------------------------------------------------------------------------- */

static int agree(const struct reality_client *c, const struct server_hello *h, uint8_t *secret,
		 size_t *len)
{
	struct mlkem768_key kem;

	*len = X25519_LEN;
	if (h->group == GROUP_X25519)
		return x25519_shared(c->priv, h->share.p, secret);
	mlkem768_key_set(&kem, c->kem_seed);
	mlkem768_decaps(&kem, h->share.p, secret);
	mlkem768_key_clear(&kem);
	*len += MLKEM768_SECRET;
	return x25519_shared(c->priv, h->share.p + MLKEM768_CT, secret + MLKEM768_SECRET);
}

static int keep_answer(struct reality_client *c, struct tls_bytes raw)
{
	if (!c->conf->mldsa_public)
		return 0;
	c->answer = malloc(raw.len);
	if (!c->answer)
		return -ENOMEM;
	memcpy(c->answer, raw.p, raw.len);
	c->answerlen = raw.len;
	return 0;
}

static int take_hello(struct reality_client *c, struct rd *body)
{
	uint8_t secret[MLKEM768_SECRET + X25519_LEN];
	struct server_hello h;
	size_t len = 0;
	int err = server_hello_parse(body, &h);

	if (err)
		return -ERR_TLS;
	err = keep_answer(c, h.raw);
	if (!err)
		err = tls13_start(&c->keys, h.suite);
	if (!err)
		err = tls13_add(&c->keys, c->hello, c->hellolen);
	if (!err)
		err = tls13_add(&c->keys, h.raw.p, h.raw.len);
	if (!err)
		err = agree(c, &h, secret, &len);
	if (!err)
		err = tls13_handshake(&c->keys, secret, len);
	cleanse(secret, sizeof(secret));
	if (!err)
		err = tls_dir_set(&c->in, h.suite, c->keys.s_hs, 0);
	if (!err)
		c->expect = MSG_EXTENSIONS;
	return err;
}

/* The first certificate must be the one that only the server can make. */
static int take_certificate(struct reality_client *c, struct rd r)
{
	const uint8_t *der;
	size_t len;
	int err;

	rd_skip(&r, rd_u8(&r)); /* context */
	rd_skip(&r, 3);
	len = rd_be24(&r);
	der = rd_bytes(&r, len);
	if (r.err)
		return -ERR_TLS;
	err = reality_cert_check(der, len, c->auth, c->cert_key);
	if (err || !c->conf->mldsa_public)
		return err;
	return reality_pq_cert_check(der, len, c->cert_key, c->auth, c->conf->mldsa_public,
				     (struct tls_bytes){c->hello, c->hellolen},
				     (struct tls_bytes){c->answer, c->answerlen});
}

static int take_verify(struct reality_client *c, struct rd r)
{
	uint8_t text[TLS13_SIGNED_MAX];
	const uint8_t *sig;
	size_t len;
	int err;

	rd_check(&r, rd_be16(&r) == SIG_ED25519);
	rd_check(&r, rd_be16(&r) == ED25519_SIG);
	sig = rd_bytes(&r, ED25519_SIG);
	if (r.err)
		return -ERR_AUTH;
	err = tls13_signed(&c->keys, text, &len);
	return err ? err : ed25519_verify(c->cert_key, text, len, sig);
}

static int take_finished(struct reality_client *c, struct rd r)
{
	uint8_t want[TLS_SECRET_MAX];
	int err = tls13_finished(&c->keys, c->keys.s_hs, want);

	if (err)
		return err;
	return rd_left(&r) == c->keys.size && ct_equal(want, r.base + r.pos, c->keys.size)
		       ? 0
		       : -ERR_AUTH;
}

/* One message; *done with the last. */
static int take_message(struct reality_client *c, uint8_t type, struct rd body, bool *done)
{
	if (type != c->expect)
		return -ERR_AUTH; /* CertificateRequest: the target itself */
	switch (type) {
	case MSG_EXTENSIONS:
		c->expect = MSG_CERTIFICATE;
		return 0;
	case MSG_CERTIFICATE:
		c->expect = MSG_CERTIFICATE_VERIFY;
		return take_certificate(c, body);
	case MSG_CERTIFICATE_VERIFY:
		c->expect = MSG_FINISHED;
		return take_verify(c, body);
	default:
		*done = true;
		return take_finished(c, body);
	}
}

/* The whole messages among what has been opened.  0: all have come; -ERR_MORE. */
static int take_messages(struct reality_client *c)
{
	bool done = false;

	while (!done) {
		struct rd r = rd_of(c->text + c->used, c->textlen - c->used), body;
		uint8_t type = rd_u8(&r);
		int err;

		body = rd_sub(&r, rd_be24(&r));
		if (r.err)
			return r.err;
		err = take_message(c, type, body, &done);
		if (!err)
			err = tls13_add(&c->keys, c->text + c->used, r.pos);
		if (err)
			return err;
		c->used += r.pos;
	}
	return c->used == c->textlen ? 0 : -ERR_TLS;
}

static int take_encrypted(struct reality_client *c, const uint8_t *record, size_t len)
{
	uint8_t type;
	size_t n;
	int err;

	if (c->textlen + len > FLIGHT_TEXT)
		return -ERR_TOO_BIG;
	err = tls_open_one(&c->in, record, len, c->text + c->textlen, &n, &type);
	if (err)
		return err;
	if (type != TLS_HANDSHAKE)
		return -ERR_TLS;
	c->textlen += n;
	return take_messages(c);
}

/* The first record of rq.  0: the server has finished; -ERR_MORE: read on. */
static int take_record(struct tls *t, struct reality_client *c)
{
	uint8_t record[RECORD_READ] UNINIT;
	size_t len = tls_records_need(&t->rq);
	struct rd body;

	if (len > sizeof(record))
		return -ERR_TLS;
	if (bufq_len(&t->rq) < len)
		return -EAGAIN;
	bufq_take(&t->rq, record, len);
	body = rd_of(record + TLS_HEADER, len - TLS_HEADER);
	switch (record[0]) {
	case TLS_CCS:
		return c->expect ? -ERR_MORE : -ERR_TLS;
	case TLS_HANDSHAKE:
		if (c->expect)
			return -ERR_TLS;
		return take_hello(c, &body) ? -ERR_TLS : -ERR_MORE;
	case TLS_DATA:
		return c->expect ? take_encrypted(c, record, len) : -ERR_TLS;
	default:
		return -ERR_TLS;
	}
}

static int finish(struct tls *t, struct reality_client *c)
{
	uint8_t message[4 + TLS_SECRET_MAX] = {MSG_FINISHED}, out[sizeof(message) + TLS_OVERHEAD];
	struct tls13 *k = &c->keys;
	struct tls_secrets s = {.suite = k->suite};
	struct tls_dir d = {0};
	size_t len = 4u + k->size;
	struct iovec iov = {message, len};
	int err;

	message[3] = k->size;
	err = tls13_finished(k, k->c_hs, message + 4);
	if (!err)
		err = tls13_application(k);
	if (!err)
		err = tls_dir_set(&d, k->suite, k->c_hs, 0);
	if (!err)
		err = tls_seal(&d, TLS_HANDSHAKE, &iov, 1, len, out);
	tls_dir_clear(&d);
	if (!err)
		err = bufq_append(&t->wq, "\x14\x03\x03\x00\x01\x01", 6);
	if (!err)
		err = bufq_append(&t->wq, out, len + TLS_OVERHEAD);
	if (err)
		return err;
	memcpy(s.in, k->s_ap, sizeof(s.in));
	memcpy(s.out, k->c_ap, sizeof(s.out));
	err = tls_set_names(t, c->conf->server_name, NULL, 0);
	if (!err)
		err = tls_hand_over(t, &s);
	cleanse(&s, sizeof(s));
	return err;
}

static int client_run(struct tls *t)
{
	struct reality_client *c = of(t);
	int err;

	if (c->hellolen == 0) {
		c->text = malloc(FLIGHT_TEXT);
		err = c->text ? send_hello(t, c) : -ENOMEM;
		if (err)
			return err;
	}
	do
		err = take_record(t, c);
	while (err == -ERR_MORE);
	return err ? err : finish(t, c);
}

static void client_free(struct tls_handshake *base)
{
	struct reality_client *c = container_of(base, struct reality_client, base);

	tls13_clear(&c->keys);
	tls_dir_clear(&c->in);
	cleanse(c->priv, sizeof(c->priv));
	cleanse(c->kem_seed, sizeof(c->kem_seed));
	cleanse(c->auth, sizeof(c->auth));
	free(c->answer);
	free(c->text);
	free(c);
}

static const struct tls_handshake_ops client_ops = {
	.run = client_run,
	.free = client_free,
};

void reality_client_conf_free(struct reality_client_conf *c)
{
	if (!c)
		return;
	free(c->mldsa_public);
	free(c);
}

struct stream *reality_client_new(struct stream *lower, const struct reality_client_conf *conf)
{
	struct reality_client *c = calloc(1, sizeof(*c));

	if (!c) {
		stream_free(lower);
		return NULL;
	}
	c->base.ops = &client_ops;
	c->conf = conf;
	return tls_layer_new(lower, &c->base, true);
}
