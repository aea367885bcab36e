/* tcp.h - the leaf of most stacks: a connected stream socket, over IP or a unix path.
 *
 * It buffers nothing in either direction.  The size of a read adapts: 16 KiB at first, doubled
 * while reads come back full up to 256 KiB, halved when they come back nearly empty.
 *
 * Writing to a socket whose far end is gone raises SIGPIPE where splice() does it: the program
 * ignores that signal.
 */
#ifndef WEIR_STREAM_TCP_H
#define WEIR_STREAM_TCP_H

#include "stream/stream.h"

/* Over an accepted or connected, non-blocking socket.  `fd` is the stream's from here on, on
 * failure too.  `peer` may be NULL: asked of the kernel; with len 0: unknown.  NULL: no memory or descriptors.
 */
struct stream *tcp_stream_new(struct loop *l, int fd, const struct addr *peer);

/* Connect, with keepalive; open() says -EAGAIN until that is decided.  `source` (may be NULL) is bound to first,
 * its port may be 0.  0, or what the kernel said at once.
 */
MUST_CHECK int tcp_connect(struct loop *l, const struct addr *to, const struct addr *source,
			   struct stream **out);

/* The same on a socket of the caller's making (sock_new(), and what options it shall have), not
 * connected yet.  `fd` is the stream's from here on, on failure too.
 */
MUST_CHECK int tcp_connect_on(struct loop *l, int fd, const struct addr *to, struct stream **out);

/* The same to a unix socket; a path that begins with '@' is an abstract name, with "@@" one that is
 * padded with NULs to the full length of an address.
 */
MUST_CHECK int unix_connect(struct loop *l, const char *path, struct stream **out);

#endif
