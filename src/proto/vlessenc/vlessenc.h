/* vlessenc.h - VLESS Encryption (mlkem768x25519plus): a stream layer between the transport and VLESS,
 * server and client (docs/protocols/vless-encryption.md).
 *
 * Ready after one round trip, or without one for a client that has a ticket.  Both directions are
 * records that look like TLS 1.3's; there is no closing message, an end of stream between two records
 * is orderly.
 *
 * A server that meets no client of its own answers nothing: open() says -ERR_AUTH, and the stream then
 * yields what comes from below as it is, for the reject policy.
 *
 * Vision: STREAM_RECORD_MODE and bypass() as with TLS; where a direction is bypassed, mode random goes
 * on masking what looks like headers, the others can be spliced if what is below can.
 * STREAM_TLS_VERSION says 0x0304: this is the outer TLS of that protocol.
 */
#ifndef WEIR_PROTO_VLESSENC_H
#define WEIR_PROTO_VLESSENC_H

#include "proto/vlessenc/vlessenc_conf.h"
#include "stream/stream.h"

/* `conf` outlives it; ownership of `lower` passes.  NULL: no memory, `lower` is freed. */
struct stream *vlessenc_server_new(struct stream *lower, const struct vlessenc_conf *conf);
struct stream *vlessenc_client_new(struct stream *lower, const struct vlessenc_conf *conf);

#endif
