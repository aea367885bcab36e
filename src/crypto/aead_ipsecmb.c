/* aead_ipsecmb.c - the AEAD engine on libipsec-mb (amd64), and its absence elsewhere. */
#include "crypto/aead_engine.h"

#ifdef HAVE_IPSEC_MB

#define NO_COMPAT_IMB_API_053 /* its old macros collide with everybody's names */
#include <intel-ipsec-mb.h>
#include <stdlib.h>

#include "base/err.h"
#include "crypto/ct.h"

/* The library's direct calls for one algorithm of the AES-GCM family. */
struct gcm_calls {
	aes_gcm_pre_t pre;
	aes_gcm_enc_dec_t whole[2]; /* [seal] */
	aes_gcm_init_t init;
	aes_gcm_enc_dec_update_t update[2];
	aes_gcm_enc_dec_finalize_t final[2];
};

struct imb_thread {
	IMB_MGR *mgr;
	struct gcm_calls gcm[AEAD_AES_256_GCM + 1];
};

struct imb_slot {
	struct gcm_key_data gcm;
	uint8_t chacha[32];
};

static void imb_thread_free(void *p)
{
	struct imb_thread *t = p;

	if (t->mgr)
		free_mb_mgr(t->mgr);
	free(t);
}

static void *imb_thread_new(void)
{
	struct imb_thread *t = calloc(1, sizeof(*t));
	IMB_MGR *m;

	if (!t)
		return NULL;
	t->mgr = m = alloc_mb_mgr(0);
	if (m)
		init_mb_mgr_auto(m, NULL);
	/* Below AVX the library is not faster than libcrypto, and its AES without instructions is a
	 * table in memory. */
	if (!m || imb_get_errno(m) || !(m->features & IMB_FEATURE_AVX) ||
	    !(m->features & IMB_FEATURE_AESNI)) {
		imb_thread_free(t);
		return NULL;
	}
	t->gcm[AEAD_AES_128_GCM] = (struct gcm_calls){
		m->gcm128_pre,
		{m->gcm128_dec, m->gcm128_enc},
		m->gcm128_init,
		{m->gcm128_dec_update, m->gcm128_enc_update},
		{m->gcm128_dec_finalize, m->gcm128_enc_finalize},
	};
	t->gcm[AEAD_AES_192_GCM] = (struct gcm_calls){
		m->gcm192_pre,
		{m->gcm192_dec, m->gcm192_enc},
		m->gcm192_init,
		{m->gcm192_dec_update, m->gcm192_enc_update},
		{m->gcm192_dec_finalize, m->gcm192_enc_finalize},
	};
	t->gcm[AEAD_AES_256_GCM] = (struct gcm_calls){
		m->gcm256_pre,
		{m->gcm256_dec, m->gcm256_enc},
		m->gcm256_init,
		{m->gcm256_dec_update, m->gcm256_enc_update},
		{m->gcm256_dec_finalize, m->gcm256_enc_finalize},
	};
	return t;
}

static void *imb_slot_new(void)
{
	size_t align = _Alignof(struct imb_slot);

	return aligned_alloc(align, (sizeof(struct imb_slot) + align - 1) / align * align);
}

static void imb_slot_free(void *slot)
{
	if (!slot)
		return;
	cleanse(slot, sizeof(struct imb_slot));
	free(slot);
}

static int imb_set_key(void *p, void *slot, enum aead_alg alg, const uint8_t *raw)
{
	struct imb_thread *t = p;
	struct imb_slot *s = slot;

	if (alg == AEAD_CHACHA20_POLY1305)
		memcpy(s->chacha, raw, sizeof(s->chacha));
	else
		t->gcm[alg].pre(raw, &s->gcm);
	return 0;
}

static void run_gcm(const struct gcm_calls *c, const struct gcm_key_data *key,
		    const struct aead_message *m, uint8_t *tag)
{
	struct gcm_context_data ctx;
	uint8_t *out = m->outs ? m->outs[0] : m->out;

	if (m->n == 1) {
		c->whole[m->seal](key, &ctx, out, m->in[0].iov_base, m->in[0].iov_len, m->nonce,
				  m->aad, m->aadlen, tag, AEAD_TAG);
		return;
	}
	c->init(key, &ctx, m->nonce, m->aad, m->aadlen);
	for (int i = 0; i < m->n; i++) {
		out = m->outs ? m->outs[i] : out;
		c->update[m->seal](key, &ctx, out, m->in[i].iov_base, m->in[i].iov_len);
		out += m->in[i].iov_len;
	}
	c->final[m->seal](key, &ctx, tag, AEAD_TAG);
}

static void run_chacha(IMB_MGR *mgr, const uint8_t *key, const struct aead_message *m, uint8_t *tag)
{
	struct chacha20_poly1305_context_data ctx;
	uint8_t *out = m->out;

	IMB_CHACHA20_POLY1305_INIT(mgr, key, &ctx, m->nonce, m->aad, m->aadlen);
	for (int i = 0; i < m->n; i++) {
		out = m->outs ? m->outs[i] : out;
		if (m->seal)
			IMB_CHACHA20_POLY1305_ENC_UPDATE(mgr, key, &ctx, out, m->in[i].iov_base,
							 m->in[i].iov_len);
		else
			IMB_CHACHA20_POLY1305_DEC_UPDATE(mgr, key, &ctx, out, m->in[i].iov_base,
							 m->in[i].iov_len);
		out += m->in[i].iov_len;
	}
	IMB_CHACHA20_POLY1305_ENC_FINALIZE(mgr, &ctx, tag, AEAD_TAG);
	cleanse(&ctx, sizeof(ctx));
}

static int imb_run(void *p, void *slot, enum aead_alg alg, const struct aead_message *m,
		   uint8_t *tag)
{
	struct imb_thread *t = p;
	struct imb_slot *s = slot;
	uint8_t got[AEAD_TAG];

	if (alg == AEAD_CHACHA20_POLY1305)
		run_chacha(t->mgr, s->chacha, m, got);
	else
		run_gcm(&t->gcm[alg], &s->gcm, m, got);
	if (m->seal)
		memcpy(tag, got, AEAD_TAG);
	else if (!ct_equal(tag, got, AEAD_TAG))
		return -ERR_AUTH;
	return 0;
}

const struct aead_engine aead_ipsecmb = {
	.name = "ipsecmb",
	.thread_new = imb_thread_new,
	.thread_free = imb_thread_free,
	.slot_new = imb_slot_new,
	.slot_free = imb_slot_free,
	.set_key = imb_set_key,
	.run = imb_run,
};

#else

static void *none(void)
{
	return NULL;
}

const struct aead_engine aead_ipsecmb = {.name = "ipsecmb", .thread_new = none};

#endif
