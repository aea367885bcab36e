/* reality_flight.h - what a target answers to a ClientHello, as far as it can be seen from outside:
 * its ServerHello, and the lengths of its encrypted records.  Pure; internal to src/tls.
 */
#ifndef WEIR_TLS_REALITY_FLIGHT_H
#define WEIR_TLS_REALITY_FLIGHT_H

#include "base/rd.h"
#include "tls/hello.h"

/* No record of a flight that can be imitated is longer, and no more of a flight is kept. */
#define FLIGHT_RECORD_MAX 8192
#define FLIGHT_MAX	  16384
/* Records whose lengths are imitated behind the handshake's own. */
#define FLIGHT_EXTRA 8

struct server_hello {
	struct tls_bytes raw; /* the whole message with its four bytes of header */
	uint16_t suite, group;
	struct tls_bytes share; /* within raw */
};

struct target_flight {
	struct server_hello hello;
	bool combined;	  /* one record from EncryptedExtensions to Finished, not four */
	uint16_t wire[4]; /* bytes on the wire of each; of one where combined */
	uint16_t extra[FLIGHT_EXTRA];
	unsigned nextra; /* records that came along: tickets */
};

/* A ServerHello of TLS 1.3 with a key share that we know, in a message of its own; a
 * HelloRetryRequest is -ERR_UNSUPPORTED.
 */
MUST_CHECK int server_hello_parse(struct rd *in, struct server_hello *out);

/* All that the target has sent so far, from its first byte.  `in` stays where it is: the flight
 * has no end of its own.  -ERR_MORE; -ERR_MALFORMED, -ERR_UNSUPPORTED: not one that we can imitate.
 */
MUST_CHECK int target_flight_parse(struct rd in, struct target_flight *out);

#endif
