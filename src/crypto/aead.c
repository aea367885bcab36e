#include "crypto/aead.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "base/err.h"
#include "crypto/aead_engine.h"
#include "crypto/ct.h"
#include "crypto/hchacha.h"
#include "crypto/thread.h"

/* A power of two.  Both keys of one connection are made one after the other, so that they never
 * push each other out. */
#define SLOTS 16

struct slot {
	uint64_t id; /* of the key that is expanded here; 0: none */
	void *impl;
};

struct aead_thread {
	const struct aead_engine *engine;
	void *state;
	struct slot slots[SLOTS];
	void *temp; /* for sub-keys that serve one message */
};

static const struct {
	uint8_t key, nonce;
} sizes[AEAD_ALGS] = {
	[AEAD_AES_128_GCM] = {16, 12},	      [AEAD_AES_192_GCM] = {24, 12},
	[AEAD_AES_256_GCM] = {32, 12},	      [AEAD_CHACHA20_POLY1305] = {32, 12},
	[AEAD_XCHACHA20_POLY1305] = {32, 24},
};

/* Written by aead_init() before threads start; NULL until somebody asks. */
static const struct aead_engine *_Atomic current;
static atomic_uint_fast64_t last_id;

size_t aead_key_len(enum aead_alg alg)
{
	return sizes[alg].key;
}

size_t aead_nonce_len(enum aead_alg alg)
{
	return sizes[alg].nonce;
}

void aead_thread_free(struct aead_thread *a)
{
	if (!a)
		return;
	for (int i = 0; i < SLOTS; i++) {
		if (a->slots[i].impl)
			a->engine->slot_free(a->slots[i].impl);
	}
	if (a->temp)
		a->engine->slot_free(a->temp);
	if (a->state)
		a->engine->thread_free(a->state);
	free(a);
}

static struct aead_thread *thread_new(const struct aead_engine *e)
{
	struct aead_thread *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->engine = e;
	a->state = e->thread_new();
	if (!a->state) {
		free(a);
		return NULL;
	}
	return a;
}

/* This thread's state on the engine in use; NULL when memory ran out. */
static struct aead_thread *thread_get(void)
{
	struct crypto_thread *t = crypto_thread();
	const struct aead_engine *e = atomic_load_explicit(&current, memory_order_relaxed);

	if (unlikely(!e)) {
		(void)aead_init("auto");
		e = atomic_load(&current);
	}
	if (unlikely(!t->aead || t->aead->engine != e)) {
		aead_thread_free(t->aead);
		t->aead = thread_new(e);
	}
	return t->aead;
}

/* The expanded form of `k`, from the cache or made there. */
static void *slot_get(struct aead_thread *a, const struct aead_key *k)
{
	struct slot *s = &a->slots[k->id % SLOTS];

	if (likely(s->id == k->id))
		return s->impl;
	if (!s->impl)
		s->impl = a->engine->slot_new();
	s->id = 0;
	if (!s->impl || a->engine->set_key(a->state, s->impl, k->alg, k->raw))
		return NULL;
	s->id = k->id;
	return s->impl;
}

static void *slot_temp(struct aead_thread *a, enum aead_alg alg, const uint8_t *raw)
{
	if (!a->temp)
		a->temp = a->engine->slot_new();
	if (!a->temp || a->engine->set_key(a->state, a->temp, alg, raw))
		return NULL;
	return a->temp;
}

/* XChaCha20: the first 16 bytes of the nonce make a sub-key, the rest is the nonce under it. */
static int run_xchacha(struct aead_thread *a, const struct aead_key *k, struct aead_message *m,
		       uint8_t *tag)
{
	uint8_t sub[32], nonce[12] = {0};
	void *slot;

	hchacha20(k->raw, m->nonce, sub);
	memcpy(nonce + 4, m->nonce + 16, 8);
	slot = slot_temp(a, AEAD_CHACHA20_POLY1305, sub);
	cleanse(sub, sizeof(sub));
	if (!slot)
		return -ERR_CRYPTO;
	m->nonce = nonce;
	return a->engine->run(a->state, slot, AEAD_CHACHA20_POLY1305, m, tag);
}

