/* ss_packet.h - one UDP packet, sealed and opened where it lies; both roles, no state
 * (docs/protocols/shadowsocks.md, sections 3.2 and 4.4).
 *
 * What has been opened is the address and the payload; what is to be sealed is the payload alone, with
 * room before it, or behind it to be moved into.
 *
 * Threads: any.
 */
#ifndef WEIR_PROTO_SHADOWSOCKS_PACKET_H
#define WEIR_PROTO_SHADOWSOCKS_PACKET_H

#include "base/buf.h"
#include "base/rd.h"
#include "crypto/aead.h"
#include "net/dest.h"
#include "proto/shadowsocks/ss_method.h"

#define SS_SESSION_LEN	8
#define SS_SEPARATE_LEN 16 /* session and packet number, in front of a 2022 packet */
#define SS_XNONCE_LEN	24

/* ---- SIP004: a salt, and everything under the sub-key that it makes ------------------------------
 *
 * Before it, and still where an operator asks for it: an IV, and everything under a stream cipher; or
 * nothing but the address.  Those open whatever comes, if it is not too short.
 */

/* `scratch` has room for the packet (NULL: -ENOMEM; SS_PLAIN, SS_STREAM: not used).  0; -ERR_AUTH or
 * -ERR_CRYPTO with the packet as it was.
 */
MUST_CHECK int ss_packet_open(const struct ss_method *m, const uint8_t *key, struct buf *b,
			      uint8_t *scratch);

/* `salt`: m->salt_len random bytes, used for nothing else.  0; -ERR_TOO_BIG; -ERR_CRYPTO; -EINVAL: no
 * address.  On error the chunk is of no use any more.
 */
MUST_CHECK int ss_packet_seal(const struct ss_method *m, const uint8_t *key, const uint8_t *salt,
			      struct buf *b, const struct dest *dest);

/* ---- 2022 ----------------------------------------------------------------------------------------
 */

struct ss_separate {
	uint8_t session[SS_SESSION_LEN];
	uint64_t packet;
};

/* The separate header under AES.  0 or -ERR_CRYPTO. */
MUST_CHECK int ss_separate_open(const struct ss_method *m, const uint8_t *key, const uint8_t *in,
				struct ss_separate *out);

/* Whom an identity header names, given the separate header as it was before encryption. */
MUST_CHECK int ss_packet_name(const struct ss_method *m, const uint8_t *psk,
			      const struct ss_separate *sep, const uint8_t *in,
			      uint8_t name[SS_IDENTITY_LEN]);

struct ss_body {
	uint64_t time;
	uint8_t client[SS_SESSION_LEN]; /* of an answer: the session that it answers */
};

/* What stands before the address.  `answer`: from a server.  The padding is passed over. */
MUST_CHECK int ss_body_parse(struct rd *in, bool answer, struct ss_body *out);

/* AES: open b[skip..) under the session's key; ChaCha: the whole packet under the user's key, and the
 * separate header out of it.  Then the body's head, and the address is at the front.  0; -ERR_AUTH;
 * -ERR_MALFORMED; -ERR_MORE: too short; -ERR_CRYPTO.
 */
MUST_CHECK int ss_body_open(const struct aead_key *session, const struct ss_separate *sep,
			    size_t skip, bool answer, struct buf *b, struct ss_body *out);
MUST_CHECK int ss_body_open_x(const uint8_t *key, bool answer, struct buf *b,
			      struct ss_separate *sep, struct ss_body *out);

/* How a 2022 packet is sealed. */
struct ss_packet_out {
	const struct ss_method *method;
	const struct aead_key *session; /* AES */
	const uint8_t *header_key; /* AES: of the separate header; ChaCha: the key of everything */
	/* identity headers: ipsk[i] encrypts name[i] */
	const uint8_t (*ipsk)[SS_KEY_MAX];
	const uint8_t (*name)[SS_IDENTITY_LEN];
	unsigned nipsk;
	struct ss_separate separate;
	uint64_t time;
	const uint8_t *client; /* of an answer: the client's session; NULL: a request */
	uint16_t padding;
};

MUST_CHECK int ss_packet_seal_2022(const struct ss_packet_out *o, struct buf *b,
				   const struct dest *dest);

/* How much padding a payload of `len` bytes to or from this address should have: that of DNS, whose
 * length tells the name. */
uint16_t ss_packet_padding(const struct dest *dest, size_t len);

#endif
