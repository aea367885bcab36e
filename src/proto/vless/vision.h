/* vision.h - the flow xtls-rprx-vision as a layer, both roles (docs/protocols/vision.md).
 *
 * It stands on whatever answers STREAM_RECORD_MODE and stream_bypass(): TLS 1.3 by libssl's handshake
 * or REALITY's, VLESS Encryption.  Each direction is padded at first, and then plain or direct; when
 * it is direct, splice() passes through, and the layer below neither opens nor makes a record again.
 */
#ifndef WEIR_PROTO_VLESS_VISION_H
#define WEIR_PROTO_VLESS_VISION_H

#include "proto/vless/vless_wire.h"
#include "stream/stream.h"

/* The server's, not on anything yet; `id` is that of the request, as it came.  It sends the answer
 * with its first block, or alone before the end.  NULL: no memory.
 */
struct stream *vision_server_new(struct loop *l, const uint8_t id[VLESS_ID_LEN]);
/* Stand it on `lower`, which is open and in record mode; ownership passes. */
void vision_server_put_on(struct stream *vision, struct stream *lower);

/* The client's, over a VLESS stream whose request names the flow.  NULL: no memory, `lower` is freed. */
struct stream *vision_client_new(struct stream *lower, const uint8_t id[VLESS_ID_LEN]);

/* Both directions of `s` by record.  -ENOTSUP: nothing for Vision to stand on. */
MUST_CHECK int vision_set_records(struct stream *s);

#endif
