/* vmess.h - VMess with AEAD headers over any byte stream, server and client (docs/protocols/vmess.md). */
#ifndef WEIR_PROTO_VMESS_H
#define WEIR_PROTO_VMESS_H

#include "proto/proto.h"
#include "proto/replay.h"
#include "proto/vmess/vmess_users.h"
#include "proto/vmess/vmess_wire.h"
#include "stream/dgram.h"

extern const struct proto vmess_proto;

/* ---- server ------------------------------------------------------------------------------ */

/* An auth id dated two minutes ahead is good for four, and up to a second more: seconds are whole. */
#define VMESS_REPLAY_KEEP ((2 * VMESS_WINDOW_S + 2) * NSEC_SEC)

/* One worker's part of an inbound: proto_inbound.port. */
struct vmess_port {
	struct vmess_finder *finder;
	struct replay *replay; /* of all workers: auth ids; NULL: they may come twice */
};

/* ---- client ------------------------------------------------------------------------------ */

struct vmess_client_conf {
	uint8_t key[VMESS_KEY_LEN]; /* vmess_command_key() */
	uint8_t cipher;		    /* enum vmess_cipher */
	uint8_t option;		    /* bits of enum vmess_option, of streams */
};

/* `cipher` as links and configurations write it: "auto" (or ""), "aes-128-gcm", "chacha20-poly1305",
 * "none", "zero".  `id` is a UUID or another text of up to 30 bytes.  0; -ERR_MALFORMED: the id;
 * -ERR_UNSUPPORTED: the cipher; -ERR_CRYPTO.
 */
MUST_CHECK int vmess_client_conf_set(struct vmess_client_conf *c, const char *id,
				     const char *cipher);

/* A TCP request to `dest` over `lower`, whose ownership passes; `conf` is read only here.  The request
 * goes out with the first bytes pushed, or at the first pull or shut.  NULL: no memory, `lower` is
 * freed.
 */
struct stream *vmess_client_new(struct stream *lower, const struct vmess_client_conf *conf,
				const struct dest *dest);

/* The carrier of mux.cool. */
struct stream *vmess_client_mux(struct stream *lower, const struct vmess_client_conf *conf);

/* A full-cone UDP association (XUDP), or with `plain` command 2 to the one `dest`. */
struct dgram *vmess_client_udp(struct stream *lower, const struct vmess_client_conf *conf,
			       const struct dest *dest, bool plain);

#endif
