/* server.h - TLS for those who connect to us.
 *
 * A struct tls_server_conf is made from options and certificates, then immutable and shared by
 * reference.  A changed certificate or option is a new conf, published in place of the old one;
 * streams already open keep theirs.  Give both the same ticket key and tickets stay good.
 *
 * Threads: a conf may be used from any thread; a stream belongs to its loop.
 */
#ifndef WEIR_TLS_SERVER_H
#define WEIR_TLS_SERVER_H

#include "stream/stream.h"
#include "tls/cert_store.h"

#define TLS_TICKET_KEY_LEN 80

struct tls_server_options {
	struct cert_store *certs; /* at least one; the conf takes its own reference */
	const char *const *alpn; /* in order of our preference, NULL at the end; or NULL: no ALPN */
	uint16_t min_version;	 /* 0x0303 or 0x0304; 0: 0x0303 */
	uint16_t max_version;	 /* likewise; 0: 0x0304 */
	unsigned tickets;	 /* per connection, 0..2; 2 is what libssl's servers send */
	bool reject_unknown_sni; /* unrecognized_name unless a certificate names it */
	const uint8_t *ticket_key; /* TLS_TICKET_KEY_LEN bytes, or NULL: a random one */
	bool own_handshake;	   /* TLS 1.3 by ourselves where that is all a client asks for */
	const char *ciphers;	   /* TLS 1.2 suites as libssl names them, or NULL */
};

struct tls_server_conf;

/* NULL with a sentence in `why`. */
struct tls_server_conf *tls_server_conf_new(const struct tls_server_options *o, char *why,
					    size_t whylen);
struct tls_server_conf *tls_server_conf_get(struct tls_server_conf *c);
void tls_server_conf_put(struct tls_server_conf *c); /* NULL is fine */

/* A stream over `lower`, which it owns from now on.  NULL when memory ran out; `lower` is freed
 * then.
 *
 * Answers STREAM_SNI, STREAM_ALPN, STREAM_TLS_VERSION once open; takes STREAM_RECORD_MODE and
 * bypass when it is TLS 1.3.
 */
struct stream *tls_server_new(struct stream *lower, const struct tls_server_conf *conf);

#endif
