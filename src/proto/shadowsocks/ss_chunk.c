#include "proto/shadowsocks/ss_chunk.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"

#define PIECES	     16 /* of a chunk that is put together; what lies in more is for the next one */
#define LARGE_PIECES 96

/* A buffer with at least this much in it is worth a chunk of its own. */
#define NEARLY_FULL (BUF_PAYLOAD / 2)

/* What a chunk may leave over: it goes in front of the next one, into its front room, together with
 * a sealed length and a header before that. */
#define CARRY_MAX 64

void ss_dir_set(struct ss_dir *d, const struct ss_method *m, const uint8_t *subkey)
{
	aead_key_set(&d->key, m->alg, subkey);
	d->count = 0;
	d->max = m->chunk;
	d->next = 0;
	d->begun = d->empty = false;
}

int ss_dir_derive(struct ss_dir *d, const struct ss_method *m, const uint8_t *key,
		  const uint8_t *salt)
{
	uint8_t subkey[SS_KEY_MAX];
	int err = ss_subkey(m, key, salt, m->salt_len, subkey);

	if (!err)
		ss_dir_set(d, m, subkey);
	cleanse(subkey, sizeof(subkey));
	return err;
}

void ss_dir_clear(struct ss_dir *d)
{
	aead_key_clear(&d->key);
	cleanse(d, sizeof(*d));
}

/* A little-endian counter; of XChaCha20 24 bytes of it. */
static const uint8_t *nonce_of(const struct ss_dir *d, uint8_t nonce[AEAD_NONCE_MAX])
{
	uint64_t n = htole64(d->count);

	memset(nonce, 0, AEAD_NONCE_MAX);
	memcpy(nonce, &n, sizeof(n));
	return nonce;
}

int ss_seal_piece(struct ss_dir *d, const void *in, size_t len, uint8_t *out)
{
	uint8_t nonce[AEAD_NONCE_MAX];
	int err = aead_seal(&d->key, nonce_of(d, nonce), NULL, 0, in, len, out);

	if (!err)
		d->count++;
	return err;
}

int ss_open_piece(struct ss_dir *d, const void *in, size_t len, uint8_t *out)
{
	uint8_t nonce[AEAD_NONCE_MAX];
	int err = aead_open(&d->key, nonce_of(d, nonce), NULL, 0, in, len, out);

	if (!err)
		d->count++;
	return err;
}

/* ---- opening ----------------------------------------------------------------------------- */

static int open_small(struct ss_dir *d, struct bufq *in, size_t len, struct bufq *out)
{
	uint8_t nonce[AEAD_NONCE_MAX];
	int err = aead_open_bufq(&d->key, nonce_of(d, nonce), NULL, 0, in, len, out);

	if (!err)
		bufq_drain(in, len);
	return err;
}

/* What has been cut off the front goes back there: whole chunks, for which no memory is needed. */
static void put_back(struct bufq *in, struct bufq *part)
{
	bufq_move(part, in, SIZE_MAX);
	*in = *part;
}

/* SIP022 allows chunks of 64 KiB.  Those are opened where they lie, and the buffers handed on.  All that
 * takes memory comes first: what has been opened cannot be opened again.  Moving puts small pieces
 * together.
 */
static int open_large(struct ss_dir *d, struct bufq *in, size_t len, struct bufq *out)
{
	uint8_t nonce[AEAD_NONCE_MAX], tag[AEAD_TAG], *outs[LARGE_PIECES];
	struct iovec iov[LARGE_PIECES];
	struct bufq part;
	int n, err;

	assert(in->pool == out->pool);
	bufq_init(&part, in->pool, in->limit);
	if (bufq_move(&part, in, len) < len) {
		put_back(in, &part);
		return -ENOMEM;
	}
	n = bufq_iov(&part, iov, LARGE_PIECES, len);
	for (int i = 0; i < n; i++)
		outs[i] = iov[i].iov_base;
	bufq_peek(in, 0, tag, sizeof(tag));
	err = aead_open_pieces(&d->key, nonce_of(d, nonce), iov, n, tag, outs);
	if (err)
		put_back(in, &part);
	else
		bufq_move(out, &part, len);
	return err;
}

