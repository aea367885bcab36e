/* self_signed.h - a certificate out of nothing: ECDSA P-256, ten years, for one domain. */
#ifndef WEIR_TLS_SELF_SIGNED_H
#define WEIR_TLS_SELF_SIGNED_H

#include "base/base.h"

/* As PEM text, NUL-terminated, to free().  `domain` may be a name, a wildcard or an IP address. */
MUST_CHECK int self_signed_pem(const char *domain, char **cert, char **key);

/* Into files: the key readable by its owner alone, each file whole or not at all.
 * 0, -ERR_CRYPTO, or -errno of what the file system said.
 */
MUST_CHECK int self_signed_files(const char *domain, const char *certfile, const char *keyfile);

#endif
