#include "proto/vlessenc/vlessenc_record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"

#define PIECES	    16
#define PAYLOAD_MAX 16384
#define NEARLY_FULL (BUF_PAYLOAD / 2) /* worth a record of its own, where it lies */

int vlessenc_dir_mask(struct vlessenc_dir *d, const uint8_t united[VLESSENC_UNITED],
		      const uint8_t iv[16])
{
	uint8_t key[32];

	d->mask = calloc(1, sizeof(*d->mask));
	if (!d->mask)
		return -ENOMEM;
	vlessenc_mask_key(united, VLESSENC_UNITED, key);
	vlessenc_mask_set(d->mask, key, iv);
	cleanse(key, sizeof(key));
	return 0;
}

void vlessenc_dir_clear(struct vlessenc_dir *d)
{
	vlessenc_aead_clear(&d->aead);
	if (d->mask)
		cleanse(d->mask, sizeof(*d->mask));
	free(d->mask);
	d->mask = NULL;
}

static void put_header(uint8_t h[VLESSENC_HEADER], size_t len)
{
	h[0] = 0x17;
	h[1] = h[2] = 3;
	h[3] = (uint8_t)(len >> 8);
	h[4] = (uint8_t)len;
}

static bool looks_like_one(const uint8_t h[VLESSENC_HEADER])
{
	return h[0] == 0x17 && h[1] == 3 && h[2] == 3;
}

static void make_nonce(const struct vlessenc_dir *d, uint8_t nonce[12])
{
	uint64_t n = d->aead.count + 1;

	memset(nonce, 0, 4);
	for (int i = 11; i >= 4; i--, n >>= 8)
		nonce[i] = (uint8_t)n;
}

/* ---- opening ----------------------------------------------------------------------------- */

size_t vlessenc_record_need(const struct vlessenc_dir *d)
{
	return d->next ? d->next : VLESSENC_HEADER;
}

/* The header comes off the queue as soon as it is whole: unmasking has a state. */
static int open_header(struct vlessenc_dir *d, struct bufq *in)
{
	uint8_t h[VLESSENC_HEADER];
	uint16_t len;
	int err;

	if (bufq_len(in) < sizeof(h))
		return -ERR_MORE;
	bufq_take(in, h, sizeof(h));
	err = d->mask ? vlessenc_mask_run(d->mask, h, sizeof(h)) : 0;
	if (err)
		return err;
	len = vlessenc_be16(h + 3);
	if (!looks_like_one(h) || len < VLESSENC_LEN_MIN || len > VLESSENC_LEN_MAX)
		return -ERR_MALFORMED;
	d->next = len;
	return 0;
}

/* The record is all that its chunk holds: open it there and hand the chunk on. */
static int open_in_place(struct vlessenc_dir *d, struct bufq *in, const uint8_t *header,
			 const uint8_t *nonce, struct bufq *out)
{
	struct buf *b = in->head;
	uint8_t *p = buf_head(b);
	int err = aead_open(&d->aead.key, nonce, header, VLESSENC_HEADER, p, d->next, p);

	if (err)
		return err;
	b = bufq_shift(in);
	b->end -= AEAD_TAG;
	bufq_push(out, b);
	return 0;
}

static int open_copy(struct vlessenc_dir *d, struct bufq *in, const uint8_t *header,
		     const uint8_t *nonce, struct bufq *out)
{
	int err = aead_open_bufq(&d->aead.key, nonce, header, VLESSENC_HEADER, in,
				 (size_t)d->next - AEAD_TAG, out);

	if (!err)
		bufq_drain(in, d->next);
	return err;
}

ssize_t vlessenc_record_open(struct vlessenc_dir *d, struct bufq *in, struct bufq *out)
{
	uint8_t header[VLESSENC_HEADER], nonce[12];
	ssize_t len;
	int err = d->next ? 0 : open_header(d, in);

	if (err)
		return err;
	if (bufq_len(in) < d->next)
		return -ERR_MORE;
	put_header(header, d->next);
	make_nonce(d, nonce);
	if (buf_len(in->head) == d->next && in->pool == out->pool)
		err = open_in_place(d, in, header, nonce, out);
	else
		err = open_copy(d, in, header, nonce, out);
	if (err)
		return err;
	d->aead.count++;
	len = d->next - AEAD_TAG;
	d->next = 0;
	return len;
}

/* ---- sealing ----------------------------------------------------------------------------- */

