#include "tls/record.h"

#include <assert.h>
#include <errno.h>
#include <openssl/opensslv.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/kdf.h"

enum {
	MSG_TICKET = 4,
	MSG_KEY_UPDATE = 24,
};

/* Key updates in a row are work without gain: libssl 3.0 has no limit; nobody honest sends two without data
 * between. */
#define UPDATES_MAX 64

/* AES-GCM is good for 2^24.5 full records under one key (RFC 8446 §5.5). */
#define REKEY_AFTER ((uint64_t)1 << 23)

/* A chunk with at least this much in it is worth a record of its own; smaller ones are put
 * together. */
#define NEARLY_FULL (TLS_PLAIN_MAX / 2)

/* More pieces than this are laid side by side first. */
#define PIECES 16

static const struct {
	uint16_t id;
	uint8_t hash, aead;
} suites[] = {
	{0x1301, HASH_SHA256, AEAD_AES_128_GCM},
	{0x1302, HASH_SHA384, AEAD_AES_256_GCM},
	{0x1303, HASH_SHA256, AEAD_CHACHA20_POLY1305},
};

static int suite_index(uint16_t id)
{
	return id >= 0x1301 && id <= 0x1303 ? id - 0x1301 : -1;
}

size_t tls_secret_len(uint16_t suite)
{
	int i = suite_index(suite);

	return i < 0 ? 0 : hash_size(suites[i].hash);
}

/* RFC 8446 §7.3. */
static int derive_keys(struct tls_dir *d)
{
	int i = suite_index(d->suite);
	uint8_t raw[AEAD_KEY_MAX];
	int err;

	err = hkdf_label(suites[i].hash, d->secret, "key", NULL, 0, raw,
			 aead_key_len(suites[i].aead));
	if (!err)
		err = hkdf_label(suites[i].hash, d->secret, "iv", NULL, 0, d->iv, sizeof(d->iv));
	if (!err) {
		aead_key_clear(&d->key);
		aead_key_set(&d->key, suites[i].aead, raw);
		d->seq = 0;
	}
	cleanse(raw, sizeof(raw));
	return err;
}

int tls_dir_set(struct tls_dir *d, uint16_t suite, const uint8_t *secret, uint64_t seq)
{
	int err;

	if (suite_index(suite) < 0)
		return -ERR_UNSUPPORTED;
	d->suite = suite;
	memcpy(d->secret, secret, tls_secret_len(suite));
	err = derive_keys(d);
	if (!err)
		d->seq = seq;
	return err;
}

int tls_dir_update(struct tls_dir *d)
{
	enum hash_alg alg = suites[suite_index(d->suite)].hash;
	uint8_t next[TLS_SECRET_MAX];
	int err;

	err = hkdf_label(alg, d->secret, "traffic upd", NULL, 0, next, hash_size(alg));
	if (!err) {
		memcpy(d->secret, next, hash_size(alg));
		err = derive_keys(d);
	}
	cleanse(next, sizeof(next));
	return err;
}

void tls_dir_clear(struct tls_dir *d)
{
	aead_key_clear(&d->key);
	cleanse(d, sizeof(*d));
}

/* RFC 8446 §5.3. */
static void make_nonce(const struct tls_dir *d, uint8_t nonce[12])
{
	memcpy(nonce, d->iv, 12);
	for (int i = 0; i < 8; i++)
		nonce[4 + i] ^= (uint8_t)(d->seq >> (56 - 8 * i));
}

static void put_header(uint8_t *h, size_t inner)
{
	size_t len = inner + AEAD_TAG;

	h[0] = TLS_DATA;
	h[1] = h[2] = 3;
	h[3] = (uint8_t)(len >> 8);
	h[4] = (uint8_t)len;
}

