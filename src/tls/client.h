/* client.h - TLS towards a server.
 *
 * A struct tls_client_conf says whom to talk to and whom to believe; immutable, shared by
 * reference.
 *
 * Threads: a conf may be used from any thread; a stream belongs to its loop.
 */
#ifndef WEIR_TLS_CLIENT_H
#define WEIR_TLS_CLIENT_H

#include "stream/stream.h"

enum tls_verify {
	TLS_VERIFY_CA,	 /* a chain to a trusted root, and the name */
	TLS_VERIFY_PIN,	 /* the SHA-256 of the certificate, nothing else */
	TLS_VERIFY_NONE, /* anybody: tests, and those who insist */
};

struct tls_client_options {
	const char *server_name; /* sent unless it is an IP address, and verified; NULL: none */
	const char *const *alpn; /* NULL at the end; or NULL */
	enum tls_verify verify;
	const char *ca_file;	   /* PEM; NULL: the system's roots */
	const uint8_t (*pins)[32]; /* any of them */
	size_t npins;
	const char *suites; /* of TLS 1.3, in order, as libssl names them; NULL: libssl's */
	uint16_t min_version, max_version; /* 0: 0x0303, 0x0304 */
};

struct tls_client_conf;

/* NULL with a sentence in `why`. */
struct tls_client_conf *tls_client_conf_new(const struct tls_client_options *o, char *why,
					    size_t whylen);
struct tls_client_conf *tls_client_conf_get(struct tls_client_conf *c);
void tls_client_conf_put(struct tls_client_conf *c); /* NULL is fine */

/* A stream over `lower`, which it owns from now on.  NULL when memory ran out; `lower` is freed
 * then. */
struct stream *tls_client_new(struct stream *lower, const struct tls_client_conf *conf);

#endif
