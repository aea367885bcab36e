/* reality_learn.h - asks the target what it says behind a handshake, and whether it is there at all.
 *
 * A server's tickets, and an HTTP/2 server's first frames, are records that a client of ours must be
 * seen to get.  For each server name and kind of ALPN offer the target is asked as an ordinary
 * client would, at the start and then every hour; what it sends goes into the conf, for all
 * threads.  Until then, and where it fails, nothing is imitated.
 *
 * Threads: those of its loop.
 */
#ifndef WEIR_TLS_REALITY_LEARN_H
#define WEIR_TLS_REALITY_LEARN_H

#include "tls/reality.h"

struct reality_learn;

/* About one question: `name` with `alpn` ("", "http/1.1", "h2"); 0, or why it has no answer.  Told
 * when that changes.  -ELOOP: the question has come to our own listener, and the target has never
 * answered one; none is dialled until it does. */
typedef void reality_told(void *arg, const char *name, const char *alpn, int err);

/* NULL: no memory.  The conf keeps alive; the dialer outlives it. */
struct reality_learn *reality_learn_new(struct loop *l, struct reality_conf *conf,
					struct dialer *dialer, reality_told *told, void *arg);
void reality_learn_free(struct reality_learn *r); /* NULL is fine */

#endif
