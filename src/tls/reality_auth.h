/* reality_auth.h - who is a client of ours, and how we prove to be his server.  Pure but for
 * cryptography.  Internal to src/tls.
 */
#ifndef WEIR_TLS_REALITY_AUTH_H
#define WEIR_TLS_REALITY_AUTH_H

#include "crypto/mldsa65.h"
#include "crypto/mlkem768.h"
#include "crypto/x25519.h"
#include "tls/hello.h"
#include "tls/reality.h"

#define REALITY_AUTH_KEY 32
#define REALITY_CERT_LEN 178
/* With a signature that quantum computers do not forge, which lies at this place. */
#define REALITY_PQ_CERT_LEN 3509
#define REALITY_PQ_AT	    126

enum tls_group {
	GROUP_X25519 = 29,
	GROUP_X25519MLKEM768 = 0x11ec,
};

/* What a session id says once it is opened. */
struct reality_claim {
	uint32_t version; /* x << 16 | y << 8 | z */
	uint32_t time;	  /* seconds since 1970 */
	uint8_t short_id[REALITY_SHORT_ID];
};

/* Where the session id lies in a ClientHello with one of 32 bytes. */
#define REALITY_ID_AT  39
#define REALITY_ID_LEN 32

/* The X25519 key that a hello authenticates with; NULL: it has none. */
const uint8_t *reality_client_share(const struct tls_hello *h);

/* From a shared secret and the random of the ClientHello. */
MUST_CHECK int reality_auth_key(const uint8_t shared[32], const uint8_t random[32],
				uint8_t out[REALITY_AUTH_KEY]);

/* Open the session id of a hello, and make one.  `hello` is the whole message; in emit() its session
 * id is written.  parse: -ERR_AUTH when the tag is wrong.
 */
MUST_CHECK int reality_claim_parse(const uint8_t *hello, size_t len,
				   const uint8_t key[REALITY_AUTH_KEY], struct reality_claim *out);
MUST_CHECK int reality_claim_emit(const struct reality_claim *c,
				  const uint8_t key[REALITY_AUTH_KEY], uint8_t *hello, size_t len);

/* Which of the names, by what a hello says; nnames: none. */
size_t reality_name_index(const struct reality_options *o, struct tls_bytes sni);

/* All of a server's decision: 0 with the key, or -ERR_AUTH.  `server` stands for o->private_key; `now_ms` since
 * 1970.
 */
MUST_CHECK int reality_authenticate(const struct reality_options *o, const struct x25519 *server,
				    const struct tls_hello *h, int64_t now_ms,
				    uint8_t key[REALITY_AUTH_KEY]);

/* The certificate of an Ed25519 key: its "signature" is what proves knowledge of the auth key. */
MUST_CHECK int reality_cert_emit(const uint8_t pub[32], const uint8_t key[REALITY_AUTH_KEY],
				 uint8_t out[REALITY_CERT_LEN]);

/* The same with an ML-DSA-65 signature. */
MUST_CHECK int reality_pq_cert_emit(const uint8_t pub[32], const uint8_t key[REALITY_AUTH_KEY],
				    const uint8_t sig[MLDSA65_SIG],
				    uint8_t out[REALITY_PQ_CERT_LEN]);

/* What that signs: 64 bytes that stand for the key and both hellos. */
MUST_CHECK int reality_pq_signed(const uint8_t pub[32], const uint8_t key[REALITY_AUTH_KEY],
				 struct tls_bytes client_hello, struct tls_bytes server_hello,
				 uint8_t out[64]);

/* Of such a certificate, once reality_cert_check() has given its key: -ERR_AUTH when there is no
 * signature of `verify` (MLDSA65_PUB bytes) in it.
 */
MUST_CHECK int reality_pq_cert_check(const uint8_t *der, size_t len, const uint8_t pub[32],
				     const uint8_t key[REALITY_AUTH_KEY], const uint8_t *verify,
				     struct tls_bytes client_hello, struct tls_bytes server_hello);

/* Of a Certificate's first entry: 0 with its Ed25519 key, or -ERR_AUTH: it proves nothing. */
MUST_CHECK int reality_cert_check(const uint8_t *der, size_t len,
				  const uint8_t key[REALITY_AUTH_KEY], uint8_t pub[32]);

#endif
