/* ssl_handshake.h - libssl as a handshake of the TLS layer.  Internal to src/tls.
 *
 * libssl sees a BIO over the layer's queues that holds no memory.  After a TLS 1.3 handshake the
 * secrets go to our records and the SSL object is freed; TLS 1.2, and whatever the checks below do
 * not find exactly as expected, stays in libssl to the end.
 *
 * The secrets come through the key log callback, libssl's only public way, and never reach a file;
 * how many records have gone under them is counted in the message callback.  Both belong to the
 * SSL_CTX: ssl_handshake_ctx() sets them.
 */
#ifndef WEIR_TLS_SSL_HANDSHAKE_H
#define WEIR_TLS_SSL_HANDSHAKE_H

#include <openssl/ssl.h>

#include "tls/layer.h"

/* Settings that every SSL_CTX of ours shares. */
void ssl_handshake_ctx(SSL_CTX *ctx);

/* The SSL object is made when the first bytes have come (a server's) or the first are due (a
 * client's): `make` returns it, or NULL.  `conf` is put with `put` when the handshake is freed.
 */
struct ssl_role {
	SSL *(*make)(void *conf);
	void (*put)(void *conf);
	bool client;
};

/* NULL: no memory, `conf` is the caller's still. */
struct tls_handshake *ssl_handshake_new(const struct ssl_role *role, void *conf);

/* The random of the ClientHello that a client's layer has sent: the first `len` bytes, 32 at most.  false
 * when none has been, or it is another kind of handshake.
 */
bool ssl_handshake_random(const struct tls *t, void *out, size_t len);

/* Why the handshake failed, as far as libssl knows: into `why`, for tests and `weir connect`. */
void ssl_error_text(char *why, size_t len);

#endif
