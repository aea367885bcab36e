/* vless_wire.h - the VLESS messages, both roles, pure (docs/protocols/vless.md).
 *
 * Bytes in, values out; no sockets, no users.  parse() moves `in` only when a whole message is
 * there; -ERR_MORE asks for more, -ERR_MALFORMED can never be right, -ERR_AUTH says that the peer
 * has not shown a user id at all (wrong version), so that a fallback may still take the bytes.
 */
#ifndef WEIR_PROTO_VLESS_WIRE_H
#define WEIR_PROTO_VLESS_WIRE_H

#include "base/base.h"
#include "base/rd.h"
#include "base/wr.h"
#include "net/dest.h"

#define VLESS_ID_LEN  16
#define VLESS_PREFIX  17 /* version and id: enough to decide whether this is one of ours */
#define VLESS_REQ_MAX (VLESS_PREFIX + 1 + 255 + 1 + 2 + 1 + 1 + 255)
#define VLESS_UDP_MAX 8190 /* Xray's writer drops larger datagrams; so do we */

enum vless_cmd {
	VLESS_TCP = 1,
	VLESS_UDP = 2,
	VLESS_MUX = 3,
};

enum vless_flow {
	VLESS_FLOW_NONE,
	VLESS_FLOW_VISION,
	VLESS_FLOW_OTHER, /* a word nobody knows: the request is refused after authentication */
};

struct vless_request {
	uint8_t id[VLESS_ID_LEN]; /* as received: Vision compares and echoes these bytes */
	uint8_t cmd;		  /* enum vless_cmd */
	uint8_t flow;		  /* enum vless_flow */
	struct dest dest;	  /* DEST_NONE for VLESS_MUX */
};

/* Only version and id.  0, -ERR_MORE, or -ERR_AUTH when byte 0 is not the version. */
MUST_CHECK int vless_prefix_parse(const struct rd *in, uint8_t id[VLESS_ID_LEN]);

MUST_CHECK int vless_request_parse(struct rd *in, struct vless_request *out);
void vless_request_emit(struct wr *w, const struct vless_request *req);

/* The addons protobuf: the flow word in field 1; other fields are skipped. */
MUST_CHECK int vless_addons_parse(struct rd *in, uint8_t *flow);

/* The server's answer `00 n addons`; addons are skipped. */
MUST_CHECK int vless_response_parse(struct rd *in);
void vless_response_emit(struct wr *w);

/* The lookup key: the id with the two routing bytes, 6 and 7, cleared. */
void vless_key_of_id(const uint8_t id[VLESS_ID_LEN], uint8_t key[VLESS_ID_LEN]);

/* Configured text to id: 32-36 characters are a UUID, 1-30 other bytes hash to one, the rest is
 * -ERR_MALFORMED (panel-apis 3.2).
 */
MUST_CHECK int vless_id_of_text(const char *text, size_t len, uint8_t id[VLESS_ID_LEN]);

#endif
