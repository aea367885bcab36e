#include "proto/shadowsocks/ss_packet.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/wr.h"
#include "crypto/aes_block.h"
#include "crypto/ct.h"
#include "crypto/random.h"
#include "proto/shadowsocks/ss_cipher.h"

enum {
	BODY_REQUEST = 0,
	BODY_ANSWER = 1,
};

#define PADDED_PORT 53
#define PADDED_MAX  900
/* separate header or nonce, two identities, type, time, session, padding, address */
#define HEAD_MAX (24 + 2 * 16 + 16 + 1 + 8 + 8 + 2 + PADDED_MAX + 1 + 1 + 255 + 2)

static const uint8_t zero_nonce[AEAD_NONCE_MAX];

/* `len` bytes before the payload: there, or after the payload has moved back.  NULL: too long. */
static uint8_t *make_front(struct buf *b, size_t len)
{
	size_t have = buf_len(b);

	if (have + len + AEAD_TAG > BUF_SIZE)
		return NULL;
	if (b->start < len || b->end + AEAD_TAG > BUF_SIZE) {
		memmove(b->data + len, buf_head(b), have);
		b->start = (uint32_t)len;
		b->end = (uint32_t)(len + have);
	}
	b->start -= (uint32_t)len;
	return buf_head(b);
}

/* ---- SIP004 ------------------------------------------------------------------------------ */

/* `text` in place, under the IV before it; there is none without a cipher. */
static int run_cipher(const struct ss_method *m, const uint8_t *key, bool encrypt, uint8_t *text,
		      size_t len)
{
	struct stream_cipher *c;
	int err;

	if (m->class == SS_PLAIN)
		return 0;
	c = ss_cipher_make(m, key, text - m->salt_len, encrypt);
	err = c ? stream_cipher_run(c, text, len, text) : -ERR_CRYPTO;
	stream_cipher_free(c);
	return err;
}

static int open_insecure(const struct ss_method *m, const uint8_t *key, struct buf *b)
{
	int err;

	if (buf_len(b) < m->salt_len)
		return -ERR_AUTH;
	err = run_cipher(m, key, false, buf_head(b) + m->salt_len, buf_len(b) - m->salt_len);
	if (!err)
		b->start += m->salt_len;
	return err;
}

int ss_packet_open(const struct ss_method *m, const uint8_t *key, struct buf *b, uint8_t *scratch)
{
	uint8_t sub[SS_KEY_MAX], *sealed = buf_head(b) + m->salt_len;
	int err;

	if (ss_method_insecure(m))
		return open_insecure(m, key, b);
	if (buf_len(b) < (size_t)m->salt_len + AEAD_TAG)
		return -ERR_AUTH;
	if (!scratch)
		return -ENOMEM;
	err = ss_subkey(m, key, buf_head(b), m->salt_len, sub);
	if (!err)
		err = aead_open_once((enum aead_alg)m->alg, sub, zero_nonce, sealed,
				     buf_len(b) - m->salt_len, scratch);
	cleanse(sub, sizeof(sub));
	if (err)
		return err;
	b->start += m->salt_len;
	b->end -= AEAD_TAG;
	memcpy(sealed, scratch, buf_len(b));
	return 0;
}

static int seal_aead(const struct ss_method *m, const uint8_t *key, uint8_t *at, struct buf *b)
{
	size_t len = buf_len(b) - m->salt_len;
	uint8_t sub[SS_KEY_MAX];
	int err = ss_subkey(m, key, at, m->salt_len, sub);

	if (err)
		return err;
	err = aead_seal_once((enum aead_alg)m->alg, sub, zero_nonce, at + m->salt_len, len,
			     at + m->salt_len);
	cleanse(sub, sizeof(sub));
	b->end += AEAD_TAG;
	return err;
}

int ss_packet_seal(const struct ss_method *m, const uint8_t *key, const uint8_t *salt,
		   struct buf *b, const struct dest *dest)
{
	uint8_t address[HEAD_MAX], *at;
	struct wr w = wr_of(address, sizeof(address));

