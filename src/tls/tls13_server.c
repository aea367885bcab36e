#include "tls/tls13_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/wr.h"
#include "crypto/aead.h"
#include "crypto/ct.h"
#include "crypto/random.h"
#include "tls/reality_auth.h"
#include "tls/tls13_exchange.h"
#include "tls/tls13_finish.h"
#include "tls/tls13_offer.h"

enum {
	MSG_SERVER_HELLO = 2,
	MSG_ENCRYPTED_EXTENSIONS = 8,
	MSG_CERTIFICATE_VERIFY = 15,
	MSG_FINISHED = 20,
	EXT_SERVER_NAME = 0,
	EXT_GROUPS = 10,
	EXT_ALPN = 16,
	EXT_VERSIONS = 43,
	EXT_KEY_SHARE = 51,
	GROUPS_LEN = 4 + 2 + 5 * 2,
};

struct tls13_server {
	struct tls_handshake base;
	struct tls_server_conf *conf;
	struct tls13 keys;
	uint8_t verify[TLS_SECRET_MAX]; /* what the client's Finished must say */
	struct tls13_finish finish;
	bool answered;
};

/* What a hello gets. */
struct choice {
	struct tls13_offer offer;
	size_t cert;
	const uint8_t *alpn;
	uint8_t alpnlen; /* 0: none */
};

static struct tls13_server *server_of(struct tls_handshake *h)
{
	return container_of(h, struct tls13_server, base);
}

static void server_free(struct tls_handshake *base)
{
	struct tls13_server *s = server_of(base);

	tls13_clear(&s->keys);
	cleanse(s->verify, sizeof(s->verify));
	tls_server_conf_put(s->conf);
	free(s);
}

/* ---- what the hello gets ----------------------------------------------------------------- */

static int choose(const struct tls_server_conf *c, const struct tls_hello *h, struct choice *out)
{
	struct choice ch = {0};
	int i = tls_server_find(c, (const char *)h->sni.p, h->sni.len);
	int err = tls13_offer_read(h, aead_has_hw_aes(), c->hybrid, &ch.offer);

	if (err)
		return err;
	if (i < 0 && c->reject_unknown_sni)
		return -ERR_UNSUPPORTED;
	ch.cert = i < 0 ? 0 : (size_t)i;
	if (!tls13_offer_accepts(h, c->leaves[ch.cert].scheme, c->leaves[ch.cert].signed_with))
		return -ERR_UNSUPPORTED;
	if (h->alpn.len > 0 && c->alpn.len > 0 &&
	    alpn_choose(&c->alpn, h->alpn.p, (unsigned)h->alpn.len, &ch.alpn, &ch.alpnlen) ==
		    ALPN_NONE)
		return -ERR_UNSUPPORTED;
	*out = ch;
	return 0;
}

/* ---- our flight, a record for each message as libssl has it ------------------------------ */

static void wr_hello(struct wr *w, const struct tls_hello *h, const struct choice *ch,
		     const uint8_t *share, size_t sharelen)
{
	size_t len = 2 + 32 + 1 + h->session_id.len + 2 + 1 + 2 + 6 + 8 + sharelen;
	uint8_t random[32];

	random_bytes(random, sizeof(random));
	wr_bytes(w, "\x16\x03\x03", 3);
	wr_be16(w, (uint16_t)(4 + len));
	wr_u8(w, MSG_SERVER_HELLO);
	wr_be24(w, (uint32_t)len);
	wr_be16(w, 0x0303);
	wr_bytes(w, random, sizeof(random));
	wr_u8(w, (uint8_t)h->session_id.len);
	wr_bytes(w, h->session_id.p, h->session_id.len);
	wr_be16(w, ch->offer.suite);
	wr_u8(w, 0); /* compression */
	wr_be16(w, (uint16_t)(6 + 8 + sharelen));
	wr_be16(w, EXT_VERSIONS);
	wr_be16(w, 2);
	wr_be16(w, 0x0304);
	wr_be16(w, EXT_KEY_SHARE);
	wr_be16(w, (uint16_t)(4 + sharelen));
	wr_be16(w, GROUP_X25519);
	wr_be16(w, (uint16_t)sharelen);
	wr_bytes(w, share, sharelen);
}

