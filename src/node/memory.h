/* memory.h - how much memory this process may use. */
#ifndef WEIR_NODE_MEMORY_H
#define WEIR_NODE_MEMORY_H

#include "base/base.h"

/* Bytes: the machine's memory, or the least that a control group above us allows (v2, or v1).
 * `root` is put before each path; "" but in tests.  0: nothing says.
 */
uint64_t memory_there(const char *root);

#endif
