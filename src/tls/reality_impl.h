/* reality_impl.h - what the server side's files share. */
#ifndef WEIR_TLS_REALITY_IMPL_H
#define WEIR_TLS_REALITY_IMPL_H

#include <stdatomic.h>

#include "crypto/ed25519.h"
#include "crypto/x25519.h"
#include "tls/reality_auth.h"
#include "tls/reality_flight.h"
#include "tls/tls13.h"

/* What a client offers by ALPN decides what a server says behind the handshake. */
enum alpn_class {
	ALPN_CLASS_NONE,
	ALPN_CLASS_HTTP1,
	ALPN_CLASS_HTTP2,
	ALPN_CLASSES,
};

/* What a target says behind the handshake: the records' bytes on the wire. */
struct reality_tail {
	uint16_t wire[FLIGHT_EXTRA];
	unsigned n;
};

/* One as threads share it: four lengths a word, 0 behind the last. */
struct shared_tail {
	_Atomic uint64_t words[FLIGHT_EXTRA / 4];
};

struct reality_conf {
	atomic_uint refs;
	struct reality_options o; /* all of it owned */
	struct x25519 *key;	  /* o.private_key is not kept */
	struct ed25519 *signer;
	struct mldsa65_key *mldsa; /* NULL: none */
	struct shared_tail *tails; /* by name, then enum alpn_class; all zero: nothing known */
	/* Of the hello with which the target is being asked; 0: none.  Who gets it back is the target,
	 * by whatever way it came: `loops` once such a question has failed, until one has not.  But it
	 * has crossed the wire in clear: somebody on the way can bring it here, and let the question
	 * itself fail.  So a target that has `answered` once is no loop, whatever comes back. */
	_Atomic uint64_t asking;
	atomic_bool came_back, loops, answered;
};

void reality_tail_set(struct reality_conf *c, size_t i, const struct reality_tail *t);
void reality_tail_get(const struct reality_conf *c, size_t i, struct reality_tail *t);

/* What is sent to a client, from our ServerHello to the tickets that come along, and what the
 * rest of the handshake needs.
 */
struct reality_answer {
	struct tls13 keys;		  /* all four secrets */
	uint8_t finished[TLS_SECRET_MAX]; /* what the client's Finished must be */
	uint64_t out_seq;		  /* records under s_ap so far */
};

/* Room for what reality_answer_emit() writes. */
#define REALITY_ANSWER_MAX (FLIGHT_RECORD_MAX * (6 + FLIGHT_EXTRA))

struct reality_secrets {
	const uint8_t *auth;	     /* REALITY_AUTH_KEY bytes */
	const struct x25519 *x25519; /* our share's */
	const struct ed25519 *signer;
	const struct mldsa65_key *mldsa; /* NULL: none */
};

/* Answer the hello `raw` as the target answered it.  -ERR_UNSUPPORTED, -ERR_TOO_BIG: that cannot be
 * done, and nothing has been sent; the caller clears `a` in any case.
 */
MUST_CHECK int reality_answer_emit(const struct reality_secrets *s, struct tls_bytes raw,
				   const struct target_flight *f, struct reality_answer *a,
				   struct wr *out);

/* The rest of the client's handshake: ChangeCipherSpec as often as he likes, Finished. */
MUST_CHECK int reality_finished_parse(struct rd *in, const struct reality_answer *a);

enum alpn_class reality_alpn_class(const struct tls_hello *h);

#endif
