/* cert_store_impl.h - the inside of a certificate store, for those in src/tls that fill an SSL_CTX.
 */
#ifndef WEIR_TLS_CERT_STORE_IMPL_H
#define WEIR_TLS_CERT_STORE_IMPL_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdatomic.h>

#include "tls/cert_store.h"

struct cert {
	X509 *leaf;
	STACK_OF(X509) * chain; /* without the leaf */
	EVP_PKEY *key;
	char **names; /* lower case, NULL at the end */
};

struct cert_store {
	atomic_uint refs;
	size_t n;
	struct cert *certs;
};

#endif
