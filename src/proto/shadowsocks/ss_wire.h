/* ss_wire.h - the headers of a 2022 stream, as they are before sealing (SIP022), pure. */
#ifndef WEIR_PROTO_SS_WIRE_H
#define WEIR_PROTO_SS_WIRE_H

#include "base/rd.h"
#include "base/wr.h"
#include "net/dest.h"
#include "proto/shadowsocks/ss_method.h"

#define SS_FIXED	   11 /* of a request: type, time, length of the variable header */
#define SS_ANSWER(saltlen) (11 + (size_t)(saltlen))
#define SS_ANSWER_MAX	   SS_ANSWER(SS_SALT_MAX)
#define SS_ADDRESS_MAX	   (1 + 1 + 255 + 2)
#define SS_PADDING_MAX	   900
#define SS_CLOCK_S	   30 /* how far the other end's clock may be off */

struct ss_fixed {
	uint64_t time;
	uint16_t variable; /* bytes of the variable header, without its tag */
};

/* `len` is what the server allows: now +- SS_CLOCK_S is the caller's to check. */
MUST_CHECK int ss_fixed_parse(struct rd *in, struct ss_fixed *out);
void ss_fixed_emit(struct wr *w, const struct ss_fixed *f);

/* Address and padding, off the front of what was in the variable header; `len` is all that it holds.
 * -ERR_MALFORMED also for neither padding nor payload.  Reads at most SS_ADDRESS_MAX + 2 bytes:
 * *skip is how many bytes precede the payload.
 */
MUST_CHECK int ss_variable_parse(struct rd *in, size_t len, struct dest *dest, size_t *skip);
/* Without the payload; the padding is zeros. */
void ss_variable_emit(struct wr *w, const struct dest *dest, size_t padding);

/* The fixed header of a response. */
struct ss_answer {
	uint64_t time;
	const uint8_t *salt; /* of the request */
	uint16_t first;	     /* payload bytes that follow as one piece */
};

MUST_CHECK int ss_answer_parse(struct rd *in, size_t saltlen, struct ss_answer *out);
void ss_answer_emit(struct wr *w, size_t saltlen, const struct ss_answer *a);

/* Is `time` close enough to `now`? */
bool ss_time_ok(uint64_t time, int64_t now);

#endif