int ss_open_payload(struct ss_dir *d, struct bufq *in, size_t len, struct bufq *out)
{
	int err;

	if (bufq_len(in) < len + AEAD_TAG)
		return -ERR_MORE;
	err = len <= BUF_PAYLOAD ? open_small(d, in, len, out) : open_large(d, in, len, out);
	if (err)
		return err;
	d->count++;
	bufq_drain(in, AEAD_TAG);
	return 0;
}

size_t ss_need(const struct ss_dir *d)
{
	return d->begun ? (size_t)d->next + AEAD_TAG : SS_LEN;
}

int ss_open_length(struct ss_dir *d, struct bufq *in)
{
	uint8_t sealed[SS_LEN], text[2];
	uint16_t len;
	int err;

	if (bufq_peek(in, 0, sealed, sizeof(sealed)) < sizeof(sealed))
		return -ERR_MORE;
	err = ss_open_piece(d, sealed, sizeof(sealed), text);
	if (err)
		return err;
	len = (uint16_t)(text[0] << 8 | text[1]);
	if ((len == 0 && d->empty) || len > d->max)
		return -ERR_MALFORMED;
	d->next = len;
	d->begun = true;
	bufq_drain(in, sizeof(sealed));
	return 0;
}

/* Nothing, and the tag that proves it. */
static int open_nothing(struct ss_dir *d, struct bufq *in)
{
	uint8_t tag[AEAD_TAG], none[1];
	int err;

	if (bufq_peek(in, 0, tag, sizeof(tag)) < sizeof(tag))
		return -ERR_MORE;
	err = ss_open_piece(d, tag, sizeof(tag), none);
	if (!err)
		bufq_drain(in, sizeof(tag));
	return err;
}

int ss_open_rest(struct ss_dir *d, struct bufq *in, struct bufq *out)
{
	int err = d->next ? ss_open_payload(d, in, d->next, out) : open_nothing(d, in);

	if (err)
		return err;
	d->empty = d->next == 0;
	d->begun = false;
	return 0;
}

ssize_t ss_open_chunk(struct ss_dir *d, struct bufq *in, struct bufq *out)
{
	int err;

	do {
		err = d->begun ? 0 : ss_open_length(d, in);
		if (!err)
			err = ss_open_rest(d, in, out);
	} while (!err && d->next == 0);
	return err ? err : d->next;
}

/* ---- sealing ----------------------------------------------------------------------------- */

static int seal_length(struct ss_dir *d, size_t len, uint8_t *out)
{
	const uint8_t text[2] = {(uint8_t)(len >> 8), (uint8_t)len};

	return ss_seal_piece(d, text, sizeof(text), out);
}

int ss_seal_pieces(struct ss_dir *d, const struct iovec *iov, int n, uint8_t *out)
{
	uint8_t nonce[AEAD_NONCE_MAX];
	int err = aead_seal_iov(&d->key, nonce_of(d, nonce), NULL, 0, iov, n, out);

	if (!err)
		d->count++;
	return err;
}

/* Is the first buffer better sealed where it lies, behind `carry` bytes, than copied to `out`? */
static bool in_place(const struct ss_dir *d, const struct bufq *src, const struct bufq *out,
		     size_t bytes, size_t carry)
{
	const struct buf *b = src->head;
	size_t len = buf_len(b);

	if (len > bytes || len < NEARLY_FULL || len + carry > (size_t)d->max + CARRY_MAX ||
	    src->pool != out->pool)
		return false;
	return b->start >= CARRY_MAX + SS_LEN &&
	       b->end + SS_MORE + AEAD_TAG <= BUF_SIZE - CARRY_MAX;
}

