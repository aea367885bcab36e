#include "proto/vmess/vmess_body.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "proto/vmess/vmess_seal.h"

#define PIECES	     16
#define LARGE_PIECES 8 /* of the largest chunk, in full buffers, and room */

/* ---- keys -------------------------------------------------------------------------------- */

/* Sixteen bytes are a key of AES; ChaCha20's is made of them. */
static int set_key(struct aead_key *k, uint8_t cipher, const uint8_t raw[16])
{
	uint8_t both[32];
	int err;

	if (cipher == VMESS_AES_128_GCM) {
		aead_key_set(k, AEAD_AES_128_GCM, raw);
		return 0;
	}
	err = hash(HASH_MD5, raw, 16, both);
	if (!err)
		err = hash(HASH_MD5, both, 16, both + 16);
	if (!err)
		aead_key_set(k, AEAD_CHACHA20_POLY1305, both);
	cleanse(both, sizeof(both));
	return err;
}

/* Of either direction: the request's key and IV. */
static int set_length_key(struct vmess_dir *d, const struct vmess_request *req)
{
	const struct iovec path = {(void *)(uintptr_t) "auth_len", 8};
	uint8_t raw[32];
	int err = vmess_kdf(req->key, sizeof(req->key), &path, 1, raw);

	if (!err)
		err = set_key(&d->len_key, req->cipher, raw);
	memcpy(d->len_iv, req->iv + 2, sizeof(d->len_iv));
	cleanse(raw, sizeof(raw));
	return err;
}

int vmess_dir_set(struct vmess_dir *d, const struct vmess_request *req, const uint8_t *key,
		  const uint8_t *iv)
{
	bool sealed = req->cipher != VMESS_NONE, packets = req->cmd == VMESS_UDP;
	int err = 0;

	*d = (struct vmess_dir){
		.raw = !sealed && !(req->option & VMESS_CHUNKS),
		.sealed = sealed,
		.masked = req->option & VMESS_MASK,
		/* as Xray has it: without a cipher only packets are padded, and no length sealed */
		.padded = req->option & VMESS_PADDING && (sealed || packets),
		.sealed_len = req->option & VMESS_SEALED_LENGTH && sealed,
		.packets = packets,
	};
	memcpy(d->iv, iv + 2, sizeof(d->iv));
	shake128_init(&d->mask);
	keccak_absorb(&d->mask, iv, VMESS_KEY_LEN);
	if (sealed)
		err = set_key(&d->key, req->cipher, key);
	if (!err && d->sealed_len)
		err = set_length_key(d, req);
	return err;
}

void vmess_dir_clear(struct vmess_dir *d)
{
	aead_key_clear(&d->key);
	aead_key_clear(&d->len_key);
	cleanse(d, sizeof(*d));
}

static void make_nonce(uint8_t nonce[12], uint16_t count, const uint8_t iv[10])
{
	nonce[0] = (uint8_t)(count >> 8);
	nonce[1] = (uint8_t)count;
	memcpy(nonce + 2, iv, 10);
}

/* ---- lengths ----------------------------------------------------------------------------- */

static size_t length_size(const struct vmess_dir *d)
{
	return d->sealed_len ? VMESS_SEALED_U16 : 2;
}

static size_t tag_size(const struct vmess_dir *d)
{
	return d->sealed ? AEAD_TAG : 0;
}

static uint16_t next_mask(struct vmess_dir *d)
{
	uint8_t b[2];

	keccak_squeeze(&d->mask, b, sizeof(b));
	return (uint16_t)(b[0] << 8 | b[1]);
}

/* One stream of masks serves both; the padding comes first. */
static void next_masks(struct vmess_dir *d, uint8_t *pad, uint16_t *mask)
{
	*pad = d->padded ? next_mask(d) % (VMESS_MAX_PAD + 1) : 0;
	*mask = d->masked && !d->sealed_len ? next_mask(d) : 0;
}

static int open_length(struct vmess_dir *d, struct bufq *in)
{
	uint8_t bytes[VMESS_SEALED_U16], text[2], nonce[12];
	size_t len = length_size(d), size;
	uint16_t mask;
	int err = 0;

	if (bufq_peek(in, 0, bytes, len) < len)
		return -ERR_MORE;
	if (d->sealed_len) {
		make_nonce(nonce, d->len_count, d->len_iv);
		err = aead_open(&d->len_key, nonce, NULL, 0, bytes, len, text);
		if (err)
			return err;
		d->len_count++;
	} else {
		memcpy(text, bytes, 2);
	}
	next_masks(d, &d->pad, &mask);
	size = (size_t)(text[0] << 8 | text[1]) ^ mask;
	size += d->sealed_len ? AEAD_TAG : 0;
	if (size < tag_size(d) + d->pad || size > UINT16_MAX)
		return -ERR_MALFORMED;
	d->next = (uint16_t)size;
	d->met = true;
	bufq_drain(in, len);
	return 0;
}

