/* singmux_carrier.h - the carrier of sing-box's multiplex as a stream: what the session protocol
 * inside reads and writes.
 *
 * It begins with the hello, and where that says so the first writes of each direction are padded;
 * after them nothing is changed any more.
 */
#ifndef WEIR_PROTO_SINGMUX_CARRIER_H
#define WEIR_PROTO_SINGMUX_CARRIER_H

#include "proto/singmux/singmux_wire.h"
#include "stream/stream.h"

/* Both take `lower` over; NULL: no memory, it is freed. */

/* open() reads the hello.  `first` (may be NULL) is what goes out ahead of all else, as it is, together
 * with the first bytes; it is left empty.
 */
struct stream *singmux_carrier_server(struct stream *lower, struct bufq *first);
struct stream *singmux_carrier_client(struct stream *lower, const struct singmux_hello *hello);

/* Of the server's, once open() has returned 0. */
const struct singmux_hello *singmux_carrier_hello(const struct stream *s);

#endif
