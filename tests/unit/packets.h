/* packets.h - somebody at the end of a datagram association, for the tests of every framing.
 *
 * Sends `total` packets of pattern `tx`, each with its number for size and contents, and expects
 * the packets of pattern `rx` in order: carriers that are streams lose none.
 */
#ifndef WEIR_TESTS_PACKETS_H
#define WEIR_TESTS_PACKETS_H

#include "stream/dgram.h"

struct correspondent {
	struct dgram *d;
	struct waiter w;
	unsigned total, sent, expected, received;
	unsigned batch;	 /* packets per send; 0: 3 */
	size_t min, max; /* sizes */
	size_t rx_max;	 /* of what comes; 0: max */
	uint8_t tx, rx;
	struct dest to;	  /* of what is sent */
	struct dest from; /* of what comes; DEST_NONE: not looked at */
	size_t bytes_sent, bytes_received;
	bool eof;
	int err;
};

/* The size of packet `i` of a pattern. */
size_t packet_size(uint8_t pattern, unsigned i, size_t min, size_t max);

/* Takes `d` over.  total, expected, min, max, to and from are set before. */
void correspondent_start(struct correspondent *c, struct dgram *d, uint8_t tx, uint8_t rx);
bool correspondent_done(const struct correspondent *c); /* all sent and all received; or failed */
void correspondent_stop(struct correspondent *c);

/* A packet of this text; `dest` NULL: none. */
struct packet packet_of(struct loop *l, const char *text, const char *dest);

/* Receive one packet and compare; `from` NULL: not looked at. */
void packet_expect(struct dgram *d, const char *text, const char *from);

#endif
