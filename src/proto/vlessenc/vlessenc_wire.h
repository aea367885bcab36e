/* vlessenc_wire.h - the keys, boxes and masks that a VLESS Encryption hello is made of
 * (docs/protocols/vless-encryption.md, sections 2 to 4 and 7).  Pure.
 */
#ifndef WEIR_PROTO_VLESSENC_WIRE_H
#define WEIR_PROTO_VLESSENC_WIRE_H

#include "crypto/aead.h"
#include "proto/vlessenc/vlessenc_conf.h"

#define VLESSENC_IV	    16
#define VLESSENC_TICKET	    16
#define VLESSENC_SECRET	    32 /* what the relays agree on */
#define VLESSENC_PFS	    64 /* what a 1-RTT hello adds: ML-KEM and X25519 */
#define VLESSENC_UNITED	    (VLESSENC_PFS + VLESSENC_SECRET)
#define VLESSENC_LEN_BOX    (2 + AEAD_TAG)
#define VLESSENC_HALF_C	    (MLKEM768_PUB + X25519_LEN) /* the client's keys */
#define VLESSENC_HALF_S	    (MLKEM768_CT + X25519_LEN)	/* the server's answer */
#define VLESSENC_TICKET_BOX (VLESSENC_TICKET + AEAD_TAG)
#define VLESSENC_RELAYS_MAX (VLESSENC_KEYS * (MLKEM768_CT + 32))

/* One direction of boxes: a key and the count of boxes so far.  The count is of 96 bits on the wire;
 * 64 of them are never used up.
 */
struct vlessenc_aead {
	struct aead_key key;
	uint64_t count;
};

/* The key is derived from both: `ctx` is any bytes. */
void vlessenc_aead_set(struct vlessenc_aead *a, enum aead_alg alg, const void *ctx, size_t ctxlen,
		       const void *key, size_t keylen);
void vlessenc_aead_clear(struct vlessenc_aead *a);

/* The next box.  `out` receives len + AEAD_TAG; it may be `in`.  0 or -ERR_CRYPTO. */
MUST_CHECK int vlessenc_seal(struct vlessenc_aead *a, const void *in, size_t len, uint8_t *out);

/* `len` is with the tag.  0; -ERR_AUTH, and nothing was counted. */
MUST_CHECK int vlessenc_open(struct vlessenc_aead *a, const void *in, size_t len, uint8_t *out);

/* The one box outside of the count: its nonce is all ones. */
MUST_CHECK int vlessenc_seal_last(struct vlessenc_aead *a, const void *in, size_t len,
				  uint8_t *out);
MUST_CHECK int vlessenc_open_last(struct vlessenc_aead *a, const void *in, size_t len,
				  uint8_t *out);

/* A stream of bytes to be XORed with (AES-256-CTR). */
struct vlessenc_mask {
	uint8_t key[32], counter[16], block[16];
	uint8_t left; /* bytes of block not used yet */
};

void vlessenc_mask_key(const void *material, size_t len, uint8_t key[32]);
void vlessenc_mask_set(struct vlessenc_mask *m, const uint8_t key[32], const uint8_t iv[16]);
MUST_CHECK int vlessenc_mask_run(struct vlessenc_mask *m, void *bytes, size_t len);

/* Server: undo the relays behind the iv (c->relays bytes, which are changed); the last one's secret.
 * 0; -ERR_AUTH; -ERR_CRYPTO.
 */
MUST_CHECK int vlessenc_relays_open(const struct vlessenc_conf *c, const uint8_t iv[VLESSENC_IV],
				    uint8_t *relays, uint8_t secret[VLESSENC_SECRET]);

/* Client: make them. */
MUST_CHECK int vlessenc_relays_make(const struct vlessenc_conf *c, const uint8_t iv[VLESSENC_IV],
				    uint8_t *relays, uint8_t secret[VLESSENC_SECRET]);

/* Server: the answer to a client's keys, and what both know then.  0; -ERR_AUTH: they are no keys;
 * -ERR_CRYPTO.
 */
MUST_CHECK int vlessenc_answer_make(const uint8_t client[VLESSENC_HALF_C],
				    uint8_t answer[VLESSENC_HALF_S], uint8_t pfs[VLESSENC_PFS]);

/* Client: the same from its side. */
MUST_CHECK int vlessenc_answer_open(const struct mlkem768_key *kem, const uint8_t priv[X25519_LEN],
				    const uint8_t answer[VLESSENC_HALF_S],
				    uint8_t pfs[VLESSENC_PFS]);

static inline uint16_t vlessenc_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

#endif