/* Put up to d->max bytes of several buffers into one chunk.  How many, 0 without memory. */
static ssize_t seal_gathered(struct ss_dir *d, struct bufq *src, size_t bytes, size_t front,
			     struct bufq *out)
{
	struct iovec iov[PIECES];
	size_t most = MIN((size_t)d->max, (size_t)BUF_PAYLOAD - SS_MORE), len = 0;
	int n = bufq_iov(src, iov, PIECES, MIN(bytes, most)), err = 0;
	struct buf *b;
	uint8_t *to;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	b = bufq_tail_room(out, front + len + AEAD_TAG);
	if (!b)
		return 0;
	to = b->data + b->end;
	if (front)
		err = seal_length(d, len, to);
	if (!err)
		err = ss_seal_pieces(d, iov, n, to + front);
	bufq_commit(out, err ? 0 : front + len + AEAD_TAG);
	if (err)
		return err;
	bufq_drain(src, len);
	return (ssize_t)len;
}

/* The buffer becomes a chunk where it lies, with what the one before left over in front of it; what
 * is too much for this one is left over in turn.
 */
static int seal_buf(struct ss_dir *d, struct buf *b, uint8_t *carry, size_t *ncarry)
{
	size_t len, over;
	uint8_t *text;
	int err;

	b->start -= (uint32_t)*ncarry;
	memcpy(buf_head(b), carry, *ncarry);
	text = buf_head(b);
	len = MIN(buf_len(b), (size_t)d->max);
	over = buf_len(b) - len;
	assert(over <= CARRY_MAX);
	memcpy(carry, text + len, over);
	*ncarry = over;
	err = seal_length(d, len, text - SS_LEN);
	if (!err)
		err = ss_seal_piece(d, text, len, text);
	b->start -= SS_LEN;
	b->end = b->start + (uint32_t)(SS_LEN + len + AEAD_TAG);
	return err;
}

/* What is left over at the end is a chunk of its own, in the rear room of the last buffer. */
static int seal_rest(struct ss_dir *d, struct buf *b, const uint8_t *carry, size_t len)
{
	uint8_t *to = b->data + b->end;
	int err = seal_length(d, len, to);

	if (!err)
		err = ss_seal_piece(d, carry, len, to + SS_LEN);
	b->end += (uint32_t)(len + SS_MORE);
	return err;
}

/* A run of full buffers: SIP004's largest chunk is one byte short of a buffer. */
static ssize_t seal_run(struct ss_dir *d, struct bufq *src, size_t bytes, struct bufq *out)
{
	uint8_t carry[CARRY_MAX];
	size_t ncarry = 0, done = 0;
	bool more = true;
	int err = 0;

	while (more && !err) {
		struct buf *b = bufq_shift(src);

		done += buf_len(b);
		err = seal_buf(d, b, carry, &ncarry);
		more = !err && !bufq_empty(src) && done < bytes &&
		       in_place(d, src, out, bytes - done, ncarry);
		if (!more && !err && ncarry > 0)
			err = seal_rest(d, b, carry, ncarry);
		bufq_push(out, b);
	}
	cleanse(carry, sizeof(carry));
	return err ? err : (ssize_t)done;
}

ssize_t ss_seal(struct ss_dir *d, struct bufq *src, size_t bytes, struct bufq *out)
{
	size_t done = 0;

	while (!bufq_empty(src) && done < bytes) {
		ssize_t n = in_place(d, src, out, bytes - done, 0)
				    ? seal_run(d, src, bytes - done, out)
				    : seal_gathered(d, src, bytes - done, SS_LEN, out);

		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t ss_seal_payload(struct ss_dir *d, struct bufq *src, struct bufq *out)
{
	struct buf *b = src->head;
	size_t len = b ? buf_len(b) : 0;
	int err;

	if (!b || !in_place(d, src, out, len, 0) || len > d->max)
		return seal_gathered(d, src, SIZE_MAX, 0, out);
	err = ss_seal_piece(d, buf_head(b), len, buf_head(b));
	if (err)
		return err;
	b = bufq_shift(src);
	b->end += AEAD_TAG;
	bufq_push(out, b);
	return (ssize_t)len;
}