static int put_hello(struct tls13_server *s, const struct tls_hello *h, const struct choice *ch,
		     struct bufq *out)
{
	uint8_t bytes[TLS_HEADER + 128 + TLS13_SHARE_MAX];
	uint8_t share[TLS13_SHARE_MAX], secret[TLS13_SECRET_MAX];
	struct wr w = wr_of(bytes, sizeof(bytes));
	struct x25519 *mine = x25519_new(NULL);
	size_t sharelen, secretlen;
	int err = mine ? 0 : -ENOMEM;

	if (!err)
		err = tls13_exchange(mine, GROUP_X25519, ch->offer.share, share, &sharelen, secret,
				     &secretlen);
	x25519_free(mine);
	if (err)
		return err;
	wr_hello(&w, h, ch, share, sharelen);
	err = w.err;
	if (!err)
		err = tls13_add(&s->keys, bytes + TLS_HEADER, w.len - TLS_HEADER);
	if (!err)
		err = tls13_handshake(&s->keys, secret, secretlen);
	cleanse(secret, sizeof(secret));
	if (!err)
		err = bufq_append(out, bytes, w.len);
	return err ? err : bufq_append(out, "\x14\x03\x03\x00\x01\x01", 6);
}

static int put_message(struct tls *t, struct tls13_server *s, const uint8_t *p, size_t len,
		       struct bufq *out)
{
	int err = tls13_add(&s->keys, p, len);

	return err ? err : tls_records_put(&t->rec, TLS_HANDSHAKE, p, len, out);
}

/* Where it would rather have had the hybrid, libssl tells the client all groups it takes; they are those
 * of tls/server.c. */
static void put_groups(struct wr *w)
{
	static const uint16_t groups[] = {GROUP_X25519MLKEM768, GROUP_X25519, 23, 24, 25};

	wr_be16(w, EXT_GROUPS);
	wr_be16(w, 2 + sizeof(groups));
	wr_be16(w, sizeof(groups));
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		wr_be16(w, groups[i]);
}

static int put_extensions(struct tls *t, struct tls13_server *s, bool named,
			  const struct choice *ch, struct bufq *out)
{
	uint8_t bytes[4 + 2 + 4 + GROUPS_LEN + 4 + 3 + 255];
	size_t alpn = ch->alpnlen ? 4u + 3u + ch->alpnlen : 0;
	size_t len = (named ? 4 : 0) + (s->conf->hybrid ? GROUPS_LEN : 0) + alpn;
	struct wr w = wr_of(bytes, sizeof(bytes));

	wr_u8(&w, MSG_ENCRYPTED_EXTENSIONS);
	wr_be24(&w, (uint32_t)(2 + len));
	wr_be16(&w, (uint16_t)len);
	if (named) {
		wr_be16(&w, EXT_SERVER_NAME);
		wr_be16(&w, 0);
	}
	if (s->conf->hybrid)
		put_groups(&w);
	if (alpn) {
		wr_be16(&w, EXT_ALPN);
		wr_be16(&w, (uint16_t)(3 + ch->alpnlen));
		wr_be16(&w, (uint16_t)(1 + ch->alpnlen));
		wr_u8(&w, ch->alpnlen);
		wr_bytes(&w, ch->alpn, ch->alpnlen);
	}
	return w.err ? w.err : put_message(t, s, bytes, w.len, out);
}