static int put_length(struct vmess_dir *d, uint8_t *out, size_t size, uint16_t mask)
{
	uint8_t nonce[12], text[2];
	int err;

	size -= d->sealed_len ? AEAD_TAG : 0;
	size ^= mask;
	text[0] = (uint8_t)(size >> 8);
	text[1] = (uint8_t)size;
	if (!d->sealed_len) {
		memcpy(out, text, 2);
		return 0;
	}
	make_nonce(nonce, d->len_count, d->len_iv);
	err = aead_seal(&d->len_key, nonce, NULL, 0, text, sizeof(text), out);
	if (!err)
		d->len_count++;
	return err;
}

/* ---- opening ----------------------------------------------------------------------------- */

/* A copy in full buffers of `len` bytes of `in`, opened where it lies.  Nobody whom we know sends
 * chunks as long as that. */
static int open_large(const struct vmess_dir *d, const uint8_t *nonce, struct bufq *in, size_t len,
		      struct bufq *out)
{
	struct iovec iov[LARGE_PIECES];
	uint8_t tag[AEAD_TAG], *outs[LARGE_PIECES];
	struct bufq copy;
	int n = 0, err = 0;

	bufq_init(&copy, out->pool, SIZE_MAX);
	for (size_t at = 0; at < len && !err; n++) {
		struct buf *b = buf_new(out->pool);

		if (!b) {
			err = -ENOMEM;
			break;
		}
		outs[n] = buf_head(b);
		iov[n] = (struct iovec){
			outs[n], bufq_peek(in, at, outs[n], MIN(len - at, (size_t)BUF_PAYLOAD))};
		at += iov[n].iov_len;
		b->end += (uint32_t)iov[n].iov_len;
		bufq_push(&copy, b);
	}
	bufq_peek(in, len, tag, sizeof(tag));
	if (!err)
		err = aead_open_pieces(&d->key, nonce, iov, n, tag, outs);
	if (!err && bufq_move(out, &copy, len) < len)
		err = -ENOMEM;
	bufq_done(&copy);
	return err;
}

static int copy_piece(struct bufq *in, size_t at, size_t n, struct bufq *out)
{
	struct buf *b = bufq_tail_room(out, n);

	if (!b)
		return -ENOMEM;
	bufq_commit(out, bufq_peek(in, at, b->data + b->end, n));
	return 0;
}

/* All of it or nothing: what is in `out` counts as delivered. */
static int copy_plain(struct bufq *in, size_t len, struct bufq *out)
{
	struct bufq copy;
	int err = 0;

	if (len <= BUF_PAYLOAD)
		return len ? copy_piece(in, 0, len, out) : 0;
	bufq_init(&copy, out->pool, SIZE_MAX);
	for (size_t at = 0; at < len && !err; at += BUF_PAYLOAD)
		err = copy_piece(in, at, MIN(len - at, (size_t)BUF_PAYLOAD), &copy);
	if (!err && bufq_move(out, &copy, len) < len)
		err = -ENOMEM;
	bufq_done(&copy);
	return err;
}

/* `len` bytes of text, of which there may be none. */
static int open_text(const struct vmess_dir *d, struct bufq *in, size_t len, struct bufq *out)
{
	uint8_t nonce[12], tag[AEAD_TAG], none[1];

	if (!d->sealed)
		return copy_plain(in, len, out);
	make_nonce(nonce, d->count, d->iv);
	if (len == 0) {
		bufq_peek(in, 0, tag, sizeof(tag));
		return aead_open(&d->key, nonce, NULL, 0, tag, sizeof(tag), none);
	}
	return len <= BUF_PAYLOAD ? aead_open_bufq(&d->key, nonce, NULL, 0, in, len, out)
				  : open_large(d, nonce, in, len, out);
}

size_t vmess_chunk_need(const struct vmess_dir *d)
{
	return d->met ? d->next : length_size(d);
}

