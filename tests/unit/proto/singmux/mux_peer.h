/* mux_peer.h - the other end of sing-box's multiplex: a client that is as simple as it can be, for the
 * tests of the server.  It opens `n` streams on a carrier at once; each asks for port 1, 2, ... of
 * 192.0.2.1, sends pattern k, expects pattern 100 + k, and ends when both are through.
 */
#ifndef WEIR_TESTS_MUX_PEER_H
#define WEIR_TESTS_MUX_PEER_H

#include <nghttp2/nghttp2.h>

#include "proto/singmux/singmux_wire.h"
#include "stream/stream.h"

#define PEER_STREAMS 8

struct peer_stream {
	uint32_t id;
	uint8_t head[SINGMUX_REQUEST_MAX]; /* goes first */
	size_t nhead, sent, received, window;
	bool opened, fin, eof;
};

struct peer {
	struct stream *s;
	struct waiter w;
	struct bufq in, out;
	uint8_t protocol;
	int n;
	size_t up, down; /* bytes of each stream, either way */
	struct peer_stream st[PEER_STREAMS];
	nghttp2_session *ng;
	uint32_t left_of, left; /* of the frame being read */
	size_t owed;
	int err;
};

/* Takes `carrier` over, on which the hello is done. */
void peer_start(struct peer *p, struct stream *carrier, uint8_t protocol, int n, size_t up,
		size_t down);
bool peer_done(const struct peer *p); /* or failed */
void peer_stop(struct peer *p);

#endif