static int put_verify(struct tls *t, struct tls13_server *s, size_t cert, struct bufq *out)
{
	uint8_t text[TLS13_SIGNED_MAX], bytes[8 + TLS13_SIGNATURE_MAX];
	const uint16_t scheme = s->conf->leaves[cert].scheme;
	struct wr w = wr_of(bytes, 8);
	size_t textlen, len;
	int err;

	err = tls13_signed(&s->keys, text, &textlen);
	if (!err)
		err = tls13_sign(s->conf->certs->certs[cert].key, scheme, text, textlen, bytes + 8,
				 &len);
	if (err)
		return err;
	wr_u8(&w, MSG_CERTIFICATE_VERIFY);
	wr_be24(&w, (uint32_t)(4 + len));
	wr_be16(&w, scheme);
	wr_be16(&w, (uint16_t)len);
	return put_message(t, s, bytes, 8 + len, out);
}

static int put_finished(struct tls *t, struct tls13_server *s, struct bufq *out)
{
	uint8_t bytes[4 + TLS_SECRET_MAX] = {MSG_FINISHED, 0, 0, s->keys.size};
	int err = tls13_finished(&s->keys, s->keys.s_hs, bytes + 4);

	return err ? err : put_message(t, s, bytes, 4u + s->keys.size, out);
}

/* From here on an alert goes under the application's key, as does whatever follows Finished. */
static int switch_keys(struct tls *t, struct tls13_server *s)
{
	struct tls13 *k = &s->keys;
	int err = tls13_application(k);

	if (!err)
		err = tls13_finished(k, k->c_hs, s->verify);
	if (!err)
		err = tls_dir_set(&t->rec.in, k->suite, k->c_hs, 0);
	return err ? err : tls_dir_set(&t->rec.out, k->suite, k->s_ap, 0);
}

static int put_flight(struct tls *t, struct tls13_server *s, const struct tls_hello *h,
		      const struct choice *ch, struct bufq *out)
{
	const struct tls13_leaf *leaf = &s->conf->leaves[ch->cert];
	int err = tls13_start(&s->keys, ch->offer.suite);

	if (!err)
		err = tls13_add(&s->keys, h->raw.p, h->raw.len);
	if (!err)
		err = put_hello(s, h, ch, out);
	if (!err)
		err = tls_dir_set(&t->rec.out, s->keys.suite, s->keys.s_hs, 0);
	if (!err)
		err = put_extensions(t, s, h->sni.p != NULL, ch, out);
	if (!err)
		err = put_message(t, s, leaf->message, leaf->len, out);
	if (!err)
		err = put_verify(t, s, ch->cert, out);
	if (!err)
		err = put_finished(t, s, out);
	return err ? err : switch_keys(t, s);
}

static int remember_names(struct tls *t, const struct tls_hello *h, const struct choice *ch)
{
	char name[256] = "";

	if (h->sni.len > 0)
		memcpy(name, h->sni.p, h->sni.len);
	return tls_set_names(t, name, ch->alpn, ch->alpnlen);
}

/* Nothing is sent unless all of it is: what fails here, libssl begins anew. */
static int answer(struct tls *t, struct tls13_server *s, const struct tls_hello *h)
{
	struct choice ch;
	struct bufq out;
	size_t len;
	int err = choose(s->conf, h, &ch);

	if (err)
		return err;
	bufq_init(&out, t->wq.pool, SIZE_MAX);
	err = put_flight(t, s, h, &ch, &out);
	if (!err)
		err = remember_names(t, h, &ch);
	len = bufq_len(&out);
	if (!err && bufq_move(&t->wq, &out, SIZE_MAX) < len) {
		bufq_done(&t->wq); /* it held nothing before */
		err = -ENOMEM;
	}
	bufq_done(&out);
	s->answered = !err;
	return err;
}

/* 0: answered.  -EAGAIN: it has not come whole.  Others: it is libssl's. */
static int look_at_hello(struct tls *t, struct tls13_server *s)
{
	struct tls_hello h;
	struct rd in;
	int err = tls_look_at_hello(t, &in, &h);

	if (err == -ERR_MORE)
		return bufq_len(&t->rq) < TLS_HELLO_MAX ? -EAGAIN : -ERR_TOO_BIG;
	if (err)
		return err;
	if (h.raw.p != in.base + TLS_HEADER ||
	    in.base[2] > 3) /* over several records, or an odd one */
		return -ERR_UNSUPPORTED;
	err = answer(t, s, &h);
	if (!err)
		bufq_drain(&t->rq, in.pos);
	return err;
}