	wr_dest(&w, DEST_SOCKS, dest);
	if (w.err)
		return w.err;
	at = make_front(b, m->salt_len + w.len);
	if (!at)
		return -ERR_TOO_BIG;
	memcpy(at, salt, m->salt_len);
	memcpy(at + m->salt_len, address, w.len);
	if (ss_method_insecure(m))
		return run_cipher(m, key, true, at + m->salt_len, buf_len(b) - m->salt_len);
	return seal_aead(m, key, at, b);
}

/* ---- 2022: opening ----------------------------------------------------------------------- */

static void separate_emit(struct wr *w, const struct ss_separate *sep)
{
	wr_bytes(w, sep->session, SS_SESSION_LEN);
	wr_be64(w, sep->packet);
}

static void separate_bytes(const struct ss_separate *sep, uint8_t out[SS_SEPARATE_LEN])
{
	struct wr w = wr_of(out, SS_SEPARATE_LEN);

	separate_emit(&w, sep);
}

static void separate_read(struct rd *r, struct ss_separate *out)
{
	const uint8_t *session = rd_bytes(r, SS_SESSION_LEN);

	if (session)
		memcpy(out->session, session, SS_SESSION_LEN);
	out->packet = rd_be64(r);
}

int ss_separate_open(const struct ss_method *m, const uint8_t *key, const uint8_t *in,
		     struct ss_separate *out)
{
	uint8_t text[SS_SEPARATE_LEN];
	struct rd r = rd_of(text, sizeof(text));
	int err = aes_block_decrypt(key, m->key_len, in, text);

	if (!err)
		separate_read(&r, out);
	return err;
}

int ss_packet_name(const struct ss_method *m, const uint8_t *psk, const struct ss_separate *sep,
		   const uint8_t *in, uint8_t name[SS_IDENTITY_LEN])
{
	uint8_t header[SS_SEPARATE_LEN];
	int err = aes_block_decrypt(psk, m->key_len, in, name);

	separate_bytes(sep, header);
	for (int i = 0; i < SS_IDENTITY_LEN && !err; i++)
		name[i] ^= header[i];
	return err;
}

int ss_body_parse(struct rd *in, bool answer, struct ss_body *out)
{
	struct ss_body body = {0};
	const uint8_t *client = NULL;
	struct rd r = *in;

	rd_check(&r, rd_u8(&r) == (answer ? BODY_ANSWER : BODY_REQUEST));
	body.time = rd_be64(&r);
	if (answer)
		client = rd_bytes(&r, SS_SESSION_LEN);
	rd_skip(&r, rd_be16(&r));
	if (r.err)
		return r.err;
	if (client)
		memcpy(body.client, client, sizeof(body.client));

	*in = r;
	*out = body;
	return 0;
}

static int body_take(struct buf *b, bool answer, struct ss_body *out)
{
	struct rd r = rd_of(buf_head(b), buf_len(b));
	int err = ss_body_parse(&r, answer, out);

	if (!err)
		b->start += (uint32_t)r.pos;
	return err;
}

int ss_body_open(const struct aead_key *session, const struct ss_separate *sep, size_t skip,
		 bool answer, struct buf *b, struct ss_body *out)
{
	uint8_t header[SS_SEPARATE_LEN], *sealed = buf_head(b) + skip;
	int err;

	if (buf_len(b) < skip + AEAD_TAG)
		return -ERR_MORE;
	separate_bytes(sep, header);
	err = aead_open(session, header + 4, NULL, 0, sealed, buf_len(b) - skip, sealed);
	if (err)
		return err;
	b->start += (uint32_t)skip;
	b->end -= AEAD_TAG;
	return body_take(b, answer, out);
}

int ss_body_open_x(const uint8_t *key, bool answer, struct buf *b, struct ss_separate *sep,
		   struct ss_body *out)
{
	uint8_t *sealed = buf_head(b) + SS_XNONCE_LEN;
	struct rd r;
	int err;