int tls_seal(struct tls_dir *d, enum tls_type type, const struct iovec *in, int n, size_t len,
	     uint8_t *out)
{
	struct iovec iov[PIECES + 1];
	uint8_t nonce[12], last = (uint8_t)type;
	int err;

	assert(n <= PIECES && len <= TLS_PLAIN_MAX);
	memcpy(iov, in, (size_t)n * sizeof(*in));
	iov[n] = (struct iovec){&last, 1};
	put_header(out, len + 1);
	make_nonce(d, nonce);
	err = aead_seal_iov(&d->key, nonce, out, TLS_HEADER, iov, n + 1, out + TLS_HEADER);
	if (!err)
		d->seq++;
	return err;
}

int tls_seal_chunk(struct tls_dir *d, enum tls_type type, struct buf *b)
{
	size_t inner = buf_len(b) + 1;
	uint8_t nonce[12], *text = buf_head(b), *header = text - TLS_HEADER;
	int err;

	assert(b->start >= TLS_HEADER && b->end + 1 + AEAD_TAG <= BUF_SIZE);
	assert(inner <= TLS_PLAIN_MAX + 1);
	text[inner - 1] = (uint8_t)type;
	put_header(header, inner);
	make_nonce(d, nonce);
	err = aead_seal(&d->key, nonce, header, TLS_HEADER, text, inner, text);
	if (err)
		return err;
	d->seq++;
	b->start -= TLS_HEADER;
	b->end += 1 + AEAD_TAG;
	return 0;
}

int tls_seal_padded(struct tls_dir *d, enum tls_type type, const void *in, size_t len, size_t wire,
		    uint8_t *out)
{
	size_t inner = wire - TLS_HEADER - AEAD_TAG;
	uint8_t nonce[12], *text = out + TLS_HEADER;
	int err;

	if (wire < len + TLS_OVERHEAD || inner > TLS_PLAIN_MAX + 1)
		return -ERR_TOO_BIG;
	if (len > 0)
		memcpy(text, in, len);
	text[len] = (uint8_t)type;
	memset(text + len + 1, 0, inner - len - 1);
	put_header(out, inner);
	make_nonce(d, nonce);
	err = aead_seal(&d->key, nonce, out, TLS_HEADER, text, inner, text);
	if (!err)
		d->seq++;
	return err;
}

int tls_open_one(struct tls_dir *d, const uint8_t *record, size_t len, uint8_t *out, size_t *n,
		 uint8_t *type)
{
	size_t inner = len - TLS_HEADER - AEAD_TAG;
	uint8_t nonce[12];
	int err;

	if (len < TLS_OVERHEAD)
		return -ERR_MALFORMED;
	make_nonce(d, nonce);
	err = aead_open(&d->key, nonce, record, TLS_HEADER, record + TLS_HEADER, inner + AEAD_TAG,
			out);
	if (err)
		return err;
	d->seq++;
	while (inner > 0 && out[inner - 1] == 0)
		inner--;
	if (inner == 0)
		return -ERR_MALFORMED;
	*type = out[inner - 1];
	*n = inner - 1;
	return 0;
}

void tls_records_init(struct tls_records *r, bool client)
{
	*r = (struct tls_records){.client = client, .fragment = TLS_PLAIN_MAX};
}

void tls_records_clear(struct tls_records *r)
{
	tls_dir_clear(&r->in);
	tls_dir_clear(&r->out);
}

/* ---- opening ----------------------------------------------------------------------------- */

static enum tls_got fail(struct tls_records *r, enum tls_alert alert)
{
	r->alert = (uint8_t)alert;
	return TLS_GOT_FAIL;
}

size_t tls_records_need(const struct bufq *in)
{
	uint8_t h[TLS_HEADER];

	if (bufq_peek(in, 0, h, sizeof(h)) < sizeof(h))
		return TLS_HEADER;
	return TLS_HEADER + (size_t)(h[3] << 8 | h[4]);
}

