/* proxy_proto.h - the PROXY protocol header, versions 1 and 2, both directions (HAProxy's
 * proxy-protocol.txt; docs/protocols: raw transport, section 4).
 *
 * Who relays a connection writes its addresses in front of the first byte.  The header is not
 * authenticated: accept it only where nobody but the relay can connect.
 */
#ifndef WEIR_NET_PROXY_PROTO_H
#define WEIR_NET_PROXY_PROTO_H

#include "base/rd.h"
#include "base/wr.h"
#include "net/addr.h"

#define PROXY_V1_MAX   107	    /* with its CRLF */
#define PROXY_V2_MAX   (16 + 4096)  /* addresses and TLVs; more is refused */
#define PROXY_MAX      PROXY_V2_MAX /* what a reader must be able to hold */
#define PROXY_EMIT_MAX PROXY_V1_MAX /* what proxy_emit() writes at most */

struct proxy_header {
	uint8_t version; /* 1 or 2 */
	bool local;	 /* LOCAL or UNKNOWN, or addresses that are no IPs: keep the socket's own */
	bool dgram;
	struct addr src, dst; /* unset when `local` */
};

/* Either version.  Reads the header and nothing behind it. */
MUST_CHECK int proxy_parse(struct rd *in, struct proxy_header *out);

/* TCP, no TLVs.  `version` 1 or 2; addresses of different families, or unset, make UNKNOWN or
 * LOCAL.  v4-mapped addresses go out as IPv4.
 */
void proxy_emit(struct wr *w, int version, const struct addr *src, const struct addr *dst);

#endif
