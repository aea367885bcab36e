/* tls13_exchange.h - a server's half of TLS 1.3's key exchange.  Internal to src/tls. */
#ifndef WEIR_TLS_TLS13_EXCHANGE_H
#define WEIR_TLS_TLS13_EXCHANGE_H

#include "crypto/mlkem768.h"
#include "crypto/x25519.h"
#include "tls/hello.h"

#define TLS13_SHARE_MAX	 (MLKEM768_CT + X25519_LEN)
#define TLS13_SECRET_MAX (MLKEM768_SECRET + X25519_LEN)

/* Our share for X25519 or X25519MLKEM768, with `mine` as its X25519 key, and the secret that it makes with
 * the client's.  -ERR_UNSUPPORTED for another group or a wrong length, -ERR_MALFORMED for a key of no worth.
 */
MUST_CHECK int tls13_exchange(const struct x25519 *mine, uint16_t group, struct tls_bytes theirs,
			      uint8_t share[TLS13_SHARE_MAX], size_t *sharelen,
			      uint8_t secret[TLS13_SECRET_MAX], size_t *secretlen);

#endif