int tls_header_alert(const uint8_t h[TLS_HEADER], bool handshake)
{
	const bool since_3_2 = OPENSSL_VERSION_NUMBER >= 0x30200000L;
	size_t len = (size_t)(h[3] << 8 | h[4]);

	if (since_3_2 && h[0] == TLS_DATA && h[1] != 3)
		return TLS_DECODE_ERROR;
	if (!since_3_2 && h[1] != 3)
		return TLS_PROTOCOL_VERSION;
	if (len > TLS_CIPHER_MAX && (!since_3_2 || h[0] == TLS_DATA))
		return TLS_RECORD_OVERFLOW;
	if (h[0] != TLS_DATA && !(handshake && (h[0] == TLS_CCS || h[0] == TLS_ALERT)))
		return TLS_UNEXPECTED_MESSAGE;
	if (h[2] != 3)
		return TLS_DECODE_ERROR;
	return 0;
}

/* Decrypt `inner` bytes behind the header of `in` to `out`.  0 or an error of aead_open_iov(). */
static int decrypt(struct tls_records *r, struct bufq *in, const uint8_t *header, size_t inner,
		   uint8_t *out)
{
	struct iovec iov[PIECES];
	uint8_t nonce[12], tag[AEAD_TAG];
	int n = bufq_iov(in, iov, PIECES, TLS_HEADER + inner);
	size_t skip = TLS_HEADER, have = 0;
	int first = 0;

	for (int i = 0; i < n; i++)
		have += iov[i].iov_len;
	if (have < TLS_HEADER + inner) {
		/* Dribbled: lay it side by side where the plaintext will be. */
		bufq_peek(in, TLS_HEADER, out, inner);
		iov[0] = (struct iovec){out, inner};
		n = 1;
		skip = 0;
	}
	while (skip > 0) {
		size_t cut = MIN(skip, iov[first].iov_len);

		iov[first].iov_base = (uint8_t *)iov[first].iov_base + cut;
		iov[first].iov_len -= cut;
		skip -= cut;
		if (iov[first].iov_len == 0)
			first++;
	}
	bufq_peek(in, TLS_HEADER + inner, tag, sizeof(tag));
	make_nonce(&r->in, nonce);
	return aead_open_iov(&r->in.key, nonce, header, TLS_HEADER, iov + first, n - first, tag,
			     out);
}

/* One byte of post-handshake messages.  0, 1: a KeyUpdate is complete, or an alert. */
static int message_byte(struct tls_records *r, uint8_t byte, uint8_t *alert)
{
	size_t len;

	if (r->skip > 0) {
		r->skip--;
		return 0;
	}
	if (r->hslen == 4) {
		if (byte > 1)
			*alert = TLS_ILLEGAL_PARAMETER;
		return 1;
	}
	r->hs[r->hslen++] = byte;
	if (r->hslen < 4)
		return 0;
	len = (size_t)r->hs[1] << 16 | r->hs[2] << 8 | r->hs[3];
	if (r->hs[0] == MSG_KEY_UPDATE && len != 1) {
		*alert = len ? TLS_ILLEGAL_PARAMETER : TLS_DECODE_ERROR;
	} else if (r->hs[0] == MSG_TICKET && r->client && len < 65536) {
		r->skip = (uint32_t)len;
		r->hslen = 0;
	} else if (r->hs[0] != MSG_KEY_UPDATE) {
		*alert = TLS_UNEXPECTED_MESSAGE;
	}
	return 0;
}

/* RFC 8446 §4.6: KeyUpdate; to a client also tickets, which are passed by. */
static enum tls_got handshake(struct tls_records *r, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t alert = 0;
		int complete = message_byte(r, p[i], &alert);

		if (complete && i + 1 < len)
			alert = TLS_UNEXPECTED_MESSAGE; /* a change of keys ends its record */
		if (complete && ++r->updates > UPDATES_MAX)
			alert = TLS_UNEXPECTED_MESSAGE;
		if (alert)
			return fail(r, alert);
		if (!complete)
			continue;
		r->hslen = 0;
		if (tls_dir_update(&r->in))
			return fail(r, TLS_INTERNAL_ERROR);
		return p[i] ? TLS_GOT_ASKED : TLS_GOT_RECORD;
	}
	return TLS_GOT_RECORD;
}

