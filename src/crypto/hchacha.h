/* hchacha.h - HChaCha20 (draft-irtf-cfrg-xchacha-03 §2.2): the sub-key of XChaCha20.
 *
 * Internal to src/crypto; libcrypto 3.0 has no call for it.
 */
#ifndef WEIR_CRYPTO_HCHACHA_H
#define WEIR_CRYPTO_HCHACHA_H

#include "base/base.h"

void hchacha20(const uint8_t key[32], const uint8_t nonce[16], uint8_t out[32]);

#endif
