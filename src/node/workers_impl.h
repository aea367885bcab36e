/* workers_impl.h - what the files of workers share. */
#ifndef WEIR_NODE_WORKERS_IMPL_H
#define WEIR_NODE_WORKERS_IMPL_H

#include "node/workers.h"

/* Once they run. */
void workers_resolv_watch(struct workers *ws);

#endif