/* The bytes of the next chunk, 0 of an empty one. */
static ssize_t open_chunk(struct vmess_dir *d, struct bufq *in, struct bufq *out)
{
	struct bufq text;
	uint8_t head[2];
	size_t len;
	int err = d->met ? 0 : open_length(d, in);

	if (err)
		return err;
	if (bufq_len(in) < d->next)
		return -ERR_MORE;
	len = d->next - tag_size(d) - d->pad;
	if (!d->packets) {
		err = open_text(d, in, len, out);
	} else {
		bufq_init(&text, out->pool, SIZE_MAX);
		err = open_text(d, in, len, &text);
		head[0] = (uint8_t)(len >> 8);
		head[1] = (uint8_t)len;
		if (!err && len)
			err = bufq_prepend(&text, head, 2);
		if (!err && bufq_move(out, &text, SIZE_MAX) < len)
			err = -ENOMEM;
		bufq_done(&text);
		len += len ? 2 : 0;
	}
	if (err)
		return err;
	bufq_drain(in, d->next);
	d->count++;
	d->met = false;
	return (ssize_t)len;
}

ssize_t vmess_chunk_open(struct vmess_dir *d, struct bufq *in, struct bufq *out)
{
	ssize_t n = open_chunk(d, in, out);

	if (n < 0 || !d->may_wait)
		return n;
	d->may_wait = false;
	return n ? n : open_chunk(d, in, out);
}

/* ---- sealing ----------------------------------------------------------------------------- */

/* Paddings travel in clear: what fills them tells nothing, not even about other random bytes. */
struct noise {
	uint8_t bytes[512];
	size_t left;
};

static void put_noise(struct noise *n, uint8_t *out, size_t len)
{
	if (n->left < len) {
		random_bytes(n->bytes, sizeof(n->bytes));
		n->left = sizeof(n->bytes);
	}
	n->left -= len;
	memcpy(out, n->bytes + n->left, len);
}

static int seal_text(struct vmess_dir *d, const struct iovec *iov, int n, uint8_t *out)
{
	uint8_t nonce[12];

	for (int i = 0; !d->sealed && i < n; i++) {
		memcpy(out, iov[i].iov_base, iov[i].iov_len);
		out += iov[i].iov_len;
	}
	if (!d->sealed)
		return 0;
	make_nonce(nonce, d->count, d->iv);
	return aead_seal_iov(&d->key, nonce, NULL, 0, iov, n, out);
}

/* One chunk of these pieces, which may be none.  0, -ENOMEM, -ERR_CRYPTO. */
static int seal_chunk(struct vmess_dir *d, const struct iovec *iov, int n, size_t len,
		      struct noise *noise, struct bufq *out)
{
	size_t head = length_size(d), size = len + tag_size(d);
	struct buf *b = bufq_tail_room(out, len + VMESS_MORE);
	uint16_t mask;
	uint8_t pad, *to;
	int err;

	if (!b)
		return -ENOMEM;
	to = b->data + b->end;
	next_masks(d, &pad, &mask);
	err = put_length(d, to, size + pad, mask);
	if (!err)
		err = seal_text(d, iov, n, to + head);
	put_noise(noise, to + head + size, pad);
	bufq_commit(out, err ? 0 : head + size + pad);
	d->count++;
	return err;
}

/* The pieces of the next chunk, taken off nowhere yet.  How long it is; -ERR_TOO_BIG. */
static ssize_t next_chunk(const struct vmess_dir *d, struct bufq *src, size_t bytes,
			  struct iovec *iov, int *n)
{
	uint8_t head[2];
	size_t len = 0, want = MIN(bytes, (size_t)VMESS_CHUNK);

	if (d->packets) {
		bufq_take(src, head, sizeof(head));
		want = (size_t)head[0] << 8 | head[1];
		if (want == 0 || want > VMESS_CHUNK || want > bufq_len(src))
			return -ERR_TOO_BIG;
	}
	*n = bufq_iov(src, iov, PIECES, want);
	for (int i = 0; i < *n; i++)
		len += iov[i].iov_len;
	return d->packets && len < want ? -ERR_TOO_BIG : (ssize_t)len;
}

ssize_t vmess_seal(struct vmess_dir *d, struct bufq *src, size_t bytes, struct bufq *out)
{
	struct noise noise = {.left = 0};
	struct iovec iov[PIECES];
	size_t done = 0;
	int n, err;

	if (d->raw)
		return (ssize_t)bufq_move(out, src, bytes);
	while (!bufq_empty(src) && done < bytes) {
		ssize_t len = next_chunk(d, src, bytes - done, iov, &n);

		if (len < 0)
			return len;
		err = seal_chunk(d, iov, n, (size_t)len, &noise, out);
		if (err == -ENOMEM && !d->packets)
			break;
		if (err)
			return err;
		bufq_drain(src, (size_t)len);
		done += (size_t)len + (d->packets ? 2 : 0);
	}
	return (ssize_t)done;
}

int vmess_seal_end(struct vmess_dir *d, struct bufq *out)
{
	struct noise noise = {.left = 0};

	return d->raw ? 0 : seal_chunk(d, NULL, 0, 0, &noise, out);
}
