/* vmess_wire.h - the VMess messages in clear, both roles, pure (docs/protocols/vmess.md).
 *
 * What is sealed around them is in vmess_seal.h.
 */
#ifndef WEIR_PROTO_VMESS_WIRE_H
#define WEIR_PROTO_VMESS_WIRE_H

#include <endian.h>
#include <string.h>

#include "base/base.h"
#include "base/rd.h"
#include "base/wr.h"
#include "net/dest.h"

#define VMESS_KEY_LEN	  16 /* command keys, body keys, body IVs */
#define VMESS_ID_LEN	  16 /* a sealed or clear auth id */
#define VMESS_PADDING_MAX 15
#define VMESS_FIXED	  38 /* a request without address, padding, checksum */
#define VMESS_REQ_MAX	  (VMESS_FIXED + 2 + 1 + 1 + 255 + VMESS_PADDING_MAX + 4)
#define VMESS_ANSWER_LEN  4
#define VMESS_WINDOW_S	  120 /* what a client's clock may be wrong by */

enum vmess_cmd {
	VMESS_TCP = 1,
	VMESS_UDP = 2,
	VMESS_MUX = 3, /* no address; XUDP, mux.cool */
};

enum vmess_option {
	VMESS_CHUNKS = 0x01,
	VMESS_MASK = 0x04,    /* lengths of chunks are masked */
	VMESS_PADDING = 0x08, /* chunks have a padding */
	VMESS_SEALED_LENGTH = 0x10,
};

enum vmess_cipher {
	VMESS_AES_128_GCM = 3,
	VMESS_CHACHA20_POLY1305 = 4,
	VMESS_NONE = 5,
};

struct vmess_request {
	uint8_t iv[VMESS_KEY_LEN], key[VMESS_KEY_LEN]; /* of the body, from client to server */
	uint8_t answer;				       /* the first byte of the answer */
	uint8_t option;				       /* of enum vmess_option; others are kept */
	uint8_t cipher;				       /* enum vmess_cipher */
	uint8_t cmd;				       /* enum vmess_cmd */
	struct dest dest;			       /* DEST_NONE for VMESS_MUX */
};

/* 0; -ERR_MORE; -ERR_MALFORMED, with a wrong checksum too. */
MUST_CHECK int vmess_request_parse(struct rd *in, struct vmess_request *out);

/* `padding` bytes (up to VMESS_PADDING_MAX) of `noise` go in front of the checksum. */
void vmess_request_emit(struct wr *w, const struct vmess_request *req, const uint8_t *noise,
			size_t padding);

/* The auth id before it is sealed: seconds, four random bytes, a checksum. */
void vmess_id_make(int64_t time, const uint8_t noise[4], uint8_t id[VMESS_ID_LEN]);

/* The time of an id around `now`?  Of what was decrypted under another's key hardly anything passes, and
 * it is asked for every user. */
static inline bool vmess_id_timely(const uint8_t id[VMESS_ID_LEN], int64_t now)
{
	uint64_t time;

	memcpy(&time, id, sizeof(time));
	return be64toh(time) - (uint64_t)(now - VMESS_WINDOW_S) <= 2 * VMESS_WINDOW_S;
}

/* Is this one, of a time around `now`?  Of 2^88 that are none, one is taken for one. */
bool vmess_id_fits(const uint8_t id[VMESS_ID_LEN], int64_t now);

#endif
