/* hkdf_sha1.h - HKDF-SHA1 of short input: a key for one packet.
 *
 * Where the processor has instructions for SHA-1, a third of what hkdf() costs, most of which are
 * libcrypto's calls; the same as hkdf() elsewhere, and for input that is not short.
 *
 * Threads: any.
 */
#ifndef WEIR_CRYPTO_HKDF_SHA1_H
#define WEIR_CRYPTO_HKDF_SHA1_H

#include "crypto/kdf.h"

/* 0 or -ERR_CRYPTO. */
MUST_CHECK int hkdf_sha1(const struct hkdf_input *in, uint8_t *out, size_t len);

#endif
