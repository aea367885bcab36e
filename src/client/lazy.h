/* lazy.h - a stream that dials when it is opened.
 *
 * Layers above see an ordinary stream whose open() takes its time; pull and push before it is open
 * drive it, so that datagram adapters, which never open anything, stand on it too.
 */
#ifndef WEIR_CLIENT_LAZY_H
#define WEIR_CLIENT_LAZY_H

#include "stream/dialer.h"

/* `dialer` outlives it.  NULL: no memory. */
struct stream *lazy_new(struct loop *l, struct dialer *dialer, const struct dest *to);

#endif
