/* cert_store.h - the certificates of a server: chains with their keys, found by server name.
 *
 * Built once, then immutable and shared by reference: changing a certificate means building a new
 * store (and a new tls_server_conf over it) and publishing that.
 *
 * Threads: one builds; afterwards any.
 */
#ifndef WEIR_TLS_CERT_STORE_H
#define WEIR_TLS_CERT_STORE_H

#include "base/base.h"

struct cert_store;

struct cert_store *cert_store_new(void); /* empty, one reference; NULL: no memory */
struct cert_store *cert_store_get(struct cert_store *cs);
void cert_store_put(struct cert_store *cs); /* NULL is fine */

/* Add a chain (leaf first) and its key, as PEM text.  The key may be PKCS#8, PKCS#1 or SEC1
 * whatever its label says, and may lie in the same text.  0, -ERR_CONFIG with a sentence in `why`,
 * or -ENOMEM.
 */
MUST_CHECK int cert_store_add_pem(struct cert_store *cs, const char *cert, size_t certlen,
				  const char *key, size_t keylen, char *why, size_t whylen);
MUST_CHECK int cert_store_add_files(struct cert_store *cs, const char *certfile,
				    const char *keyfile, char *why, size_t whylen);

size_t cert_store_count(const struct cert_store *cs);

/* Seconds since 1970 when certificate `i` stops being valid. */
int64_t cert_store_expiry(const struct cert_store *cs, size_t i);

/* SHA-256 of the leaf certificate `i`: what clients pin. */
void cert_store_fingerprint(const struct cert_store *cs, size_t i, uint8_t out[32]);

/* Which certificate serves `name` (lower case): the first that names it, or a wildcard over its
 * first label.  -1: none does.
 */
int cert_store_find(const struct cert_store *cs, const char *name);

#endif
