/* aead.h - authenticated encryption: one interface, two engines.
 *
 * libipsec-mb is two to five times as fast where its instructions exist; libcrypto (EVP) works
 * everywhere.  The engine is chosen once, at start; a self-test decides in case of "auto".
 *
 * A struct aead_key is what a connection keeps: the raw key and an identity, 48 bytes.  What a
 * cipher needs beyond that (an expanded key is 1 KB) is cached per thread, found by the identity
 * and made again when it has been pushed out.  Keys may be used on any thread.
 *
 *     struct aead_key k;
 *     aead_key_set(&k, AEAD_AES_128_GCM, raw);
 *     err = aead_seal(&k, nonce, aad, aadlen, text, len, out);  // out: len + AEAD_TAG bytes
 *     aead_key_clear(&k);
 *
 * Threads: aead_init() before others start; the rest from any.
 */
#ifndef WEIR_CRYPTO_AEAD_H
#define WEIR_CRYPTO_AEAD_H

#include <sys/uio.h>

#include "base/base.h"
#include "base/buf.h"

enum aead_alg {
	AEAD_AES_128_GCM,
	AEAD_AES_192_GCM,
	AEAD_AES_256_GCM,
	AEAD_CHACHA20_POLY1305,
	AEAD_XCHACHA20_POLY1305, /* 24-byte nonces: a sub-key per message */
	AEAD_ALGS,
};

#define AEAD_TAG       16
#define AEAD_KEY_MAX   32
#define AEAD_NONCE_MAX 24

struct aead_key {
	uint64_t id; /* never 0 once set, never given twice */
	uint8_t alg; /* enum aead_alg */
	uint8_t raw[AEAD_KEY_MAX];
};

/* "auto", "ipsecmb" or "evp".  NULL, or why not: the engine then stays what it was. */
const char *aead_init(const char *engine);

/* The engine in use: "ipsecmb" or "evp". */
const char *aead_engine(void);

/* Whether this machine has instructions for AES: where it does not, ChaCha20 is the faster one. */
bool aead_has_hw_aes(void);

size_t aead_key_len(enum aead_alg alg);
size_t aead_nonce_len(enum aead_alg alg);

/* `raw` is aead_key_len() bytes. */
void aead_key_set(struct aead_key *k, enum aead_alg alg, const uint8_t *raw);

/* Wipe it, here and in this thread's cache.  Harmless on a key never set (all zero). */
void aead_key_clear(struct aead_key *k);

/* Encrypt `len` bytes into `out`, the tag behind them: len + AEAD_TAG bytes.  `out` may be `in`.
 * 0 or -ERR_CRYPTO.
 */
MUST_CHECK int aead_seal(const struct aead_key *k, const uint8_t *nonce, const void *aad,
			 size_t aadlen, const void *in, size_t len, uint8_t *out);

/* The same over several pieces into one, which must not overlap them except where a piece lies
 * exactly where its own result goes.
 */
MUST_CHECK int aead_seal_iov(const struct aead_key *k, const uint8_t *nonce, const void *aad,
			     size_t aadlen, const struct iovec *in, int n, uint8_t *out);

/* Decrypt `len` bytes, the last AEAD_TAG of which are the tag, into `out` (len - AEAD_TAG bytes,
 * may be `in`).  -ERR_AUTH when the tag is wrong; `out` then holds zeros, never unauthenticated
 * text.
 */
MUST_CHECK int aead_open(const struct aead_key *k, const uint8_t *nonce, const void *aad,
			 size_t aadlen, const void *in, size_t len, uint8_t *out);

/* aead_open() and aead_seal() with a key that serves one message, without aad: no identity, and
 * nothing that is kept has to make room for it.
 */
MUST_CHECK int aead_seal_once(enum aead_alg alg, const uint8_t *raw, const uint8_t *nonce,
			      const void *in, size_t len, uint8_t *out);
MUST_CHECK int aead_open_once(enum aead_alg alg, const uint8_t *raw, const uint8_t *nonce,
			      const void *in, size_t len, uint8_t *out);

/* The pieces hold the ciphertext without its tag. */
MUST_CHECK int aead_open_iov(const struct aead_key *k, const uint8_t *nonce, const void *aad,
			     size_t aadlen, const struct iovec *in, int n,
			     const uint8_t tag[AEAD_TAG], uint8_t *out);

/* The same without aad, piece i to outs[i]: for plaintext that does not fit into one place.  n >= 1. */
MUST_CHECK int aead_open_pieces(const struct aead_key *k, const uint8_t *nonce,
				const struct iovec *in, int n, const uint8_t tag[AEAD_TAG],
				uint8_t *const *outs);

/* The `len` bytes at the front of `in`, behind which their tag lies, into one buffer at the end of
 * `out`, as many as an empty one holds at the most.  `in` is left as it is.  -ENOMEM, -ERR_AUTH.
 */
MUST_CHECK int aead_open_bufq(const struct aead_key *k, const uint8_t *nonce, const void *aad,
			      size_t aadlen, const struct bufq *in, size_t len, struct bufq *out);

#endif
