/* ss_chunk.h - the sealed pieces of a Shadowsocks stream: a length, its payload, again and again.
 *
 * Works on queues of bytes and knows no streams.  One struct ss_dir is one direction under one
 * subkey; SIP004 and SIP022 differ in the largest chunk and in what precedes the first one.
 */
#ifndef WEIR_PROTO_SS_CHUNK_H
#define WEIR_PROTO_SS_CHUNK_H

#include "base/buf.h"
#include "proto/shadowsocks/ss_method.h"

#define SS_LEN	(2 + AEAD_TAG)	    /* a sealed length */
#define SS_MORE (SS_LEN + AEAD_TAG) /* what a chunk adds to its payload */

struct ss_dir {
	struct aead_key key;
	uint64_t count; /* of sealed pieces so far: the nonce of the next */
	uint16_t max;	/* payload of one chunk */
	uint16_t next;	/* payload of the chunk whose length has been opened */
	bool begun;	/* there is one; else a length comes next */
	bool empty;	/* the chunk before was */
};

/* Under a subkey that has been derived already, or of a key and a salt. */
void ss_dir_set(struct ss_dir *d, const struct ss_method *m, const uint8_t *subkey);
MUST_CHECK int ss_dir_derive(struct ss_dir *d, const struct ss_method *m, const uint8_t *key,
			     const uint8_t *salt);
void ss_dir_clear(struct ss_dir *d); /* harmless on zeroes */

/* One sealed piece: headers, and lengths.  `out` receives len + AEAD_TAG; may be `in`. */
MUST_CHECK int ss_seal_piece(struct ss_dir *d, const void *in, size_t len, uint8_t *out);

/* `len` is with the tag.  0; -ERR_AUTH, and nothing has been counted. */
MUST_CHECK int ss_open_piece(struct ss_dir *d, const void *in, size_t len, uint8_t *out);

/* The first `len` payload bytes, and their tag, off the front of `in` to the end of `out`: one piece,
 * in chunks of 16 KiB.  0; -ERR_MORE: not all there; -ERR_AUTH; -ENOMEM.  On errors nothing moves.
 */
MUST_CHECK int ss_open_payload(struct ss_dir *d, struct bufq *in, size_t len, struct bufq *out);

/* The length of the next chunk, off the front of `in` into d->next.  0; -ERR_MORE; -ERR_AUTH;
 * -ERR_MALFORMED: one that no chunk has.
 *
 * An empty chunk says nothing and is taken: Xray's client sends one when its application has been
 * silent for 100 ms after the address, as with all protocols in which the server speaks first.  A
 * second one behind it is malformed, so nobody keeps a reader busy with nothing.
 */
MUST_CHECK int ss_open_length(struct ss_dir *d, struct bufq *in);

/* And its payload to the end of `out`: the chunk is through.  As ss_open_payload(). */
MUST_CHECK int ss_open_rest(struct ss_dir *d, struct bufq *in, struct bufq *out);

/* Open the next chunk of `in`.  > 0: so many payload bytes were appended.  -ERR_MORE: the rest is not
 * there; what has been opened of it is remembered.  -ERR_AUTH, -ERR_MALFORMED: for ever.  -ENOMEM.
 */
MUST_CHECK ssize_t ss_open_chunk(struct ss_dir *d, struct bufq *in, struct bufq *out);

/* How many bytes `in` must hold so that ss_open_chunk() gets further. */
size_t ss_need(const struct ss_dir *d);

/* Seal up to `bytes` off the front of `src` into chunks at the end of `out`.  A full buffer is sealed
 * where it lies, small ones are put together.  How many bytes were taken; less, which may be 0, when
 * memory ran out; -ERR_CRYPTO.
 */
MUST_CHECK ssize_t ss_seal(struct ss_dir *d, struct bufq *src, size_t bytes, struct bufq *out);

/* The payload of a chunk whose length travels elsewhere (a 2022 header): at most a buffer full off the
 * front of `src`, one piece.  As ss_seal().
 */
MUST_CHECK ssize_t ss_seal_payload(struct ss_dir *d, struct bufq *src, struct bufq *out);

/* One piece out of several; `out` receives all of them and AEAD_TAG. */
MUST_CHECK int ss_seal_pieces(struct ss_dir *d, const struct iovec *iov, int n, uint8_t *out);

#endif