static enum tls_got alert(struct tls_records *r, const uint8_t *p, size_t len)
{
	if (len != 2)
		return fail(r, TLS_UNEXPECTED_MESSAGE);
	if (p[1] == TLS_CLOSE_NOTIFY)
		return TLS_GOT_CLOSE;
	if (p[1] == TLS_USER_CANCELED)
		return ++r->warnings > TLS_WARN_MAX ? fail(r, TLS_UNEXPECTED_MESSAGE)
						    : TLS_GOT_RECORD;
	r->alert = p[1];
	return TLS_GOT_ALERT;
}

/* `p` is an opened record of `inner` bytes: *len becomes what it carries of payload. */
static enum tls_got opened(struct tls_records *r, const uint8_t *p, size_t inner, size_t *len)
{
	uint8_t type;
	size_t n = inner;

	*len = 0;
	while (n > 1 && p[n - 1] == 0)
		n--;
	type = p[--n];
	if (type != TLS_DATA && type != TLS_HANDSHAKE && type != TLS_ALERT)
		return fail(r, TLS_UNEXPECTED_MESSAGE);
	if (n == 0 && type != TLS_DATA)
		return fail(r, TLS_UNEXPECTED_MESSAGE);
	if (n > r->fragment)
		return fail(r, TLS_RECORD_OVERFLOW);
	if (n == 0 && ++r->empty > TLS_EMPTY_MAX)
		return fail(r, TLS_UNEXPECTED_MESSAGE);
	if (n > 0)
		r->empty = 0;
	if (type != TLS_HANDSHAKE && (r->hslen > 0 || r->skip > 0))
		return fail(r, TLS_UNEXPECTED_MESSAGE); /* nothing between the parts of a message */
	if (type == TLS_HANDSHAKE)
		return handshake(r, p, n);
	if (type == TLS_ALERT)
		return alert(r, p, n);
	if (n > 0)
		r->updates = r->warnings = 0;
	*len = n;
	return TLS_GOT_RECORD;
}

/* The record is all that its chunk holds: open it there and hand the chunk on. */
static enum tls_got open_in_place(struct tls_records *r, struct bufq *in, size_t inner,
				  struct bufq *out)
{
	struct buf *b = in->head;
	uint8_t *p = buf_head(b), nonce[12];
	enum tls_got got;
	size_t len;
	int err;

	make_nonce(&r->in, nonce);
	err = aead_open(&r->in.key, nonce, p, TLS_HEADER, p + TLS_HEADER, inner + AEAD_TAG,
			p + TLS_HEADER);
	if (err)
		return fail(r, err == -ERR_AUTH ? TLS_BAD_RECORD_MAC : TLS_INTERNAL_ERROR);
	r->in.seq++;
	b = bufq_shift(in);
	got = opened(r, p + TLS_HEADER, inner, &len);
	b->start += TLS_HEADER;
	b->end = b->start + (uint32_t)len;
	bufq_push(out, b); /* an empty one is freed */
	return got;
}

static enum tls_got open_copy(struct tls_records *r, struct bufq *in, const uint8_t *header,
			      size_t inner, struct bufq *out)
{
	/* The rear room takes what a record has beyond its payload: type and padding. */
	struct buf *b = bufq_tail_room(out, MIN(inner, (size_t)BUF_PAYLOAD));
	enum tls_got got;
	size_t len;
	int err;

	if (!b)
		return TLS_GOT_NOMEM;
	err = decrypt(r, in, header, inner, b->data + b->end);
	if (err) {
		bufq_commit(out, 0);
		return fail(r, err == -ERR_AUTH ? TLS_BAD_RECORD_MAC : TLS_INTERNAL_ERROR);
	}
	r->in.seq++;
	bufq_drain(in, TLS_HEADER + inner + AEAD_TAG);
	got = opened(r, b->data + b->end, inner, &len);
	bufq_commit(out, len);
	return got;
}

enum tls_got tls_records_open(struct tls_records *r, struct bufq *in, struct bufq *out)
{
	uint8_t h[TLS_HEADER];
	size_t len;
	int bad;

