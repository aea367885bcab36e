/* random.h - bytes from the kernel, for keys and nonces.
 *
 * What only has to look random to a test (jitter, paddings of a simulation) takes loop_random().
 */
#ifndef WEIR_CRYPTO_RANDOM_H
#define WEIR_CRYPTO_RANDOM_H

#include "base/base.h"

/* Never fails: without randomness nothing here is safe, so the process ends instead. */
void random_bytes(void *dst, size_t n);

uint64_t random_u64(void);

/* Uniform in 0..bound-1; bound > 0. */
uint32_t random_below(uint32_t bound);

#endif