static int run(const struct aead_key *k, struct aead_message *m, uint8_t *tag)
{
	struct aead_thread *a = thread_get();
	void *slot;

	if (unlikely(!a))
		return -ERR_CRYPTO;
	if (k->alg == AEAD_XCHACHA20_POLY1305)
		return run_xchacha(a, k, m, tag);
	slot = slot_get(a, k);
	if (unlikely(!slot))
		return -ERR_CRYPTO;
	return a->engine->run(a->state, slot, k->alg, m, tag);
}

void aead_key_set(struct aead_key *k, enum aead_alg alg, const uint8_t *raw)
{
	k->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
	k->alg = (uint8_t)alg;
	memcpy(k->raw, raw, sizes[alg].key);
	memset(k->raw + sizes[alg].key, 0, sizeof(k->raw) - sizes[alg].key);
}

void aead_key_clear(struct aead_key *k)
{
	struct aead_thread *a = crypto_thread()->aead;
	struct slot *s = a ? &a->slots[k->id % SLOTS] : NULL;

	if (s && k->id && s->id == k->id) {
		/* A new key makes the old one unreadable, but there may never be one. */
		a->engine->slot_free(s->impl);
		*s = (struct slot){0};
	}
	cleanse(k, sizeof(*k));
}

static size_t iov_len(const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

int aead_seal_iov(const struct aead_key *k, const uint8_t *nonce, const void *aad, size_t aadlen,
		  const struct iovec *in, int n, uint8_t *out)
{
	struct aead_message m = {nonce, aad, aadlen, in, n, out, true};

	return run(k, &m, out + iov_len(in, n));
}

int aead_seal(const struct aead_key *k, const uint8_t *nonce, const void *aad, size_t aadlen,
	      const void *in, size_t len, uint8_t *out)
{
	struct iovec iov = {(void *)in, len};
	struct aead_message m = {nonce, aad, aadlen, &iov, 1, out, true};

	return run(k, &m, out + len);
}

int aead_open_iov(const struct aead_key *k, const uint8_t *nonce, const void *aad, size_t aadlen,
		  const struct iovec *in, int n, const uint8_t tag[AEAD_TAG], uint8_t *out)
{
	struct aead_message m = {nonce, aad, aadlen, in, n, out, false};
	uint8_t want[AEAD_TAG];
	int err;

	memcpy(want, tag, sizeof(want)); /* `out` may run over it */
	err = run(k, &m, want);
	if (err)
		memset(out, 0, iov_len(in, n));
	return err;
}

int aead_open_pieces(const struct aead_key *k, const uint8_t *nonce, const struct iovec *in, int n,
		     const uint8_t tag[AEAD_TAG], uint8_t *const *outs)
{
	struct aead_message m = {nonce, NULL, 0, in, n, NULL, false, outs};
	uint8_t want[AEAD_TAG];
	int err;

	memcpy(want, tag, sizeof(want));
	err = run(k, &m, want);
	for (int i = 0; err && i < n; i++)
		memset(outs[i], 0, in[i].iov_len);
	return err;
}

int aead_open(const struct aead_key *k, const uint8_t *nonce, const void *aad, size_t aadlen,
	      const void *in, size_t len, uint8_t *out)
{
	struct iovec iov;

	if (len < AEAD_TAG)
		return -ERR_AUTH;
	iov = (struct iovec){(void *)in, len - AEAD_TAG};
	return aead_open_iov(k, nonce, aad, aadlen, &iov, 1, (const uint8_t *)in + iov.iov_len,
			     out);
}

/* With a key that serves one message. */
static int run_once(enum aead_alg alg, const uint8_t *raw, struct aead_message *m, uint8_t *tag)
{
	struct aead_thread *a = thread_get();
	struct aead_key k = {.alg = (uint8_t)alg};
	void *slot;
	int err;

	if (unlikely(!a))
		return -ERR_CRYPTO;
	if (alg == AEAD_XCHACHA20_POLY1305) {
		memcpy(k.raw, raw, sizes[alg].key);
		err = run_xchacha(a, &k, m, tag);
		cleanse(&k, sizeof(k));
		return err;
	}
	slot = slot_temp(a, alg, raw);
	return slot ? a->engine->run(a->state, slot, alg, m, tag) : -ERR_CRYPTO;
}

int aead_open_once(enum aead_alg alg, const uint8_t *raw, const uint8_t *nonce, const void *in,
		   size_t len, uint8_t *out)
{
	struct iovec iov = {(void *)in, len - AEAD_TAG};
	struct aead_message m = {nonce, NULL, 0, &iov, 1, out, false};
	uint8_t want[AEAD_TAG];
	int err;

	if (len < AEAD_TAG)
		return -ERR_AUTH;
	memcpy(want, (const uint8_t *)in + iov.iov_len, sizeof(want));
	err = run_once(alg, raw, &m, want);
	if (err)
		memset(out, 0, iov.iov_len);
	return err;
}

int aead_seal_once(enum aead_alg alg, const uint8_t *raw, const uint8_t *nonce, const void *in,
		   size_t len, uint8_t *out)
{
	struct iovec iov = {(void *)in, len};
	struct aead_message m = {nonce, NULL, 0, &iov, 1, out, true};

	return run_once(alg, raw, &m, out + len);
}

/* Does `e` work here, and does it agree with libcrypto on every algorithm and a spread of lengths?
 */
static bool self_test(const struct aead_engine *e)
{
	static const uint16_t lens[] = {0, 1, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1023, 1400};
	struct aead_thread *a = thread_new(e), *b = thread_new(&aead_evp);
	uint8_t raw[32], nonce[12], aad[21], text[1400], x[1400], y[1400], tx[16], ty[16];
	bool ok = a && b;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 167 + 13);
	memcpy(raw, text + 40, sizeof(raw));
	memcpy(nonce, text + 80, sizeof(nonce));
	memcpy(aad, text + 100, sizeof(aad));
	for (int alg = 0; ok && alg < AEAD_XCHACHA20_POLY1305; alg++) {
		void *sa = slot_temp(a, alg, raw), *sb = slot_temp(b, alg, raw);

		for (size_t i = 0; ok && i < ARRAY_LEN(lens); i++) {
			size_t len = lens[i], cut = len / 3;
			struct iovec whole = {text, len};
			struct iovec parts[2] = {{y, cut}, {y + cut, len - cut}};
			struct aead_message mx = {nonce, aad, 5 + i, &whole, 1, x, true};
			struct aead_message my = {nonce, aad, 5 + i, &whole, 1, y, true};
			struct aead_message back = {nonce, aad, 5 + i, parts, 2, y, false};

			ok = sa && sb && !a->engine->run(a->state, sa, alg, &mx, tx) &&
			     !b->engine->run(b->state, sb, alg, &my, ty) && !memcmp(x, y, len) &&
			     !memcmp(tx, ty, 16) && !a->engine->run(a->state, sa, alg, &back, tx) &&
			     !memcmp(y, text, len);
			tx[i % 16] ^= 1;
			ok = ok && a->engine->run(a->state, sa, alg, &back, tx) == -ERR_AUTH;
		}
	}
	aead_thread_free(a);
	aead_thread_free(b);
	return ok;
}

const char *aead_init(const char *engine)
{
	if (!strcmp(engine, "evp")) {
		atomic_store(&current, &aead_evp);
		return NULL;
	}
	if (!strcmp(engine, "ipsecmb")) {
		if (!self_test(&aead_ipsecmb))
			return "ipsecmb: not built in, not for this processor, or its self-test "
			       "failed";
		atomic_store(&current, &aead_ipsecmb);
		return NULL;
	}
	if (strcmp(engine, "auto"))
		return "unknown engine: use auto, ipsecmb or evp";
	atomic_store(&current, self_test(&aead_ipsecmb) ? &aead_ipsecmb : &aead_evp);
	return NULL;
}

const char *aead_engine(void)
{
	struct aead_thread *a = thread_get();

	return a ? a->engine->name : "none";
}

bool aead_has_hw_aes(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
	return getauxval(AT_HWCAP) & HWCAP_AES;
#else
	return false;
#endif
}
