/* kdf.h - HKDF (RFC 5869) and TLS 1.3's HKDF-Expand-Label (RFC 8446 §7.1).
 *
 * On the digest contexts of hash.h: libcrypto's own EVP_KDF costs two to four times as much.
 */
#ifndef WEIR_CRYPTO_KDF_H
#define WEIR_CRYPTO_KDF_H

#include "crypto/hash.h"

/* `prk` receives hash_size() bytes.  An empty salt counts as that many zeros. */
MUST_CHECK int hkdf_extract(enum hash_alg alg, const void *salt, size_t saltlen, const void *ikm,
			    size_t ikmlen, uint8_t *prk);

/* `len` <= 255 * hash_size(). */
MUST_CHECK int hkdf_expand(enum hash_alg alg, const void *prk, size_t prklen, const void *info,
			   size_t infolen, uint8_t *out, size_t len);

/* What both steps together take; any may be empty, and then NULL. */
struct hkdf_input {
	const void *salt;
	size_t saltlen;
	const void *ikm;
	size_t ikmlen;
	const void *info;
	size_t infolen;
};

MUST_CHECK int hkdf(enum hash_alg alg, const struct hkdf_input *in, uint8_t *out, size_t len);

/* `label` without its "tls13 " (at most 32 bytes), `context` at most 64 bytes, secret of
 * hash_size() bytes. */
MUST_CHECK int hkdf_label(enum hash_alg alg, const uint8_t *secret, const char *label,
			  const void *context, size_t ctxlen, uint8_t *out, size_t len);

#endif
