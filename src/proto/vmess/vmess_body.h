/* vmess_body.h - what follows VMess's headers: chunks of a length, ciphertext, and padding.
 *
 * Works on queues of bytes and knows no streams.  One struct vmess_dir is one direction.  Where a
 * connection carries packets, one chunk is one packet; inside they then have two bytes of length in
 * front, so that a queue of them is a stream like any other (stream/framed.h takes them apart).
 */
#ifndef WEIR_PROTO_VMESS_BODY_H
#define WEIR_PROTO_VMESS_BODY_H

#include "base/buf.h"
#include "crypto/aead.h"
#include "crypto/keccak.h"
#include "proto/vmess/vmess_wire.h"

/* What a chunk of ours carries: sing-box reads at most 15,000 bytes at once. */
#define VMESS_CHUNK 14848
/* A packet: with tag and padding it has to fit into the 8192 bytes that Xray takes for one. */
#define VMESS_PACKET_MAX (8192 - AEAD_TAG - VMESS_MAX_PAD)
#define VMESS_MAX_PAD	 63
#define VMESS_MORE	 (2 + AEAD_TAG + AEAD_TAG + VMESS_MAX_PAD) /* a chunk is longer by that */

struct vmess_dir {
	struct aead_key key, len_key;
	struct keccak mask;
	uint8_t iv[10], len_iv[10]; /* the nonces', behind their counters */
	uint16_t count, len_count;  /* they wrap, as the protocol has it */
	uint16_t next;		    /* bytes of the chunk whose length has been read */
	uint8_t pad;		    /* of them, at its end */
	bool met;		    /* `next` and `pad` are set */
	bool raw;		    /* no chunks: the bytes themselves */
	bool sealed, masked, padded, sealed_len, packets;
	bool may_wait; /* inwards: an empty chunk is no end while it is the first */
};

/* The direction whose key and IV these are, of a connection that was asked for with `req`.  0 or
 * -ERR_CRYPTO. */
MUST_CHECK int vmess_dir_set(struct vmess_dir *d, const struct vmess_request *req,
			     const uint8_t *key, const uint8_t *iv);
void vmess_dir_clear(struct vmess_dir *d); /* harmless on zeroes */

/* How many bytes `in` must hold so that vmess_chunk_open() gets further. */
size_t vmess_chunk_need(const struct vmess_dir *d);

/* Open the next chunk of `in`.  > 0: so many bytes were appended to `out`.  0: the chunk that ends the
 * direction.  -ERR_MORE: the rest is not there.  -ERR_AUTH, -ERR_MALFORMED: for ever.  -ENOMEM.
 *
 * An empty chunk ends it, but for the first of a direction that `may_wait`: Xray's client sends one
 * when its application has been silent for 100 ms, and goes on behind it.
 */
MUST_CHECK ssize_t vmess_chunk_open(struct vmess_dir *d, struct bufq *in, struct bufq *out);

/* Seal up to `bytes` off the front of `src` into chunks at the end of `out`.  How many were taken;
 * less, which may be 0, when memory ran out; -ERR_CRYPTO; -ERR_TOO_BIG: a packet that is none.
 */
MUST_CHECK ssize_t vmess_seal(struct vmess_dir *d, struct bufq *src, size_t bytes,
			      struct bufq *out);

/* The chunk that ends the direction; nothing where there are no chunks.  0, -ENOMEM, -ERR_CRYPTO. */
MUST_CHECK int vmess_seal_end(struct vmess_dir *d, struct bufq *out);

#endif
