/* vmess_seal.h - VMess's keys, and what lies sealed around its headers (docs/protocols/vmess.md,
 * sections 1, 2 and 4).
 *
 * Failures are -ERR_CRYPTO; opening what nobody with the key has sealed is -ERR_AUTH.
 */
#ifndef WEIR_PROTO_VMESS_SEAL_H
#define WEIR_PROTO_VMESS_SEAL_H

#include <sys/uio.h>

#include "crypto/aead.h"
#include "proto/vmess/vmess_wire.h"

#define VMESS_NONCE	    8
#define VMESS_SEALED_U16    (2 + AEAD_TAG)
#define VMESS_HEAD	    (VMESS_ID_LEN + VMESS_SEALED_U16 + VMESS_NONCE) /* before the request */
#define VMESS_HEAD_MAX	    (VMESS_HEAD + VMESS_REQ_MAX + AEAD_TAG)
#define VMESS_SEALED_ANSWER (VMESS_SEALED_U16 + VMESS_ANSWER_LEN + AEAD_TAG)

/* The nested HMAC of `key` along `path`: up to VMESS_PATH_MAX items of at most 64 bytes. */
#define VMESS_PATH_MAX 3
MUST_CHECK int vmess_kdf(const void *key, size_t len, const struct iovec *path, int n,
			 uint8_t out[32]);

/* A user's key, of his id; and the key of his auth ids. */
MUST_CHECK int vmess_command_key(const uint8_t id[16], uint8_t key[VMESS_KEY_LEN]);
MUST_CHECK int vmess_id_key(const uint8_t command_key[VMESS_KEY_LEN], uint8_t key[16]);

/* The request's length out of the first VMESS_HEAD bytes of a connection. */
MUST_CHECK int vmess_head_open(const uint8_t key[VMESS_KEY_LEN], const uint8_t head[VMESS_HEAD],
			       size_t *len);
/* The request itself: `len` + AEAD_TAG bytes behind them; `text` receives `len`. */
MUST_CHECK int vmess_request_open(const uint8_t key[VMESS_KEY_LEN], const uint8_t head[VMESS_HEAD],
				  size_t len, uint8_t *text);

/* All of a connection's beginning, to the end of `w`.  `id` is clear, its noise and `nonce` random. */
MUST_CHECK int vmess_head_seal(const uint8_t key[VMESS_KEY_LEN], const uint8_t id[VMESS_ID_LEN],
			       const uint8_t nonce[VMESS_NONCE], const uint8_t *request, size_t len,
			       struct wr *w);

/* The key and IV of the other direction, of either. */
MUST_CHECK int vmess_turn(const uint8_t request[VMESS_KEY_LEN], uint8_t answer[VMESS_KEY_LEN]);

/* `key` and `iv` are those of the answer's direction. */
MUST_CHECK int vmess_answer_seal(const uint8_t *key, const uint8_t *iv, uint8_t first,
				 uint8_t out[VMESS_SEALED_ANSWER]);
/* How long the answer is: the first VMESS_SEALED_U16 bytes; and itself, `len` + AEAD_TAG bytes. */
MUST_CHECK int vmess_answer_len(const uint8_t *key, const uint8_t *iv, const uint8_t *sealed,
				size_t *len);
MUST_CHECK int vmess_answer_open(const uint8_t *key, const uint8_t *iv, const uint8_t *sealed,
				 size_t len, uint8_t *text);

#endif
