/* idle.h - give memory back after a burst of handshakes.
 *
 * A libssl handshake takes 14 KB and gives them back to the heap, not to the system.  A worker
 * calls tls_idle_trim() from a timer when it has little to do.
 *
 * Threads: any.
 */
#ifndef WEIR_TLS_IDLE_H
#define WEIR_TLS_IDLE_H

#include "base/base.h"

void tls_note_handshake(void);

/* True when there was enough to give back that it was tried: some milliseconds on a large heap. */
bool tls_idle_trim(void);

#endif