	if (buf_len(b) < SS_XNONCE_LEN + SS_SEPARATE_LEN + AEAD_TAG)
		return -ERR_MORE;
	err = aead_open_once(AEAD_XCHACHA20_POLY1305, key, buf_head(b), sealed,
			     buf_len(b) - SS_XNONCE_LEN, sealed);
	if (err)
		return err;
	b->end -= AEAD_TAG;
	r = rd_of(sealed, SS_SEPARATE_LEN);
	separate_read(&r, sep);
	b->start += SS_XNONCE_LEN + SS_SEPARATE_LEN;
	return body_take(b, answer, out);
}

/* ---- 2022: sealing ----------------------------------------------------------------------- */

uint16_t ss_packet_padding(const struct dest *dest, size_t len)
{
	if (dest->port != PADDED_PORT || len >= PADDED_MAX)
		return 0;
	return (uint16_t)(1 + random_below((uint32_t)(PADDED_MAX - len)));
}

/* What precedes the payload under the seal. */
static int body_emit(const struct ss_packet_out *o, struct wr *w, const struct dest *dest)
{
	uint8_t *zeros;

	wr_u8(w, o->client ? BODY_ANSWER : BODY_REQUEST);
	wr_be64(w, o->time);
	if (o->client)
		wr_bytes(w, o->client, SS_SESSION_LEN);
	wr_be16(w, o->padding);
	zeros = o->padding ? wr_room(w, o->padding) : NULL;
	if (zeros)
		memset(zeros, 0, o->padding);
	wr_dest(w, DEST_SOCKS, dest);
	return w->err;
}

static int seal_aes(const struct ss_packet_out *o, uint8_t *at, struct buf *b)
{
	size_t front = SS_SEPARATE_LEN + o->nipsk * SS_IDENTITY_LEN, keylen = o->method->key_len;
	uint8_t header[SS_SEPARATE_LEN], name[SS_IDENTITY_LEN];
	int err;

	separate_bytes(&o->separate, header);
	err = aes_block_encrypt(o->header_key, keylen, header, at);
	for (unsigned i = 0; i < o->nipsk && !err; i++) {
		for (int j = 0; j < SS_IDENTITY_LEN; j++)
			name[j] = o->name[i][j] ^ header[j];
		err = aes_block_encrypt(o->ipsk[i], keylen, name,
					at + SS_SEPARATE_LEN + i * SS_IDENTITY_LEN);
	}
	if (!err)
		err = aead_seal(o->session, header + 4, NULL, 0, at + front, buf_len(b) - front,
				at + front);
	return err;
}

static int seal_x(const struct ss_packet_out *o, uint8_t *at, struct buf *b)
{
	random_bytes(at, SS_XNONCE_LEN);
	separate_bytes(&o->separate, at + SS_XNONCE_LEN);
	return aead_seal_once(AEAD_XCHACHA20_POLY1305, o->header_key, at, at + SS_XNONCE_LEN,
			      buf_len(b) - SS_XNONCE_LEN, at + SS_XNONCE_LEN);
}

int ss_packet_seal_2022(const struct ss_packet_out *o, struct buf *b, const struct dest *dest)
{
	bool x = o->method->alg == AEAD_CHACHA20_POLY1305;
	size_t front =
		x ? SS_XNONCE_LEN + SS_SEPARATE_LEN : SS_SEPARATE_LEN + o->nipsk * SS_IDENTITY_LEN;
	uint8_t head[HEAD_MAX], *at;
	struct wr w = wr_of(head, sizeof(head));
	int err = body_emit(o, &w, dest);

	if (err)
		return err;
	at = make_front(b, front + w.len);
	if (!at)
		return -ERR_TOO_BIG;
	memcpy(at + front, head, w.len);
	err = x ? seal_x(o, at, b) : seal_aes(o, at, b);
	b->end += AEAD_TAG;
	return err;
}
