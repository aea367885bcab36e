/* trojan.h - Trojan over any byte stream, server and client (docs/protocols/trojan.md). */
#ifndef WEIR_PROTO_TROJAN_H
#define WEIR_PROTO_TROJAN_H

#include "proto/proto.h"
#include "proto/trojan/trojan_wire.h"
#include "stream/dgram.h"

extern const struct proto trojan_proto;

/* Client: a TCP request to `dest` over `lower`, whose ownership passes.  NULL: no memory, `lower`
 * is freed.
 */
struct stream *trojan_client_new(struct stream *lower, const uint8_t key[TROJAN_KEY_LEN],
				 const struct dest *dest);

/* Client: a full-cone UDP association. */
struct dgram *trojan_client_udp(struct stream *lower, const uint8_t key[TROJAN_KEY_LEN],
				const struct dest *first);

#endif
