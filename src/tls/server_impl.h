/* server_impl.h - the inside of a server's conf, for its two kinds of handshake.  Internal to src/tls.
 */
#ifndef WEIR_TLS_SERVER_IMPL_H
#define WEIR_TLS_SERVER_IMPL_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "tls/alpn.h"
#include "tls/cert_store_impl.h"
#include "tls/layer.h"
#include "tls/server.h"
#include "tls/tls13_ticket.h"

/* A certificate as our own handshake sends it. */
struct tls13_leaf {
	uint8_t *message; /* Certificate, with its header */
	size_t len;
	uint16_t scheme; /* what its key signs with; 0: libssl has to serve it */
	uint16_t
		signed_with; /* what it was signed with itself; 0: nothing with a name in TLS 1.3 */
};

struct tls_server_conf {
	atomic_uint refs;
	struct cert_store *certs;
	SSL_CTX **ctx; /* one for each certificate; the first serves who names none */
	struct alpn_list alpn;
	bool reject_unknown_sni;
	bool own;    /* TLS 1.3 by ourselves where we can */
	bool hybrid; /* libssl has X25519MLKEM768 */
	unsigned tickets;
	struct tls13_leaf *leaves; /* one for each certificate, where `own` */
	struct tls13_ticket_key ticket_key;
};

/* Which certificate serves a name, in any case; NULL is none.  -1: the first does, or nobody. */
int tls_server_find(const struct tls_server_conf *c, const char *name, size_t len);

/* libssl's handshake, with a reference of its own; NULL: no memory. */
struct tls_handshake *tls_server_libssl(struct tls_server_conf *c);

#endif