static int become_libssl(struct tls *t)
{
	struct tls_handshake *next = tls_server_libssl(server_of(t->hs)->conf);

	if (!next)
		return -ENOMEM;
	tls_records_clear(&t->rec);
	tls_records_init(&t->rec, false);
	server_free(t->hs);
	t->hs = next;
	return next->ops->run(t);
}

/* ---- the client's Finished, then tickets ------------------------------------------------- */

static int refuse(struct tls *t, uint8_t alert)
{
	uint8_t body[2] = {2, alert};

	if (alert == TLS13_FINISH_SILENT)
		return -ERR_TLS;
	return tls_records_put(&t->rec, TLS_ALERT, body, sizeof(body), &t->wq) ? -ENOMEM : -ERR_TLS;
}

/* 0: he has finished.  -EAGAIN. */
static int look_for_finished(struct tls *t, struct tls13_server *s)
{
	uint8_t *record = loop_scratch(t->base.loop), header[TLS_HEADER];
	int err = record ? -EAGAIN : -ENOMEM;

	while (err == -EAGAIN) {
		size_t need = tls_records_need(&t->rq);
		int bad;

		if (bufq_peek(&t->rq, 0, header, sizeof(header)) < sizeof(header))
			return -EAGAIN;
		bad = tls_header_alert(header, true);
		if (bad)
			return refuse(t, (uint8_t)bad);
		if (bufq_len(&t->rq) < need)
			return -EAGAIN;
		bufq_take(&t->rq, record, need);
		err = tls13_finish_record(&s->finish, &t->rec.in, record, need, s->verify,
					  s->keys.size);
	}
	return err == -ERR_TLS ? refuse(t, s->finish.alert) : err;
}

static int put_tickets(struct tls *t, struct tls13_server *s)
{
	uint8_t message[TLS13_TICKET_MAX], resumption[TLS_SECRET_MAX];
	const char *sni = t->names ? t->names : "";
	struct tls13_session about = {
		.sni = sni,
		.alpn = t->names ? sni + strlen(sni) + 1 : "",
		.group = GROUP_X25519,
		.now = loop_wall(t->base.loop),
	};
	int err = 0;

	if (s->conf->tickets > 0)
		err = tls13_add(&s->keys, s->finish.text, 4u + s->keys.size);
	if (s->conf->tickets > 0 && !err)
		err = tls13_resumption(&s->keys, resumption);
	for (unsigned i = 0; i < s->conf->tickets && !err; i++) {
		struct wr w = wr_of(message, sizeof(message));

		err = tls13_ticket_emit(&s->conf->ticket_key, &s->keys, resumption, &about, i, &w);
		if (!err)
			err = tls_records_put(&t->rec, TLS_HANDSHAKE, message, w.len, &t->wq);
	}
	cleanse(resumption, sizeof(resumption));
	return err;
}

static int server_run(struct tls *t)
{
	struct tls13_server *s = server_of(t->hs);
	int err;

	if (!s->answered) {
		err = look_at_hello(t, s);
		if (err == -EAGAIN)
			return err;
		if (err)
			return become_libssl(t);
	}
	err = look_for_finished(t, s);
	if (!err)
		err = put_tickets(t, s);
	if (!err)
		err = tls_dir_set(&t->rec.in, s->keys.suite, s->keys.c_ap, 0);
	return err ? err : tls_hand_over(t, NULL);
}

static const struct tls_handshake_ops server_ops = {
	.run = server_run,
	.free = server_free,
};

struct tls_handshake *tls13_server_new(struct tls_server_conf *c)
{
	struct tls13_server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->base.ops = &server_ops;
	s->conf = tls_server_conf_get(c);
	s->finish.strict_spec = c->hybrid; /* both came with libssl 3.5 */
	return &s->base;
}
