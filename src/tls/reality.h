/* reality.h - REALITY: a TLS 1.3 server that only those see who know its key.
 *
 * Whoever connects is relayed to the *target*, a real web server; his bytes go there as they come.
 * A ClientHello that proves knowledge of the server's public key and of a short id ends that: the
 * target's ServerHello is answered with our key share in it, and what follows is ours, cut and
 * padded to the sizes of the target's records.  Everybody else keeps talking to the target
 * (docs/protocols/reality.md).
 *
 * Threads: a conf is built by one, then immutable and shared by reference; a stream belongs to its
 * loop.
 */
#ifndef WEIR_TLS_REALITY_H
#define WEIR_TLS_REALITY_H

#include "net/dest.h"
#include "stream/dialer.h"

#define REALITY_SHORT_ID   8
#define REALITY_VERIFY_KEY 1952 /* the public half of ML-DSA-65 */

struct reality_options {
	uint16_t port;	    /* of our own listener; 0: not known */
	const char *target; /* a unix socket's path ('/' or '@'); NULL: `dest` */
	struct dest dest;
	int xver; /* PROXY header in front of all that goes to the target; 0: none */
	const char *const *names; /* server names, as sent; "" is a hello without one */
	size_t nnames;
	const uint8_t (*short_ids)[REALITY_SHORT_ID];
	size_t nshort_ids;
	const uint8_t *private_key;	   /* 32 bytes, X25519 */
	const uint8_t *mldsa_seed;	   /* 32 bytes: sign with ML-DSA-65 as well; NULL: do not */
	uint32_t min_version, max_version; /* of the client, x << 16 | y << 8 | z; 0: no limit */
	int64_t max_time_diff_ms;	   /* 0: clocks are not compared */
};

struct reality_conf;

/* NULL: -ENOMEM in effect, or libcrypto has no Ed25519. */
struct reality_conf *reality_conf_new(const struct reality_options *o);
struct reality_conf *reality_conf_get(struct reality_conf *c);
void reality_conf_put(struct reality_conf *c); /* NULL is fine */

/* What `old` knows of its target holds for `c` as well, where target and server name are the same: a
 * reload begins neither without look-alikes nor with doubts whether the target is another server.
 * Before `c` is shared; NULLs are fine.
 */
void reality_conf_inherit(struct reality_conf *c, const struct reality_conf *old);

/* A stream over `lower`, which it owns from now on; `dialer` reaches the target, and outlives it.
 * NULL when memory ran out; `lower` is freed then.
 *
 * open() begins with dialling the target.  -ERR_REJECTED: the client is the target's.  Then, and at
 * any time before open() has succeeded, STREAM_REJECT is the connection to the target and peel()
 * the client's, each with what it has yet to deliver: relay them.  -ENOTSUP: there is no target.
 */
struct stream *reality_server_new(struct stream *lower, struct reality_conf *conf,
				  struct dialer *dialer);

/* ---- the other side ---------------------------------------------------------------------- */

struct reality_client_conf {
	uint8_t public_key[32];
	uint8_t short_id[REALITY_SHORT_ID];
	char server_name[DEST_NAME_MAX + 1];
	/* REALITY_VERIFY_KEY bytes, from malloc(): no server without an ML-DSA-65 signature of this key; NULL: it
	 * is not looked at */
	uint8_t *mldsa_public;
};

void reality_client_conf_free(struct reality_client_conf *c); /* and itself; NULL is fine */

/* Likewise over `lower`; `conf` outlives it.  -ERR_AUTH from open(): who answers is not the server,
 * most likely the target itself.
 */
struct stream *reality_client_new(struct stream *lower, const struct reality_client_conf *conf);

#endif
