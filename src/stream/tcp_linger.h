/* tcp_linger.h - closing a socket whose peer has not taken everything yet.
 *
 * The kernel sends on after close(), but not where bytes have come that nobody read, as from a client
 * that uploads on behind an answer which ends it, and not where the close is to be a reset: then it
 * throws away what it has taken and not sent, and the answer with it.
 *
 * Threads: the loop's.
 */
#ifndef WEIR_STREAM_TCP_LINGER_H
#define WEIR_STREAM_TCP_LINGER_H

#include "event/loop.h"

/* Takes over `fd`, off the loop by now.  What comes is read and forgotten; closed it is, with a reset if
 * `abort`, once all has been taken and the peer has had a moment to end its side, once the peer has reset
 * it, which may be already, or after ten seconds.
 */
void tcp_linger(struct loop *l, int fd, bool abort);

#endif
