/* aead_engine.h - what an AEAD engine is.  Internal to src/crypto.
 *
 * An engine turns a raw key into a slot (an expanded key or a cipher context) and runs messages
 * over it.  Slots belong to a thread; the engine's own per-thread state comes from thread_new().
 */
#ifndef WEIR_CRYPTO_AEAD_ENGINE_H
#define WEIR_CRYPTO_AEAD_ENGINE_H

#include "crypto/aead.h"

struct aead_message {
	const uint8_t *nonce; /* 12 bytes */
	const void *aad;
	size_t aadlen;
	const struct iovec *in;
	int n;
	uint8_t *out;
	bool seal;
	/* where each piece goes by itself; NULL: one behind the other at `out` */
	uint8_t *const *outs;
};

struct aead_engine {
	const char *name;
	void *(*thread_new)(void); /* NULL: not on this machine, or no memory */
	void (*thread_free)(void *t);
	void *(*slot_new)(void);       /* NULL: no memory */
	void (*slot_free)(void *slot); /* wipes it */
	/* 0 or -ERR_CRYPTO.  `alg` is never AEAD_XCHACHA20_POLY1305. */
	int (*set_key)(void *t, void *slot, enum aead_alg alg, const uint8_t *raw);
	/* Sealing writes `tag`; opening compares with it and returns -ERR_AUTH. */
	int (*run)(void *t, void *slot, enum aead_alg alg, const struct aead_message *m,
		   uint8_t *tag);
};

extern const struct aead_engine aead_evp;
extern const struct aead_engine aead_ipsecmb;

#endif
