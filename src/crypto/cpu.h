/* cpu.h - instructions that some compilers' __builtin_cpu_supports() cannot be asked about. */
#ifndef WEIR_CRYPTO_CPU_H
#define WEIR_CRYPTO_CPU_H

#include "base/base.h"

/* False where there are none of the kind.  Any thread. */
bool cpu_has_sha(void);	 /* SHA-1 and SHA-256 */
bool cpu_has_vaes(void); /* AES on vectors of 256 bits and more */

#endif