	if (bufq_peek(in, 0, h, sizeof(h)) < sizeof(h))
		return TLS_GOT_MORE;
	len = (size_t)(h[3] << 8 | h[4]);
	bad = tls_header_alert(h, false);
	if (bad)
		return fail(r, bad);
	if (bufq_len(in) < TLS_HEADER + len)
		return TLS_GOT_MORE;
	if (len < 1 + AEAD_TAG)
		return fail(r, TLS_BAD_RECORD_MAC);
	if (buf_len(in->head) == TLS_HEADER + len && in->pool == out->pool)
		return open_in_place(r, in, len - AEAD_TAG, out);
	return open_copy(r, in, h, len - AEAD_TAG, out);
}

/* ---- sealing ----------------------------------------------------------------------------- */

int tls_records_put(struct tls_records *r, enum tls_type type, const void *p, size_t len,
		    struct bufq *out)
{
	struct buf *b = bufq_tail_room(out, len + TLS_OVERHEAD);
	struct iovec iov = {(void *)p, len};
	int err;

	if (!b)
		return -ENOMEM;
	err = tls_seal(&r->out, type, &iov, 1, len, b->data + b->end);
	bufq_commit(out, err ? 0 : len + TLS_OVERHEAD);
	return err;
}

int tls_records_rekey(struct tls_records *r, struct bufq *out)
{
	static const uint8_t update[] = {MSG_KEY_UPDATE, 0, 0, 1, 0};
	int err = tls_records_put(r, TLS_HANDSHAKE, update, sizeof(update), out);

	return err ? err : tls_dir_update(&r->out);
}

/* May the first chunk of `src` become a record where it lies? */
static bool fits_in_place(const struct tls_records *r, const struct bufq *src,
			  const struct bufq *out, size_t max, bool whole)
{
	const struct buf *b = src->head;
	size_t len = buf_len(b);

	if (src->pool != out->pool || len > r->fragment || len > max || b->start < TLS_HEADER ||
	    b->end + 1 + AEAD_TAG > BUF_SIZE)
		return false;
	return !b->next || (len >= NEARLY_FULL && !whole) || len == r->fragment;
}

/* Put the first `len` bytes of `src` into one record of a fresh chunk. */
static ssize_t seal_gathered(struct tls_records *r, struct bufq *src, size_t len, struct bufq *out)
{
	struct iovec iov[PIECES];
	int n, err;
	struct buf *b;

	n = bufq_iov(src, iov, PIECES, len);
	len = 0;
	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	b = bufq_tail_room(out, MIN(len + TLS_OVERHEAD, (size_t)BUF_PAYLOAD));
	if (!b)
		return 0;
	err = tls_seal(&r->out, TLS_DATA, iov, n, len, b->data + b->end);
	if (err) {
		bufq_commit(out, 0);
		return err;
	}
	bufq_commit(out, len + TLS_OVERHEAD);
	bufq_drain(src, len);
	return (ssize_t)len;
}

ssize_t tls_records_seal(struct tls_records *r, struct bufq *src, size_t max, bool whole,
			 struct bufq *out)
{
	size_t done = 0;

	while (!bufq_empty(src) && done < max) {
		ssize_t n;
		int err;

		if (r->out.seq >= REKEY_AFTER) {
			err = tls_records_rekey(r, out);
			if (err)
				return err == -ENOMEM ? (ssize_t)done : err;
		}
		if (fits_in_place(r, src, out, max - done, whole)) {
			struct buf *b = bufq_shift(src);

			n = (ssize_t)buf_len(b);
			err = tls_seal_chunk(&r->out, TLS_DATA, b);
			bufq_push(out, b);
			if (err)
				return err;
		} else {
			n = seal_gathered(r, src, MIN(max - done, (size_t)r->fragment), out);
			if (n < 0)
				return n;
			if (n == 0)
				break;
		}
		done += (size_t)n;
	}
	return (ssize_t)done;
}
