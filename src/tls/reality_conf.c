#include <stdlib.h>
#include <string.h>

#include "crypto/ct.h"
#include "tls/reality_impl.h"

static bool copy_names(struct reality_options *to, const struct reality_options *from)
{
	char **names = calloc(from->nnames ? from->nnames : 1, sizeof(*names));

	to->names = (const char *const *)names;
	to->nnames = 0;
	if (!names)
		return false;
	for (size_t i = 0; i < from->nnames; i++) {
		names[i] = strdup(from->names[i]);
		if (!names[i])
			return false;
		to->nnames++;
	}
	return true;
}

static bool copy_ids(struct reality_options *to, const struct reality_options *from)
{
	uint8_t(*ids)[REALITY_SHORT_ID] =
		malloc((from->nshort_ids ? from->nshort_ids : 1) * sizeof(*ids));

	to->short_ids = (const uint8_t(*)[REALITY_SHORT_ID])ids;
	if (!ids)
		return false;
	if (from->nshort_ids)
		memcpy(ids, from->short_ids, from->nshort_ids * sizeof(*ids));
	return true;
}

struct reality_conf *reality_conf_new(const struct reality_options *o)
{
	struct reality_conf *c = calloc(1, sizeof(*c));
	bool ok;

	if (!c)
		return NULL;
	atomic_init(&c->refs, 1);
	c->o = *o;
	c->o.target = o->target ? strdup(o->target) : NULL;
	c->key = x25519_new(o->private_key);
	c->o.private_key = NULL;
	c->signer = ed25519_new(NULL);
	c->mldsa = o->mldsa_seed ? mldsa65_key_new(o->mldsa_seed) : NULL;
	c->o.mldsa_seed = NULL; /* not needed any more */
	ok = copy_names(&c->o, o);
	c->tails = calloc(MAX(c->o.nnames, (size_t)1) * ALPN_CLASSES, sizeof(*c->tails));
	ok = c->tails && ok && c->key && (!o->mldsa_seed || c->mldsa);
	ok = copy_ids(&c->o, o) && ok && c->signer && (!o->target || c->o.target);
	if (ok)
		return c;
	reality_conf_put(c);
	return NULL;
}

struct reality_conf *reality_conf_get(struct reality_conf *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void reality_conf_put(struct reality_conf *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < c->o.nnames; i++)
		free((char *)(uintptr_t)c->o.names[i]);
	free((void *)(uintptr_t)c->o.names);
	free((void *)(uintptr_t)c->o.short_ids);
	free((char *)(uintptr_t)c->o.target);
	ed25519_free(c->signer);
	mldsa65_key_free(c->mldsa);
	free(c->tails);
	x25519_free(c->key);
	free(c);
}

static bool same_target(const struct reality_options *a, const struct reality_options *b)
{
	if (a->target || b->target)
		return a->target && b->target && !strcmp(a->target, b->target);
	return dest_equal(&a->dest, &b->dest);
}

void reality_conf_inherit(struct reality_conf *c, const struct reality_conf *old)
{
	struct reality_tail tail;

	if (!c || !old || !same_target(&c->o, &old->o))
		return;
	/* A listener elsewhere may be where the target was. */
	if (c->o.port == old->o.port)
		atomic_store(&c->answered, atomic_load(&old->answered));
	for (size_t i = 0; i < c->o.nnames; i++) {
		const char *name = c->o.names[i];
		size_t from = reality_name_index(
			&old->o, (struct tls_bytes){(const uint8_t *)name, strlen(name)});

		for (size_t k = 0; k < ALPN_CLASSES && from < old->o.nnames; k++) {
			reality_tail_get(old, from * ALPN_CLASSES + k, &tail);
			reality_tail_set(c, i * ALPN_CLASSES + k, &tail);
		}
	}
}

void reality_tail_set(struct reality_conf *c, size_t i, const struct reality_tail *t)
{
	for (unsigned w = 0; w < FLIGHT_EXTRA / 4; w++) {
		uint64_t word = 0;

		for (unsigned k = 4 * w; k < 4 * w + 4 && k < t->n; k++)
			word |= (uint64_t)t->wire[k] << 16 * (k % 4);
		atomic_store_explicit(&c->tails[i].words[w], word, memory_order_relaxed);
	}
}

/* A reader may see one word of an older answer: two tickets of today and one of an hour ago. */
void reality_tail_get(const struct reality_conf *c, size_t i, struct reality_tail *t)
{
	t->n = 0;
	for (unsigned w = 0; w < FLIGHT_EXTRA / 4; w++) {
		uint64_t word = atomic_load_explicit(&c->tails[i].words[w], memory_order_relaxed);

		for (; word & 0xffff; word >>= 16)
			t->wire[t->n++] = (uint16_t)word;
	}
}
