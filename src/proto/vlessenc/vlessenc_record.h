/* vlessenc_record.h - records that look like TLS 1.3's: a header, a sealed payload.
 *
 * Works on queues of bytes and knows no streams.  One struct vlessenc_dir is one direction.  In mode
 * random the headers are masked; who passes the bytes of another conversation instead of records
 * (Vision) lets them go through vlessenc_walk(), which masks what looks like headers there.
 */
#ifndef WEIR_PROTO_VLESSENC_RECORD_H
#define WEIR_PROTO_VLESSENC_RECORD_H

#include "base/buf.h"
#include "proto/vlessenc/vlessenc_wire.h"

#define VLESSENC_HEADER	  5
#define VLESSENC_OVERHEAD (VLESSENC_HEADER + AEAD_TAG)
#define VLESSENC_LEN_MIN  17 /* what the length field may say */
#define VLESSENC_LEN_MAX  16640

struct vlessenc_dir {
	struct vlessenc_aead aead;
	struct vlessenc_mask *mask; /* NULL: headers are sent as they are */
	uint16_t next;		    /* the header has been opened: so much follows, with its tag */
	uint16_t skip;		    /* vlessenc_walk(): bytes up to the next header */
	uint8_t head[VLESSENC_HEADER], nhead; /* ...and as much of that as has come, unmasked */
};

/* The mask of a direction, in mode random.  0 or -ENOMEM. */
MUST_CHECK int vlessenc_dir_mask(struct vlessenc_dir *d, const uint8_t united[VLESSENC_UNITED],
				 const uint8_t iv[16]);
void vlessenc_dir_clear(struct vlessenc_dir *d); /* harmless on zeroes */

/* Open the next record of `in`.  > 0: so many payload bytes were appended to `out`.  -ERR_MORE: the
 * rest is not there; what d->next says has been taken in.  -ERR_MALFORMED: no header of ours;
 * -ERR_AUTH: no payload of ours.  -ENOMEM.
 */
MUST_CHECK ssize_t vlessenc_record_open(struct vlessenc_dir *d, struct bufq *in, struct bufq *out);

/* How many bytes `in` must hold for that to get further. */
size_t vlessenc_record_need(const struct vlessenc_dir *d);

/* Seal up to `max` bytes off the front of `src` into records at the end of `out`.  How many were
 * taken: less, which may be 0, when memory ran out; -ERR_CRYPTO.  `whole`: as few records as can be.
 */
MUST_CHECK ssize_t vlessenc_record_seal(struct vlessenc_dir *d, struct bufq *src, size_t max,
					bool whole, struct bufq *out);

/* Mask or unmask `len` bytes of `q` from offset `off` on, where they lie.  `out`: they are going out,
 * the header is read before it is masked.  0 or -ERR_CRYPTO.
 */
MUST_CHECK int vlessenc_walk(struct vlessenc_dir *d, struct bufq *q, size_t off, bool out);

#endif
