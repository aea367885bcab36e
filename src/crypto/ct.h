/* ct.h - secrets: compare without telling where they differ, wipe without being optimised away. */
#ifndef WEIR_CRYPTO_CT_H
#define WEIR_CRYPTO_CT_H

#include <string.h>

#include "base/base.h"

/* Time depends on `n` alone. */
static inline bool ct_equal(const void *a, const void *b, size_t n)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t diff = 0;

	for (size_t i = 0; i < n; i++)
		diff |= x[i] ^ y[i];
	return diff == 0;
}

static inline void cleanse(void *p, size_t n)
{
	explicit_bzero(p, n);
}

#endif
