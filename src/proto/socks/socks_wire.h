/* socks_wire.h - SOCKS5 (RFC 1928), both roles, no authentication, pure. */
#ifndef WEIR_PROTO_SOCKS_WIRE_H
#define WEIR_PROTO_SOCKS_WIRE_H

#include "base/base.h"
#include "base/rd.h"
#include "base/wr.h"
#include "net/dest.h"

#define SOCKS_MSG_MAX 262 /* a request or reply with the longest name */

enum socks_cmd {
	SOCKS_CONNECT = 1,
	SOCKS_UDP = 3,
};

enum socks_reply {
	SOCKS_OK = 0,
	SOCKS_FAILED = 1,
	SOCKS_DENIED = 2,
	SOCKS_UNREACHABLE = 4,
	SOCKS_REFUSED = 5,
	SOCKS_BAD_COMMAND = 7,
};

/* The greeting: is "no authentication" among the methods? */
MUST_CHECK int socks_greeting_parse(struct rd *in, bool *no_auth);
void socks_greeting_emit(struct wr *w);
void socks_choice_emit(struct wr *w, bool accept);

/* Any command parses; the caller refuses what it does not serve. */
MUST_CHECK int socks_request_parse(struct rd *in, uint8_t *cmd, struct dest *dest);
void socks_request_emit(struct wr *w, uint8_t cmd, const struct dest *dest);
void socks_reply_emit(struct wr *w, enum socks_reply code, const struct dest *bound);

/* The header of a UDP datagram (RFC 1928 §7); fragments are -ERR_UNSUPPORTED. */
MUST_CHECK int socks_udp_parse(struct rd *in, struct dest *dest);
void socks_udp_emit(struct wr *w, const struct dest *dest);

#endif
