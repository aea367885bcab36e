#include "tls/tls13_ticket.h"

#include <string.h>

#include "base/err.h"
#include "crypto/aes_block.h"
#include "crypto/ct.h"
#include "crypto/kdf.h"
#include "crypto/random.h"

enum {
	MSG_TICKET = 4,
	LIFETIME = 7200, /* seconds: libssl's own */
	NONCE = 8,
	SESSION_MAX = 800,
	DER_INTEGER = 2,
	DER_OCTETS = 4,
	DER_SEQUENCE = 0x30,
	DER_FIELD = 0xa0, /* [n], explicit */
};

/* ---- the session as libssl writes it ----------------------------------------------------- */

static void put_length(struct wr *w, size_t len)
{
	if (len >= 256) {
		wr_u8(w, 0x82);
		wr_be16(w, (uint16_t)len);
		return;
	}
	if (len >= 128)
		wr_u8(w, 0x81);
	wr_u8(w, (uint8_t)len);
}

static void put_octets(struct wr *w, const void *p, size_t len)
{
	wr_u8(w, DER_OCTETS);
	put_length(w, len);
	wr_bytes(w, p, len);
}

static void put_integer(struct wr *w, uint64_t v)
{
	uint8_t bytes[9];
	size_t at = sizeof(bytes);

	do {
		bytes[--at] = (uint8_t)v;
		v >>= 8;
	} while (v > 0);
	if (bytes[at] & 0x80) /* not a negative one */
		bytes[--at] = 0;
	wr_u8(w, DER_INTEGER);
	put_length(w, sizeof(bytes) - at);
	wr_bytes(w, bytes + at, sizeof(bytes) - at);
}

static void put_field(struct wr *w, uint8_t number, const struct wr *inner)
{
	wr_u8(w, (uint8_t)(DER_FIELD + number));
	put_length(w, inner->len);
	wr_bytes(w, inner->base, inner->len);
}

static void put_integer_field(struct wr *w, uint8_t number, uint64_t v)
{
	uint8_t bytes[16];
	struct wr inner = wr_of(bytes, sizeof(bytes));

	put_integer(&inner, v);
	put_field(w, number, &inner);
}

static void put_text_field(struct wr *w, uint8_t number, const char *text)
{
	uint8_t bytes[4 + 256];
	struct wr inner = wr_of(bytes, sizeof(bytes));

	if (!*text)
		return;
	put_octets(&inner, text, strlen(text));
	if (inner.err)
		w->err = inner.err;
	else
		put_field(w, number, &inner);
}

/* SSL_SESSION of version 1.  The numbers: 1 time, 2 timeout, 4 session id context, 6 host name, 14
 * ticket_age_add, 16 ALPN, 19 group.
 */
static int put_session(const struct tls13 *k, const uint8_t *psk, const struct tls13_session *s,
		       uint32_t age_add, struct wr *out)
{
	uint8_t bytes[SESSION_MAX], id[32];
	const uint8_t suite[2] = {(uint8_t)(k->suite >> 8), (uint8_t)k->suite};
	struct wr w = wr_of(bytes, sizeof(bytes));

	random_bytes(id, sizeof(id));
	put_integer(&w, 1);
	put_integer(&w, 0x0304);
	put_octets(&w, suite, sizeof(suite));
	put_octets(&w, id, sizeof(id));
	put_octets(&w, psk, k->size);
	put_integer_field(&w, 1, (uint64_t)s->now);
	put_integer_field(&w, 2, LIFETIME);
	put_text_field(&w, 4, TLS_SESSION_CONTEXT);
	put_text_field(&w, 6, s->sni);
	put_integer_field(&w, 14, age_add);
	put_text_field(&w, 16, s->alpn);
	put_integer_field(&w, 19, s->group);
	wr_u8(out, DER_SEQUENCE);
	put_length(out, w.len);
	wr_bytes(out, bytes, w.len);
	cleanse(bytes, sizeof(bytes));
	return w.err ? w.err : out->err;
}

/* ---- sealed ------------------------------------------------------------------------------ */

/* AES-256-CBC in place; `len` is whole blocks. */
static int encrypt(const uint8_t key[32], const uint8_t iv[AES_BLOCK], uint8_t *p, size_t len)
{
	const uint8_t *last = iv;
	int err = 0;

	for (size_t at = 0; at < len && !err; at += AES_BLOCK) {
		for (int i = 0; i < AES_BLOCK; i++)
			p[at + (size_t)i] ^= last[i];
		err = aes_block_encrypt(key, 32, p + at, p + at);
		last = p + at;
	}
	return err;
}

/* Name, IV, the session encrypted, and the HMAC of all that. */
static int put_ticket(const struct tls13_ticket_key *key, const uint8_t *session, size_t len,
		      struct wr *out)
{
	size_t pad = AES_BLOCK - len % AES_BLOCK, start = out->len;
	uint8_t iv[AES_BLOCK], *text, *mac;
	int err;

	random_bytes(iv, sizeof(iv));
	wr_bytes(out, key->name, sizeof(key->name));
	wr_bytes(out, iv, sizeof(iv));
	text = wr_room(out, len + pad);
	mac = wr_room(out, 32);
	if (!mac)
		return -ERR_TOO_BIG;
	memcpy(text, session, len);
	memset(text + len, (int)pad, pad);
	err = encrypt(key->aes, iv, text, len + pad);
	return err ? err
		   : hmac(HASH_SHA256, key->hmac, sizeof(key->hmac), out->base + start,
			  (size_t)(mac - out->base) - start, mac);
}

int tls13_ticket_emit(const struct tls13_ticket_key *key, const struct tls13 *k,
		      const uint8_t *resumption, const struct tls13_session *s, unsigned index,
		      struct wr *out)
{
	uint8_t nonce[NONCE] = {[NONCE - 1] = (uint8_t)index}, psk[HASH_MAX];
	uint8_t session[SESSION_MAX + 4], age[4];
	struct wr w = wr_of(session, sizeof(session)), sealed;
	uint8_t ticket[SESSION_MAX + 100];
	uint32_t age_add;
	int err;

	random_bytes(age, sizeof(age));
	age_add = (uint32_t)age[0] << 24 | (uint32_t)age[1] << 16 | (uint32_t)age[2] << 8 | age[3];
	err = hkdf_label(k->alg, resumption, "resumption", nonce, sizeof(nonce), psk, k->size);
	if (!err)
		err = put_session(k, psk, s, age_add, &w);
	cleanse(psk, sizeof(psk));
	sealed = wr_of(ticket, sizeof(ticket));
	if (!err)
		err = put_ticket(key, session, w.len, &sealed);
	cleanse(session, sizeof(session));
	if (err)
		return err;
	wr_u8(out, MSG_TICKET);
	wr_be24(out, (uint32_t)(4 + 4 + 1 + NONCE + 2 + sealed.len + 2));
	wr_be32(out, LIFETIME);
	wr_be32(out, age_add);
	wr_u8(out, NONCE);
	wr_bytes(out, nonce, sizeof(nonce));
	wr_be16(out, (uint16_t)sealed.len);
	wr_bytes(out, ticket, sealed.len);
	wr_be16(out, 0); /* extensions */
	return out->err;
}
