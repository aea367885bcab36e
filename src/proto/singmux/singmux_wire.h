/* singmux_wire.h - the messages of sing-box's multiplex (docs/protocols/mux.md, section 4).
 *
 * A carrier is a TCP request for a name that nobody owns.  It begins with which session protocol
 * runs inside and whether the first writes are padded; every stream of that protocol begins with a
 * request of its own, and the server's side of it with a status.
 */
#ifndef WEIR_PROTO_SINGMUX_WIRE_H
#define WEIR_PROTO_SINGMUX_WIRE_H

#include "base/rd.h"
#include "base/wr.h"
#include "net/dest.h"

#define SINGMUX_NAME "sp.mux.sing-box.arpa"
#define SINGMUX_PORT 444
/* TCP, with this for a destination: the two ends tell each other their rates for TCP Brutal. */
#define SINGMUX_BRUTAL_NAME "_BrutalBwExchange"

bool singmux_is_carrier(
	const struct dest *d); /* the name is matched exactly, the port is anything */
bool singmux_is_brutal(const struct dest *d);
void singmux_dest(struct dest *out);

/* ---- what a carrier begins with ---------------------------------------------------------- */

enum singmux_protocol {
	SINGMUX_SMUX = 0,
	SINGMUX_YAMUX = 1,
	SINGMUX_H2MUX = 2,
};

struct singmux_hello {
	uint8_t version;  /* 0, 1; only 1 can say that there is padding */
	uint8_t protocol; /* enum singmux_protocol */
	bool padding;
	/* with padding: this many bytes follow the hello, to be passed over; behind them the framing
	 * of singmux_pad.h begins */
	uint16_t pad;
};

#define SINGMUX_HELLO_MAX 5

MUST_CHECK int singmux_hello_parse(struct rd *in, struct singmux_hello *out);
void singmux_hello_emit(struct wr *w, const struct singmux_hello *h);

/* ---- the padding layer: the first so many writes of each direction ----------------------- */

#define SINGMUX_PADDED	 16
#define SINGMUX_PAD_HEAD 4
#define SINGMUX_PAD_MIN	 256
#define SINGMUX_PAD_MAX	 767

struct singmux_pad_head {
	uint16_t data, pad; /* bytes of each that follow, in this order */
};

MUST_CHECK int singmux_pad_parse(struct rd *in, struct singmux_pad_head *out);
void singmux_pad_emit(struct wr *w, const struct singmux_pad_head *h);

/* ---- what a stream begins with ----------------------------------------------------------- */

struct singmux_request {
	bool udp;
	bool packet_addr; /* of UDP: every packet has its address, `dest` is a hint */
	struct dest dest;
};

#define SINGMUX_REQUEST_MAX (2 + 1 + 1 + 255 + 2)

MUST_CHECK int singmux_request_parse(struct rd *in, struct singmux_request *out);
void singmux_request_emit(struct wr *w, const struct singmux_request *r);

#define SINGMUX_REFUSED	 1    /* the status; 0: the target has been reached */
#define SINGMUX_TEXT_MAX 1024 /* of a message; what is longer is malformed */

struct singmux_answer {
	bool error;
	/* of an error: why, in place */
	const char *text;
	size_t len;
};

MUST_CHECK int singmux_answer_parse(struct rd *in, struct singmux_answer *out);
void singmux_answer_emit(struct wr *w, const struct singmux_answer *a);

/* ---- TCP Brutal -------------------------------------------------------------------------- */

/* The client says how fast it can receive, in bytes per second: 8 bytes, nothing around them. */
#define SINGMUX_BRUTAL_REQUEST 8

struct singmux_brutal_answer {
	bool ok;
	uint64_t rate_Bps; /* ok: how fast the server receives */
	/* else: why not, in place */
	const char *text;
	size_t len;
};

MUST_CHECK int singmux_brutal_parse(struct rd *in, struct singmux_brutal_answer *out);
void singmux_brutal_emit(struct wr *w, const struct singmux_brutal_answer *a);

#endif