static int seal(struct vlessenc_dir *d, const struct iovec *iov, int n, size_t len, uint8_t *out)
{
	uint8_t nonce[12];
	int err;

	put_header(out, len + AEAD_TAG);
	make_nonce(d, nonce);
	err = aead_seal_iov(&d->aead.key, nonce, out, VLESSENC_HEADER, iov, n,
			    out + VLESSENC_HEADER);
	if (!err && d->mask)
		err = vlessenc_mask_run(d->mask, out, VLESSENC_HEADER);
	if (!err)
		d->aead.count++;
	return err;
}

static bool fits_in_place(const struct bufq *src, const struct bufq *out, size_t max, bool whole)
{
	const struct buf *b = src->head;
	size_t len = buf_len(b);

	return len <= max && len <= PAYLOAD_MAX && src->pool == out->pool &&
	       len >= (whole ? MIN((size_t)PAYLOAD_MAX, (size_t)src->len) : (size_t)NEARLY_FULL) &&
	       b->start >= VLESSENC_HEADER && b->end + AEAD_TAG <= BUF_SIZE;
}

static int seal_in_place(struct vlessenc_dir *d, struct bufq *src, struct bufq *out)
{
	struct buf *b = bufq_shift(src);
	size_t len = buf_len(b);
	struct iovec iov = {buf_head(b), len};
	int err;

	b->start -= VLESSENC_HEADER;
	err = seal(d, &iov, 1, len, buf_head(b));
	b->end += AEAD_TAG;
	bufq_push(out, b);
	return err;
}

static ssize_t seal_gathered(struct vlessenc_dir *d, struct bufq *src, size_t max, struct bufq *out)
{
	struct iovec iov[PIECES];
	size_t most = MIN(max, (size_t)BUF_PAYLOAD - VLESSENC_OVERHEAD), len = 0;
	int n = bufq_iov(src, iov, PIECES, most), err;
	struct buf *b;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	b = bufq_tail_room(out, len + VLESSENC_OVERHEAD);
	if (!b)
		return 0;
	err = seal(d, iov, n, len, b->data + b->end);
	bufq_commit(out, err ? 0 : len + VLESSENC_OVERHEAD);
	if (err)
		return err;
	bufq_drain(src, len);
	return (ssize_t)len;
}

ssize_t vlessenc_record_seal(struct vlessenc_dir *d, struct bufq *src, size_t max, bool whole,
			     struct bufq *out)
{
	size_t done = 0;

	while (!bufq_empty(src) && done < max) {
		ssize_t n;
		int err;

		if (fits_in_place(src, out, max - done, whole)) {
			n = (ssize_t)buf_len(src->head);
			err = seal_in_place(d, src, out);
			if (err)
				return err;
		} else {
			n = seal_gathered(d, src, max - done, out);
			if (n < 0)
				return n;
			if (n == 0)
				break;
		}
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* ---- bytes that are no records of ours --------------------------------------------------- */

/* Part of a header, or all of it. */
static int walk_head(struct vlessenc_dir *d, uint8_t *p, size_t len, bool out)
{
	int err;

	if (out)
		memcpy(d->head + d->nhead, p, len);
	err = vlessenc_mask_run(d->mask, p, len);
	if (!out)
		memcpy(d->head + d->nhead, p, len);
	d->nhead = (uint8_t)(d->nhead + len);
	if (d->nhead == VLESSENC_HEADER) {
		d->skip = looks_like_one(d->head) ? vlessenc_be16(d->head + 3) : 0;
		d->nhead = 0;
	}
	return err;
}

static int walk_piece(struct vlessenc_dir *d, uint8_t *p, size_t len, bool out)
{
	int err = 0;

	while (len > 0 && !err) {
		size_t n = d->skip ? MIN(len, (size_t)d->skip)
				   : MIN(len, (size_t)(VLESSENC_HEADER - d->nhead));

		if (d->skip)
			d->skip = (uint16_t)(d->skip - n);
		else
			err = walk_head(d, p, n, out);
		p += n;
		len -= n;
	}
	return err;
}

int vlessenc_walk(struct vlessenc_dir *d, struct bufq *q, size_t off, bool out)
{
	int err = 0;

	for (struct buf *b = q->head; b && d->mask && !err; b = b->next) {
		size_t len = buf_len(b);

		if (off < len)
			err = walk_piece(d, buf_head(b) + off, len - off, out);
		off -= MIN(off, len);
	}
	return err;
}
